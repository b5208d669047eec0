// Package sink keeps orders in a database: each record of the topic takes
// effect there exactly once, because the offsets stand in the same transaction
// as the rows. Start at [Open] and [Store].
//
// It knows nothing of Kafka but places, and it dead-letters nothing by itself:
// Write books what can't be applied only once its dead letter is written, and
// answers [Unburied] until then.
package sink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
)

// Place is where a record stands in the log. TopicID is Kafka's own text form
// (base64url, 22 characters).
type Place struct {
	TopicID   string
	Partition int32
	Offset    int64
}

// String is the event id of a record that has none: topic-id/partition@offset.
func (p Place) String() string { return fmt.Sprintf("%s/%d@%d", p.TopicID, p.Partition, p.Offset) }

// The classes of refusals, a small closed set: metrics have them as "reason".
const (
	RefusedDecode        = "decode"            // not JSON, or not an object
	RefusedValidation    = "validation"        // an order with faults
	RefusedTombstone     = "tombstone"         // no value
	RefusedKey           = "key_mismatch"      // the key is not the order's id
	RefusedEventID       = "event_id_invalid"  // not 1-128 printable ASCII characters
	RefusedEventConflict = "event_id_conflict" // that event is booked with other content
	RefusedDatabase      = "database"          // the database's own rules: SQLSTATE 22, 23
)

// Refusal says why a record is not applied and never will be as it is.
type Refusal struct {
	Class  string       // one of the above
	Reason string       // short, the same for the same cause: "/total: is a string, wants a number", "23514 orders_total_check"
	Detail string       // the whole message
	Faults order.Faults // of RefusedDecode and RefusedValidation
}

// Entry is one record of a batch.
type Entry struct {
	Offset   int64
	Order    order.Order // where Refusal is nil
	EventID  string
	Hash     [sha256.Size]byte // of the order's canonical form
	Origin   *Place            // of a replayed letter: its first place through all replays
	Received time.Time         // the header received-at; zero without
	Refusal  *Refusal          // why it can't be applied; Write sets those of RefusedEventConflict and RefusedDatabase
	Buried   bool              // its dead letter is acknowledged: Write judges it no more
}

// Batch is a part of one partition in the order of its offsets: all of the log
// from First up to, not including, Next. Offsets without an entry don't exist
// there (compaction, transaction markers).
type Batch struct {
	Group     string
	Topic     string
	TopicID   string
	Partition int32
	First     int64
	Next      int64
	Entries   []Entry
}

// check refuses what would be booked wrongly.
func (b *Batch) check() error {
	if b.Next < b.First {
		return fmt.Errorf("write a batch from %d to %d: it ends before it begins", b.First, b.Next)
	}
	last := b.First - 1
	for i := range b.Entries {
		if at := b.Entries[i].Offset; at <= last || at >= b.Next {
			return fmt.Errorf("write a batch from %d to %d: offset %d stands behind %d", b.First, b.Next, at, last)
		}
		last = b.Entries[i].Offset
	}
	return nil
}

// Outcome is what became of one entry; metrics have them as "outcome".
type Outcome string

// The outcomes. Inserted made the order's row, Updated changed it, Stale left it
// alone since it holds a later place of the same partition.
const (
	Inserted     Outcome = "inserted"
	Updated      Outcome = "updated"
	Duplicate    Outcome = "duplicate" // that event is booked, from another place, with the same content
	Stale        Outcome = "stale"
	DeadLettered Outcome = "dead_lettered"
	Booked       Outcome = "booked"  // this place was booked before: nothing changed
	Passed       Outcome = "passed"  // below the database's next offset: nothing was looked at
	Skipped      Outcome = "skipped" // of bookings alone: offsets that the log no longer had
)

// Written is what a batch came to: one outcome an entry, in their order.
type Written struct {
	Outcomes []Outcome
	Next     int64 // the database's next offset now
	Bisects  int   // how often a part of the batch was split for entries that the database refuses
}

// Moved is the error where the database's next offset stands before the batch:
// it failed over to a copy that is behind, or somebody set it back. Read again
// from Next.
type Moved struct{ Next int64 }

func (m *Moved) Error() string { return fmt.Sprintf("the database's next offset is %d", m.Next) }

// Unburied is the error where entries can't be applied and have no dead letter
// yet. Nothing was changed, and no transaction is open: whoever writes letters
// may take long. Once all of them are acknowledged the caller sets Buried and
// writes again; the Refusals that were found are in the entries and stay there.
type Unburied struct {
	Refused []int
	Bisects int // as in Written
}

func (u *Unburied) Error() string {
	return fmt.Sprintf("%d records can't be applied and have no dead letter yet", len(u.Refused))
}

// ErrTopicChanged is the error where the group's offsets are of another topic
// of that name: it was deleted and made again.
var ErrTopicChanged = errors.New("the topic was made anew: its id is not the one in the database")

// ErrLogChanged is the error where a place that is booked holds another record
// than the one that was booked: the log lost its end and has grown again. What
// stands there now must neither be taken for applied nor be applied over it.
var ErrLogChanged = errors.New("the log holds another record at a place that is booked")

// Class tells what to do about an error of a [Store].
type Class string

// The classes of errors. ClassOf answers ClassOutage for what it does not know:
// an unknown error is never a reason to dead-letter.
const (
	ClassData   Class = "data"          // SQLSTATE 22, 23: this row can't be written (Write bisects by itself)
	ClassRetry  Class = "retry"         // serialization failure, deadlock, SQLITE_BUSY: the same again
	ClassOutage Class = "outage"        // 08, 53, 57, 25006, network: wait
	ClassDeploy Class = "misdeployment" // 42, 28, 3D, 3F: schema, rights, name: wait and say so loudly
)

// Claim asks for a group's offsets in one topic.
type Claim struct {
	Group   string
	Topic   string
	TopicID string
	Start   map[int32]int64 // of each partition asked for: where to begin when the database has none
}

// Committed is one row of consumer_offsets.
type Committed struct {
	Group     string
	Topic     string
	TopicID   string
	Partition int32
	Next      int64
	At        time.Time // when it moved last
}

// Booking is what the database holds of one place. EventID and OrderID are
// empty where the record had none that could be read.
type Booking struct {
	Place
	EventID string
	OrderID string
	Hash    [sha256.Size]byte // zero where the place is not in order_events
	Origin  *Place            // of an applied replay
	Outcome Outcome           // Inserted for any applied one, else Stale, Duplicate, DeadLettered or Skipped
	Reason  string            // of DeadLettered: "class: reason"
	Gap     int64             // of a skipped gap: its last offset; else the place's own
	At      time.Time
}

// Row is an order's latest state and the place that it came from.
type Row struct {
	Order   order.Order
	From    Place
	Event   string
	Version int64     // how many events made it what it is
	At      time.Time // when the last of them was applied
}

// Store is a database. All methods are safe for concurrent use; a partition is
// written by one caller at a time.
type Store interface {
	// Claim answers the next offset of each partition of Start and makes the rows
	// that are not there. ErrTopicChanged where the group has that topic's name
	// under another id.
	Claim(ctx context.Context, c Claim) (map[int32]int64, error)
	// Write applies a batch in one transaction. *Moved where the database stands
	// before it; entries below the database's offset are Passed. *Unburied where
	// dead letters are to be written first; after any other error the entries are
	// as they were given.
	Write(ctx context.Context, b *Batch) (Written, error)
	// Skip books the offsets from..to (inclusive) of c's one partition as one gap
	// and moves on to to+1; it is refused unless the database stands at from.
	Skip(ctx context.Context, c Claim, partition int32, from, to int64) error
	// Seek sets next offsets, whatever they are.
	Seek(ctx context.Context, c Claim, next map[int32]int64) error

	// Committed lists consumer_offsets; "" for all groups.
	Committed(ctx context.Context, group string) ([]Committed, error)
	// Rows reads the orders of these ids; those that are not there are missing.
	Rows(ctx context.Context, ids []string) (map[string]Row, error)
	// Walk calls fn for each booked place of a partition with from <= offset < to,
	// in the order of offsets; a gap that reaches into the range comes first. It
	// reads in pieces: what is written meanwhile may be seen or not.
	Walk(ctx context.Context, topicID string, partition int32, from, to int64, fn func(*Booking) error) error
	// Totals counts.
	Totals(ctx context.Context) (Totals, error)
	// Retain deletes from order_events and record_outcomes what was booked before
	// the time and lies below the floor of its partition, and says how many rows
	// that were. Floors are where the log begins: a record that can still be read
	// is still known. Orders stay.
	Retain(ctx context.Context, floors []Place, before time.Time) (int64, error)
	// Clock is the database's time less ours, and how uncertain that is.
	Clock(ctx context.Context) (offset, uncertainty time.Duration, err error)
	Close() error
}

// Totals are the sums of the tables: Records = Events + Outcomes.
type Totals struct {
	Orders, Events, Stale, Duplicates, DeadLettered, Skipped int64
}
