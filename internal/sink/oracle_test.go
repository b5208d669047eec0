package sink

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"testing"

	"github.com/ordersctl/ordersctl/internal/order"
)

// oracle is the fold as the rules say it, one record after the other, with maps
// for tables. What the database refuses by itself is told by refuses.
type oracle struct {
	orders   map[string]orderRow
	events   map[string]eventRow
	outcomes map[Place]outcomeRow
	at       map[Place]string // places that are in events, by event id
	next     map[offsetKey]int64
	refuses  func(order.Order) (reason string)
}

type (
	orderRow struct {
		User, Total, Status, Time string
		Nanos                     int
		Event                     string
		From                      Place
		Version                   int64
	}
	eventRow struct {
		Order  string
		Hash   [sha256.Size]byte
		At     Place
		Stale  bool
		Origin Place
	}
	outcomeRow struct {
		Last                          int64
		Outcome, Event, Order, Reason string
	}
	offsetKey struct {
		Group     string
		TopicID   string
		Partition int32
	}
)

func newOracle(refuses func(order.Order) string) *oracle {
	return &oracle{
		orders: map[string]orderRow{}, events: map[string]eventRow{}, outcomes: map[Place]outcomeRow{},
		at: map[Place]string{}, next: map[offsetKey]int64{}, refuses: refuses,
	}
}

// apply is what Write should do, and the outcomes and the dead letters that it
// should come to.
func (o *oracle) apply(b *Batch) (outcomes []Outcome, buried []int) {
	key := offsetKey{b.Group, b.TopicID, b.Partition}
	next := o.next[key]
	for i := range b.Entries {
		e := b.Entries[i]
		if e.Offset < next {
			outcomes = append(outcomes, Passed)
			continue
		}
		outcome := o.one(Place{b.TopicID, b.Partition, e.Offset}, &e)
		if outcome == DeadLettered {
			buried = append(buried, i)
		}
		outcomes = append(outcomes, outcome)
	}
	o.next[key] = max(next, b.Next)
	return outcomes, buried
}

func (o *oracle) one(at Place, e *Entry) Outcome {
	if _, taken := o.at[at]; taken {
		return Booked
	}
	was, booked := o.outcomes[at]
	if booked && was.Outcome != string(DeadLettered) {
		return Booked
	}
	if booked && o.replayed(at) {
		return Booked
	}
	reason := ""
	if e.Refusal != nil {
		reason = e.Refusal.Class + ": " + e.Refusal.Reason
	}
	known, isKnown := o.events[e.EventID]
	if reason == "" && isKnown {
		switch {
		case booked:
			return Booked
		case known.Hash == e.Hash:
			o.outcomes[at] = outcomeRow{at.Offset, "duplicate", e.EventID, e.Order.ID, ""}
			return Duplicate
		}
		reason = "event_id_conflict: the event id is taken by other content"
	}
	from := at
	if e.Origin != nil {
		from = *e.Origin
	}
	held, exists := o.orders[e.Order.ID]
	stale := exists && held.From.TopicID == from.TopicID && held.From.Partition == from.Partition && held.From.Offset > from.Offset
	if e.Origin != nil || booked {
		stale = stale || o.latest(e.Order.ID, from) > from.Offset
	}
	if reason == "" && !stale {
		reason = o.refuses(e.Order)
	}
	if reason != "" {
		if booked {
			return Booked
		}
		o.outcomes[at] = outcomeRow{at.Offset, "dead_lettered", e.EventID, e.Order.ID, reason}
		return DeadLettered
	}
	delete(o.outcomes, at)
	row := eventRow{Order: e.Order.ID, Hash: e.Hash, At: at, Stale: stale}
	if e.Origin != nil {
		row.Origin = *e.Origin
	}
	o.events[e.EventID] = row
	o.at[at] = e.EventID
	if stale {
		return Stale
	}
	o.orders[e.Order.ID] = orderRow{
		User: e.Order.UserID, Total: e.Order.Total.String(), Status: e.Order.Status,
		Time: e.Order.Timestamp.UTC().Format(liteTime), Nanos: e.Order.Timestamp.Nanosecond() % 1000,
		Event: e.EventID, From: from, Version: held.Version + 1,
	}
	if exists {
		return Updated
	}
	return Inserted
}

// replayed says whether an event came from a letter of that place.
func (o *oracle) replayed(letter Place) bool {
	for _, row := range o.events {
		if row.Origin == letter {
			return true
		}
	}
	return false
}

// latest is the highest offset of the order's events in the place's partition,
// replayed ones by where they came from.
func (o *oracle) latest(id string, in Place) int64 {
	latest := int64(-1)
	for _, row := range o.events {
		at := row.At
		if row.Origin != (Place{}) {
			at = row.Origin
		}
		if row.Order == id && at.TopicID == in.TopicID && at.Partition == in.Partition {
			latest = max(latest, at.Offset)
		}
	}
	return latest
}

// dump reads the four tables of a database.
func dump(t *testing.T, s Store) *oracle {
	t.Helper()
	tab, ctx := tablesOf(s), context.Background()
	o := newOracle(nil)
	read := func(query string, fn func(*sql.Rows) error) {
		t.Helper()
		if err := tab.each(ctx, tab.reads, fn, query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	var ids []string
	read("SELECT id FROM orders", func(r *sql.Rows) error {
		var id string
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	})
	rows, err := s.Rows(ctx, ids)
	if err != nil {
		t.Fatal(err)
	}
	for id, r := range rows {
		o.orders[id] = orderRow{
			r.Order.UserID, r.Order.Total.String(), r.Order.Status, r.Order.Timestamp.Format(liteTime),
			r.Order.Timestamp.Nanosecond() % 1000, r.Event, r.From, r.Version,
		}
	}
	read(`SELECT event_id, order_id, content_hash, topic_id, partition, log_offset, stale,
coalesce(origin_topic_id, ''), coalesce(origin_partition, 0), coalesce(origin_offset, 0) FROM order_events`, func(r *sql.Rows) error {
		var id string
		var e eventRow
		var hash []byte
		err := r.Scan(&id, &e.Order, &hash, &e.At.TopicID, &e.At.Partition, &e.At.Offset, &e.Stale, &e.Origin.TopicID, &e.Origin.Partition, &e.Origin.Offset)
		copy(e.Hash[:], hash)
		o.events[id], o.at[e.At] = e, id
		return err
	})
	read(`SELECT topic_id, partition, log_offset, last_offset, outcome, coalesce(event_id, ''), coalesce(order_id, ''), coalesce(reason, '')
FROM record_outcomes`, func(r *sql.Rows) error {
		var p Place
		var row outcomeRow
		err := r.Scan(&p.TopicID, &p.Partition, &p.Offset, &row.Last, &row.Outcome, &row.Event, &row.Order, &row.Reason)
		o.outcomes[p] = row
		return err
	})
	read("SELECT group_id, topic_id, partition, next_offset FROM consumer_offsets", func(r *sql.Rows) error {
		var k offsetKey
		var next int64
		err := r.Scan(&k.Group, &k.TopicID, &k.Partition, &next)
		o.next[k] = next
		return err
	})
	return o
}

// testID is a topic id of Kafka's form.
func testID(n int) string { return fmt.Sprintf("topic-id-%013d", n) }
