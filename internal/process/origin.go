package process

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// origins forgets what a record says of its origin where that can't be one: a
// letter's first place stands in the log before its replay. Anybody who may
// write to the topic can set the header, and an order's row with a place that no
// record ever reaches would make all that follow stale. The order itself is as
// good as any.
func (w *Worker) origins(ctx context.Context, b *batch) error {
	var ends kadm.ListedOffsets
	ignored, first := 0, sink.Entry{}
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Origin == nil || e.Origin.TopicID != b.TopicID {
			continue // of another topic: such places are compared with nothing
		}
		end, ok := e.Offset, true
		if e.Origin.Partition != b.Partition {
			if ends == nil {
				var err error
				if ends, err = w.ends(ctx); err != nil {
					return err
				}
			}
			var o kadm.ListedOffset
			if o, ok = ends.Lookup(b.Topic, e.Origin.Partition); o.Err != nil {
				return &kafkaError{client.Explain(o.Err, w.opts.Kafka)}
			}
			end = o.Offset
		}
		if ok && e.Origin.Offset < end {
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

func (w *Worker) ends(ctx context.Context) (kadm.ListedOffsets, error) {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Kafka.RequestTimeout)
	defer cancel()
	ends, err := client.Admin(w.admin).ListEndOffsets(ctx, w.opts.Topic)
	if err != nil {
		return nil, &kafkaError{client.Explain(err, w.opts.Kafka)}
	}
	return ends, nil
}
