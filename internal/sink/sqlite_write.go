package sink

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"time"
)

// liteWriter is the one connection that writes, with its statements. SQLite has
// one writer at a time in all; within the process the mutex is cheaper to wait
// for than its busy handler, which sleeps.
type liteWriter struct {
	db    *sql.DB
	still func() error // before a connection is made, and before each commit
	mu    sync.Mutex
	conn  *sql.Conn            // guarded by mu, as all below
	ready map[string]*sql.Stmt // by text
	args  []any                // used again
}

// liteRows is how many rows one statement takes: beyond that its price per row
// falls no more. What is left over goes by smaller ones.
func liteRows() []int { return []int{100, 10, 1} }

const (
	liteEvents = "INSERT INTO order_events (event_id, order_id, content_hash, topic_id, partition, log_offset, received_at, applied_at, stale, origin_topic_id, origin_partition, origin_offset) VALUES "
	liteOrders = "INSERT INTO orders (id, user_id, total, status, timestamp, timestamp_ns, event_id, topic_id, partition, log_offset, version, created_at, applied_at) VALUES "
	liteUpsert = ` ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id, total = excluded.total, status = excluded.status, timestamp = excluded.timestamp,
timestamp_ns = excluded.timestamp_ns, event_id = excluded.event_id, topic_id = excluded.topic_id, partition = excluded.partition,
log_offset = excluded.log_offset, version = orders.version + excluded.version, applied_at = excluded.applied_at`
	liteOutcomes = "INSERT INTO record_outcomes (topic_id, partition, log_offset, last_offset, recorded_at, outcome, event_id, order_id, reason) VALUES "
	liteNothing  = " ON CONFLICT DO NOTHING"

	liteEventColumns, liteOrderColumns, liteOutcomeColumns = 12, 13, 9
)

// Write applies a batch in one transaction.
func (s *lite) Write(ctx context.Context, b *Batch) (Written, error) {
	if err := b.check(); err != nil {
		return Written{}, err
	}
	doing := fmt.Sprintf("write %s/%d@%d..%d", b.Topic, b.Partition, b.First, b.Next-1)
	if s.readOnly {
		return Written{}, fmt.Errorf("%s: %w", doing, errReadOnly)
	}
	s.write.mu.Lock()
	defer s.write.mu.Unlock()
	if s.plain.try(b) {
		w, ok, err := s.writePlain(ctx, b)
		if ok || err != nil {
			return w, explain(err, doing, s.target)
		}
		s.plain.failed(b)
	}
	w, err := exact(ctx, b, s.begin)
	return w, explain(err, doing, s.target)
}

// exec runs a statement that is kept.
func (w *liteWriter) exec(ctx context.Context, text string, args ...any) (int64, error) {
	stmt := w.ready[text]
	if stmt == nil {
		if w.conn == nil {
			conn, err := w.db.Conn(ctx)
			if err != nil {
				return 0, err
			}
			w.conn, w.ready = conn, map[string]*sql.Stmt{}
		}
		var err error
		if stmt, err = w.conn.PrepareContext(ctx, text); err != nil {
			return 0, err
		}
		w.ready[text] = stmt
	}
	result, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// insert writes n rows by as few statements as there can be; row appends the
// values of one.
func (w *liteWriter) insert(ctx context.Context, into, conflict string, columns, n int, row func(args []any, i int) []any) (written int64, err error) {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	done := 0
	for _, rows := range liteRows() {
		text := ""
		for n-done >= rows {
			if text == "" {
				text = into + strings.TrimSuffix(strings.Repeat(one+",", rows), ",") + conflict
			}
			w.args = w.args[:0]
			for range rows {
				w.args = row(w.args, done)
				done++
			}
			changed, err := w.exec(ctx, text, w.args...)
			if err != nil {
				return written, err
			}
			written += changed
		}
	}
	return written, nil
}

// rollback ends the transaction, also one of which nobody knows whether it is
// open: the driver answers with the context's error where a BEGIN or a COMMIT
// has run and the context ended meanwhile.
func (w *liteWriter) rollback(ctx context.Context) {
	if w.conn == nil {
		return
	}
	if _, err := w.exec(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
		w.release() // SQLite has rolled back by itself, or there is no telling
	}
}

// release ends the connection and its statements; the next exec makes new ones.
func (w *liteWriter) release() {
	for _, stmt := range w.ready {
		_ = stmt.Close() // nothing depends on it any more
	}
	if w.conn != nil {
		// Close alone would give it back to the pool, with whatever is open in it.
		_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = w.conn.Close()
	}
	w.conn, w.ready = nil, nil
}

func (w *liteWriter) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.release()
	return nil
}

// liteTransaction is a transaction of the writer, whose lock is held.
type liteTransaction struct {
	w     *liteWriter
	now   string
	next  int64
	ended bool
}

func (s *lite) begin(ctx context.Context, b *Batch) (transaction, int64, error) {
	tx, next, err := s.beginLite(ctx, b)
	if err != nil {
		return nil, 0, err
	}
	return tx, next, nil
}

func (s *lite) beginLite(ctx context.Context, b *Batch) (*liteTransaction, int64, error) {
	tx := &liteTransaction{w: s.write, now: time.Now().UTC().Format(liteTime)}
	if err := s.write.still(); err != nil {
		return nil, 0, err
	}
	if _, err := s.write.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		s.write.rollback(ctx)
		return nil, 0, err
	}
	err := tx.query(ctx, func(r *sql.Rows) error { return r.Scan(&tx.next) },
		"SELECT next_offset FROM consumer_offsets WHERE topic_id = ? AND partition = ? AND group_id = ? UNION ALL SELECT -1 ORDER BY 1 DESC LIMIT 1",
		b.TopicID, b.Partition, b.Group)
	if err == nil && tx.next < 0 {
		err = noOffset(b)
	}
	if err != nil {
		tx.rollback(ctx)
		return nil, 0, err
	}
	return tx, tx.next, nil
}

func (t *liteTransaction) query(ctx context.Context, fn func(*sql.Rows) error, text string, args ...any) error {
	rows, err := t.w.conn.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err has told what there is to tell
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

const liteNear = `SELECT log_offset, last_offset, outcome, coalesce(event_id, ''), EXISTS (SELECT 1 FROM order_events e
WHERE e.origin_topic_id = r.topic_id AND e.origin_partition = r.partition AND e.origin_offset = r.log_offset) FROM record_outcomes r
WHERE topic_id = ? AND partition = ? AND log_offset BETWEEN ? AND ?
UNION ALL
SELECT * FROM (SELECT log_offset, last_offset, outcome, coalesce(event_id, ''), 0 FROM record_outcomes
WHERE topic_id = ? AND partition = ? AND log_offset < ? ORDER BY log_offset DESC LIMIT 1)`

func (t *liteTransaction) near(ctx context.Context, b *Batch, first, last int64, k *known) error {
	return t.query(ctx, func(r *sql.Rows) error {
		var from, to int64
		var held booked
		err := r.Scan(&from, &to, (*string)(&held.outcome), &held.event, &held.replayed)
		k.addOutcome(from, to, held)
		return err
	}, liteNear, b.TopicID, b.Partition, first, last, b.TopicID, b.Partition, first)
}

func (t *liteTransaction) read(ctx context.Context, b *Batch, from, to int) (known, error) {
	entries := b.Entries[from:to]
	first, last := entries[0].Offset, entries[len(entries)-1].Offset
	k := known{places: map[int64]booked{}, events: make(map[string][sha256.Size]byte, len(entries)), rows: make(map[string]Place, len(entries))}
	if err := t.near(ctx, b, first, last, &k); err != nil {
		return k, err
	}
	if err := t.query(ctx, func(r *sql.Rows) error {
		var at int64
		var hash []byte
		held := booked{outcome: Booked}
		if err := r.Scan(&at, &held.event, &hash); err != nil {
			return err
		}
		var err error
		held.hash, err = readHash(held.event, hash)
		k.places[at] = held
		return err
	}, "SELECT log_offset, event_id, content_hash FROM order_events WHERE topic_id = ? AND partition = ? AND log_offset BETWEEN ? AND ?", b.TopicID, b.Partition, first, last); err != nil {
		return k, err
	}
	events, ids := make([]string, 0, len(entries)), make([]string, 0, len(entries))
	for i := range entries {
		if e := &entries[i]; e.Refusal == nil {
			events, ids = append(events, e.EventID), append(ids, e.Order.ID)
		}
	}
	list, err := liteList(events)
	if err != nil {
		return k, err
	}
	if err := t.query(ctx, func(r *sql.Rows) error {
		var id string
		var hash []byte
		if err := r.Scan(&id, &hash); err != nil {
			return err
		}
		var err error
		k.events[id], err = readHash(id, hash)
		return err
	}, "SELECT event_id, content_hash FROM order_events WHERE event_id IN (SELECT value FROM json_each(?))", list); err != nil {
		return k, err
	}
	if list, err = liteList(ids); err != nil {
		return k, err
	}
	if err := t.query(ctx, func(r *sql.Rows) error {
		var id string
		var at Place
		err := r.Scan(&id, &at.TopicID, &at.Partition, &at.Offset)
		k.rows[id] = at
		return err
	}, "SELECT id, topic_id, partition, log_offset FROM orders WHERE id IN (SELECT value FROM json_each(?))", list); err != nil {
		return k, err
	}
	return k, t.readLatest(ctx, k.late(entries), &k)
}

func (t *liteTransaction) readLatest(ctx context.Context, orders []string, k *known) error {
	if len(orders) == 0 {
		return nil
	}
	list, err := liteList(orders)
	if err != nil {
		return err
	}
	k.latest = map[spot]int64{}
	return t.query(ctx, func(r *sql.Rows) error {
		var in spot
		var last int64
		err := r.Scan(&in.order, &in.topicID, &in.partition, &last)
		k.latest[in] = last
		return err
	}, `SELECT order_id, coalesce(origin_topic_id, topic_id), coalesce(origin_partition, partition), max(coalesce(origin_offset, log_offset))
FROM order_events WHERE order_id IN (SELECT value FROM json_each(?)) GROUP BY 1, 2, 3`, list)
}

func readHash(event string, hash []byte) ([sha256.Size]byte, error) {
	if len(hash) != sha256.Size {
		return [sha256.Size]byte{}, fmt.Errorf("order_events: the content_hash of event %q has %d bytes", event, len(hash))
	}
	return [sha256.Size]byte(hash), nil
}

func (t *liteTransaction) write(ctx context.Context, b *Batch, p *plan) error {
	if _, err := t.w.exec(ctx, "SAVEPOINT part"); err != nil {
		return err
	}
	for _, at := range p.moved {
		if _, err := t.w.exec(ctx, "DELETE FROM record_outcomes WHERE topic_id = ? AND partition = ? AND log_offset = ?", b.TopicID, b.Partition, at); err != nil {
			return err
		}
	}
	events, err := t.insertEvents(ctx, b, p.events, "")
	if err != nil {
		return err
	}
	rows, err := t.insertRows(ctx, b, p.rows, liteUpsert)
	if err != nil {
		return err
	}
	if events != int64(len(p.events)) || rows != int64(len(p.rows)) {
		return errRaced // nobody else writes: a trigger of the user's leaves rows out
	}
	_, err = t.w.insert(ctx, liteOutcomes, "", liteOutcomeColumns, len(p.outcomes), func(args []any, i int) []any {
		o := &p.outcomes[i]
		e := &b.Entries[o.entry]
		eventID, orderID := e.nameable(o.outcome)
		return append(args, b.TopicID, b.Partition, e.Offset, e.Offset, t.now, string(o.outcome), orNull(eventID), orNull(orderID), orNull(o.reason))
	})
	if err != nil {
		return err
	}
	_, err = t.w.exec(ctx, "RELEASE part")
	return err
}

func (t *liteTransaction) insertEvents(ctx context.Context, b *Batch, list []newEvent, conflict string) (int64, error) {
	return t.w.insert(ctx, liteEvents, conflict, liteEventColumns, len(list), func(args []any, i int) []any {
		v := list[i]
		e := &b.Entries[v.entry]
		var received any
		if !e.Received.IsZero() {
			received = e.Received.UTC().Format(liteTime)
		}
		args = append(args, e.EventID, e.Order.ID, e.Hash[:], b.TopicID, b.Partition, e.Offset, received, t.now, v.stale)
		if e.Origin == nil {
			return append(args, nil, nil, nil)
		}
		return append(args, e.Origin.TopicID, e.Origin.Partition, e.Origin.Offset)
	})
}

func (t *liteTransaction) insertRows(ctx context.Context, b *Batch, rows []newRow, conflict string) (int64, error) {
	return t.w.insert(ctx, liteOrders, conflict, liteOrderColumns, len(rows), func(args []any, i int) []any {
		e, from := &b.Entries[rows[i].entry], rows[i].from
		if from.TopicID == "" {
			from = Place{b.TopicID, b.Partition, e.Offset}
		}
		o := &e.Order
		return append(args, o.ID, o.UserID, o.Total.String(), o.Status, o.Timestamp.UTC().Format(liteTime), o.Timestamp.Nanosecond()%1000,
			e.EventID, from.TopicID, from.Partition, from.Offset, rows[i].changes, t.now, t.now)
	})
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (t *liteTransaction) undo(ctx context.Context) error {
	_, err := t.w.exec(ctx, "ROLLBACK TO part")
	if err == nil {
		_, err = t.w.exec(ctx, "RELEASE part")
	}
	return err
}

func (t *liteTransaction) commit(ctx context.Context, b *Batch) error {
	n, err := t.w.exec(ctx, "UPDATE consumer_offsets SET next_offset = ?, updated_at = ? WHERE topic_id = ? AND partition = ? AND group_id = ? AND next_offset = ?",
		b.Next, t.now, b.TopicID, b.Partition, b.Group, t.next)
	if err != nil {
		return err
	}
	if n != 1 {
		return errRaced // can't be: nobody else writes
	}
	if err := t.w.still(); err != nil {
		return err
	}
	if _, err := t.w.exec(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	t.ended = true
	return nil
}

func (t *liteTransaction) rollback(ctx context.Context) {
	if t.ended {
		return
	}
	t.ended = true
	t.w.rollback(ctx)
}

// writePlain tries a batch of new events of new orders without a look at what
// is there: ok is false, and nothing changed, where there is something.
func (s *lite) writePlain(ctx context.Context, b *Batch) (w Written, ok bool, err error) {
	if len(b.Entries) == 0 {
		return Written{}, false, nil
	}
	tx, next, err := s.beginLite(ctx, b)
	if err != nil {
		return Written{}, false, err
	}
	defer tx.rollback(ctx)
	if next != b.First {
		return Written{}, false, nil
	}
	var k known
	k.places = map[int64]booked{}
	if err := tx.near(ctx, b, b.Entries[0].Offset, b.Entries[len(b.Entries)-1].Offset, &k); err != nil {
		return Written{}, false, err
	}
	for i := range b.Entries {
		if len(k.places)+len(k.gaps) > 0 && k.booked(b.Entries[i].Offset).outcome != "" {
			return Written{}, false, nil
		}
	}
	p := plan{rows: lastOf(b), events: make([]newEvent, len(b.Entries))}
	for i := range p.events {
		p.events[i].entry = i
	}
	events, err := tx.insertEvents(ctx, b, p.events, liteNothing)
	var rows int64
	if err == nil && events == int64(len(p.events)) {
		rows, err = tx.insertRows(ctx, b, p.rows, liteNothing)
	}
	if err != nil && ClassOf(err) != ClassData {
		return Written{}, false, err
	}
	if err != nil || events != int64(len(p.events)) || rows != int64(len(p.rows)) {
		return Written{}, false, nil
	}
	if err := tx.commit(ctx, b); err != nil {
		return Written{}, false, err
	}
	return Written{Outcomes: plainOutcomes(b, nil), Next: b.Next}, true, nil
}
