package sink

import (
	"crypto/sha256"
	"slices"
	"strings"
	"unicode/utf8"
)

// known is what the database holds of a part's places, events and orders.
type known struct {
	places map[int64]Outcome // by offset: DeadLettered, Duplicate or Skipped; Booked for those of order_events
	gaps   []gap
	events map[string][sha256.Size]byte
	rows   map[string]Place // by order id: where the row comes from
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
// becomes the entry's Refusal.
func fold(b *Batch, from, to int, k known, outcomes []Outcome) plan {
	var p plan
	rowOf := map[string]int{} // by order id: its place in p.rows
	for i := from; i < to; i++ {
		e := &b.Entries[i]
		was := k.booked(e.Offset)
		if was != "" && (was != DeadLettered || e.Refusal != nil) {
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
		outcomes[i] = k.apply(b, i, rowOf, &p)
		p.events = append(p.events, newEvent{i, outcomes[i] == Stale})
	}
	return p
}

// apply lets a new event have its order's row, unless that holds a later place
// of the same partition.
func (k known) apply(b *Batch, i int, rowOf map[string]int, p *plan) Outcome {
	e := &b.Entries[i]
	from := Place{b.TopicID, b.Partition, e.Offset}
	if e.Origin != nil {
		from = *e.Origin
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

// booked is what the place holds already, "" where it is free. Offsets of a gap
// are booked: it counts every one of them.
func (k known) booked(offset int64) Outcome {
	if was, ok := k.places[offset]; ok {
		return was
	}
	for _, g := range k.gaps {
		if g.first <= offset && offset <= g.last {
			return Skipped
		}
	}
	return ""
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
