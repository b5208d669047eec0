package tail

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// newest gathers the newest records of all partitions together. Each partition
// keeps its own order, whatever the clocks of the producers say: a record counts
// as no older than those that stand before it in its partition.
type newest struct {
	limit int
	held  map[int32][]aged
	total int
}

type aged struct {
	record *kgo.Record
	at     time.Time
}

func newNewest(limit int) *newest { return &newest{limit: limit, held: map[int32][]aged{}} }

// add takes records that follow on those that are held of their partition.
// What can't be among the newest any more is let go now and then, so that
// little more than twice the limit is held.
func (n *newest) add(partition int32, records []*kgo.Record) {
	held := n.held[partition]
	for _, r := range records {
		at := r.Timestamp
		if len(held) > 0 && held[len(held)-1].at.After(at) {
			at = held[len(held)-1].at
		}
		held = append(held, aged{r, at})
	}
	n.held[partition] = held
	n.total += len(records)
	if n.total > 2*n.limit {
		n.cut()
	}
}

// cut keeps limit records and gives them, oldest first: from behind, always the
// newest of those that end a partition.
func (n *newest) cut() []*kgo.Record {
	left := map[int32]int{}
	for id, held := range n.held {
		left[id] = len(held)
	}
	ids := slices.Sorted(maps.Keys(left))
	// Of equal times (a burst is one millisecond) each partition gives in turn.
	newer := func(a, b int32) bool {
		at, than := n.held[a][left[a]-1].at, n.held[b][left[b]-1].at
		return at.After(than) || at.Equal(than) && len(n.held[a])-left[a] < len(n.held[b])-left[b]
	}
	var picked []*kgo.Record
	for len(picked) < n.limit {
		best := int32(-1)
		for _, id := range ids {
			if left[id] > 0 && (best < 0 || newer(id, best)) {
				best = id
			}
		}
		if best < 0 {
			break
		}
		left[best]--
		picked = append(picked, n.held[best][left[best]].record)
	}
	for id, skipped := range left {
		n.held[id] = slices.Clone(n.held[id][skipped:])
	}
	n.total = len(picked)
	slices.Reverse(picked)
	return picked
}

// last prints the newest records and sets the partitions to where following
// goes on; done tells that nothing more was asked for.
func (t *Tail) last(ctx context.Context) (done bool, err error) {
	asked := t.opts.Range.To
	t.opts.Range.To = Bound{Kind: End}
	picked, err := t.gather(ctx)
	t.opts.Range.To = asked
	if err != nil {
		return false, err
	}
	for _, r := range picked {
		t.record(&kgo.FetchPartition{Partition: r.Partition, HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1}, r)
		if t.opts.Num > 0 && t.count.printed() >= t.opts.Num {
			return true, nil
		}
	}
	if err := t.flush(); err != nil {
		return false, err
	}
	for _, p := range t.parts {
		p.next = p.end
	}
	return t.arrive(), nil
}

// gather reads the ends of the partitions, further back where aborted and
// compacted offsets left too few, until the newest are certain.
func (t *Tail) gather(ctx context.Context) ([]*kgo.Record, error) {
	n := newNewest(t.opts.Last)
	span := int64(t.opts.Last)
	from := map[int32]int64{}
	for id, p := range t.parts {
		from[id] = max(p.start, p.end-span)
		p.next = from[id]
	}
	for {
		picked, seen, err := t.gatherOnce(ctx, n)
		if err != nil {
			return nil, err
		}
		span *= 4
		short := false
		for id, p := range t.parts {
			// Something older that is not read yet can only count where all that was
			// read of the partition does.
			if seen[id] < t.opts.Last && from[id] > p.start && len(n.held[id]) == seen[id] {
				from[id] = max(p.start, p.end-span)
				short = true
			}
			p.next = from[id]
		}
		if !short {
			return picked, nil
		}
		clear(n.held)
		n.total = 0
	}
}

// gatherOnce reads the partitions from where they stand to their ends.
func (t *Tail) gatherOnce(ctx context.Context, n *newest) (picked []*kgo.Record, seen map[int32]int, err error) {
	seen = map[int32]int{}
	t.consume()
	defer t.stop()
	for !t.allReached() {
		fetches, err := t.poll(ctx)
		if err != nil {
			return nil, nil, err
		}
		if fetches.Empty() {
			if err := t.idle(ctx); err != nil {
				return nil, nil, err
			}
			if err := t.timedOut(); err != nil {
				return nil, nil, err
			}
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			records := t.within(&p.FetchPartition)
			seen[p.Partition] += len(records)
			n.add(p.Partition, records)
		})
	}
	return n.cut(), seen, nil
}

// within gives the data records of a fetch up to its partition's end.
func (t *Tail) within(p *kgo.FetchPartition) []*kgo.Record {
	at := t.parts[p.Partition]
	t.lastFetch = time.Now()
	var records []*kgo.Record
	for _, r := range p.Records {
		if r.Offset >= at.end {
			at.next = at.end
			break
		}
		at.next = r.Offset + 1
		if !r.Attrs.IsControl() {
			records = append(records, r)
		}
	}
	return records
}
