package process

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/dlq"
)

// letterError is a dead letter that was not written, or may not have been.
type letterError struct{ err error }

func (e *letterError) Error() string { return fmt.Sprintf("write dead letters: %v", e.err) }
func (e *letterError) Unwrap() error { return e.err }

// bury writes the dead letters of these entries of a batch and waits for all of
// them. Those that are acknowledged are not written again, whatever becomes of
// the others. The breaker is asked first: what it stops stays in the log.
func (p *partition) bury(ctx context.Context, b *batch, refused []int) error {
	if trip := p.judge(b, refused); trip != nil {
		return trip
	}
	w, now := p.w, time.Now()
	type ack struct {
		entry int
		err   error
	}
	acks := make(chan ack, len(refused)) // also for those that come when nobody waits any more
	for _, i := range refused {
		letter := dlq.Wrap(w.opts.DLQTopic, b.records[i], dlq.Failure{
			Refusal: *b.Entries[i].Refusal, TopicID: w.info.ID, Group: w.opts.Group, Attempts: b.attempts, At: now,
		})
		// Never with ctx: one that ends fails the letters of other partitions too.
		w.kafka.TryProduce(context.WithoutCancel(ctx), letter, func(_ *kgo.Record, err error) { acks <- ack{i, err} })
	}
	var failed error
	for range refused {
		select {
		case a := <-acks:
			if a.err == nil {
				b.Entries[a.entry].Buried = true
				w.metrics.letters.WithLabelValues(b.Entries[a.entry].Refusal.Class).Inc()
			} else if failed == nil {
				failed = a.err
			}
		case <-ctx.Done():
			return &letterError{ctx.Err()}
		}
	}
	if failed != nil {
		return &letterError{client.Explain(failed, w.opts.Kafka)}
	}
	return nil
}

// judge asks the breaker about a batch of which some are refused now, and some
// may have been buried before.
func (p *partition) judge(b *batch, refused []int) *trippedError {
	if p.w.opts.DLQBreaker != BreakerOn {
		return nil
	}
	bad := make([]bool, len(b.Entries))
	for i := range b.Entries {
		bad[i] = b.Entries[i].Buried
	}
	for _, i := range refused {
		bad[i] = true
	}
	return p.breaker.judge(len(bad), func(i int) bool { return bad[i] })
}
