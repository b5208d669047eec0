package sink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/order"
)

// kit is a kind of database under test.
type kit struct {
	name string
	// games is how many random games are played: SQLite under the race detector is
	// slow, since its C is Go there.
	games uint64
	// fresh gives the configuration of a database with the tables in it.
	fresh func(t *testing.T) Config
	// limit makes the database itself refuse orders of 13 exactly.
	limit       func(t *testing.T, s Store)
	limitReason string
	// raise and drop make a trigger on a table that raises, and one that leaves
	// out, what comes with order or event id "bad".
	raise, drop func(t *testing.T, s Store, table, column string)
	raiseReason string
}

func TestSQLite(t *testing.T) { suite(t, liteKit()) }

func liteKit() kit {
	return kit{
		name: "sqlite", games: 2,
		fresh: func(t *testing.T) Config {
			cfg := DefaultConfig()
			cfg.URL = URL(filepath.Join(t.TempDir(), "orders.db"))
			migrated(t, cfg)
			return cfg
		},
		limit: func(t *testing.T, s Store) {
			mustExec(t, s, "CREATE TRIGGER unlucky BEFORE INSERT ON orders WHEN NEW.total = '13' BEGIN SELECT RAISE(ABORT, 'orders_unlucky'); END")
		},
		limitReason: "database: orders_unlucky",
		raise: func(t *testing.T, s Store, table, column string) {
			mustExec(t, s, fmt.Sprintf("CREATE TRIGGER raises BEFORE INSERT ON %s WHEN NEW.%s = 'bad' BEGIN SELECT RAISE(ABORT, 'is bad'); END", table, column))
		},
		raiseReason: "is bad",
		drop: func(t *testing.T, s Store, table, column string) {
			mustExec(t, s, fmt.Sprintf("CREATE TRIGGER drops BEFORE INSERT ON %s WHEN NEW.%s = 'bad' BEGIN SELECT RAISE(IGNORE); END", table, column))
		},
	}
}

// suite is the contract: what every Store keeps.
func suite(t *testing.T, k kit) {
	for seed := range k.games {
		t.Run(fmt.Sprintf("any batches, seed %d", seed), func(t *testing.T) { testRandom(t, k, seed, false) })
	}
	t.Run("any batches, the long way alone", func(t *testing.T) { testRandom(t, k, k.games, true) })
	t.Run("claim, seek and a new topic", func(t *testing.T) { testClaim(t, k) })
	t.Run("a database that is behind", func(t *testing.T) { testMoved(t, k) })
	t.Run("bury", func(t *testing.T) { testBury(t, k) })
	t.Run("what the database refuses", func(t *testing.T) { testRefused(t, k) })
	t.Run("triggers", func(t *testing.T) { testTriggers(t, k) })
	t.Run("every order comes back as it was", func(t *testing.T) { testExact(t, k) })
	t.Run("skip", func(t *testing.T) { testSkip(t, k) })
	t.Run("a log that was written anew", func(t *testing.T) { testLogChanged(t, k) })
	t.Run("a log that was written anew, set apart", func(t *testing.T) { testSetApart(t, k) })
	t.Run("an origin at the last offset there is", func(t *testing.T) { testFarOrigin(t, k) })
	t.Run("a letter that was edited, replayed and read again", func(t *testing.T) { testReplayedLetter(t, k) })
	t.Run("what comes late, after partitions were added", func(t *testing.T) { testLate(t, k) })
	t.Run("walk", func(t *testing.T) { testWalk(t, k) })
	t.Run("retain", func(t *testing.T) { testRetain(t, k) })
	t.Run("migrate", func(t *testing.T) { testMigrate(t, k) })
	t.Run("a lock that is not let go", func(t *testing.T) { testHeldLock(t, k) })
	t.Run("a schema of tomorrow", func(t *testing.T) { testNewerSchema(t, k) })
	t.Run("partitions side by side", func(t *testing.T) { testConcurrent(t, k) })
	t.Run("read only", func(t *testing.T) { testReadOnly(t, k) })
	t.Run("calls that are given up", func(t *testing.T) { testGivenUp(t, k) })
}

func migrated(t *testing.T, cfg Config) {
	t.Helper()
	if _, _, err := Migrate(t.Context(), cfg, quiet()); err != nil {
		t.Fatal(err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func open(t *testing.T, cfg Config) Store {
	t.Helper()
	s, err := Open(t.Context(), cfg, OpenOptions{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustExec(t *testing.T, s Store, text string) {
	t.Helper()
	if _, err := tablesOf(s).writes.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// theLongWay keeps a store from trying whether batches are plain.
func theLongWay(s Store) {
	p := &plain{}
	switch s := s.(type) {
	case *lite:
		p = &s.plain
	case *postgres:
		p = &s.plain
	}
	p.wait = map[partition]int{}
	for topic := range 10 {
		for n := range int32(10) {
			p.wait[partition{testID(topic), n}] = 1 << 30
		}
	}
}

// entry is an applicable record.
func entry(offset int64, id, event string, cents int) Entry {
	total, err := order.ParseTotal(fmt.Sprint(cents))
	if err != nil {
		panic(err)
	}
	o := order.Order{
		ID: id, UserID: "u-" + id, Total: total, Status: "pending",
		Timestamp: time.Date(2026, 11, 22, 14, 5, 31, 123_456_000+cents%1000, time.UTC),
	}
	return Entry{Offset: offset, Order: o, EventID: event, Hash: sha256.Sum256(order.Append(nil, &o))}
}

func refused(offset int64) Entry {
	return Entry{Offset: offset, EventID: fmt.Sprintf("e-refused-%d", offset), Refusal: &Refusal{Class: RefusedDecode, Reason: "not JSON"}}
}

// batchOf makes a batch of partition 0 of topic 1 and claims it.
func batchOf(t *testing.T, s Store, first int64, entries ...Entry) *Batch {
	t.Helper()
	b := &Batch{Group: "g", Topic: "orders", TopicID: testID(1), First: first, Next: first, Entries: entries}
	if n := len(entries); n > 0 {
		b.Next = entries[n-1].Offset + 1
	}
	if _, err := s.Claim(t.Context(), Claim{b.Group, b.Topic, b.TopicID, map[int32]int64{0: first}}); err != nil {
		t.Fatal(err)
	}
	return b
}

func mustWrite(t *testing.T, s Store, b *Batch) Written {
	t.Helper()
	w, _, err := buryAndWrite(t.Context(), s, b)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// buryAndWrite writes as often as there are dead letters to be written first,
// and says which those were.
func buryAndWrite(ctx context.Context, s Store, b *Batch) (w Written, buried []int, err error) {
	bisects := 0
	for {
		w, err = s.Write(ctx, b)
		var unburied *Unburied
		if !errors.As(err, &unburied) {
			slices.Sort(buried)
			w.Bisects += bisects
			return w, buried, err
		}
		bisects += unburied.Bisects
		for _, i := range unburied.Refused {
			if b.Entries[i].Buried || b.Entries[i].Refusal == nil {
				return w, buried, fmt.Errorf("entry %d of %v is to be buried: %+v", i, unburied.Refused, b.Entries[i])
			}
			b.Entries[i].Buried = true
			buried = append(buried, i)
		}
	}
}

// testRandom writes any batches, and holds outcomes, dead letters and all four
// tables against the oracle.
func testRandom(t *testing.T, k kit, seed uint64, long bool) {
	s := open(t, k.fresh(t))
	k.limit(t, s)
	if long {
		theLongWay(s)
	}
	g := newGame(t, s, seed, k.limitReason)
	for range 70 {
		g.step()
	}
	got, want := dump(t, s), g.oracle
	for name, diff := range map[string]string{
		"orders": cmp.Diff(want.orders, got.orders), "order_events": cmp.Diff(want.events, got.events),
		"record_outcomes": cmp.Diff(want.outcomes, got.outcomes), "consumer_offsets": cmp.Diff(want.next, got.next),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for outcome, n := range g.seen {
		t.Logf("%s: %d", outcome, n)
	}
	for _, o := range []Outcome{Inserted, Updated, Duplicate, Stale, DeadLettered, Booked, Passed} {
		if g.seen[o] == 0 {
			t.Errorf("no record was %s: the test tests less than it means to", o)
		}
	}
}

// game is a few logs, and groups that read them back and forth.
type game struct {
	t      *testing.T
	s      Store
	rand   *rand.Rand
	oracle *oracle
	logs   map[partition][]Entry
	seen   map[Outcome]int
	events int
	bad    int
	late   []Place // refused places, to replay
}

func newGame(t *testing.T, s Store, seed uint64, limitReason string) *game {
	g := &game{t: t, s: s, rand: rand.New(rand.NewPCG(seed, seed)), logs: map[partition][]Entry{}, seen: map[Outcome]int{}}
	g.oracle = newOracle(func(o order.Order) string {
		if o.Total.String() == "13" {
			return limitReason
		}
		return ""
	})
	for topic := range 2 {
		for n := range int32(3) {
			p := partition{testID(topic), n}
			for _, group := range []string{"g", "h"} {
				c := Claim{group, "orders-" + p.topicID, p.topicID, map[int32]int64{n: 0}}
				if _, err := s.Claim(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				g.oracle.next[offsetKey{group, p.topicID, n}] = 0
			}
			g.logs[p] = nil
		}
	}
	return g
}

// step grows a log and writes a batch of it, or moves a group.
func (g *game) step() {
	p := partition{testID(g.rand.IntN(2)), int32(g.rand.IntN(3))}
	group := "g"
	if g.rand.IntN(10) == 0 {
		group = "h"
	}
	g.grow(p, g.rand.IntN(60))
	log := g.logs[p]
	if len(log) == 0 {
		return
	}
	key := offsetKey{group, p.topicID, p.number}
	next := g.oracle.next[key]
	if g.rand.IntN(6) == 0 {
		next = g.rand.Int64N(log[len(log)-1].Offset + 2)
		c := Claim{Group: group, Topic: "orders-" + p.topicID, TopicID: p.topicID}
		if err := g.s.Seek(g.t.Context(), c, map[int32]int64{p.number: next}); err != nil {
			g.t.Fatal(err)
		}
		g.oracle.next[key] = next
	}
	first := next
	if g.rand.IntN(8) == 0 {
		first = max(0, next-g.rand.Int64N(20)) // what was written before, again
	}
	g.write(p, group, first)
}

// grow appends records of every kind. Some that were refused pass now.
func (g *game) grow(p partition, n int) {
	log := g.logs[p]
	offset := int64(0)
	if len(log) > 0 {
		offset = log[len(log)-1].Offset + 1
	}
	plain := g.rand.IntN(3) == 0 // a stretch of new events, so that batches are plain too
	for range n {
		if g.rand.IntN(10) == 0 {
			offset += g.rand.Int64N(3) // compaction, transaction markers
		}
		log = append(log, g.record(p, offset, plain))
		offset++
	}
	for i := range log {
		if log[i].Refusal != nil && log[i].Order.ID != "" && g.rand.IntN(40) == 0 {
			log[i].Refusal = nil
		}
	}
	g.logs[p] = log
}

func (g *game) record(p partition, offset int64, plain bool) Entry {
	g.events++
	e := entry(offset, fmt.Sprintf("o-%d", g.rand.IntN(40)), fmt.Sprintf("e-%d", g.events), 100+g.events)
	if g.rand.IntN(2) == 0 {
		e.Received = e.Order.Timestamp
	}
	if plain {
		return e
	}
	switch other := g.other(); g.rand.IntN(14) {
	case 0: // a client repeats an event
		if other != nil {
			e.Order, e.Hash, e.EventID = other.Order, other.Hash, other.EventID
		}
	case 1: // an event id with other content
		if other != nil {
			e.EventID = other.EventID
		}
	case 2: // refused, perhaps not forever
		e.Refusal = &Refusal{Class: RefusedValidation, Reason: "/total: is a string, wants a number"}
		g.late = append(g.late, Place{p.topicID, p.number, offset})
	case 3: // refused, nothing can be read
		e = refused(offset)
		e.EventID = fmt.Sprintf("%s/%d@%d", p.topicID, p.number, offset)
	case 4, 5: // a replayed letter, or any place as origin
		if len(g.late) > 0 {
			from := g.late[g.rand.IntN(len(g.late))]
			e.Origin = &from
		}
	case 6: // the database itself refuses it
		g.bad++
		e = entry(offset, fmt.Sprintf("bad-%d", g.bad), e.EventID, 13)
	}
	return e
}

func (g *game) other() *Entry {
	for _, log := range g.logs {
		if len(log) > 0 {
			if e := &log[g.rand.IntN(len(log))]; e.Order.ID != "" && e.Order.Total.String() != "13" {
				return e
			}
		}
	}
	return nil
}

func (g *game) write(p partition, group string, first int64) {
	b := &Batch{Group: group, Topic: "orders-" + p.topicID, TopicID: p.topicID, Partition: p.number, First: first, Next: first}
	for _, e := range g.logs[p] {
		if e.Offset >= first && len(b.Entries) < 80 {
			b.Entries = append(b.Entries, e)
			b.Next = e.Offset + 1
		}
	}
	want, wantBuried := g.oracle.apply(b)
	w, buried, err := buryAndWrite(g.t.Context(), g.s, b)
	if err != nil {
		g.t.Fatalf("write %s/%d@%d: %v", p.topicID, p.number, first, err)
	}
	if d := cmp.Diff(want, w.Outcomes); d != "" && len(want)+len(w.Outcomes) > 0 {
		g.t.Fatalf("outcomes of %s/%d@%d (-want +got):\n%s", p.topicID, p.number, first, d)
	}
	if !slices.Equal(wantBuried, buried) {
		g.t.Fatalf("buried %v, want %v", buried, wantBuried)
	}
	for _, o := range w.Outcomes {
		g.seen[o]++
	}
}

func testClaim(t *testing.T, k kit) {
	s, ctx := open(t, k.fresh(t)), t.Context()
	c := Claim{"g", "orders", testID(1), map[int32]int64{0: 5, 1: 7}}
	claim := func(c Claim, want map[int32]int64) {
		t.Helper()
		got, err := s.Claim(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("claimed (-want +got):\n%s", d)
		}
	}
	claim(c, map[int32]int64{0: 5, 1: 7})
	claim(Claim{"g", "orders", testID(1), map[int32]int64{0: 99}}, map[int32]int64{0: 5})
	if err := s.Seek(ctx, c, map[int32]int64{1: 3, 2: 4}); err != nil {
		t.Fatal(err)
	}
	claim(Claim{"g", "orders", testID(1), map[int32]int64{1: 0, 2: 0}}, map[int32]int64{1: 3, 2: 4})
	if _, err := s.Claim(ctx, Claim{"g", "orders", testID(2), map[int32]int64{0: 0}}); !errors.Is(err, ErrTopicChanged) {
		t.Errorf("claimed a topic that was made anew: %v", err)
	}
	claim(Claim{"h", "orders", testID(2), map[int32]int64{0: 0}}, map[int32]int64{0: 0})
	list, err := s.Committed(ctx, "g")
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if age := time.Since(list[i].At); age < -time.Minute || age > time.Minute {
			t.Errorf("moved at %s", list[i].At)
		}
		list[i].At = time.Time{}
	}
	want := []Committed{
		{"g", "orders", testID(1), 0, 5, time.Time{}}, {"g", "orders", testID(1), 1, 3, time.Time{}}, {"g", "orders", testID(1), 2, 4, time.Time{}},
	}
	if d := cmp.Diff(want, list); d != "" {
		t.Errorf("committed (-want +got):\n%s", d)
	}
}

func testMoved(t *testing.T, k kit) {
	s := open(t, k.fresh(t))
	mustWrite(t, s, batchOf(t, s, 0, entry(0, "a", "e0", 1), entry(1, "b", "e1", 1)))
	for _, long := range []bool{false, true} {
		if long {
			theLongWay(s)
		}
		var moved *Moved
		if _, err := s.Write(t.Context(), batchOf(t, s, 5, entry(5, "c", "e5", 1))); !errors.As(err, &moved) || moved.Next != 2 {
			t.Errorf("wrote behind the database's offset: %v", err)
		}
		w := mustWrite(t, s, batchOf(t, s, 0, entry(0, "a", "e0", 1), entry(1, "b", "e1", 1)))
		if d := cmp.Diff(Written{Outcomes: []Outcome{Passed, Passed}, Next: 2}, w); d != "" {
			t.Errorf("written (-want +got):\n%s", d)
		}
	}
	b := batchOf(t, s, 2)
	b.Next = 9 // nothing but markers
	if w := mustWrite(t, s, b); w.Next != 9 {
		t.Errorf("next offset %d, want 9", w.Next)
	}
	b = &Batch{Group: "nobody", Topic: "orders", TopicID: testID(1), First: 0, Next: 1, Entries: []Entry{entry(0, "x", "ex", 1)}}
	if _, err := s.Write(t.Context(), b); ClassOf(err) != ClassRetry {
		t.Errorf("wrote without a claim: %v (%s)", err, ClassOf(err))
	}
}

func testBury(t *testing.T, k kit) {
	s := open(t, k.fresh(t))
	k.limit(t, s)
	b := batchOf(t, s, 0, entry(0, "a", "e0", 1), refused(1), entry(2, "b", "e0", 2), entry(3, "c", "e3", 13))
	for _, still := range [][]int{{1, 2, 3}, {2, 3}} {
		var unburied *Unburied
		if _, err := s.Write(t.Context(), b); !errors.As(err, &unburied) || !slices.Equal(unburied.Refused, still) {
			t.Fatalf("wrote without dead letters: %v, want %v unburied", err, still)
		}
		if r := b.Entries[2].Refusal; r == nil || r.Class != RefusedEventConflict {
			t.Errorf("entry 2 is refused for %+v", r)
		}
		if r := b.Entries[3].Refusal; r == nil || r.Class != RefusedDatabase {
			t.Errorf("entry 3 is refused for %+v", r)
		}
		if n, err := s.Totals(t.Context()); err != nil || n != (Totals{}) {
			t.Errorf("the tables hold %+v, %v", n, err)
		}
		// No transaction is open while letters are written.
		other := batchOf(t, s, 0)
		other.Partition, other.Next = 1, 0
		if _, err := s.Claim(t.Context(), Claim{b.Group, b.Topic, b.TopicID, map[int32]int64{0: 0, 1: 0}}); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, s, other)
		b.Entries[still[0]].Buried = true
	}
	for i := range b.Entries[2:] {
		b.Entries[2+i].Buried = true
	}
	w, err := s.Write(t.Context(), b)
	if err != nil || w.Bisects > 0 {
		t.Errorf("written %+v, %v, want no bisect of what was found before", w, err)
	}
	n, err := s.Totals(t.Context())
	if want := (Totals{Orders: 1, Events: 1, DeadLettered: 3}); err != nil || n != want {
		t.Errorf("the tables hold %+v, %v, want %+v", n, err, want)
	}
}

func testRefused(t *testing.T, k kit) {
	for _, bad := range []struct {
		name string
		is   func(i int) bool
	}{
		{"one", func(i int) bool { return i == 123 }},
		{"the first and the last", func(i int) bool { return i == 0 || i == 199 }},
		{"many", func(i int) bool { return i%3 == 0 }},
		{"all", func(int) bool { return true }},
	} {
		t.Run(bad.name, func(t *testing.T) {
			s := open(t, k.fresh(t))
			k.limit(t, s)
			var entries []Entry
			var want []Outcome
			for i := range 200 {
				total := 50
				want = append(want, Inserted)
				if bad.is(i) {
					total = 13
					want[i] = DeadLettered
				}
				entries = append(entries, entry(int64(i), fmt.Sprint("o", i), fmt.Sprint("e", i), total))
			}
			b := batchOf(t, s, 0, entries...)
			w := mustWrite(t, s, b)
			if d := cmp.Diff(want, w.Outcomes); d != "" {
				t.Errorf("outcomes (-want +got):\n%s", d)
			}
			if w.Bisects == 0 {
				t.Error("no bisect was counted")
			}
			for i := range entries {
				if r := b.Entries[i].Refusal; (r != nil) != bad.is(i) || r != nil && r.Class != RefusedDatabase {
					t.Fatalf("entry %d is refused for %+v", i, r)
				}
			}
		})
	}
}

// testExact writes orders at the edges of what an order may be.
func testExact(t *testing.T, k kit) {
	s := open(t, k.fresh(t))
	var entries []Entry
	var ids []string
	want := map[string]order.Order{}
	for _, total := range []string{"0", "0.0001", "0.1", "0.9999", "1", "9999", "10000", "10000.0001", "99.99", "1000000", "123456789.0123", "100000000", "999999999999999.9999", "999999999999999"} {
		for _, at := range []string{"1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2000-01-01T00:00:00.000000001Z", "1999-12-31T23:59:59.9999999Z"} {
			o := order.Order{ID: "näme-\"日本\\ " + total + at, UserID: "\U0001F600", Status: "a_b-9"}
			var err error
			if o.Total, err = order.ParseTotal(total); err != nil {
				t.Fatal(err)
			}
			if o.Timestamp, err = time.Parse(time.RFC3339Nano, at); err != nil {
				t.Fatal(err)
			}
			n := int64(len(entries))
			entries = append(entries, Entry{Offset: n, Order: o, EventID: fmt.Sprint(" ~", n)})
			ids, want[o.ID] = append(ids, o.ID), o
		}
	}
	half := len(entries) / 2
	mustWrite(t, s, batchOf(t, s, 0, entries[:half]...))
	theLongWay(s)
	mustWrite(t, s, batchOf(t, s, int64(half), entries[half:]...))
	rows, err := s.Rows(t.Context(), append(ids, "nobody"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]order.Order{}
	for id, r := range rows {
		got[id] = r.Order
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("orders (-want +got):\n%s", d)
	}
}

func testSkip(t *testing.T, k kit) {
	s, ctx := open(t, k.fresh(t)), t.Context()
	mustWrite(t, s, batchOf(t, s, 10, entry(10, "a", "e10", 1), refused(11)))
	c := Claim{Group: "g", Topic: "orders", TopicID: testID(1)}
	var moved *Moved
	if err := s.Skip(ctx, c, 0, 20, 29); !errors.As(err, &moved) || moved.Next != 12 {
		t.Errorf("skipped from elsewhere: %v", err)
	}
	if err := s.Skip(ctx, c, 0, 12, 29); err != nil {
		t.Fatal(err)
	}
	if w := mustWrite(t, s, batchOf(t, s, 30, entry(30, "a", "e30", 1))); w.Next != 31 {
		t.Errorf("next offset %d, want 31", w.Next)
	}
	// Back to the beginning, which the log does not reach any more: what is booked
	// stays, what was never seen is a gap.
	if err := s.Seek(ctx, c, map[int32]int64{0: 5}); err != nil {
		t.Fatal(err)
	}
	if err := s.Skip(ctx, c, 0, 5, 39); err != nil {
		t.Fatal(err)
	}
	// A place inside of a gap is booked.
	if err := s.Seek(ctx, c, map[int32]int64{0: 20}); err != nil {
		t.Fatal(err)
	}
	if w := mustWrite(t, s, batchOf(t, s, 20, entry(20, "z", "e20", 1))); w.Outcomes[0] != Booked {
		t.Errorf("a record in a gap was %s", w.Outcomes[0])
	}
	var got []string
	if err := s.Walk(ctx, testID(1), 0, 7, 100, func(b *Booking) error {
		got = append(got, fmt.Sprintf("%d-%d %s", b.Offset, b.Gap, b.Outcome))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"5-9 skipped", "10-10 inserted", "11-11 dead_lettered", "12-29 skipped", "30-30 inserted", "31-39 skipped"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("bookings (-want +got):\n%s", d)
	}
	if n, err := s.Totals(ctx); err != nil || n.Skipped != 5+18+9 {
		t.Errorf("%d offsets are skipped, %v", n.Skipped, err)
	}
}

func mustClaim(t *testing.T, s Store, b *Batch, start int64, partitions ...int32) {
	t.Helper()
	c := Claim{b.Group, b.Topic, b.TopicID, map[int32]int64{}}
	for _, p := range partitions {
		c.Start[p] = start
	}
	if _, err := s.Claim(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// seek sets the next offset of partition 0 of topic 1.
func seek(t *testing.T, s Store, next int64) {
	t.Helper()
	if err := s.Seek(t.Context(), Claim{Group: "g", Topic: "orders", TopicID: testID(1)}, map[int32]int64{0: next}); err != nil {
		t.Fatal(err)
	}
}

func testWalk(t *testing.T, k kit) {
	s, ctx := open(t, k.fresh(t)), t.Context()
	replay := entry(3, "a", "e3", 4)
	replay.Origin = &Place{testID(1), 0, 1}
	same := entry(4, "a", "e0", 1)
	same.Hash, same.Order = entry(0, "a", "e0", 1).Hash, entry(0, "a", "e0", 1).Order
	b := batchOf(t, s, 0, entry(0, "a", "e0", 1), refused(1), entry(2, "a", "e2", 3), replay, same)
	mustWrite(t, s, b)
	want := []Booking{
		{Place: Place{testID(1), 0, 0}, EventID: "e0", OrderID: "a", Hash: b.Entries[0].Hash, Outcome: Inserted, Gap: 0},
		{Place: Place{testID(1), 0, 1}, EventID: "e-refused-1", Outcome: DeadLettered, Reason: "decode: not JSON", Gap: 1},
		{Place: Place{testID(1), 0, 2}, EventID: "e2", OrderID: "a", Hash: b.Entries[2].Hash, Outcome: Inserted, Gap: 2},
		{Place: Place{testID(1), 0, 3}, EventID: "e3", OrderID: "a", Hash: replay.Hash, Origin: &Place{testID(1), 0, 1}, Outcome: Stale, Gap: 3},
		{Place: Place{testID(1), 0, 4}, EventID: "e0", OrderID: "a", Outcome: Duplicate, Gap: 4},
	}
	walk := func(from, to int64) (got []Booking) {
		t.Helper()
		if err := s.Walk(ctx, testID(1), 0, from, to, func(b *Booking) error {
			if age := time.Since(b.At); age < -time.Minute || age > time.Minute {
				t.Errorf("booked at %s", b.At)
			}
			booking := *b
			booking.At = time.Time{}
			got = append(got, booking)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if d := cmp.Diff(want, walk(0, 5)); d != "" {
		t.Errorf("bookings (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want[1:3], walk(1, 3)); d != "" {
		t.Errorf("bookings 1 to 3 (-want +got):\n%s", d)
	}
	enough := errors.New("enough")
	if err := s.Walk(ctx, testID(1), 0, 0, 5, func(*Booking) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("walked on: %v", err)
	}
}

func testRetain(t *testing.T, k kit) {
	s, ctx := open(t, k.fresh(t)), t.Context()
	mustWrite(t, s, batchOf(t, s, 0, entry(0, "a", "e0", 1), refused(1), entry(2, "b", "e2", 1), entry(3, "c", "e3", 1)))
	if err := s.Skip(ctx, Claim{Group: "g", Topic: "orders", TopicID: testID(1)}, 0, 4, 9); err != nil {
		t.Fatal(err)
	}
	floor := []Place{{testID(1), 0, 3}}
	if n, err := s.Retain(ctx, floor, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("deleted %d of what is not old, %v", n, err)
	}
	if n, err := s.Retain(ctx, floor, time.Now().Add(time.Hour)); n != 3 || err != nil {
		t.Errorf("deleted %d below the log, want 3, %v", n, err)
	}
	if n, err := s.Retain(ctx, []Place{{testID(1), 0, 6}}, time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("deleted %d, want 1 and not the gap that reaches into the log, %v", n, err)
	}
	mustWrite(t, s, batchOf(t, s, 10, entry(10, "d", "e10", 1)))
	if err := s.Walk(ctx, testID(1), 0, 10, 11, func(b *Booking) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		// Databases keep microseconds: this is the same moment there, and not before.
		if n, err := s.Retain(ctx, []Place{{testID(1), 0, 11}}, b.At.Add(500*time.Nanosecond)); n != 1 || err != nil {
			t.Errorf("deleted %d, want the gap and not what is half a microsecond old, %v", n, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Retain(ctx, []Place{{testID(1), 0, 11}}, time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("deleted %d, want 1, %v", n, err)
	}
	n, err := s.Totals(ctx)
	if want := (Totals{Orders: 4}); err != nil || n != want {
		t.Errorf("the tables hold %+v, want %+v, %v", n, want, err)
	}
}

func testMigrate(t *testing.T, k kit) {
	cfg := k.fresh(t)
	have, want, err := Schema(t.Context(), cfg)
	if err != nil || have != want || want < 1 {
		t.Fatalf("schema %d of %d, %v", have, want, err)
	}
	from, to, err := Migrate(t.Context(), cfg, quiet())
	if err != nil || from != want || to != want {
		t.Fatalf("migrated from %d to %d, %v", from, to, err)
	}
	s := open(t, cfg)
	received := time.Date(2026, 11, 22, 14, 5, 31, 0, time.UTC)
	first, second := entry(0, "a", "e0", 1), entry(1, "b", "e1", 1)
	first.Received, second.Received = received, received.Add(-time.Hour)
	mustWrite(t, s, batchOf(t, s, 0, first, second, refused(2)))
	var next, applied, dead int64
	var last time.Time
	if err := tablesOf(s).reads.QueryRowContext(t.Context(), "SELECT next_offset, applied, dead_lettered, last_received_at FROM consumer_progress WHERE group_id = 'g'").
		Scan(&next, &applied, &dead, (*stamp)(&last)); err != nil || next != 3 || applied != 2 || dead != 1 || !last.Equal(received) {
		t.Errorf("consumer_progress: next %d, %d applied, %d dead, last received %s, %v", next, applied, dead, last, err)
	}
}

// testConcurrent lets partitions write side by side, with orders and events in
// common: every event is taken once, by whoever was first.
func testConcurrent(t *testing.T, k kit) {
	s := open(t, k.fresh(t))
	const writers, batches, size = 3, 8, 40
	c := Claim{"g", "orders", testID(1), map[int32]int64{0: 0, 1: 0, 2: 0}}
	if _, err := s.Claim(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, writers)
	for n := range int32(writers) {
		go func() { failed <- writeShared(t.Context(), s, n, batches, size) }()
	}
	for range writers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	n, err := s.Totals(t.Context())
	if err != nil || n.Events != batches*size || n.Duplicates != (writers-1)*batches*size || n.Orders != 20 {
		t.Errorf("the tables hold %+v, %v", n, err)
	}
	got := dump(t, s)
	versions := int64(0)
	for _, r := range got.orders {
		versions += r.Version
	}
	if versions != n.Events-n.Stale {
		t.Errorf("versions add up to %d, with %d events of which %d are stale", versions, n.Events, n.Stale)
	}
}

// writeShared writes the same events as every other partition.
func writeShared(ctx context.Context, s Store, n int32, batches, size int) error {
	for i := range batches {
		b := &Batch{Group: "g", Topic: "orders", TopicID: testID(1), Partition: n, First: int64(i * size), Next: int64((i + 1) * size)}
		for j := range size {
			b.Entries = append(b.Entries, entry(b.First+int64(j), fmt.Sprint("o", j%20), fmt.Sprintf("e%d-%d", i, j), 1000+j%20))
		}
		for {
			_, err := s.Write(ctx, b)
			if err == nil {
				break
			}
			if ClassOf(err) != ClassRetry {
				return err
			}
		}
	}
	return nil
}

func testReadOnly(t *testing.T, k kit) {
	cfg := k.fresh(t)
	w := open(t, cfg)
	b := batchOf(t, w, 0, entry(0, "a", "e0", 1))
	mustWrite(t, w, b)
	s, err := Open(t.Context(), cfg, OpenOptions{ReadOnly: true, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if rows, err := s.Rows(t.Context(), []string{"a"}); err != nil || len(rows) != 1 {
		t.Errorf("read %v, %v", rows, err)
	}
	if _, err := s.Write(t.Context(), b); err == nil {
		t.Error("wrote to what is only read")
	}
	if err := s.Seek(t.Context(), Claim{Group: "g", Topic: "orders", TopicID: testID(1)}, map[int32]int64{0: 0}); err == nil {
		t.Error("sought in what is only read")
	}
}
