package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// errRaced is the error where another writer was faster with an event or a row
// that was free when it was looked at. All is done again, and sees theirs.
var errRaced = errors.New("another writer came between")

// races bounds how often. Each means that some other transaction was committed,
// or that the database keeps a row from being written without a word (a trigger
// that returns NULL): the last attempt tells the one from the other.
const races = 3

// transaction is one database transaction of a Write, its partition's offsets
// locked. One goroutine uses it.
type transaction interface {
	// read locks the rows of the part's orders.
	read(ctx context.Context, b *Batch, from, to int) (known, error)
	// write makes a savepoint, and writes; errRaced where something was no longer
	// as it was read.
	write(ctx context.Context, b *Batch, p *plan) error
	// undo goes back to where the last write began.
	undo(ctx context.Context) error
	// commit moves next_offset from the value that was read, and commits.
	commit(ctx context.Context, b *Batch) error
	rollback(ctx context.Context)
}

// opener begins a transaction and says where the group stands.
type opener func(ctx context.Context, b *Batch) (tx transaction, next int64, err error)

// exact applies a batch whatever is in it.
func exact(ctx context.Context, b *Batch, begin opener) (Written, error) {
	given := make([]*Refusal, len(b.Entries))
	for i := range b.Entries {
		given[i] = b.Entries[i].Refusal
	}
	for attempt := 1; ; attempt++ {
		w, err := attemptExact(ctx, b, begin, attempt == races)
		var unburied *Unburied
		if err == nil || errors.As(err, &unburied) {
			return w, err
		}
		for i, r := range given { // what was found was rolled back
			b.Entries[i].Refusal = r
		}
		if !errors.Is(err, errRaced) || attempt == races {
			return w, err
		}
	}
}

func attemptExact(ctx context.Context, b *Batch, begin opener, last bool) (Written, error) {
	tx, next, err := begin(ctx, b)
	if err != nil {
		return Written{}, err
	}
	defer tx.rollback(ctx)
	if next < b.First {
		return Written{}, &Moved{Next: next}
	}
	e := attempt{batch: b, tx: tx, last: last, outcomes: make([]Outcome, len(b.Entries))}
	if next >= b.Next {
		passAll(e.outcomes)
		return Written{Outcomes: e.outcomes, Next: next}, nil
	}
	first := 0
	for first < len(b.Entries) && b.Entries[first].Offset < next {
		e.outcomes[first] = Passed
		first++
	}
	if err := e.part(ctx, first, len(b.Entries)); err != nil {
		return Written{}, err
	}
	if refused := e.unburied(); len(refused) > 0 {
		return Written{}, &Unburied{Refused: refused, Bisects: e.bisects}
	}
	if err := tx.commit(ctx, b); err != nil {
		return Written{}, err
	}
	return Written{Outcomes: e.outcomes, Next: b.Next, Bisects: e.bisects}, nil
}

// noOffset is the error of a Write without a Claim before it.
func noOffset(b *Batch) error {
	return &Error{
		Err:   fmt.Errorf("group %q has no offset for partition %d of topic id %s", b.Group, b.Partition, b.TopicID),
		Class: ClassRetry, // the caller claims again
	}
}

func passAll(outcomes []Outcome) {
	for i := range outcomes {
		outcomes[i] = Passed
	}
}

type attempt struct {
	batch    *Batch
	tx       transaction
	last     bool // what is not kept is searched for, as what is refused
	outcomes []Outcome
	bisects  int
}

// part applies the entries from..to (exclusive). Where the database refuses one
// of them it is split, until those that are refused stand alone.
func (a *attempt) part(ctx context.Context, from, to int) error {
	if from == to {
		return nil
	}
	for i := from; i < to; i++ {
		// Judged again: what they stood against may itself have been refused. But
		// nothing is both a dead letter and applied.
		if e := &a.batch.Entries[i]; e.Refusal != nil && e.Refusal.Class == RefusedEventConflict && !e.Buried {
			e.Refusal = nil
		}
	}
	k, err := a.tx.read(ctx, a.batch, from, to)
	if err != nil {
		return err
	}
	p, err := fold(a.batch, from, to, k, a.outcomes)
	if err != nil {
		return err
	}
	p.sortRows(a.batch)
	err = a.tx.write(ctx, a.batch, &p)
	if err == nil || ClassOf(err) != ClassData && (!a.last || !errors.Is(err, errRaced)) {
		return err
	}
	if len(p.events) == 0 {
		// Nothing of a record's content is written then: it is the table's fault.
		return &brokenError{err}
	}
	if undoErr := a.tx.undo(ctx); undoErr != nil {
		return errors.Join(undoErr, err)
	}
	if to-from == 1 {
		return a.single(ctx, from, &p, err)
	}
	a.bisects++
	mid := from + (to-from)/2
	if err := a.part(ctx, from, mid); err != nil {
		return err
	}
	return a.part(ctx, mid, to)
}

// single refuses the one entry that the database does not take.
func (a *attempt) single(ctx context.Context, i int, p *plan, err error) error {
	if ClassOf(err) == ClassData {
		a.batch.Entries[i].Refusal = refusalOf(err)
		return a.part(ctx, i, i+1)
	}
	raced, err := a.raced(ctx, i, p)
	if err != nil {
		return err
	}
	if !raced {
		a.batch.Entries[i].Refusal = &Refusal{
			Class: RefusedDatabase, Reason: "the database did not keep the row",
			Detail: "the database took the order without an error and did not keep it: a trigger or a rule on orders or order_events drops it",
		}
	}
	return a.part(ctx, i, i+1)
}

// raced says whether another writer has taken the entry's event or order since
// the plan was made. Else it is the database itself that did not keep it.
func (a *attempt) raced(ctx context.Context, i int, p *plan) (bool, error) {
	k, err := a.tx.read(ctx, a.batch, i, i+1)
	e := &a.batch.Entries[i]
	_, known := k.events[e.EventID]
	_, exists := k.rows[e.Order.ID]
	return known || len(p.rows) == 1 && exists != p.rows[0].exists, err
}

// unburied are the entries whose dead letters are to be written before the
// offset moves past them.
func (a *attempt) unburied() []int {
	var refused []int
	for i, o := range a.outcomes {
		if o == DeadLettered && !a.batch.Entries[i].Buried {
			refused = append(refused, i)
		}
	}
	return refused
}

// brokenError is a constraint that refuses what is not a record's: no record is
// to be dead-lettered for it.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// plain remembers of each partition whether its batches are plain: only new
// events in places and orders that nothing is known of. Such a batch is tried
// without reading first. After one that was not, the next ones are not tried.
type plain struct {
	mu   sync.Mutex
	wait map[partition]int // guarded by mu
}

type partition struct {
	topicID string
	number  int32
}

// retryPlain is how many batches go the long way after one that was not plain:
// trying in vain costs about half a batch.
const retryPlain = 16

// try says whether a batch is worth it.
func (p *plain) try(b *Batch) bool {
	for i := range b.Entries {
		if e := &b.Entries[i]; e.Refusal != nil || e.Origin != nil {
			return false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := partition{b.TopicID, b.Partition}
	if p.wait[key] > 0 {
		p.wait[key]--
		return false
	}
	return true
}

func (p *plain) failed(b *Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wait == nil {
		p.wait = map[partition]int{}
	}
	p.wait[partition{b.TopicID, b.Partition}] = retryPlain
}

// lastOf gives the entries of a plain batch that become rows, the last one of
// each order, in the order of order ids, and how many events each order has.
func lastOf(b *Batch) []newRow {
	p := plan{rows: make([]newRow, 0, len(b.Entries))}
	at := make(map[string]int, len(b.Entries))
	for i := range b.Entries {
		id := b.Entries[i].Order.ID
		row, again := at[id]
		if !again {
			row = len(p.rows)
			at[id] = row
			p.rows = append(p.rows, newRow{})
		}
		p.rows[row].entry = i
		p.rows[row].changes++
	}
	p.sortRows(b)
	return p.rows
}

// plainOutcomes are those of a plain batch whose updated orders are given.
func plainOutcomes(b *Batch, updated map[string]bool) []Outcome {
	outcomes := make([]Outcome, len(b.Entries))
	if updated == nil {
		updated = map[string]bool{}
	}
	for i := range b.Entries {
		id := b.Entries[i].Order.ID
		outcomes[i] = Inserted
		if updated[id] {
			outcomes[i] = Updated
		}
		updated[id] = true
	}
	return outcomes
}
