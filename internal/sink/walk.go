package sink

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// walkPiece is how many places are read at once: fn runs between the pieces, so
// that no connection or snapshot is held for as long as a long walk takes.
const walkPiece = 5000

const bookingColumns = `SELECT log_offset, log_offset AS last_offset, event_id, order_id, content_hash, stale, NULL AS outcome, NULL AS reason,
origin_topic_id, origin_partition, origin_offset, applied_at AS at
FROM order_events WHERE topic_id = ? AND partition = ? AND log_offset >= ? AND log_offset < ?
UNION ALL
SELECT log_offset, last_offset, event_id, order_id, NULL, NULL, outcome, reason, NULL, NULL, NULL, recorded_at
FROM record_outcomes WHERE topic_id = ? AND partition = ? AND log_offset >= ? AND log_offset < ?
ORDER BY 1 LIMIT ?`

// Walk reads the bookings of a partition in the order of offsets.
func (t *tables) Walk(ctx context.Context, topicID string, partition int32, from, to int64, fn func(*Booking) error) error {
	doing := fmt.Sprintf("read what is booked of partition %d", partition)
	list, err := t.reachingIn(ctx, topicID, partition, from)
	if err != nil {
		return explain(err, doing, t.target)
	}
	for {
		for i := range list {
			if err := fn(&list[i]); err != nil {
				return err
			}
		}
		if list, err = t.piece(ctx, topicID, partition, from, to); err != nil {
			return explain(err, doing, t.target)
		}
		if len(list) == 0 {
			return nil
		}
		from = list[len(list)-1].Offset + 1
	}
}

// reachingIn is the gap that begins before from and ends behind it.
func (t *tables) reachingIn(ctx context.Context, topicID string, partition int32, from int64) ([]Booking, error) {
	var list []Booking
	err := t.read(ctx, func(r *sql.Rows) error {
		b := Booking{Place: Place{TopicID: topicID, Partition: partition}, Outcome: Skipped}
		var outcome string
		if err := r.Scan(&b.Offset, &b.Gap, &outcome, &b.Reason, (*stamp)(&b.At)); err != nil {
			return err
		}
		if Outcome(outcome) == Skipped && b.Gap >= from {
			list = append(list, b)
		}
		return nil
	}, `SELECT log_offset, last_offset, outcome, coalesce(reason, ''), recorded_at FROM record_outcomes
WHERE topic_id = ? AND partition = ? AND log_offset < ? ORDER BY log_offset DESC LIMIT 1`, topicID, partition, from)
	return list, err
}

func (t *tables) piece(ctx context.Context, topicID string, partition int32, from, to int64) ([]Booking, error) {
	var list []Booking
	err := t.read(ctx, func(r *sql.Rows) error {
		b, err := scanBooking(r)
		b.TopicID, b.Partition = topicID, partition
		list = append(list, b)
		return err
	}, bookingColumns, topicID, partition, from, to, topicID, partition, from, to, walkPiece)
	return list, err
}

func scanBooking(r *sql.Rows) (Booking, error) {
	var (
		b                               Booking
		event, id, outcome, reason, oid sql.NullString
		hash                            []byte
		stale                           sql.NullBool
		originPartition                 sql.NullInt32
		originOffset                    sql.NullInt64
	)
	if err := r.Scan(&b.Offset, &b.Gap, &event, &id, &hash, &stale, &outcome, &reason, &oid, &originPartition, &originOffset, (*stamp)(&b.At)); err != nil {
		return b, err
	}
	b.EventID, b.OrderID, b.Reason, b.Outcome = event.String, id.String, reason.String, Outcome(outcome.String)
	if len(hash) == sha256.Size {
		b.Hash = [sha256.Size]byte(hash)
	}
	if oid.Valid {
		b.Origin = &Place{oid.String, originPartition.Int32, originOffset.Int64}
	}
	if !outcome.Valid {
		b.Outcome = Inserted
		if stale.Bool {
			b.Outcome = Stale
		}
	}
	return b, nil
}

// retainPiece is how many offsets of a partition one transaction covers.
const retainPiece = 20_000

// Retain deletes in pieces, each a transaction of its own: writers wait for none
// of them for long, and what was done stays done.
func (t *tables) Retain(ctx context.Context, floors []Place, before time.Time) (int64, error) {
	// As the databases keep times: what is not before it for them must not be for
	// us, or the same piece is found for ever.
	before = before.Truncate(time.Microsecond)
	var deleted int64
	for _, floor := range floors {
		for {
			n, more, err := t.retainPiece(ctx, floor, before)
			deleted += n
			if err != nil {
				return deleted, err
			}
			if !more || n == 0 {
				break
			}
		}
	}
	return deleted, nil
}

// retainPiece deletes the oldest offsets of the partition that may go.
func (t *tables) retainPiece(ctx context.Context, floor Place, before time.Time) (n int64, more bool, err error) {
	cut := t.dialect.time(before)
	err = t.transact(ctx, "delete old events", func(ctx context.Context, tx *sql.Tx) error {
		first, err := t.oldest(ctx, tx, floor, before)
		if err != nil || first < 0 {
			return err
		}
		more = true
		end := min(floor.Offset, first+retainPiece)
		for _, text := range []string{
			"DELETE FROM order_events WHERE topic_id = ? AND partition = ? AND log_offset < ? AND applied_at < ?",
			"DELETE FROM record_outcomes WHERE topic_id = ? AND partition = ? AND log_offset < ? AND recorded_at < ? AND last_offset < ?",
		} {
			args := []any{floor.TopicID, floor.Partition, end, cut}
			if strings.Contains(text, "last_offset") {
				args = append(args, floor.Offset)
			}
			deleted, err := t.exec(ctx, tx, text, args...)
			if err != nil {
				return err
			}
			n += deleted
		}
		return nil
	})
	return n, more, err
}

// oldest is the first booked offset below the floor, -1 where it is not old
// enough yet: what stands behind one that is not is left for another time, so
// that nothing is searched.
func (t *tables) oldest(ctx context.Context, tx *sql.Tx, floor Place, before time.Time) (int64, error) {
	first := int64(-1)
	err := t.each(ctx, tx, func(r *sql.Rows) error {
		var offset int64
		var at time.Time
		if err := r.Scan(&offset, (*stamp)(&at)); err != nil {
			return err
		}
		if at.Before(before) && (first < 0 || offset < first) {
			first = offset
		}
		return nil
	}, `SELECT * FROM (SELECT log_offset, applied_at FROM order_events WHERE topic_id = ? AND partition = ? AND log_offset < ? ORDER BY log_offset LIMIT 1) e
UNION ALL
SELECT * FROM (SELECT log_offset, recorded_at FROM record_outcomes WHERE topic_id = ? AND partition = ? AND log_offset < ? AND last_offset < ? ORDER BY log_offset LIMIT 1) r`,
		floor.TopicID, floor.Partition, floor.Offset, floor.TopicID, floor.Partition, floor.Offset, floor.Offset)
	return first, err
}
