package dlq

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// DiscardResult is how it went.
type DiscardResult struct {
	Sent        Sent
	Gone        int
	NotReached  int
	Interrupted bool
	GaveUp      bool
}

// Discard marks the open letters of x as discarded, by cl, which has to be made
// with [ClientOptions]. The letters stay in the topic. A ctx that ends is no
// error.
func Discard(ctx context.Context, cl *kgo.Client, q *Queue, x *Index, patience time.Duration, tell func(string)) (*DiscardResult, error) {
	send := newSender(cl, 0, tell)
	seen := 0
	gone, err := q.Each(ctx, x, Open, func(l *Letter, _ State) error {
		if err := send.hold(ctx); err != nil {
			return err
		}
		if send.gaveUp() {
			<-send.slots
			return errGaveUp
		}
		seen++
		send.mark(ctx, l, Discarded)
		return nil
	})
	result := &DiscardResult{Gone: gone, Sent: send.drain(patience)}
	result.NotReached = x.Count(Open) - seen - gone
	switch {
	case ctx.Err() != nil:
		result.Interrupted, err = true, nil
	case errors.Is(err, errGaveUp):
		result.GaveUp, err = true, nil
	}
	return result, err
}
