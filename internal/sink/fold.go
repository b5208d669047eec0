package sink

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// known is what the database holds of a part's places, events and orders.
type known struct {
	places map[int64]booked // by offset
	gaps   []gap
	events map[string][sha256.Size]byte
	rows   map[string]Place // by order id: where the row comes from
	latest map[spot]int64   // of the orders of late events; nil without any
}

// spot is an order's events in one partition. Replayed ones are where they came
// from.
type spot struct {
	order, topicID string
	partition      int32
}

// late are the orders of events that may come after younger ones: of replayed
// letters, and of letters that pass now. The row tells only of the partition
// that it comes from; what else is booked has to be looked up.
func (k known) late(entries []Entry) []string {
	var ids []string
	for i := range entries {
		e := &entries[i]
		if e.Refusal == nil && (e.Origin != nil || k.booked(e.Offset).outcome == DeadLettered) {
			ids = append(ids, e.Order.ID)
		}
	}
	return ids
}

// booked is what a place holds already; the zero value is a free one.
type booked struct {
	outcome Outcome           // DeadLettered, Duplicate or Skipped; Booked for those of order_events
	event   string            // "" where it could not be read
	hash    [sha256.Size]byte // of those of order_events
	// replayed says that the letter of a dead-lettered place is applied already,
	// from another place.
	replayed bool
}

// is says whether the record that stands at the place may be the one that was
// booked there.
func (h *booked) is(e *Entry) bool {
	switch h.outcome {
	case Booked:
		return h.event == e.EventID && (e.Refusal != nil || h.hash == e.Hash)
	case Duplicate, DeadLettered:
		return h.event == "" || e.EventID == "" || h.event == e.EventID
	}
	return true // of a gap nothing is known
}

// changed is the error where it is not.
func (h *booked) changed(b *Batch, e *Entry) error {
	is := fmt.Sprintf("event %q is there", e.EventID)
	if h.event == e.EventID {
		is = "it is there with other content"
	}
	return &Error{
		Err:   fmt.Errorf("%w: %s/%d@%d was booked as event %q, now %s", ErrLogChanged, b.Topic, b.Partition, e.Offset, h.event, is),
		Class: ClassDeploy,
		Next:  "did Kafka lose the end of its log, or was it restored from a copy? see \"A log that was written anew\" in docs/database.md",
	}
}

// gap is a skipped range, both ends in it.
type gap struct{ first, last int64 }

// plan is what a part changes.
type plan struct {
	events   []newEvent
	rows     []newRow
	outcomes []newOutcome
	moved    []int64 // offsets that leave record_outcomes for order_events
}

type newEvent struct {
	entry int
	stale bool
}

// newRow is an order's row after the part: the entry that it holds, the place
// that it keeps, and how many events changed it.
type newRow struct {
	entry   int
	from    Place
	changes int64
	exists  bool
}

type newOutcome struct {
	entry   int
	outcome Outcome
	reason  string
}

// fold applies the entries from..to (exclusive) to what is known, one after the
// other, and notes what became of each in outcomes. A conflict of contents
// becomes the entry's Refusal. It fails with [ErrLogChanged].
func fold(b *Batch, from, to int, k known, outcomes []Outcome) (p plan, err error) {
	rowOf := map[string]int{} // by order id: its place in p.rows
	for i := from; i < to; i++ {
		e := &b.Entries[i]
		held := k.booked(e.Offset)
		if !held.is(e) {
			return p, held.changed(b, e)
		}
		was := held.outcome
		if was != "" && (was != DeadLettered || e.Refusal != nil || held.replayed) {
			outcomes[i] = Booked
			continue
		}
		if e.Refusal == nil {
			hash, isKnown := k.events[e.EventID]
			switch {
			case isKnown && was != "":
				// Its event has been applied from another place meanwhile (a replay):
				// the letter stays what it is.
				outcomes[i] = Booked
				continue
			case isKnown && hash == e.Hash:
				outcomes[i] = Duplicate
				p.outcomes = append(p.outcomes, newOutcome{i, Duplicate, ""})
				continue
			case isKnown:
				e.Refusal = &Refusal{
					Class: RefusedEventConflict, Reason: "the event id is taken by other content",
					Detail: "event " + e.EventID + " was taken before with other content",
				}
			}
		}
		if e.Refusal != nil {
			outcomes[i] = DeadLettered
			p.outcomes = append(p.outcomes, newOutcome{i, DeadLettered, e.Refusal.text()})
			continue
		}
		if was != "" {
			p.moved = append(p.moved, e.Offset)
		}
		k.events[e.EventID] = e.Hash
		outcomes[i] = k.apply(b, i, was != "", rowOf, &p)
		p.events = append(p.events, newEvent{i, outcomes[i] == Stale})
	}
	return p, nil
}

// apply lets a new event have its order's row, unless that holds a later place
// of the same partition, or a late event's order had a later one there once.
func (k known) apply(b *Batch, i int, late bool, rowOf map[string]int, p *plan) Outcome {
	e := &b.Entries[i]
	from := Place{b.TopicID, b.Partition, e.Offset}
	if e.Origin != nil {
		from = *e.Origin
	}
	in := spot{e.Order.ID, from.TopicID, from.Partition}
	last, has := k.latest[in]
	if k.latest != nil {
		k.latest[in] = max(last, from.Offset)
	}
	if has && last > from.Offset && (late || e.Origin != nil) {
		return Stale
	}
	held, exists := k.rows[e.Order.ID]
	if exists && held.TopicID == from.TopicID && held.Partition == from.Partition && held.Offset > from.Offset {
		return Stale
	}
	k.rows[e.Order.ID] = from
	at, again := rowOf[e.Order.ID]
	if !again {
		at = len(p.rows)
		rowOf[e.Order.ID] = at
		p.rows = append(p.rows, newRow{exists: exists})
	}
	row := &p.rows[at]
	row.entry, row.from, row.changes = i, from, row.changes+1
	if exists {
		return Updated
	}
	return Inserted
}

// booked is what the place holds already. Offsets of a gap are booked: it counts
// every one of them.
func (k known) booked(offset int64) booked {
	if was, ok := k.places[offset]; ok {
		return was
	}
	for _, g := range k.gaps {
		if g.first <= offset && offset <= g.last {
			return booked{outcome: Skipped}
		}
	}
	return booked{}
}

// sortRows gives all writers one order of locks, without which they wait for
// each other in a circle.
func (p *plan) sortRows(b *Batch) {
	slices.SortFunc(p.rows, func(x, y newRow) int {
		return strings.Compare(b.Entries[x.entry].Order.ID, b.Entries[y.entry].Order.ID)
	})
	slices.SortFunc(p.events, func(x, y newEvent) int {
		return strings.Compare(b.Entries[x.entry].EventID, b.Entries[y.entry].EventID)
	})
}

// text is the reason as the database keeps it. It may quote a record, so it is
// made text that every database takes.
func (r *Refusal) text() string {
	const limit = 1024
	s := r.Class
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) > limit {
		s = s[:limit]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return s
}

// nameable are the event and order ids that the outcome's row can have: those of
// a refused record may be anything.
func (e *Entry) nameable(o Outcome) (eventID, orderID string) {
	if o == Duplicate {
		return e.EventID, e.Order.ID
	}
	const longest = 512 // bytes: 128 characters
	clean := func(s string) string {
		if len(s) > longest || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return ""
		}
		return s
	}
	return clean(e.EventID), clean(e.Order.ID)
}
