// Command loop is what bench/generator/kafka holds "ordersctl bench --to kafka" against: the least that makes the same
// records of the same orders and hands them to the same client library with the same settings. It keeps no ledger,
// measures no latency and counts nothing but acknowledgements, so the difference is what those cost.
//
// It prints one line: RESULT, orders acknowledged, microseconds.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/bench"
	"github.com/ordersctl/ordersctl/internal/client"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) } //nolint:forbidigo // a program of its own

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("loop", flag.ContinueOnError)
	flags.SetOutput(stderr)
	cfg := client.DefaultConfig()
	brokers := flags.String("brokers", "localhost:9092", "Kafka brokers, comma separated")
	topic := flags.String("topic", "orders", "topic")
	n := flags.Uint64("n", 1_000_000, "orders")
	if flags.Parse(args) != nil {
		return 2
	}
	cfg.Brokers = strings.Split(*brokers, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) //nolint:forbidigo // as above
	defer stop()
	acked, took, err := loop(ctx, cfg, *topic, *n)
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	fmt.Fprintln(stdout, "RESULT", acked, took.Microseconds())
	return 0
}

func loop(ctx context.Context, cfg client.Config, topic string, n uint64) (acked uint64, took time.Duration, err error) {
	source, err := bench.NewSource(bench.SourceOptions{Seed: uint64(time.Now().UnixNano()), Run: "loop", Keys: 10_000, Dist: bench.Uniform})
	if err != nil {
		return 0, 0, err
	}
	kafka, err := client.Dial(ctx, cfg, slog.New(slog.DiscardHandler), bench.KafkaOpts(bench.Plan{Max: true}, 0, 0)...)
	if err != nil {
		return 0, 0, err
	}
	defer kafka.Close()
	var good atomic.Uint64
	promise := func(_ *kgo.Record, err error) {
		if err == nil {
			good.Add(1)
		}
	}
	rec := client.NewRecorder(topic)
	start := time.Now()
	for seq := uint64(0); seq < n && ctx.Err() == nil; seq++ {
		b := new(client.Blank)
		empty := b.Value()
		filled := source.Append(empty, seq)
		id := filled[len(empty)+len(`{"id":"`):]
		id = id[:bytes.IndexByte(id, '"')]
		kafka.Produce(ctx, rec.Fill(b, filled, id, client.ClientDirect, time.Now().Truncate(time.Millisecond)), promise)
	}
	if err := kafka.Flush(ctx); err != nil {
		return 0, 0, fmt.Errorf("flush: %w", err)
	}
	if good.Load() != n {
		return 0, 0, fmt.Errorf("%d of %d orders were acknowledged", good.Load(), n)
	}
	return n, time.Since(start), nil
}
