package process

import (
	"context"

	"github.com/ordersctl/ordersctl/internal/sink"
)

// origins forgets what a record says of its origin where that can't be one: a
// letter's first place stands in the log before its replay. Anybody who may
// write to the topic can set the header, and an order's row with a place that no
// record ever reaches would make all that follow stale. The order itself is as
// good as any.
func (w *Worker) origins(ctx context.Context, b *batch) error {
	ignored, first := 0, sink.Entry{}
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Origin == nil || e.Origin.TopicID != b.TopicID {
			continue // of another topic: such places are compared with nothing
		}
		ok := e.Origin.Offset < e.Offset
		if e.Origin.Partition != b.Partition {
			var err error
			if ok, err = w.stands(ctx, e.Origin); err != nil {
				return err
			}
		}
		if ok {
			continue
		}
		if ignored++; ignored == 1 {
			first = *e
		}
		e.Origin = nil
	}
	if ignored > 0 {
		w.log.Warn("records name an origin that is not before them, it is ignored", "topic", b.Topic, "partition", b.Partition,
			"records", ignored, "offset", first.Offset, "origin", first.Origin.String())
	}
	return nil
}

// stands tells whether a place of the topic is in the log. What the log was
// seen to reach it still reaches, so a partition that can't be asked now holds
// up only what is beyond that.
func (w *Worker) stands(ctx context.Context, at *sink.Place) (bool, error) {
	if at.Partition < 0 || w.reaches(at.Partition, at.Offset) {
		return at.Partition >= 0, nil
	}
	partitions, err := w.countPartitions(ctx)
	if err != nil || int(at.Partition) >= partitions {
		return false, err
	}
	b := w.bounds(ctx, []int32{at.Partition})[at.Partition]
	return at.Offset < b.end, b.err
}
