package process

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// fold is a Store in memory: the rules of the database, one record after the
// other. hook, where it is set, is asked before each Write (and Claim, with a
// nil batch) and may answer in its place; after stands between the COMMIT and
// its answer.
type fold struct {
	sink.Store

	mu      sync.Mutex
	next    map[int32]int64 // guarded by mu
	topicID string          // guarded by mu
	events  map[string]event
	places  map[sink.Place]booking
	rows    map[string]row
	back    int // guarded by mu: how often next went back
	twice   int // guarded by mu: places that were booked before

	floors []sink.Place // guarded by mu: of the last Retain
	before time.Time    // guarded by mu

	hook  func(ctx context.Context, b *sink.Batch) error
	after func(b *sink.Batch) error
}

type event struct {
	hash [32]byte
}

type booking struct {
	Outcome sink.Outcome
	Reason  string
	Gap     int64
	Event   string
	Hash    [32]byte
}

type row struct {
	Order string
	From  sink.Place
}

func newFold() *fold {
	return &fold{next: map[int32]int64{}, events: map[string]event{}, places: map[sink.Place]booking{}, rows: map[string]row{}}
}

func (f *fold) Claim(ctx context.Context, c sink.Claim) (map[int32]int64, error) {
	if f.hook != nil {
		if err := f.hook(ctx, nil); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.topicID != "" && f.topicID != c.TopicID {
		return nil, sink.ErrTopicChanged
	}
	f.topicID = c.TopicID
	got := map[int32]int64{}
	for p, start := range c.Start {
		if _, ok := f.next[p]; !ok {
			f.next[p] = start
		}
		got[p] = f.next[p]
	}
	return got, nil
}

func (f *fold) Skip(_ context.Context, c sink.Claim, partition int32, from, to int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next[partition] != from {
		return fmt.Errorf("stands at %d", f.next[partition])
	}
	f.places[sink.Place{TopicID: c.TopicID, Partition: partition, Offset: from}] = booking{Outcome: "skipped", Gap: to}
	f.next[partition] = to + 1
	return nil
}

// Write books on a copy of what it changes, so that an error leaves nothing
// behind.
func (f *fold) Write(ctx context.Context, b *sink.Batch) (sink.Written, error) {
	if f.hook != nil {
		if err := f.hook(ctx, b); err != nil {
			return sink.Written{}, err
		}
	}
	f.mu.Lock()
	next, known := f.next[b.Partition]
	if !known || next < b.First {
		f.mu.Unlock()
		return sink.Written{}, &sink.Moved{Next: next}
	}
	t := &transaction{f, maps.Clone(f.events), maps.Clone(f.places), maps.Clone(f.rows)}
	w := sink.Written{Next: max(next, b.Next), Outcomes: make([]sink.Outcome, len(b.Entries))}
	var refused []int
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Offset < next {
			w.Outcomes[i] = sink.Passed
			continue
		}
		w.Outcomes[i] = t.apply(b, e)
		if w.Outcomes[i] == sink.DeadLettered && !e.Buried {
			refused = append(refused, i)
		}
	}
	f.mu.Unlock()
	if len(refused) > 0 {
		return sink.Written{}, &sink.Unburied{Refused: refused}
	}
	f.mu.Lock()
	if f.next[b.Partition] != next { // another one was quicker: its rows are locked in a database
		at := f.next[b.Partition]
		f.mu.Unlock()
		return sink.Written{}, &sink.Error{Err: fmt.Errorf("raced at %d", at), Class: sink.ClassRetry}
	}
	// Other partitions wrote meanwhile: book again on what is there now.
	t = &transaction{f, f.events, f.places, f.rows}
	for i := range b.Entries {
		if b.Entries[i].Offset >= next {
			w.Outcomes[i] = t.apply(b, &b.Entries[i])
			if w.Outcomes[i] == sink.Booked {
				f.twice++
			}
		}
	}
	if w.Next < f.next[b.Partition] {
		f.back++
	}
	f.next[b.Partition] = w.Next
	f.mu.Unlock()
	if f.after != nil {
		if err := f.after(b); err != nil {
			return sink.Written{}, err
		}
	}
	return w, nil
}

type transaction struct {
	*fold

	events map[string]event
	places map[sink.Place]booking
	rows   map[string]row
}

func (t *transaction) apply(b *sink.Batch, e *sink.Entry) sink.Outcome {
	place := sink.Place{TopicID: b.TopicID, Partition: b.Partition, Offset: e.Offset}
	was, booked := t.places[place]
	if booked && (was.Outcome != sink.DeadLettered || e.Refusal != nil) {
		return sink.Booked
	}
	known, dup := t.events[e.EventID]
	if e.Refusal == nil && dup && known.hash != e.Hash {
		e.Refusal = &sink.Refusal{Class: sink.RefusedEventConflict, Reason: "this event id has other content"}
	}
	if e.Refusal == nil && e.Order.Status == "toolong" {
		e.Refusal = &sink.Refusal{Class: sink.RefusedDatabase, Reason: "23514 orders_status_check"}
	}
	outcome, reason := sink.Inserted, ""
	switch {
	case e.Refusal != nil:
		outcome, reason = sink.DeadLettered, e.Refusal.Class+": "+e.Refusal.Reason
	case dup:
		outcome = sink.Duplicate
	default:
		t.events[e.EventID] = event{e.Hash}
		from := place
		if e.Origin != nil {
			from = *e.Origin
		}
		old, there := t.rows[e.Order.ID]
		switch {
		case there && old.From.TopicID == from.TopicID && old.From.Partition == from.Partition && old.From.Offset > from.Offset:
			outcome = sink.Stale
		case there:
			outcome = sink.Updated
		}
		if outcome != sink.Stale {
			t.rows[e.Order.ID] = row{string(order.Append(nil, &e.Order)), from}
		}
	}
	taken := booking{Outcome: outcome, Reason: reason, Event: e.EventID}
	if outcome != sink.DeadLettered && outcome != sink.Duplicate {
		taken.Hash = e.Hash
	}
	t.places[place] = taken
	return outcome
}

func (f *fold) Walk(_ context.Context, topicID string, partition int32, from, to int64, fn func(*sink.Booking) error) error {
	f.mu.Lock()
	var list []sink.Booking
	for place, b := range f.places {
		if place.TopicID == topicID && place.Partition == partition && place.Offset >= from && place.Offset < to {
			list = append(list, sink.Booking{Place: place, EventID: b.Event, Hash: b.Hash, Outcome: b.Outcome, Reason: b.Reason, Gap: b.Gap})
		}
	}
	f.mu.Unlock()
	slices.SortFunc(list, func(a, b sink.Booking) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := range list {
		if err := fn(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f *fold) Retain(_ context.Context, floors []sink.Place, before time.Time) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.floors, f.before = floors, before
	return 0, nil
}

func (f *fold) Committed(_ context.Context, group string) ([]sink.Committed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.topicID == "" {
		return nil, nil
	}
	return []sink.Committed{{Group: group, Topic: "orders", TopicID: f.topicID}}, nil
}

// state is a copy of all that is booked.
func (f *fold) state() (rows map[string]row, places map[sink.Place]booking) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.rows), maps.Clone(f.places)
}

func (f *fold) at(partition int32) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next[partition]
}
