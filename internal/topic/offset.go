package topic

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"
)

const (
	// A partition without a leader answers nothing, and the client library
	// would try for as long as for a record: the others' answers should not wait.
	leaderlessTimeout = 2 * time.Second
	// A leader that hangs is known as one for some seconds more.
	answerTimeout = 10 * time.Second
)

// span is a partition's log, from its first offset to the next one to be
// written.
type span struct{ start, end int64 }

func (s span) records() int64 { return s.end - s.start }

// spans lists the log of each partition that answers; it is an error only where
// none of them does.
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

// listOffsets gives the offset of each partition that answers.
func listOffsets(ctx context.Context, d kadm.TopicDetail, list lister) (map[int32]int64, error) {
	led := ledPartitions(d)
	if led == 0 {
		return nil, nil
	}
	timeout := answerTimeout
	if led < len(d.Partitions) {
		timeout = leaderlessTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	listed, err := list(ctx, d.Topic)
	offsets := map[int32]int64{}
	for p, o := range listed[d.Topic] {
		switch {
		case o.Err == nil && o.Offset >= 0:
			offsets[p] = o.Offset
		case o.Err != nil && err == nil:
			err = o.Err
		}
	}
	if len(offsets) == 0 && err != nil {
		return nil, &BrokerError{Op: "list the offsets of", Topic: d.Topic, Err: err}
	}
	return offsets, nil
}
