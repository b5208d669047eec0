package tail

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
)

// probe finds out whether there is anything left before the end of partitions
// from which nothing comes. Where the last offsets are empty (compacted, or
// deleted while we read) no record will ever tell us that the end is reached,
// and the client library keeps its position to itself. A probe that fails is
// tried again at the next tick.
func (t *Tail) probe(ctx context.Context) {
	// A fetch that does not wait is answered at once or not at all.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	meta, err := t.adm.Metadata(ctx, t.opts.Topic)
	if err != nil {
		return
	}
	for id, p := range t.parts {
		if leader, ok := meta.Topics[t.opts.Topic].Partitions[id]; ok && !p.reached() {
			t.probePartition(ctx, leader.Leader, p)
		}
	}
}

func (t *Tail) probePartition(ctx context.Context, leader int32, p *part) {
	for !p.reached() {
		rp, err := client.Fetch{Topic: t.opts.Topic, TopicID: t.topicID, Partition: p.id, Offset: p.next, Bytes: partitionBytes}.Ask(ctx, t.cl, leader)
		switch {
		case err != nil:
			return
		case rp.ErrorCode == kerr.OffsetOutOfRange.Code:
			if rp.LogStartOffset <= p.next {
				return // not a log that was cut off: the client library looks into it
			}
			p.next = rp.LogStartOffset
			continue
		case rp.ErrorCode != 0:
			return
		}
		got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
			KeepControlRecords: true,
			Offset:             p.next,
			IsolationLevel:     kgo.ReadCommitted(),
			Topic:              t.opts.Topic,
			Partition:          p.id,
		}, rp, kgo.DefaultDecompressor(), nil)
		switch {
		case got.Err != nil || len(got.Records) > 0:
			return // there is something, and it is on its way
		case next > p.next:
			p.next = next
		case rp.LastStableOffset >= p.end && len(rp.RecordBatches) == 0:
			p.next = p.end
		default:
			return
		}
	}
}
