package topic

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// newKafka starts an in-memory cluster of n brokers.
func newKafka(t *testing.T, n int) (*kfake.Cluster, *kgo.Client, *kadm.Client) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return c, cl, kadm.NewClient(cl)
}

func mustCreate(t *testing.T, adm *kadm.Client, spec Spec) {
	t.Helper()
	if err := Create(t.Context(), adm, spec); err != nil {
		t.Fatal(err)
	}
}

// produce writes as many records to each partition as counts says, a second
// apart from start on.
func produce(t *testing.T, cl *kgo.Client, topic string, start time.Time, counts ...int) {
	t.Helper()
	for p, n := range counts {
		for i := range n {
			r := &kgo.Record{Topic: topic, Partition: int32(p), Value: fmt.Append(nil, i), Timestamp: start.Add(time.Duration(i) * time.Second)}
			if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func commit(t *testing.T, adm *kadm.Client, group, topic string, at map[int32]int64) {
	t.Helper()
	os := kadm.Offsets{}
	for p, o := range at {
		os.AddOffset(topic, p, o, -1)
	}
	if err := adm.CommitAllOffsets(t.Context(), group, os); err != nil {
		t.Fatal(err)
	}
}

func ptr[T any](v T) *T { return &v }
