package sink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// testGivenUp ends the context of a call at any moment of it. A driver may answer
// with the context's error where the statement has run: whatever it answers, no
// transaction stays open, and what the database says is all or nothing.
func testGivenUp(t *testing.T, k kit) {
	cfg := k.fresh(t)
	cfg.Timeout = 5 * time.Second // also how long SQLite waits for who has the file
	s, other := open(t, cfg), open(t, cfg)
	batchOf(t, s, 0)
	c := Claim{"g", "orders", testID(1), map[int32]int64{0: 0}}
	batch := func(next int64) *Batch {
		return &Batch{Group: c.Group, Topic: c.Topic, TopicID: c.TopicID, First: next, Next: next + 2, Entries: []Entry{
			entry(next, fmt.Sprint("o", next%40), fmt.Sprint("e", next), 1), entry(next+1, fmt.Sprint("p", next), fmt.Sprint("f", next), 1),
		}}
	}
	calls := []struct {
		name string
		do   func(ctx context.Context, next int64) error
	}{
		{"write", func(ctx context.Context, next int64) error {
			_, err := s.Write(ctx, batch(next))
			return err
		}},
		{"claim", func(ctx context.Context, _ int64) error {
			_, err := s.Claim(ctx, c)
			return err
		}},
		{"read", func(ctx context.Context, _ int64) error {
			return s.Walk(ctx, c.TopicID, 0, 0, 1000, func(*Booking) error { return nil })
		}},
	}
	next, took := int64(0), make([]time.Duration, len(calls))
	given := 0
	for i := range 200 {
		call := i % (len(calls) + 1) // writes twice as often
		if call == len(calls) {
			call = 0
		}
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		after := time.Duration(float64(took[call]) * rand.Float64() * rand.Float64()) // sooner rather than later: it all begins with BEGIN
		go func() {
			defer close(ended)
			for took[call] > 0 && time.Since(start) < after {
				runtime.Gosched() // a timer is too coarse
			}
			if took[call] > 0 {
				cancel()
			}
		}()
		err := calls[call].do(ctx, next)
		<-ended
		cancel()
		if took[call] == 0 {
			took[call] = time.Since(start) // how long it takes undisturbed
		}
		if err != nil {
			given++
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s, given up after %s: %v (%s)", calls[call].name, after, err, ClassOf(err))
			}
		}
		// Another process locks the partition, and is refused.
		var moved *Moved
		if err := other.Skip(t.Context(), c, 0, 1<<40, 1<<40); !errors.As(err, &moved) {
			t.Fatalf("%s, given up after %s: another process: %v", calls[call].name, after, err)
		}
		if moved.Next != next && moved.Next != next+2 {
			t.Fatalf("%s, given up after %s: the next offset went from %d to %d", calls[call].name, after, next, moved.Next)
		}
		next = moved.Next
	}
	if given == 0 {
		t.Error("nothing was given up in time")
	}
	mustWrite(t, s, batch(next))
	if n, err := s.Totals(t.Context()); err != nil || n.Events != next+2 {
		t.Errorf("the tables hold %+v at next offset %d, %v", n, next+2, err)
	}
	if o, ok := other.(*lite); ok { // a reader that was left open would keep the WAL from being emptied
		var busy, pages, copied int
		if err := o.writes.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &copied); err != nil || busy != 0 {
			t.Errorf("the WAL is in use: %d, %v", busy, err)
		}
	}
}
