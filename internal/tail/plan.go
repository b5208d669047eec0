package tail

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// part is one partition's way through the log.
type part struct {
	id    int32
	start int64 // oldest offset there was at the beginning
	next  int64 // offset that is read next
	end   int64 // where the range ends, or the log ended at the beginning
}

func (p *part) reached() bool { return p.next >= p.end }

// plan finds out which partitions to read, and from where to where.
func (t *Tail) plan(ctx context.Context) error {
	id, n, err := topic.Exists(ctx, t.adm, t.opts.Topic)
	if err != nil {
		return err
	}
	t.topicID = id
	if t.opts.Group != "" {
		return nil
	}
	ids, err := t.choose(n)
	if err != nil {
		return err
	}
	for _, id := range ids {
		t.parts[id] = &part{id: id}
	}
	starts, err := t.list(ctx, t.adm.ListStartOffsets)
	if err != nil {
		return err
	}
	ends, err := t.list(ctx, t.adm.ListCommittedOffsets)
	if err != nil {
		return err
	}
	for _, id := range ids {
		p := t.parts[id]
		p.start, p.end = starts[id], max(starts[id], ends[id])
	}
	from, err := t.resolve(ctx, t.opts.Range.From)
	if err != nil {
		return err
	}
	to, err := t.resolve(ctx, t.opts.Range.To)
	if err != nil {
		return err
	}
	for _, id := range ids {
		p := t.parts[id]
		if at := from[id]; at > p.end && t.opts.Range.From.Kind == Exact {
			t.opts.Talk(fmt.Sprintf("%s/%d ends at offset %d, before %d: reading from its end", t.opts.Topic, id, p.end, at))
		}
		p.next = min(max(from[id], p.start), p.end)
		p.end = min(to[id], p.end)
	}
	return nil
}

// choose gives the partitions to read of a topic that has n.
func (t *Tail) choose(n int) ([]int32, error) {
	if len(t.opts.Partitions) == 0 && t.opts.Key != nil {
		id, err := client.PartitionOf(t.opts.Kafka, t.opts.Topic, *t.opts.Key, n)
		return []int32{id}, err
	}
	if len(t.opts.Partitions) == 0 {
		ids := make([]int32, n)
		for i := range ids {
			ids[i] = int32(i)
		}
		return ids, nil
	}
	for _, id := range t.opts.Partitions {
		if id < 0 || int(id) >= n {
			return nil, &client.Error{
				Msg:  fmt.Sprintf("topic %q has no partition %d", t.opts.Topic, id),
				Next: fmt.Sprintf("its partitions are 0 to %d", n-1),
				Code: 1,
			}
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(t.opts.Partitions))), nil
}

// watchesAll tells whether partitions that are added later are ours too.
func (t *Tail) watchesAll() bool {
	return len(t.opts.Partitions) == 0 && t.opts.Key == nil && t.opts.Group == ""
}

// resolve turns a bound into each partition's offset. Unset is the end.
func (t *Tail) resolve(ctx context.Context, b Bound) (map[int32]int64, error) {
	if b.Kind == AtTime {
		return t.list(ctx, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
			return t.adm.ListOffsetsAfterMilli(ctx, b.At.UnixMilli(), topics...)
		})
	}
	at := map[int32]int64{}
	for id, p := range t.parts {
		switch {
		case b.Kind == Start:
			at[id] = p.start
		case b.Kind == Exact:
			at[id] = b.N
		case b.Kind == Relative && b.N > 0:
			at[id] = p.start + min(b.N, p.end-p.start)
		case b.Kind == Relative:
			at[id] = p.end + max(b.N, p.start-p.end)
		default:
			at[id] = p.end
		}
	}
	return at, nil
}

// list asks for one offset of each partition.
func (t *Tail) list(ctx context.Context, ask func(context.Context, ...string) (kadm.ListedOffsets, error)) (map[int32]int64, error) {
	listed, err := ask(ctx, t.opts.Topic)
	if err != nil {
		return nil, fmt.Errorf("list the offsets of topic %s: %w", t.opts.Topic, err)
	}
	at := map[int32]int64{}
	for id, l := range listed[t.opts.Topic] {
		if t.parts[id] == nil {
			continue // a partition without a leader must not keep us from the others
		}
		if l.Err != nil {
			return nil, fmt.Errorf("list the offset of %s/%d: %w", t.opts.Topic, id, l.Err)
		}
		at[id] = l.Offset
	}
	return at, nil
}

// bounded tells whether reading ends at the partitions' ends.
func (t *Tail) bounded() bool { return t.opts.Range.To.Kind != Unset }

// consume starts to fetch what is not read yet.
func (t *Tail) consume() {
	offsets := map[int32]kgo.Offset{}
	for id, p := range t.parts {
		if !t.bounded() || !p.reached() {
			offsets[id] = kgo.NewOffset().At(p.next)
		}
	}
	t.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{t.opts.Topic: offsets})
}

// stop ends fetching, so that consume can begin elsewhere.
func (t *Tail) stop() {
	t.cl.RemoveConsumePartitions(map[string][]int32{t.opts.Topic: slices.Collect(maps.Keys(t.parts))})
}

func (t *Tail) allReached() bool {
	for _, p := range t.parts {
		if !p.reached() {
			return false
		}
	}
	return true
}

// watch looks whether the topic was deleted, made again or given more
// partitions. A broker that does not answer is not its business.
func (t *Tail) watch(ctx context.Context) error {
	// Reading waits for this, but for no longer than a hiccup.
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	id, n, err := topic.Exists(ctx, t.adm, t.opts.Topic)
	var missing *topic.MissingError
	switch {
	case asError(err, &missing), err == nil && id != t.topicID:
		return t.deleted()
	case err != nil || !t.watchesAll():
		return nil
	}
	var added []string
	offsets := map[int32]kgo.Offset{}
	for id := range int32(n) {
		if t.parts[id] == nil {
			t.parts[id] = &part{id: id}
			offsets[id] = kgo.NewOffset().AtStart()
			added = append(added, fmt.Sprint(id))
		}
	}
	if len(added) > 0 {
		t.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{t.opts.Topic: offsets})
		t.opts.Talk(fmt.Sprintf("topic %s was given more partitions, reading them too: %s", t.opts.Topic, strings.Join(added, ", ")))
	}
	return nil
}

func (t *Tail) deleted() error {
	return &client.Error{
		Msg:  fmt.Sprintf("topic %q was deleted, or deleted and made again, while it was read", t.opts.Topic),
		Next: "run the same command again to read the new one",
		Code: 1,
	}
}
