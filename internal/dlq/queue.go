package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// parallel partitions are read at a time: two keep a client busy, more cover for
// slow brokers, and each holds an answer unpacked.
const parallel = 4

// Queue is a dead letter topic as it was when it was opened: what comes later is
// not looked at.
type Queue struct {
	cl      *kgo.Client
	adm     *kadm.Client
	leaders *leaders
	dec     *order.Decoder
	topic   string
	id      [16]byte
	starts  map[int32]int64
	ends    map[int32]int64
}

// OpenQueue looks where the topic begins and ends. One that is not there is a
// [topic.MissingError].
func OpenQueue(ctx context.Context, cl *kgo.Client, name string, rules order.Rules) (*Queue, error) {
	adm := client.Admin(cl)
	id, _, err := topic.Exists(ctx, adm, name)
	var missing *topic.MissingError
	if errors.As(err, &missing) {
		missing.Next = "\"ordersctl topic create --with-dlq --if-not-exists\" creates it beside the topic"
	}
	if err != nil {
		return nil, err
	}
	q := &Queue{cl: cl, adm: adm, topic: name, id: id, dec: order.NewDecoder(rules), leaders: &leaders{adm: adm, topic: name}}
	if q.starts, err = list(ctx, name, adm.ListStartOffsets); err != nil {
		return nil, err
	}
	q.ends, err = list(ctx, name, adm.ListCommittedOffsets)
	return q, err
}

// Admin speaks to the cluster of the queue.
func (q *Queue) Admin() *kadm.Client { return q.adm }

// Compacted tells that Kafka keeps of each key the last record only. A mark is
// the last one of its letter's key and has no value: it would take every letter
// of that key with it. It is false where the brokers do not tell.
func (q *Queue) Compacted(ctx context.Context) bool {
	all, err := q.adm.DescribeTopicConfigs(ctx, q.topic)
	if err != nil {
		return false
	}
	one, err := all.On(q.topic, nil)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(one.Configs, func(c kadm.Config) bool {
		return c.Key == "cleanup.policy" && strings.Contains(c.MaybeValue(), "compact")
	})
}

// list asks for one offset of each partition. All of them have to answer: a
// letter that is not seen would be taken for none.
func list(ctx context.Context, topic string, ask func(context.Context, ...string) (kadm.ListedOffsets, error)) (map[int32]int64, error) {
	listed, err := ask(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list the offsets of topic %s: %w", topic, err)
	}
	at := map[int32]int64{}
	for id, l := range listed[topic] {
		at[id] = l.Offset
	}
	return at, nil
}

// Scan reads the letters that f means and the marks that say what became of
// them. Letters that are named and not there are an error. All of the topic is
// read, whatever f says: a letter stands there once more where its consumer was
// set back or its database restored, and its mark may be as old as the topic.
func (q *Queue) Scan(ctx context.Context, f Filter) (*Index, error) {
	if err := q.lookUp(ctx, f.Letters); err != nil {
		return nil, err
	}
	x := newIndex(q.topic)
	if len(f.Letters) > 0 {
		x.replayedTo = map[originKey]string{}
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for id, start := range q.starts {
		group.Go(func() error {
			fetch := q.fetcher(id, start)
			for {
				records, err := fetch.batch(ctx)
				if err != nil || len(records) == 0 {
					return err
				}
				letters, marks, foreign := parseAll(records)
				mu.Lock()
				x.take(letters, marks, foreign, &f, q.dec)
				mu.Unlock()
			}
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	x.done()
	return x, nil
}

func parseAll(records []*kgo.Record) (letters []*Letter, marks []*Mark, foreign int) {
	for _, r := range records {
		switch l, m := parse(r); {
		case l != nil:
			letters = append(letters, l)
		case m != nil:
			marks = append(marks, m)
		default:
			foreign++
		}
	}
	return letters, marks, foreign
}

func (q *Queue) fetcher(partition int32, next int64) *fetcher {
	return &fetcher{
		cl: q.cl, leaders: q.leaders, topic: q.topic, id: q.id, partition: partition,
		next: max(next, q.starts[partition]), end: q.ends[partition],
	}
}

// lookUp finds the letters that are named. It is an error if one is not there.
func (q *Queue) lookUp(ctx context.Context, names []Place) error {
	for _, p := range names {
		if _, err := q.Letter(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// Letter reads one letter.
func (q *Queue) Letter(ctx context.Context, p Place) (*Letter, error) {
	end, ok := q.ends[p.Partition]
	switch {
	case !ok:
		return nil, fmt.Errorf("topic %s has no partition %d", q.topic, p.Partition)
	case p.Offset >= end:
		return nil, fmt.Errorf("there is no letter %s: the partition ends at offset %d", p, end)
	case p.Offset < q.starts[p.Partition]:
		return nil, fmt.Errorf("there is no letter %s any more: the partition begins at offset %d", p, q.starts[p.Partition])
	}
	fetch := q.fetcher(p.Partition, p.Offset)
	fetch.end = p.Offset + 1
	records, err := fetch.batch(ctx)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("there is no record at %s", p)
	}
	switch l, m := Parse(records[0]); {
	case l != nil:
		return l, nil
	case m != nil:
		return nil, fmt.Errorf("%s is no letter but the mark that %s was %s", p, m.Origin, m.State)
	}
	return nil, fmt.Errorf("%s is no letter: it does not tell which record it is of", p)
}

// after is the first offset of each partition that is not older than t.
func (q *Queue) after(ctx context.Context, topic string, t time.Time) (map[int32]int64, error) {
	return list(ctx, topic, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
		return q.adm.ListOffsetsAfterMilli(ctx, t.UnixMilli(), topics...)
	})
}

// Each reads the letters of x that are in that state ("" for any) once more,
// whole, partition by partition in their order. gone is how many of them are not
// there any more.
func (q *Queue) Each(ctx context.Context, x *Index, s State, fn func(*Letter, State) error) (gone int, err error) {
	var rd *reading
	for i := range x.entries {
		e := &x.entries[i]
		if s != "" && e.state != s {
			continue
		}
		if rd == nil || rd.fetch.partition != e.partition {
			rd = &reading{fetch: q.fetcher(e.partition, e.offset)}
		}
		r, err := rd.at(ctx, e.offset)
		if err != nil {
			return gone, err
		}
		var l *Letter
		if r != nil {
			l, _ = Parse(r)
		}
		if l == nil {
			gone++
			continue
		}
		if err := fn(l, e.state); err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// reading is a partition's records, read forwards.
type reading struct {
	fetch   *fetcher
	records []*kgo.Record // fetched, not passed yet
}

// at is the record at an offset, nil where there is none. What lies between is
// passed over, unread where it was not fetched yet.
func (rd *reading) at(ctx context.Context, offset int64) (*kgo.Record, error) {
	for {
		for len(rd.records) > 0 && rd.records[0].Offset < offset {
			rd.records = rd.records[1:]
		}
		switch {
		case len(rd.records) > 0 && rd.records[0].Offset == offset:
			return rd.records[0], nil
		case len(rd.records) > 0 || rd.fetch.next > offset:
			return nil, nil
		}
		rd.fetch.next = offset
		records, err := rd.fetch.batch(ctx)
		if err != nil || len(records) == 0 {
			return nil, err
		}
		rd.records = records
	}
}

// Share is how many of a topic's records came to be letters.
type Share struct {
	Letters int
	Records int64 // written in the same time
	Deleted int   // letters more, of records that the topic has no longer
}

// Share counts from the filter's beginning to its end, by when the letters'
// records were written; without them from the first of these to the last. Letters
// outlive their records, and those that are deleted count on neither side. It is
// nil where no letter tells, or where the topic is another one now.
func (q *Queue) Share(ctx context.Context, x *Index, name string, f Filter) (*Share, error) {
	id, _, err := topic.Exists(ctx, q.adm, name)
	if err != nil {
		return nil, err
	}
	starts, err := list(ctx, name, q.adm.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	s := &Share{}
	first, last := f.From.UnixMilli(), f.To.UnixMilli()-1
	for i := range x.entries {
		e := &x.entries[i]
		if e.originTime == 0 || e.kind.TopicID != topic.FormatID(id) || e.kind.Topic != name {
			continue
		}
		if e.originOffset < starts[e.originPartition] {
			s.Deleted++
			continue
		}
		if s.Letters == 0 && f.From.IsZero() || e.originTime < first {
			first = e.originTime
		}
		if s.Letters == 0 && f.To.IsZero() || e.originTime > last {
			last = e.originTime
		}
		s.Letters++
	}
	if s.Letters == 0 {
		return nil, nil
	}
	from, err := q.after(ctx, name, time.UnixMilli(first))
	if err != nil {
		return nil, err
	}
	var to map[int32]int64
	if f.To.IsZero() && !f.From.IsZero() {
		to, err = list(ctx, name, q.adm.ListCommittedOffsets) // until now
	} else {
		to, err = q.after(ctx, name, time.UnixMilli(last+1))
	}
	for id := range to {
		s.Records += max(0, to[id]-from[id])
	}
	return s, err
}
