// Command process measures what "ordersctl process" costs beside its sink; bench/process/run says how.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/heap"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/process"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

const batch = 1000 // records

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) } //nolint:forbidigo // a program of its own

type options struct {
	repeats, batches, partitions int
	brokers, db                  string
}

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("process", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.repeats, "repeats", 5, "how often both are measured")
	flags.IntVar(&o.batches, "batches", 60, "batches of 1000 for each partition")
	flags.IntVar(&o.partitions, "partitions", 3, "partitions, each with a worker")
	flags.StringVar(&o.brokers, "brokers", "", "Kafka; topics are made and deleted")
	flags.StringVar(&o.db, "db", "", "database; its tables are filled")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) //nolint:forbidigo // a program of its own
	defer stop()
	if err := measure(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}

func measure(ctx context.Context, o options, out io.Writer) error {
	defer heap.Raise()() // as the command does
	cfg := client.DefaultConfig()
	cfg.Brokers = []string{o.brokers}
	db := sink.DefaultConfig()
	db.URL = sink.URL(o.db)
	log := slog.New(slog.DiscardHandler)
	store, err := process.OpenStore(ctx, process.MigrateAuto, db, log)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // what was measured is measured
	cl, err := client.Dial(ctx, cfg, log, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	b := &bench{options: o, cfg: cfg, log: log, store: store, cl: cl, adm: client.Admin(cl)}
	var alone, whole []float64
	for round := range o.repeats + 1 {
		both := []func() error{
			func() error {
				rate, err := b.sinkAlone(ctx, round)
				alone = append(alone, rate)
				return err
			},
			func() error {
				rate, err := b.wholeProcess(ctx, round)
				whole = append(whole, rate)
				return err
			},
		}
		// Each is the first once: the tables grow.
		for i := range both {
			if err := both[(round+i)%len(both)](); err != nil {
				return err
			}
		}
		if round == 0 { // the broker compiles what it runs, the tables are empty
			alone, whole = nil, nil
		}
	}
	fmt.Fprintf(out, "%d partitions, %d records each\n", o.partitions, o.batches*batch)
	fmt.Fprintf(out, "  sink alone  %8.0f orders/s   (%.0f to %.0f)\n", median(alone), slices.Min(alone), slices.Max(alone))
	fmt.Fprintf(out, "  process     %8.0f orders/s   (%.0f to %.0f)   %.3f of it\n", median(whole), slices.Min(whole), slices.Max(whole), median(whole)/median(alone))
	return nil
}

type bench struct {
	options

	cfg   client.Config
	log   *slog.Logger
	store sink.Store
	cl    *kgo.Client
	adm   *kadm.Client
}

// orders are those of a round and a partition, all new.
func orders(name string, round, partition, n int) []order.Order {
	list := make([]order.Order, n)
	gen := order.NewGenerator(order.GeneratorOptions{Seed: uint64(round), Start: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)})
	for i := range list {
		list[i] = gen.Next()
		list[i].ID = fmt.Sprintf("%s-%d-%d-%d-%d", name, os.Getpid(), round, partition, i)
	}
	return list
}

// sinkAlone writes what is decoded already.
func (b *bench) sinkAlone(ctx context.Context, round int) (float64, error) {
	id := fmt.Sprintf("bench-sink-%010d-%d", os.Getpid(), round)
	claim := sink.Claim{Group: id, Topic: id, TopicID: id, Start: map[int32]int64{}}
	work, received := make([][]*sink.Batch, b.partitions), time.Now()
	for p := range work {
		claim.Start[int32(p)] = 0
		list := orders("sink", round, p, b.batches*batch)
		for from := 0; from < len(list); from += batch {
			w := &sink.Batch{Group: id, Topic: id, TopicID: id, Partition: int32(p), First: int64(from), Next: int64(from + batch)}
			for i := range list[from : from+batch] {
				o := list[from+i]
				w.Entries = append(w.Entries, sink.Entry{
					Offset: int64(from + i), Order: o, EventID: client.NewID(), Hash: sha256.Sum256(order.Append(nil, &o)),
					Received: received, // as process has it from the record's header: the rows are to be the same
				})
			}
			work[p] = append(work[p], w)
		}
	}
	if _, err := b.store.Claim(ctx, claim); err != nil {
		return 0, fmt.Errorf("sink: %w", err)
	}
	errs := make([]error, b.partitions)
	var wg sync.WaitGroup
	start := time.Now()
	for p, batches := range work {
		wg.Go(func() {
			for _, w := range batches {
				if _, err := b.store.Write(ctx, w); err != nil {
					errs[p] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return b.rate(start), errors.Join(errs...)
}

func (b *bench) rate(start time.Time) float64 {
	return float64(b.partitions*b.batches*batch) / time.Since(start).Seconds()
}

// wholeProcess is measured from the assignment's first offset to the last
// COMMIT.
func (b *bench) wholeProcess(ctx context.Context, round int) (float64, error) {
	name := fmt.Sprintf("bench-process-%d-%d", os.Getpid(), round)
	for _, t := range []string{name, name + ".dlq"} {
		if err := topic.Create(ctx, b.adm, topic.Spec{Name: t, Partitions: b.partitions, Replicas: 1}); err != nil {
			return 0, err
		}
	}
	defer b.adm.DeleteTopics(ctx, name, name+".dlq") //nolint:errcheck // the next round has others
	if err := b.fill(ctx, name, round); err != nil {
		return 0, err
	}
	cfg := process.DefaultConfig()
	cfg.Group = name
	counting := &counting{Store: b.store, want: b.partitions * b.batches * batch, all: make(chan struct{})}
	w, err := process.New(ctx, process.Options{
		Config: cfg, Kafka: b.cfg, Topic: name, DLQTopic: name + ".dlq", Store: counting, Registry: prometheus.NewRegistry(), Log: b.log,
	})
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	select {
	case <-counting.all:
	case err := <-ended:
		return 0, errors.Join(errors.New("it ended early"), err)
	}
	rate := b.rate(counting.first)
	stop()
	return rate, <-ended
}

func (b *bench) fill(ctx context.Context, name string, round int) error {
	recorder := client.NewRecorder(name)
	for p := range b.partitions {
		list := orders("process", round, p, b.batches*batch)
		records := make([]*kgo.Record, len(list))
		for i := range list {
			records[i] = recorder.New(&list[i], "bench", time.Now())
			records[i].Partition = int32(p)
		}
		if err := b.cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

// counting tells when all is written.
type counting struct {
	sink.Store

	want  int
	all   chan struct{}
	mu    sync.Mutex
	first time.Time // guarded by mu: of the claim
	have  int       // guarded by mu
}

func (c *counting) Claim(ctx context.Context, claim sink.Claim) (map[int32]int64, error) {
	next, err := c.Store.Claim(ctx, claim)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first.IsZero() {
		c.first = time.Now()
	}
	return next, err
}

func (c *counting) Write(ctx context.Context, b *sink.Batch) (sink.Written, error) {
	w, err := c.Store.Write(ctx, b)
	if err != nil {
		return w, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.have += len(b.Entries); c.have == c.want {
		close(c.all)
	}
	return w, nil
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
