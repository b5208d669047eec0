package process

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// kafka is a broker with the topics orders and orders.dlq.
type kafka struct {
	t       *testing.T
	cluster *kfake.Cluster
	cfg     client.Config
	cl      *kgo.Client
}

func startKafka(t *testing.T, partitions int, opts ...kfake.Opt) *kafka {
	t.Helper()
	opts = append(opts, kfake.NumBrokers(1), kfake.SeedTopics(int32(partitions), "orders", "orders.dlq"), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	k := &kafka{t: t, cluster: c, cfg: client.DefaultConfig()}
	k.cfg.Brokers = c.ListenAddrs()
	k.cfg.Linger = 0
	k.cl = k.dial(kgo.RecordPartitioner(kgo.ManualPartitioner()))
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

func (k *kafka) adm() *kadm.Client { return client.Admin(k.cl) }

// send writes records and gives them with their offsets.
func (k *kafka) send(records ...*kgo.Record) []*kgo.Record {
	k.t.Helper()
	for _, r := range records {
		r.Topic = "orders"
	}
	if err := k.cl.ProduceSync(k.t.Context(), records...).FirstErr(); err != nil {
		k.t.Fatal(err)
	}
	return records
}

// good is an event of an order in a partition.
func good(partition int32, id, status string) *kgo.Record {
	return &kgo.Record{Partition: partition, Key: []byte(id), Value: []byte(value(id, status)), Headers: []kgo.RecordHeader{
		{Key: client.HeaderReceivedAt, Value: []byte(time.Now().UTC().Format(time.RFC3339Nano))},
	}}
}

func value(id, status string) string {
	return fmt.Sprintf(`{"id":%q,"user_id":"u1","total":10.5,"status":%q,"timestamp":"2026-11-22T14:00:00Z"}`, id, status)
}

func named(r *kgo.Record, event string) *kgo.Record {
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: client.HeaderEventID, Value: []byte(event)})
	return r
}

// bad is a record that is no order.
func bad(partition int32) *kgo.Record {
	return &kgo.Record{Partition: partition, Key: []byte("k"), Value: []byte(`{"id":"k"`)}
}

func many(n int, of func(i int) *kgo.Record) []*kgo.Record {
	list := make([]*kgo.Record, n)
	for i := range list {
		list[i] = of(i)
	}
	return list
}

// read is everything in a topic, in the order of partitions and offsets.
func (k *kafka) read(name string) []*kgo.Record {
	k.t.Helper()
	ends, err := k.adm().ListEndOffsets(k.t.Context(), name)
	if err != nil {
		k.t.Fatal(err)
	}
	want := map[int32]int64{}
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			want[o.Partition], from[o.Partition] = o.Offset, kgo.NewOffset().AtStart()
		}
	})
	if len(want) == 0 {
		return nil
	}
	cl := k.dial(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: from}), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(k.t.Context(), 20*time.Second)
	defer cancel()
	var got []*kgo.Record
	for len(want) > 0 && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			got = append(got, r)
			if r.Offset+1 == want[r.Partition] {
				delete(want, r.Partition)
			}
		})
	}
	return got
}

// commits tells whether the record at an offset of partition 0 is the marker of
// a transaction that was committed.
func (k *kafka) commits(offset int64) bool {
	k.t.Helper()
	at := map[string]map[int32]kgo.Offset{"orders": {0: kgo.NewOffset().At(offset)}}
	cl := k.dial(kgo.ConsumePartitions(at), kgo.KeepControlRecords())
	defer cl.Close()
	ctx, cancel := context.WithTimeout(k.t.Context(), 20*time.Second)
	defer cancel()
	fetches := cl.PollRecords(ctx, 1)
	records := fetches.Records()
	if len(records) != 1 || records[0].Offset != offset || !records[0].Attrs.IsControl() || len(records[0].Key) != 4 {
		k.t.Fatalf("at offset %d stands %v, %v", offset, records, fetches.Err())
	}
	return records[0].Key[3] == 1 // https://kafka.apache.org/documentation/#controlbatch
}

// straight is the fold of the whole log, partition by partition: right where
// events are not shared between partitions.
func (k *kafka) straight(w *Worker) (map[string]row, map[sink.Place]booking) {
	k.t.Helper()
	f := newFold()
	t := &transaction{f, f.events, f.places, f.rows}
	for _, r := range k.read("orders") {
		if r.Attrs.IsControl() {
			continue
		}
		t.apply(&sink.Batch{TopicID: w.info.ID, Partition: r.Partition}, &decode([]*kgo.Record{r}, w.decoder, w.info.ID)[0])
	}
	return f.rows, f.places
}

// running is a Worker at work.
type running struct {
	*Worker

	t    *testing.T
	reg  *prometheus.Registry
	stop context.CancelFunc
	done chan error
	log  *lines
	over bool
	err  error
}

type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (k *kafka) options(store sink.Store) Options {
	c := DefaultConfig()
	c.BatchWait, c.DrainTimeout = time.Millisecond, 5*time.Second
	return Options{Config: c, Kafka: k.cfg, Topic: "orders", DLQTopic: "orders.dlq", Store: store, Registry: prometheus.NewRegistry()}
}

func (k *kafka) start(store sink.Store, change ...func(*Options)) *running {
	k.t.Helper()
	opts, log := k.options(store), &lines{}
	opts.Log = slog.New(slog.NewTextHandler(log, nil))
	for _, c := range change {
		c(&opts)
	}
	w, err := New(k.t.Context(), opts)
	if err != nil {
		k.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Worker: w, t: k.t, reg: opts.Registry, stop: stop, done: make(chan error, 1), log: log}
	go func() { r.done <- w.Run(ctx) }()
	k.t.Cleanup(func() {
		stop()
		r.wait()
		if k.t.Failed() {
			k.t.Log(log.String())
		}
	})
	return r
}

// wait is for the end.
func (r *running) wait() error {
	r.t.Helper()
	if r.over {
		return r.err
	}
	select {
	case r.err = <-r.done:
		r.over = true
	case <-time.After(30 * time.Second):
		r.t.Fatalf("it does not end:\n%s", r.log)
	}
	return r.err
}

func (r *running) end() {
	r.t.Helper()
	r.stop()
	if err := r.wait(); err != nil {
		r.t.Errorf("it ended with %v", err)
	}
}

// until polls for what has to become true.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("not in 30 s: %s", what)
		}
		<-tick.C
	}
}

func (r *running) paused(partition int32) string {
	for _, p := range r.Status().Partitions {
		if p.Partition == partition {
			return p.Reason
		}
	}
	return ""
}

// metric is a sample as the exposition writes it, "" where there is none.
func (r *running) metric(name string) string {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			full := f.GetName()
			if len(labels) > 0 {
				full += "{" + strings.Join(labels, ",") + "}"
			}
			if full != name {
				continue
			}
			switch {
			case m.GetCounter() != nil:
				return fmt.Sprint(m.GetCounter().GetValue())
			case m.GetGauge() != nil:
				return fmt.Sprint(m.GetGauge().GetValue())
			}
			return fmt.Sprint(m.GetHistogram().GetSampleCount())
		}
	}
	return ""
}

func (k *kafka) topicID(name string) string {
	k.t.Helper()
	id, _, err := topic.Exists(k.t.Context(), k.adm(), name)
	if err != nil {
		k.t.Fatal(err)
	}
	return topic.FormatID(id)
}
