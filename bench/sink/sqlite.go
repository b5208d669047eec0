package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver of the limit

	"github.com/ordersctl/ordersctl/internal/sink"
)

type lite struct {
	opts    options
	file    string
	runs    int
	cfg     sink.Config
	batches []*sink.Batch
}

func liteWays(o options) []way {
	l := &lite{opts: o}
	return []way{{"store", l.prepare, l.writeStore}, {"multi", l.prepare, l.writeMulti}}
}

// prepare makes a new file with the tables and batches for it.
func (l *lite) prepare(ctx context.Context) error {
	l.runs++
	l.file = filepath.Join(l.opts.dir, fmt.Sprintf("orders-%d.db", l.runs))
	l.cfg = sink.DefaultConfig()
	l.cfg.URL = sink.URL(l.file)
	if _, _, err := sink.Migrate(ctx, l.cfg, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	l.batches = newSource(uint64(l.runs)).batches(0, l.opts.batches)
	return nil
}

func (l *lite) writeStore(ctx context.Context) (n int, err error) {
	s, err := sink.Open(ctx, l.cfg, sink.OpenOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := s.Claim(ctx, sink.Claim{Group: "bench", Topic: "orders", TopicID: topicID, Start: map[int32]int64{0: 0}}); err != nil {
		return 0, err
	}
	for _, b := range l.batches {
		if _, err := s.Write(ctx, b); err != nil {
			return n, err
		}
		n += len(b.Entries)
	}
	return n, nil
}

// The rows of one statement.
const multi = 100

// writeMulti is one connection with what the store sets too.
func (l *lite) writeMulti(ctx context.Context) (n int, err error) {
	db, err := sql.Open("sqlite", "file:"+l.file+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-65536)&_pragma=wal_autocheckpoint(4000)")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close() //nolint:errcheck // the database is closed with it
	events, err := conn.PrepareContext(ctx, "INSERT INTO order_events (event_id, order_id, content_hash, topic_id, partition, log_offset, received_at, applied_at, stale) VALUES "+places(9))
	if err != nil {
		return 0, err
	}
	orders, err := conn.PrepareContext(ctx, "INSERT INTO orders (id, user_id, total, status, timestamp, timestamp_ns, event_id, topic_id, partition, log_offset, version, created_at, applied_at) VALUES "+places(13))
	if err != nil {
		return 0, err
	}
	for _, b := range l.batches {
		// Not by BeginTx: its statements would be prepared anew each time.
		if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return n, err
		}
		if err := writeBatch(ctx, events, orders, b); err != nil {
			return n, err
		}
		if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
			return n, err
		}
		n += len(b.Entries)
	}
	return n, nil
}

func places(columns int) string {
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	return strings.TrimSuffix(strings.Repeat(row+",", multi), ",")
}

func writeBatch(ctx context.Context, events, orders *sql.Stmt, b *sink.Batch) error {
	const layout = "2006-01-02T15:04:05.000000Z"
	now := time.Now().UTC().Format(layout)
	for from := 0; from < len(b.Entries); from += multi {
		var eventArgs, orderArgs []any
		for i := from; i < from+multi; i++ {
			e := &b.Entries[i]
			o := &e.Order
			eventArgs = append(eventArgs, e.EventID, o.ID, e.Hash[:], b.TopicID, b.Partition, e.Offset, e.Received.Format(layout), now, false)
			orderArgs = append(orderArgs, o.ID, o.UserID, o.Total.String(), o.Status, o.Timestamp.Format(layout), o.Timestamp.Nanosecond()%1000,
				e.EventID, b.TopicID, b.Partition, e.Offset, 1, now, now)
		}
		if _, err := events.ExecContext(ctx, eventArgs...); err != nil {
			return err
		}
		if _, err := orders.ExecContext(ctx, orderArgs...); err != nil {
			return err
		}
	}
	return nil
}
