package sink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A partition's offsets are locked for all groups, so that two groups can't
// book one place in both tables.
const pgLock = `SELECT group_id, next_offset FROM consumer_offsets WHERE topic_id = $1 AND partition = $2 ORDER BY group_id FOR UPDATE`

// pgNear has the bookings of a range, whether their letters are applied, and the
// booking before, whose gap may reach into it.
const pgNear = `SELECT log_offset, last_offset, outcome, event_id, EXISTS (SELECT FROM order_events e
WHERE e.origin_topic_id = r.topic_id AND e.origin_partition = r.partition AND e.origin_offset = r.log_offset) FROM record_outcomes r
WHERE topic_id = $1 AND partition = $2 AND log_offset BETWEEN $3 AND $4
UNION ALL
(SELECT log_offset, last_offset, outcome, event_id, false FROM record_outcomes
WHERE topic_id = $1 AND partition = $2 AND log_offset < $3 ORDER BY log_offset DESC LIMIT 1)`

const pgPlaces = `SELECT log_offset, event_id, content_hash FROM order_events WHERE topic_id = $1 AND partition = $2 AND log_offset BETWEEN $3 AND $4`

const pgEvents = `SELECT event_id, content_hash FROM order_events WHERE event_id = ANY($1::text[])`

const pgRows = `SELECT id, topic_id, partition, log_offset FROM orders WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE`

// pgLatest is asked for after the orders are locked: whoever had them before has
// committed then.
const pgLatest = `SELECT order_id, coalesce(origin_topic_id, topic_id), coalesce(origin_partition, partition), max(coalesce(origin_offset, log_offset))
FROM order_events WHERE order_id = ANY($1::text[]) GROUP BY 1, 2, 3`

// pgInsertPlain has no ON CONFLICT: looking first costs a fifth of the whole. A
// conflict ends the transaction, and the batch goes the long way.
const pgInsertPlain = `INSERT INTO order_events (event_id, order_id, content_hash, topic_id, partition, log_offset, received_at, stale)
SELECT e, o, h, $1, $2, f, r, false
FROM unnest($3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::timestamptz[]) AS u (e, o, h, f, r)`

const pgInsertEvents = `INSERT INTO order_events (event_id, order_id, content_hash, topic_id, partition, log_offset, received_at, stale, origin_topic_id, origin_partition, origin_offset)
SELECT e, o, h, $1, $2, f, r, s, ot, op, oo
FROM unnest($3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::timestamptz[], $8::boolean[], $9::text[], $10::integer[], $11::bigint[]) AS u (e, o, h, f, r, s, ot, op, oo)
ON CONFLICT DO NOTHING`

// pgUpsert takes one row an order, in the order of ids. A row of the same
// partition at or above $12 is left alone: in a plain batch that is its first
// offset, and a row so missed says that the batch is not plain. NULL leaves none
// alone. The answer is the ids that were there, and how many rows were written.
const pgUpsert = `WITH written AS (
INSERT INTO orders (id, user_id, total, status, timestamp, timestamp_ns, event_id, log_offset, version, topic_id, partition)
SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::text[], $5::timestamptz[], $6::smallint[], $7::text[], $8::bigint[], $9::bigint[], $10::text[], $11::integer[])
ON CONFLICT (id) DO UPDATE SET
user_id = excluded.user_id, total = excluded.total, status = excluded.status, timestamp = excluded.timestamp, timestamp_ns = excluded.timestamp_ns,
event_id = excluded.event_id, log_offset = excluded.log_offset, version = orders.version + excluded.version,
topic_id = excluded.topic_id, partition = excluded.partition, applied_at = excluded.applied_at
WHERE (orders.topic_id = excluded.topic_id AND orders.partition = excluded.partition AND orders.log_offset >= $12) IS NOT TRUE
RETURNING id, xmax = 0 AS made)
SELECT id, 0 FROM written WHERE NOT made UNION ALL SELECT '', count(*) FROM written`

const pgInsertOutcomes = `INSERT INTO record_outcomes (topic_id, partition, log_offset, last_offset, outcome, event_id, order_id, reason)
SELECT $1, $2, f, f, o, e, i, r FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[]) AS u (f, o, e, i, r)`

const pgDeleteOutcomes = `DELETE FROM record_outcomes WHERE topic_id = $1 AND partition = $2 AND log_offset = ANY($3::bigint[])`

const pgMove = `UPDATE consumer_offsets SET next_offset = $4, updated_at = clock_timestamp()
WHERE topic_id = $1 AND partition = $2 AND group_id = $3 AND next_offset = $5`

// A process that is stopped in the middle of a transaction must not keep its
// partition from the others for long. Nothing but the database is waited for in
// it.
const pgIdle = `SET LOCAL idle_in_transaction_session_timeout = '1min'`

const pgBegin = `BEGIN ISOLATION LEVEL READ COMMITTED`

// round is what goes to the server in one piece; the answers come in its order.
type round struct {
	conn  *pgx.Conn
	batch pgconn.Batch
	err   error
}

// run adds a command that has no parameters.
func (r *round) run(sql string) { r.batch.ExecParams(sql, nil, nil, nil, nil) }

// add adds a statement that is prepared once in a connection; all parameters
// and results are binary.
func (r *round) add(ctx context.Context, sql string, params ...[]byte) {
	if r.err != nil {
		return
	}
	var prepared *pgconn.StatementDescription
	if prepared, r.err = r.conn.Prepare(ctx, sql, sql); r.err != nil {
		return
	}
	binary := []int16{1}
	r.batch.ExecPrepared(prepared.Name, params, binary, binary)
}

func (r *round) send(ctx context.Context) ([]*pgconn.Result, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.conn.PgConn().ExecBatch(ctx, &r.batch).ReadAll()
}

// pgTransaction is a transaction on one connection of the pool.
type pgTransaction struct {
	conn    *pgxpool.Conn
	timeout time.Duration
	next    int64
	ended   bool
}

func (s *postgres) begin(ctx context.Context, b *Batch) (transaction, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, 0, err
	}
	tx := &pgTransaction{conn: conn, timeout: s.timeout}
	r := &round{conn: conn.Conn()}
	r.run(pgBegin)
	r.run(pgIdle)
	r.run("SET CONSTRAINTS ALL IMMEDIATE") // a deferred one would refuse the COMMIT, and no record
	r.add(ctx, pgLock, []byte(b.TopicID), four(b.Partition))
	results, err := r.send(ctx)
	if err == nil {
		tx.next, err = nextOf(results[3], b)
	}
	if err != nil {
		tx.rollback(ctx)
		return nil, 0, err
	}
	return tx, tx.next, nil
}

func nextOf(locked *pgconn.Result, b *Batch) (int64, error) {
	for _, row := range locked.Rows {
		if string(row[0]) == b.Group {
			return readInt8(row[1]), nil
		}
	}
	return 0, noOffset(b)
}

func (t *pgTransaction) round() *round { return &round{conn: t.conn.Conn()} }

func (t *pgTransaction) read(ctx context.Context, b *Batch, from, to int) (known, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	entries := b.Entries[from:to]
	topicID, number := []byte(b.TopicID), four(b.Partition)
	first, last := eight(entries[0].Offset), eight(entries[len(entries)-1].Offset)
	events, ids := newArray(oidText, len(entries), 40), newArray(oidText, len(entries), 40)
	for i := range entries {
		if e := &entries[i]; e.Refusal == nil {
			events.text(e.EventID)
			ids.text(e.Order.ID)
		}
	}
	r := t.round()
	r.add(ctx, pgNear, topicID, number, first, last)
	r.add(ctx, pgPlaces, topicID, number, first, last)
	r.add(ctx, pgEvents, events.bytes())
	r.add(ctx, pgRows, ids.bytes())
	results, err := r.send(ctx)
	if err != nil {
		return known{}, err
	}
	k := known{places: map[int64]booked{}, events: make(map[string][sha256.Size]byte, len(entries)), rows: make(map[string]Place, len(entries))}
	for _, row := range results[0].Rows {
		k.addOutcome(readInt8(row[0]), readInt8(row[1]), booked{outcome: Outcome(row[2]), event: string(row[3]), replayed: row[4][0] != 0})
	}
	for _, row := range results[1].Rows {
		k.places[readInt8(row[0])] = booked{outcome: Booked, event: string(row[1]), hash: [sha256.Size]byte(row[2])}
	}
	for _, row := range results[2].Rows {
		k.events[string(row[0])] = [sha256.Size]byte(row[1])
	}
	for _, row := range results[3].Rows {
		k.rows[string(row[0])] = Place{string(row[1]), readInt4(row[2]), readInt8(row[3])}
	}
	return k, t.readLatest(ctx, k.late(entries), &k)
}

func (t *pgTransaction) readLatest(ctx context.Context, orders []string, k *known) error {
	if len(orders) == 0 {
		return nil
	}
	ids := newArray(oidText, len(orders), 24)
	for _, id := range orders {
		ids.text(id)
	}
	r := t.round()
	r.add(ctx, pgLatest, ids.bytes())
	results, err := r.send(ctx)
	if err != nil {
		return err
	}
	k.latest = map[spot]int64{}
	for _, row := range results[0].Rows {
		k.latest[spot{string(row[0]), string(row[1]), readInt4(row[2])}] = readInt8(row[3])
	}
	return nil
}

// addOutcome notes one row of record_outcomes.
func (k *known) addOutcome(first, last int64, held booked) {
	if held.outcome == Skipped {
		k.gaps = append(k.gaps, gap{first, last})
		return
	}
	k.places[first] = held
}

func (t *pgTransaction) write(ctx context.Context, b *Batch, p *plan) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	r := t.round()
	r.run("SAVEPOINT part")
	answers := 1
	answer := func(has bool) int { // the place of its result, -1 without
		if !has {
			return -1
		}
		answers++
		return answers - 1
	}
	if events := answer(len(p.events) > 0); events > 0 {
		r.add(ctx, pgInsertEvents, pgEventArrays(b, p.events)...)
	}
	rows := answer(len(p.rows) > 0)
	if rows > 0 {
		r.add(ctx, pgUpsert, pgRowArrays(b, p.rows, nil)...)
	}
	if len(p.moved) > 0 {
		offsets := newArray(oidInt8, len(p.moved), 8)
		for _, at := range p.moved {
			offsets.int8(at)
		}
		r.add(ctx, pgDeleteOutcomes, []byte(b.TopicID), four(b.Partition), offsets.bytes())
	}
	if len(p.outcomes) > 0 {
		r.add(ctx, pgInsertOutcomes, pgOutcomeArrays(b, p.outcomes)...)
	}
	results, err := r.send(ctx)
	if err != nil {
		return err
	}
	if len(p.events) > 0 && results[1].CommandTag.RowsAffected() != int64(len(p.events)) {
		return errRaced
	}
	if rows > 0 {
		return t.checkRows(b, p.rows, results[rows])
	}
	return nil
}

// checkRows holds against the plan what the upsert met.
func (t *pgTransaction) checkRows(b *Batch, rows []newRow, result *pgconn.Result) error {
	updated, written := readUpsert(result)
	if written != len(rows) {
		return errRaced
	}
	for i := range rows {
		if updated[b.Entries[rows[i].entry].Order.ID] != rows[i].exists {
			return errRaced
		}
	}
	return nil
}

func readUpsert(result *pgconn.Result) (updated map[string]bool, written int) {
	updated = make(map[string]bool, len(result.Rows)-1)
	for _, row := range result.Rows {
		if len(row[0]) == 0 {
			written = int(readInt8(row[1]))
			continue
		}
		updated[string(row[0])] = true
	}
	return updated, written
}

func (t *pgTransaction) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	r := t.round()
	r.run("ROLLBACK TO SAVEPOINT part")
	r.run("RELEASE SAVEPOINT part")
	_, err := r.send(ctx)
	return err
}

func (t *pgTransaction) commit(ctx context.Context, b *Batch) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	r := t.round()
	r.add(ctx, pgMove, []byte(b.TopicID), four(b.Partition), []byte(b.Group), eight(b.Next), eight(t.next))
	results, err := r.send(ctx)
	if err != nil {
		return err
	}
	if results[0].CommandTag.RowsAffected() != 1 {
		return errRaced // can't be: the row is locked
	}
	return t.end(ctx)
}

// end commits. Where it errors nobody knows whether the database did.
func (t *pgTransaction) end(ctx context.Context) error {
	r := t.round()
	r.run("COMMIT")
	results, err := r.send(ctx)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if tag := results[0].CommandTag.String(); tag != "COMMIT" {
		return fmt.Errorf("commit: the database answered %s", tag)
	}
	t.ended = true
	t.conn.Release()
	return nil
}

func (t *pgTransaction) rollback(ctx context.Context) {
	if t.ended {
		return
	}
	t.ended = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if pg := t.conn.Conn().PgConn(); !pg.IsClosed() && pg.TxStatus() != 'I' {
		r := t.round()
		r.run("ROLLBACK")
		_, _ = r.send(ctx) // the pool closes a connection that is still in a transaction
	}
	t.conn.Release()
}

// writePlain tries a batch without a look at what is there: ok is false, and
// nothing changed, where it turns out not to be plain.
func (s *postgres) writePlain(ctx context.Context, b *Batch) (w Written, ok bool, err error) {
	if len(b.Entries) == 0 {
		return Written{}, false, nil
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := s.pool.Acquire(limited)
	if err != nil {
		return Written{}, false, err
	}
	tx := &pgTransaction{conn: conn, timeout: s.timeout}
	defer tx.rollback(ctx)
	rows := lastOf(b)
	topicID, number := []byte(b.TopicID), four(b.Partition)
	r := tx.round()
	r.run(pgBegin)
	r.run(pgIdle)
	r.add(limited, pgLock, topicID, number)
	r.add(limited, pgNear, topicID, number, eight(b.Entries[0].Offset), eight(b.Entries[len(b.Entries)-1].Offset))
	r.add(limited, pgInsertPlain, pgPlainArrays(b)...)
	r.add(limited, pgUpsert, pgRowArrays(b, rows, eight(b.First))...)
	r.add(limited, pgMove, topicID, number, []byte(b.Group), eight(b.Next), eight(b.First))
	results, err := r.send(limited)
	if err != nil {
		if ClassOf(err) == ClassData {
			return Written{}, false, nil
		}
		return Written{}, false, err
	}
	near, events, upsert, moved := results[3], results[4], results[5], results[6]
	if moved.CommandTag.RowsAffected() != 1 || events.CommandTag.RowsAffected() != int64(len(b.Entries)) || touches(near, b) {
		return Written{}, false, nil
	}
	updated, written := readUpsert(upsert)
	if written != len(rows) {
		return Written{}, false, nil
	}
	if err := tx.end(limited); err != nil {
		var postgres *pgconn.PgError
		if errors.As(err, &postgres) && ClassOf(err) == ClassData {
			return Written{}, false, nil // a deferred constraint
		}
		return Written{}, false, err
	}
	return Written{Outcomes: plainOutcomes(b, updated), Next: b.Next}, true, nil
}

// touches says whether one of the bookings is in the batch's range.
func touches(near *pgconn.Result, b *Batch) bool {
	for _, row := range near.Rows {
		if readInt8(row[1]) >= b.Entries[0].Offset {
			return true
		}
	}
	return false
}
