package sink

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// The part of the suite that is about databases that do not do as they should.

// testTriggers has one entry in a batch refused by a user's trigger, by an error
// or without a word.
func testTriggers(t *testing.T, k kit) {
	for _, c := range []struct {
		name          string
		makes         func(t *testing.T, s Store, table, column string)
		table, column string
		reason        string
	}{
		{"one on orders raises", k.raise, "orders", "id", k.raiseReason},
		{"one on order_events raises", k.raise, "order_events", "event_id", k.raiseReason},
		{"one on orders drops", k.drop, "orders", "id", "the database did not keep the row"},
		{"one on order_events drops", k.drop, "order_events", "event_id", "the database did not keep the row"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, k.fresh(t))
			c.makes(t, s, c.table, c.column)
			var entries []Entry
			for i := range int64(20) {
				id := fmt.Sprint("o", i)
				if i == 7 {
					id = "bad"
				}
				entries = append(entries, entry(i, id, id, 1))
			}
			b := batchOf(t, s, 0, entries...)
			w := mustWrite(t, s, b)
			for i, got := range w.Outcomes {
				want, refusal := Inserted, b.Entries[i].Refusal
				if i == 7 {
					want = DeadLettered
				}
				if got != want || (refusal != nil) != (want == DeadLettered) || refusal != nil && (refusal.Class != RefusedDatabase || refusal.Reason != c.reason) {
					t.Errorf("entry %d was %s, wanted %s, refused for %+v", i, got, want, refusal)
				}
			}
			n, err := s.Totals(t.Context())
			if want := (Totals{Orders: 19, Events: 19, DeadLettered: 1}); err != nil || n != want {
				t.Errorf("the tables hold %+v, want %+v, %v", n, want, err)
			}
		})
	}
}

// testNewerSchema has an older program meet what a newer one has migrated.
func testNewerSchema(t *testing.T, k kit) {
	cfg := k.fresh(t)
	_, want, err := Schema(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, open(t, cfg), fmt.Sprintf("INSERT INTO schema_migrations (version_id, is_applied) VALUES (%d, true)", want+1))
	from, to, err := Migrate(t.Context(), cfg, quiet())
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, ErrNewerSchema) || e.Hint() == "" || ClassOf(err) != ClassDeploy {
		t.Errorf("migrated from %d to %d: %v (%s)", from, to, err, ClassOf(err))
	}
	if have, _, err := Schema(t.Context(), cfg); err != nil || have != want+1 {
		t.Errorf("the schema is %d, %v", have, err)
	}
}

// testHeldLock has another transaction keep the offsets: nothing waits for ever.
func testHeldLock(t *testing.T, k kit) {
	cfg := k.fresh(t)
	cfg.Timeout = time.Second
	s := open(t, cfg)
	b := batchOf(t, s, 0, entry(0, "a", "e0", 1))
	holdLock(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := Claim{b.Group, b.Topic, b.TopicID, map[int32]int64{0: 0}}
	for doing, do := range map[string]func() error{
		"seek": func() error { return s.Seek(ctx, c, c.Start) },
		"skip": func() error { return s.Skip(ctx, c, 0, 0, 1) },
		"write": func() error {
			_, err := s.Write(ctx, b)
			return err
		},
	} {
		start := time.Now()
		if err := do(); err == nil || ctx.Err() != nil || ClassOf(err) == ClassData {
			t.Errorf("%s: %v (%s) after %s", doing, err, ClassOf(err), time.Since(start))
		}
	}
	if _, err := s.Committed(ctx, ""); err != nil {
		t.Errorf("reading waits: %v", err)
	}
}

// holdLock keeps the offsets locked for as long as the test runs.
func holdLock(t *testing.T, cfg Config) {
	t.Helper()
	holder := tablesOf(open(t, cfg))
	tx, err := holder.writes.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Rollback() })
	if _, err := tx.ExecContext(t.Context(), "SELECT * FROM consumer_offsets"+holder.dialect.locking); err != nil {
		t.Fatal(err)
	}
}
