package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
)

// tables is what both databases do alike, in SQL that both know.
type tables struct {
	target   target
	reads    *sql.DB
	writes   *sql.DB     // the same, or the one connection that may write
	serial   sync.Locker // held while a transaction writes, beside Write; nil: the database orders them
	readOnly bool
	timeout  time.Duration
	still    func() error // fails where connections lead elsewhere by now; nil where they can't
	met      func(error)  // is told of each error; nil where nothing is to be done about it
	dialect  dialect
}

// dialect is where they differ.
type dialect struct {
	numbered bool   // parameters are $1, $2, not ?
	locking  string // behind a SELECT whose rows are to be locked
	now      string // the database's clock
	time     func(time.Time) any
	within   func(column string) string // column is one of a list, which is one parameter
	list     func(ids []string) (any, error)
}

// sql writes the statement's parameters, ?, and {now} as the database wants them.
func (d dialect) sql(text string) string {
	text = strings.ReplaceAll(text, "{now}", d.now)
	if !d.numbered {
		return text
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(text, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		n++
		b.WriteString(part)
	}
	return b.String()
}

func (t *tables) exec(ctx context.Context, tx *sql.Tx, text string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, t.dialect.sql(text), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// each calls fn for each row of a query.
func (t *tables) each(ctx context.Context, on interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, fn func(*sql.Rows) error, text string, args ...any,
) error {
	rows, err := on.QueryContext(ctx, t.dialect.sql(text), args...)
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

// errReadOnly is the error of what writes where the database was opened for
// reading.
var errReadOnly = errors.New("the database is open for reading")

func (t *tables) transact(ctx context.Context, doing string, do func(context.Context, *sql.Tx) error) error {
	if t.readOnly {
		return fmt.Errorf("%s: %w", doing, errReadOnly)
	}
	if t.serial != nil {
		t.serial.Lock()
		defer t.serial.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if err := t.check(); err != nil {
		return err
	}
	tx, err := t.writes.BeginTx(ctx, nil)
	if err == nil {
		defer tx.Rollback() //nolint:errcheck // after a COMMIT there is nothing to roll back
		err = do(ctx, tx)
	}
	if err == nil {
		err = t.check()
	}
	if err == nil {
		err = tx.Commit()
	}
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
		err = ctx.Err() // that is what has ended it
	}
	t.meet(err)
	return explain(err, doing, t.target)
}

// read calls fn for each row of a query that is to be answered soon.
func (t *tables) read(ctx context.Context, fn func(*sql.Rows) error, text string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	err := t.check()
	if err == nil {
		err = t.each(ctx, t.reads, fn, text, args...)
	}
	t.meet(err)
	return err
}

func (t *tables) check() error {
	if t.still == nil {
		return nil
	}
	return t.still()
}

func (t *tables) meet(err error) {
	if err != nil && t.met != nil {
		t.met(err)
	}
}

// Claim answers the next offset of each partition asked for.
func (t *tables) Claim(ctx context.Context, c Claim) (map[int32]int64, error) {
	next := map[int32]int64{}
	err := t.transact(ctx, "claim the offsets of "+c.Topic, func(ctx context.Context, tx *sql.Tx) error {
		if err := t.checkTopic(ctx, tx, c); err != nil {
			return err
		}
		for _, p := range sortedPartitions(c.Start) {
			if err := t.place(ctx, tx, c, p, c.Start[p]); err != nil {
				return err
			}
		}
		return t.each(ctx, tx, func(r *sql.Rows) error {
			var p int32
			var at int64
			if err := r.Scan(&p, &at); err != nil {
				return err
			}
			if _, asked := c.Start[p]; asked {
				next[p] = at
			}
			return nil
		}, "SELECT partition, next_offset FROM consumer_offsets WHERE topic_id = ? AND group_id = ?", c.TopicID, c.Group)
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

func (t *tables) place(ctx context.Context, tx *sql.Tx, c Claim, partition int32, next int64) error {
	_, err := t.exec(ctx, tx, `INSERT INTO consumer_offsets (topic_id, partition, group_id, topic, next_offset, updated_at)
VALUES (?, ?, ?, ?, ?, {now}) ON CONFLICT DO NOTHING`, c.TopicID, partition, c.Group, c.Topic, next)
	return err
}

// checkTopic refuses to mix two topics of one name.
func (t *tables) checkTopic(ctx context.Context, tx *sql.Tx, c Claim) error {
	return t.each(ctx, tx, func(r *sql.Rows) error {
		var other string
		if err := r.Scan(&other); err != nil {
			return err
		}
		return fmt.Errorf("topic %s, group %s: %w (there %s, now %s)", c.Topic, c.Group, ErrTopicChanged, other, c.TopicID)
	}, "SELECT topic_id FROM consumer_offsets WHERE group_id = ? AND topic = ? AND topic_id <> ? LIMIT 1", c.Group, c.Topic, c.TopicID)
}

func sortedPartitions(m map[int32]int64) []int32 {
	list := make([]int32, 0, len(m))
	for p := range m {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}

// Seek sets next offsets.
func (t *tables) Seek(ctx context.Context, c Claim, next map[int32]int64) error {
	return t.transact(ctx, "set the offsets of "+c.Topic, func(ctx context.Context, tx *sql.Tx) error {
		if err := t.checkTopic(ctx, tx, c); err != nil {
			return err
		}
		for _, p := range sortedPartitions(next) {
			if _, err := t.exec(ctx, tx, `INSERT INTO consumer_offsets (topic_id, partition, group_id, topic, next_offset, updated_at)
VALUES (?, ?, ?, ?, ?, {now})
ON CONFLICT (topic_id, partition, group_id) DO UPDATE SET next_offset = excluded.next_offset, updated_at = excluded.updated_at`,
				c.TopicID, p, c.Group, c.Topic, next[p]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Skip books a gap. What is booked already in its range, by a group that has
// been there or before a Seek, stays what it is: a gap is then several.
func (t *tables) Skip(ctx context.Context, c Claim, partition int32, from, to int64) error {
	doing := fmt.Sprintf("skip %s/%d@%d..%d", c.Topic, partition, from, to)
	if to < from {
		return fmt.Errorf("%s: it ends before it begins", doing)
	}
	return t.transact(ctx, doing, func(ctx context.Context, tx *sql.Tx) error {
		next, err := t.lockedNext(ctx, tx, c, partition)
		if err != nil {
			return err
		}
		if next != from {
			return &Moved{Next: next}
		}
		free, err := t.free(ctx, tx, Place{c.TopicID, partition, from}, to)
		if err != nil {
			return err
		}
		for _, g := range free {
			if _, err := t.exec(ctx, tx, `INSERT INTO record_outcomes (topic_id, partition, log_offset, last_offset, recorded_at, outcome, reason)
VALUES (?, ?, ?, ?, {now}, 'skipped', 'not in the log any more')`, c.TopicID, partition, g.first, g.last); err != nil {
				return err
			}
		}
		_, err = t.exec(ctx, tx, "UPDATE consumer_offsets SET next_offset = ?, updated_at = {now} WHERE topic_id = ? AND partition = ? AND group_id = ?",
			to+1, c.TopicID, partition, c.Group)
		return err
	})
}

func (t *tables) lockedNext(ctx context.Context, tx *sql.Tx, c Claim, partition int32) (int64, error) {
	next, found := int64(0), false
	err := t.each(ctx, tx, func(r *sql.Rows) error {
		var group string
		var at int64
		if err := r.Scan(&group, &at); err != nil {
			return err
		}
		if group == c.Group {
			next, found = at, true
		}
		return nil
	}, "SELECT group_id, next_offset FROM consumer_offsets WHERE topic_id = ? AND partition = ? ORDER BY group_id"+t.dialect.locking, c.TopicID, partition)
	if err == nil && !found {
		err = fmt.Errorf("group %q has no offset for partition %d", c.Group, partition)
	}
	return next, err
}

// free gives the ranges from..to that nothing is booked in.
func (t *tables) free(ctx context.Context, tx *sql.Tx, from Place, to int64) ([]gap, error) {
	var list []gap
	at := from.Offset
	err := t.each(ctx, tx, func(r *sql.Rows) error {
		var first, last int64
		if err := r.Scan(&first, &last); err != nil {
			return err
		}
		if first > at {
			list = append(list, gap{at, first - 1})
		}
		at = max(at, last+1)
		return nil
	}, `SELECT log_offset, log_offset FROM order_events WHERE topic_id = ? AND partition = ? AND log_offset BETWEEN ? AND ?
UNION ALL
SELECT log_offset, last_offset FROM record_outcomes WHERE topic_id = ? AND partition = ? AND log_offset <= ? AND last_offset >= ?
ORDER BY 1`, from.TopicID, from.Partition, from.Offset, to, from.TopicID, from.Partition, to, from.Offset)
	if at <= to {
		list = append(list, gap{at, to})
	}
	return list, err
}

// Committed lists consumer_offsets.
func (t *tables) Committed(ctx context.Context, group string) ([]Committed, error) {
	query, args := "SELECT group_id, topic, topic_id, partition, next_offset, updated_at FROM consumer_offsets", []any(nil)
	if group != "" {
		query, args = query+" WHERE group_id = ?", []any{group}
	}
	var list []Committed
	err := t.read(ctx, func(r *sql.Rows) error {
		var c Committed
		if err := r.Scan(&c.Group, &c.Topic, &c.TopicID, &c.Partition, &c.Next, (*stamp)(&c.At)); err != nil {
			return err
		}
		list = append(list, c)
		return nil
	}, query+" ORDER BY group_id, topic, topic_id, partition", args...)
	return list, explain(err, "list the offsets", t.target)
}

// Rows reads orders by their ids.
func (t *tables) Rows(ctx context.Context, ids []string) (map[string]Row, error) {
	list, err := t.dialect.list(ids)
	if err != nil {
		return nil, err
	}
	rows := make(map[string]Row, len(ids))
	err = t.read(ctx, func(r *sql.Rows) error {
		row, err := scanRow(r)
		rows[row.Order.ID] = row
		return err
	}, `SELECT id, user_id, total, status, timestamp, timestamp_ns, topic_id, partition, log_offset, event_id, version, applied_at
FROM orders WHERE `+t.dialect.within("id"), list)
	return rows, explain(err, "read orders", t.target)
}

func scanRow(r *sql.Rows) (Row, error) {
	var row Row
	var total string
	var nanos int
	o := &row.Order
	if err := r.Scan(&o.ID, &o.UserID, &total, &o.Status, (*stamp)(&o.Timestamp), &nanos,
		&row.From.TopicID, &row.From.Partition, &row.From.Offset, &row.Event, &row.Version, (*stamp)(&row.At)); err != nil {
		return Row{}, err
	}
	o.Timestamp = o.Timestamp.Add(time.Duration(nanos))
	var err error
	o.Total, err = order.ParseTotal(total)
	return row, err
}

// Totals counts; with large tables that takes as long as it takes.
func (t *tables) Totals(ctx context.Context) (Totals, error) {
	var n Totals
	err := t.each(ctx, t.reads, func(r *sql.Rows) error {
		return r.Scan(&n.Orders, &n.Events, &n.Stale, &n.Duplicates, &n.DeadLettered, &n.Skipped)
	}, `SELECT o.n, e.n, e.stale, r.duplicates, r.dead_lettered, CAST(r.skipped AS bigint) FROM
(SELECT count(*) AS n FROM orders) o,
(SELECT count(*) AS n, count(CASE WHEN stale THEN 1 END) AS stale FROM order_events) e,
(SELECT count(CASE WHEN outcome = 'duplicate' THEN 1 END) AS duplicates, count(CASE WHEN outcome = 'dead_lettered' THEN 1 END) AS dead_lettered,
coalesce(sum(CASE WHEN outcome = 'skipped' THEN last_offset - log_offset + 1 END), 0) AS skipped FROM record_outcomes) r`)
	return n, explain(err, "count the tables", t.target)
}

// stamp reads a time from either database: a timestamptz or our text.
type stamp time.Time

// Scan is for database/sql.
func (s *stamp) Scan(v any) error {
	switch x := v.(type) {
	case time.Time:
		*s = stamp(x.UTC())
	case string:
		at, err := time.Parse(liteTime, x)
		*s = stamp(at)
		return err
	case nil:
		*s = stamp{}
	default:
		return errors.New("a time is neither a timestamp nor text")
	}
	return nil
}

func postgresDialect() dialect {
	return dialect{
		numbered: true,
		locking:  " FOR UPDATE",
		now:      "statement_timestamp()",
		time:     func(t time.Time) any { return t },
		within:   func(column string) string { return column + " = ANY(?)" },
		list:     func(ids []string) (any, error) { return ids, nil },
	}
}
