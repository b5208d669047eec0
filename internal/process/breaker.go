package process

import "fmt"

const (
	breakerWindow = 1000 // records; the share is not judged before as many were seen
	breakerShare  = 50   // of the window: 5 %
	breakerRow    = 50   // dead letters in a row
)

// breaker watches the dead letters of one partition. It has no clock and no
// memory of what it was not told: see judge for what is to come, add for what
// was. What it starts with is read from the database, so that a restart, or
// another member, does not begin with a clean slate.
type breaker struct {
	ring [breakerWindow]bool // true where a record was dead-lettered
	seen int                 // of the ring
	at   int
	bad  int // in the ring
	row  int
}

// trippedError rolls a batch back before its dead letters are written.
type trippedError struct {
	cut int // entries before it are still to be applied
	why string
}

func (e *trippedError) Error() string { return e.why }

// judge tells whether the breaker opens within n records to come, of which bad
// says which are refused; nil where it stays closed. Of dead letters in a row
// those that stand in this batch are cut off whole, so that they stay in the
// log together. A good record never opens it, whatever was let through before.
func (b *breaker) judge(n int, bad func(i int) bool) *trippedError {
	ahead := *b
	first := 0 // of the row, as far as it stands in this batch
	for i := range n {
		refused := bad(i)
		if !refused {
			first = i + 1
		}
		ahead.add(refused)
		switch {
		case !refused:
		case ahead.row >= breakerRow:
			return &trippedError{first, fmt.Sprintf("%d dead letters in a row", ahead.row)}
		case ahead.seen == breakerWindow && ahead.bad > breakerShare:
			return &trippedError{i, fmt.Sprintf("%d dead letters among the last %d records", ahead.bad, breakerWindow)}
		}
	}
	return nil
}

// add counts one record.
func (b *breaker) add(refused bool) {
	if b.seen == breakerWindow && b.ring[b.at] {
		b.bad--
	}
	b.ring[b.at] = refused
	b.at = (b.at + 1) % breakerWindow
	b.seen = min(b.seen+1, breakerWindow)
	b.row++
	if refused {
		b.bad++
		return
	}
	b.row = 0
}
