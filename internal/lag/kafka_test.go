package lag_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// kafka is an in-memory cluster with the topic orders.
type kafka struct {
	t *testing.T
	*kgo.Client
	adm     *kadm.Client
	cluster *kfake.Cluster
}

func newKafka(t *testing.T, partitions int32) *kafka {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &kafka{t, cl, kadm.NewClient(cl), c}
}

// produce writes n records to a partition, a second apart from at on.
func (k *kafka) produce(partition int32, n int, at time.Time) {
	k.t.Helper()
	for i := range n {
		r := &kgo.Record{Topic: "orders", Partition: partition, Value: []byte("x"), Timestamp: at.Add(time.Duration(i) * time.Second)}
		if err := k.ProduceSync(k.t.Context(), r).FirstErr(); err != nil {
			k.t.Fatal(err)
		}
	}
}

func (k *kafka) commit(group string, offsets map[int32]int64) {
	k.t.Helper()
	os := kadm.Offsets{}
	for p, o := range offsets {
		os.AddOffset("orders", p, o, -1)
	}
	if err := k.adm.CommitAllOffsets(k.t.Context(), group, os); err != nil {
		k.t.Fatal(err)
	}
}

// join makes a member of the group and waits until it has its partitions.
func (k *kafka) join(group string) {
	k.t.Helper()
	assigned := make(chan struct{}, 1)
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(k.cluster.ListenAddrs()...), kgo.ClientID("ordersctl"), kgo.ConsumerGroup(group), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			if len(m) > 0 {
				assigned <- struct{}{}
			}
		}),
	)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(cl.Close)
	select {
	case <-assigned:
	case <-time.After(20 * time.Second):
		k.t.Fatal("no partitions after 20 s")
	}
}

func (k *kafka) topicID() string {
	k.t.Helper()
	l, err := lag.Take(k.t.Context(), k.adm, lag.Options{Group: "g", Topic: "orders"})
	if err != nil {
		k.t.Fatal(err)
	}
	return l.Logs.ID
}

// database is the table consumer_offsets.
type database struct {
	rows []sink.Committed
	err  error
}

func (d *database) Committed(_ context.Context, group string) ([]sink.Committed, error) {
	var of []sink.Committed
	for _, r := range d.rows {
		if r.Group == group {
			of = append(of, r)
		}
	}
	return of, d.err
}

func (d *database) Seek(_ context.Context, c sink.Claim, next map[int32]int64) error {
	if d.err != nil {
		return d.err
	}
	rest := map[int32]int64{}
	maps.Copy(rest, next)
	for i, r := range d.rows {
		if n, ok := rest[r.Partition]; ok && r.Group == c.Group && r.TopicID == c.TopicID {
			d.rows[i].Next = n
			delete(rest, r.Partition)
		}
	}
	for p, n := range rest {
		d.rows = append(d.rows, sink.Committed{Group: c.Group, Topic: c.Topic, TopicID: c.TopicID, Partition: p, Next: n})
	}
	return nil
}

func rows(group, id string, next ...int64) *database {
	d := &database{}
	for p, n := range next {
		d.rows = append(d.rows, sink.Committed{Group: group, Topic: "orders", TopicID: id, Partition: int32(p), Next: n})
	}
	return d
}

func ptr[T any](v T) *T { return &v }

var (
	noon    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	errGone = errors.New("connection refused")
)
