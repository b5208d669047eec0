package main

import (
	"context"
	"errors"
	"log/slog"
	"math/big"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ordersctl/ordersctl/internal/sink"
)

type postgres struct {
	opts    options
	workers int
	pool    *pgxpool.Pool
	store   sink.Store
	seed    uint64
	batches [][]*sink.Batch // by worker
}

func newPostgres(ctx context.Context, o options, workers int) (*postgres, error) {
	cfg := sink.DefaultConfig()
	cfg.URL = sink.URL(o.postgres)
	log := slog.New(slog.DiscardHandler)
	if _, _, err := sink.Migrate(ctx, cfg, log); err != nil {
		return nil, err
	}
	store, err := sink.Open(ctx, cfg, sink.OpenOptions{Log: log})
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.New(ctx, o.postgres)
	if err != nil {
		return nil, err
	}
	_, err = pool.Exec(ctx, "CREATE TABLE IF NOT EXISTS orders_copy (LIKE orders INCLUDING ALL)")
	return &postgres{opts: o, workers: workers, pool: pool, store: store}, err
}

func (p *postgres) close() error {
	p.pool.Close()
	return p.store.Close()
}

func (p *postgres) ways() []way {
	return []way{
		{"store", p.prepare, p.writeStore},
		{"copy", p.prepare, p.writeCopy},
		{"row", p.prepare, p.writeRows},
		{"poison", p.prepare, p.writePoison},
	}
}

func (p *postgres) prepare(ctx context.Context) error {
	for _, text := range []string{"TRUNCATE orders, order_events, record_outcomes, consumer_offsets, orders_copy", "CHECKPOINT"} {
		if _, err := p.pool.Exec(ctx, text); err != nil {
			return err
		}
	}
	start := map[int32]int64{}
	p.batches = nil
	for w := range p.workers {
		p.seed++
		p.batches = append(p.batches, newSource(p.seed).batches(int32(w), p.opts.batches))
		start[int32(w)] = 0
	}
	_, err := p.store.Claim(ctx, sink.Claim{Group: "bench", Topic: "orders", TopicID: topicID, Start: start})
	return err
}

func (p *postgres) writeStore(ctx context.Context) (int, error) {
	return p.workers * p.opts.batches * size, together(p.workers, func(w int) error {
		for _, b := range p.batches[w] {
			_, err := p.store.Write(ctx, b)
			var unburied *sink.Unburied
			if errors.As(err, &unburied) { // with a Kafka that answers at once
				for _, i := range unburied.Refused {
					b.Entries[i].Buried = true
				}
				_, err = p.store.Write(ctx, b)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// writePoison is writeStore with a record in each batch that is refused.
func (p *postgres) writePoison(ctx context.Context) (int, error) {
	for _, list := range p.batches {
		for _, b := range list {
			b.Entries[size/2].Refusal = &sink.Refusal{Class: sink.RefusedDecode, Reason: "not JSON"}
		}
	}
	return p.writeStore(ctx)
}

// writeCopy has all values in the types of the library that it encodes fastest.
func (p *postgres) writeCopy(ctx context.Context) (int, error) {
	columns := []string{
		"id", "user_id", "total", "status", "timestamp", "timestamp_ns", "partition", "log_offset", "topic_id", "event_id", "version",
	}
	return p.workers * p.opts.batches * size, together(p.workers, func(w int) error {
		conn, err := p.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		for _, b := range p.batches[w] {
			rows := pgx.CopyFromSlice(len(b.Entries), func(i int) ([]any, error) {
				e := &b.Entries[i]
				o := &e.Order
				total := pgtype.Numeric{Int: new(big.Int).SetUint64(uint64(o.Total)), Exp: -4, Valid: true}
				return []any{
					o.ID, o.UserID, total, o.Status, o.Timestamp, int16(o.Timestamp.Nanosecond() % 1000),
					b.Partition, e.Offset, b.TopicID, e.EventID, int64(1),
				}, nil
			})
			if _, err := conn.CopyFrom(ctx, pgx.Identifier{"orders_copy"}, columns, rows); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeRows is timed over a part of the batches: it is so much slower.
func (p *postgres) writeRows(ctx context.Context) (int, error) {
	const rows = 1500
	return p.workers * rows, together(p.workers, func(w int) error {
		conn, err := p.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		for i := range rows {
			b := p.batches[w][i/size%len(p.batches[w])]
			e := &b.Entries[i%size]
			o := &e.Order
			if _, err := conn.Exec(ctx, `INSERT INTO orders (id, user_id, total, status, timestamp, timestamp_ns, partition, log_offset, topic_id, event_id, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1) ON CONFLICT (id) DO UPDATE SET
user_id = excluded.user_id, total = excluded.total, status = excluded.status, timestamp = excluded.timestamp`,
				o.ID, o.UserID, o.Total.String(), o.Status, o.Timestamp, 0, b.Partition, e.Offset, b.TopicID, e.EventID); err != nil {
				return err
			}
		}
		return nil
	})
}
