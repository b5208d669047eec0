package dlq

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/broker"
	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// kafka is an embedded broker with the topics "orders" and "orders.dlq" of three
// partitions.
type kafka struct {
	t      *testing.T
	broker *broker.Broker
	cfg    client.Config
	cl     *kgo.Client // writes to the partition that a record names
	id     string      // of the topic orders
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
	k.cfg.DeliveryTimeout, k.cfg.RequestTimeout = 5*time.Second, time.Second
	k.cl = k.dial(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(100*365*24*time.Hour))
	adm := client.Admin(k.cl)
	if _, err := adm.CreateTopics(t.Context(), 3, 1, nil, "orders", "orders.dlq"); err != nil {
		t.Fatal(err)
	}
	id, _, err := topic.Exists(t.Context(), adm, "orders")
	if err != nil {
		t.Fatal(err)
	}
	k.id = topic.FormatID(id)
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

func (k *kafka) produce(records ...*kgo.Record) {
	k.t.Helper()
	if err := k.cl.ProduceSync(k.t.Context(), records...).FirstErr(); err != nil {
		k.t.Fatal(err)
	}
}

// record is one that stands in orders; it is not written there.
func (k *kafka) record(partition int32, offset int64, id, value string) *kgo.Record {
	r := &kgo.Record{
		Topic: "orders", Partition: partition, Offset: offset, Timestamp: at("2026-11-22T02:41:07Z"), Key: []byte(id),
		Headers: headers("event-id", fmt.Sprintf("e-%d-%d", partition, offset)),
	}
	if value != "" {
		r.Value = []byte(value)
	}
	return r
}

// bury makes a letter of r, in the partition of the same number.
func (k *kafka) bury(r *kgo.Record, class, reason string) *kgo.Record {
	letter := Wrap("orders.dlq", r, Failure{
		Refusal: sink.Refusal{Class: class, Reason: reason}, TopicID: k.id, Group: "orders-process", Attempts: 1, At: at("2026-11-22T02:41:08Z"),
	})
	letter.Partition = r.Partition
	return letter
}

func good(id string) string {
	return fmt.Sprintf(`{"id":%q,"user_id":"u1","total":1,"status":"paid","timestamp":"2026-11-22T02:41:00Z"}`, id)
}

func bad(id string) string {
	return fmt.Sprintf(`{"id":%q,"user_id":"u1","total":"1","status":"paid","timestamp":"2026-11-22T02:41:00Z"}`, id)
}

func (k *kafka) open() *Queue {
	k.t.Helper()
	q, err := OpenQueue(k.t.Context(), k.cl, "orders.dlq", order.Rules{})
	if err != nil {
		k.t.Fatal(err)
	}
	return q
}

func (k *kafka) scan(f Filter) (*Queue, *Index) {
	k.t.Helper()
	q := k.open()
	x, err := q.Scan(k.t.Context(), f)
	if err != nil {
		k.t.Fatal(err)
	}
	return q, x
}

// replay runs one over the letters that f means.
func (k *kafka) replay(ctx context.Context, f Filter, opts ReplayOptions) (*ReplayResult, []string) {
	k.t.Helper()
	f.Edits = opts.Edits
	q, x := k.scan(f)
	copts, err := ClientOptions(k.cfg, "orders.dlq")
	if err != nil {
		k.t.Fatal(err)
	}
	var mu sync.Mutex
	var said []string
	opts.Topic, opts.Patience = "orders", 15*time.Second
	opts.Tell = func(s string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, s)
	}
	cl := k.dial(copts...)
	defer cl.Close()
	r, err := NewReplayer(cl, q, opts).Run(ctx, x)
	if err != nil {
		k.t.Fatal(err)
	}
	return r, said
}

// log reads all of a topic.
func (k *kafka) log(name string) []*kgo.Record {
	k.t.Helper()
	adm := client.Admin(k.cl)
	id, _, err := topic.Exists(k.t.Context(), adm, name)
	if err != nil {
		k.t.Fatal(err)
	}
	ends, err := list(k.t.Context(), name, adm.ListEndOffsets)
	if err != nil {
		k.t.Fatal(err)
	}
	var all []*kgo.Record
	for p := range int32(len(ends)) {
		f := &fetcher{cl: k.cl, leaders: &leaders{adm: adm, topic: name}, topic: name, id: id, partition: p, end: ends[p]}
		for {
			records, err := f.batch(k.t.Context())
			if err != nil {
				k.t.Fatal(err)
			}
			if len(records) == 0 {
				break
			}
			all = append(all, records...)
		}
	}
	return all
}

// rows is a database that holds these.
type rows map[string]sink.Row

func (r rows) Rows(_ context.Context, ids []string) (map[string]sink.Row, error) {
	out := map[string]sink.Row{}
	for _, id := range ids {
		if row, ok := r[id]; ok {
			out[id] = row
		}
	}
	return out, nil
}

func purge(topic string, partition int32, before int64) kadm.Offsets {
	o := kadm.Offsets{}
	o.Add(kadm.Offset{Topic: topic, Partition: partition, At: before})
	return o
}
