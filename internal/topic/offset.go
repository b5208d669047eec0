package topic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"
)

const (
	// A partition without a leader answers nothing, and the client library
	// would try for as long as for a record: the others' answers should not wait.
	leaderlessTimeout = 2 * time.Second
	// A leader that hangs is known as one for some seconds more.
	answerTimeout = 10 * time.Second
	// While leaders change, partitions refuse for a moment: an election takes
	// well under a second, and the new leader answers with its first follower.
	electionTimeout = 2 * time.Second
)

// span is a partition's log, from its first offset to the next one to be
// written.
type span struct{ start, end int64 }

func (s span) records() int64 { return s.end - s.start }

// spans lists the log of each partition that answers; only a refusal is an error.
func spans(ctx context.Context, adm *kadm.Client, d kadm.TopicDetail) (map[int32]span, error) {
	var starts, ends map[int32]int64
	var both errgroup.Group // a leader that hangs is waited for once, not twice
	both.Go(func() (err error) {
		starts, err = listOffsets(ctx, d, adm.ListStartOffsets)
		return err
	})
	both.Go(func() (err error) {
		ends, err = listOffsets(ctx, d, adm.ListEndOffsets)
		return err
	})
	if err := both.Wait(); err != nil {
		return nil, err
	}
	all := map[int32]span{}
	for p, start := range starts {
		if end, ok := ends[p]; ok {
			all[p] = span{start, max(start, end)}
		}
	}
	return all, nil
}

// fullSpans is spans where every partition has to answer.
func fullSpans(ctx context.Context, adm *kadm.Client, d kadm.TopicDetail) (map[int32]span, error) {
	all, err := spans(ctx, adm, d)
	if err != nil {
		return nil, err
	}
	var silent []int32
	for _, p := range d.Partitions.Numbers() {
		if _, ok := all[p]; !ok {
			silent = append(silent, p)
		}
	}
	if len(silent) > 0 {
		return nil, &BrokerError{
			Op: "list the offsets of", Topic: d.Topic,
			Err:  fmt.Errorf("no answer for partition %s of %d", JoinIDs(silent), len(d.Partitions)),
			Next: fmt.Sprintf("\"ordersctl topic describe %s\" shows which brokers are missing", d.Topic),
		}
	}
	return all, nil
}

type lister func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error)

// listOffsets gives the offset of each partition that answers. Those that don't
// are asked again for as long as an election takes.
func listOffsets(ctx context.Context, d kadm.TopicDetail, list lister) (map[int32]int64, error) {
	offsets := map[int32]int64{}
	led := ledPartitions(d)
	if led == 0 {
		return offsets, nil
	}
	timeout := answerTimeout
	if led < len(d.Partitions) {
		timeout = leaderlessTimeout
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for began := time.Now(); ; {
		listed, err := list(bounded, d.Topic)
		for p, o := range listed[d.Topic] {
			if o.Err == nil && o.Offset >= 0 {
				offsets[p] = o.Offset
			} else if err == nil {
				err = o.Err
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case len(offsets) >= led:
			return offsets, nil
		case isFinal(err):
			return nil, &BrokerError{Op: "list the offsets of", Topic: d.Topic, Err: err}
		case time.Since(began) >= electionTimeout:
			return offsets, nil
		}
		select {
		case <-time.After(pollInterval):
		case <-bounded.Done():
			return offsets, ctx.Err()
		}
	}
}

// isFinal tells a broker's refusal, such as a missing permission, from what a
// change of leaders brings with it.
func isFinal(err error) bool {
	var refusal *kerr.Error
	return errors.As(err, &refusal) && !refusal.Retriable
}
