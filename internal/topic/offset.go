package topic

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A partition without a leader answers nothing, and the client library would
// try for as long as for a record: the others' answers should not wait.
const leaderlessTimeout = 2 * time.Second

// span is a partition's log, from its first offset to the next one to be
// written.
type span struct{ start, end int64 }

func (s span) records() int64 { return s.end - s.start }

// spans lists the log of each partition that could be asked. Partitions that
// have no leader are missing in it; any other failure is an error.
func spans(ctx context.Context, adm *kadm.Client, d kadm.TopicDetail) (map[int32]span, error) {
	starts, err := listOffsets(ctx, d, adm.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	ends, err := listOffsets(ctx, d, adm.ListEndOffsets)
	if err != nil {
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
	for p := range d.Partitions {
		if _, ok := all[p]; !ok {
			return nil, &BrokerError{Op: "list the offsets of", Topic: d.Topic, Err: errors.New("not every partition has a leader"),
				Next: "\"ordersctl topic describe " + d.Topic + "\" shows which brokers are missing"}
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
	if led < len(d.Partitions) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, leaderlessTimeout)
		defer cancel()
	}
	listed, err := list(ctx, d.Topic)
	var shards *kadm.ShardErrors
	if err != nil && !(errors.As(err, &shards) && !shards.AllFailed) {
		return nil, &BrokerError{Op: "list the offsets of", Topic: d.Topic, Err: err}
	}
	offsets := map[int32]int64{}
	for p, o := range listed[d.Topic] {
		if o.Err == nil && o.Offset >= 0 {
			offsets[p] = o.Offset
		} else if led == len(d.Partitions) && o.Err != nil {
			err = errors.Join(err, o.Err)
		}
	}
	if led == len(d.Partitions) && len(offsets) < led && err != nil {
		return nil, &BrokerError{Op: "list the offsets of", Topic: d.Topic, Err: err}
	}
	return offsets, nil
}
