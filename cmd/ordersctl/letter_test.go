package main

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// letter writes a dead letter of a record that stands in orders/0 at OFFSET, and
// a minute behind that one was written for each offset. A record that is an
// order failed in the database.
func letter(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: letter OFFSET KEY [VALUE]")
	}
	ts.Check(writeLetter(ts.Getenv("KAFKA"), args))
}

func writeLetter(broker string, args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cfg := client.DefaultConfig()
	cfg.Brokers = []string{broker}
	cl, err := client.Dial(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer cl.Close()
	id, _, err := topic.Exists(ctx, client.Admin(cl), "orders")
	if err != nil {
		return err
	}
	offset, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	at := time.Date(2026, 11, 22, 2, offset, 7, 118e6, time.UTC)
	r := &kgo.Record{
		Topic: "orders", Offset: int64(offset), Timestamp: at, Key: []byte(args[1]),
		Headers: []kgo.RecordHeader{{Key: client.HeaderEventID, Value: []byte("event-" + args[0])}, {Key: client.HeaderClient, Value: []byte("shop-web")}},
	}
	if len(args) == 3 {
		r.Value = []byte(args[2])
	}
	f := dlq.Failure{Refusal: refusal(r), TopicID: topic.FormatID(id), Group: "orders-process", Attempts: 1, At: at.Add(86 * time.Millisecond)}
	return cl.ProduceSync(ctx, dlq.Wrap("orders.dlq", r, f)).FirstErr()
}

func refusal(r *kgo.Record) sink.Refusal {
	_, err := client.FromRecord(r, order.NewDecoder(order.Rules{}))
	var faults order.Faults
	switch {
	case errors.As(err, &faults):
		return sink.Refusal{Class: sink.RefusedValidation, Reason: faults[0].String(), Detail: err.Error(), Faults: faults}
	case errors.Is(err, client.ErrTombstone):
		return sink.Refusal{Class: sink.RefusedTombstone, Reason: err.Error()}
	case err != nil:
		return sink.Refusal{Class: sink.RefusedKey, Reason: err.Error()}
	}
	return sink.Refusal{Class: sink.RefusedDatabase, Reason: "23514 orders_total_check", Detail: `new row for relation "orders" violates check constraint "orders_total_check"`}
}
