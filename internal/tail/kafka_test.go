package tail

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/broker"
	"github.com/ordersctl/ordersctl/internal/client"
)

// kafka is an embedded broker with a topic "orders" of three partitions.
type kafka struct {
	t      *testing.T
	broker *broker.Broker
	cfg    client.Config
	cl     *kgo.Client
}

func startKafka(t *testing.T) *kafka {
	t.Helper()
	cfg := broker.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	b, err := broker.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	k := &kafka{t: t, broker: b, cfg: client.DefaultConfig()}
	k.cfg.Brokers = []string{b.Addr()}
	// The delivery timeout counts from a record's timestamp, and ours are old.
	k.cl = k.dial(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(100*365*24*time.Hour))
	k.create("orders", 3)
	return k
}

func (k *kafka) dial(opts ...kgo.Opt) *kgo.Client {
	k.t.Helper()
	cl, err := client.Dial(k.t.Context(), k.cfg, slog.New(slog.DiscardHandler), opts...)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(cl.Close)
	return cl
}

func (k *kafka) create(name string, partitions int32) {
	k.t.Helper()
	if _, err := client.Admin(k.cl).CreateTopic(k.t.Context(), partitions, 1, nil, name); err != nil {
		k.t.Fatal(err)
	}
}

// put writes a record whose value is its key, stamped so many seconds after the
// beginning.
func (k *kafka) put(partition int32, key string, second int) {
	k.t.Helper()
	k.produce(&kgo.Record{
		Topic: "orders", Partition: partition, Key: []byte(key), Value: []byte(key),
		Timestamp: at("2026-11-22T14:00:00Z").Add(time.Duration(second) * time.Second),
	})
}

func (k *kafka) produce(r *kgo.Record) {
	k.t.Helper()
	if err := k.cl.ProduceSync(k.t.Context(), r).FirstErr(); err != nil {
		k.t.Fatal(err)
	}
}

// run tails to its own end.
func (k *kafka) run(opts Options) (string, error) {
	k.t.Helper()
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(k.t.Context(), 20*time.Second)
	defer cancel()
	r := k.tail(opts)
	err := r.Run(ctx, r.cl, &out)
	r.cl.Close() // leaves the group
	if ctx.Err() != nil {
		k.t.Fatalf("it does not end; so far: %s", out.String())
	}
	return strings.TrimSpace(strings.ReplaceAll(out.String(), "\n", " ")), err
}

type reading struct {
	*Tail
	cl *kgo.Client
}

func (k *kafka) tail(opts Options) *reading {
	k.t.Helper()
	opts.Kafka = k.cfg
	if opts.Topic == "" {
		opts.Topic = "orders"
	}
	if opts.Format.Layout == "" {
		opts.Format.Layout = Value
	}
	t, err := New(opts)
	if err != nil {
		k.t.Fatal(err)
	}
	return &reading{t, k.dial(t.ClientOptions()...)}
}

func ranged(t *testing.T, s string) Range {
	t.Helper()
	r, err := ParseRange(s, at("2026-11-22T14:00:00Z"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// transact writes records in a transaction and ends it.
func (k *kafka) transact(commit kgo.TransactionEndTry, keys ...string) {
	k.t.Helper()
	cl := k.dial(kgo.TransactionalID("test"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		k.t.Fatal(err)
	}
	for _, key := range keys {
		if err := cl.ProduceSync(k.t.Context(), &kgo.Record{Topic: "orders", Key: []byte(key), Value: []byte(key)}).FirstErr(); err != nil {
			k.t.Fatal(err)
		}
	}
	if err := cl.EndTransaction(k.t.Context(), commit); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kafka) committed(group string) map[int32]int64 {
	k.t.Helper()
	offsets, err := client.Admin(k.cl).FetchOffsets(k.t.Context(), group)
	if err != nil {
		k.t.Fatal(err)
	}
	got := map[int32]int64{}
	offsets.Each(func(o kadm.OffsetResponse) { got[o.Partition] = o.At })
	return got
}

// following is a reading in the background.
type following struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	out    bytes.Buffer // guarded by mu
	talk   []string     // guarded by mu
	broken error        // guarded by mu: what writes return
}

func (f *following) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return 0, f.broken
	}
	return f.out.Write(b)
}

func (f *following) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.TrimSpace(strings.ReplaceAll(f.out.String(), "\n", " "))
}

func (f *following) wait(want string) {
	f.t.Helper()
	f.until(func() bool { return f.text() == want }, func() string { return fmt.Sprintf("printed %q, wants %q", f.text(), want) })
}

func (f *following) heard(text string) {
	f.t.Helper()
	f.until(func() bool { return strings.Contains(f.said(), text) }, func() string { return fmt.Sprintf("said %q, wants %q", f.said(), text) })
}

func (f *following) said() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.talk, "\n")
}

func (f *following) until(ok func() bool, why func() string) {
	f.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatal(why())
		}
	}
}

func (f *following) stop() error {
	f.cancel()
	return <-f.done
}

// follow starts reading and waits until it has printed what is there.
func (k *kafka) follow(opts Options, there string) *following {
	k.t.Helper()
	ctx, cancel := context.WithCancel(k.t.Context())
	f := &following{t: k.t, cancel: cancel, done: make(chan error, 1)}
	talk := func(s string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.talk = append(f.talk, s)
	}
	opts.Talk = talk
	if opts.Group == "" {
		opts.Status = talk
	}
	r := k.tail(opts)
	go func() { f.done <- r.Run(ctx, r.cl, f) }()
	if opts.Status != nil {
		f.heard("end of the log, following")
	}
	f.wait(there)
	return f
}
