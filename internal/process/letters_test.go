package process

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/sink"
)

// file is a SQLite database with the tables in it.
func file(t *testing.T) (sink.Store, sink.Config) {
	t.Helper()
	cfg := sink.DefaultConfig()
	cfg.URL = sink.URL(filepath.Join(t.TempDir(), "orders.db"))
	if _, _, err := sink.Migrate(t.Context(), cfg, discard()); err != nil {
		t.Fatal(err)
	}
	s, err := sink.Open(t.Context(), cfg, sink.OpenOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, cfg
}

// nextIn is where a partition stands in the database, -1 where it does not.
func nextIn(t *testing.T, s sink.Store, partition int32) int64 {
	t.Helper()
	list, err := s.Committed(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.Partition == partition {
			return c.Next
		}
	}
	return -1
}

// The database is not held while dead letters are waited for.
func TestADeadLetterTopicThatDoesNotAnswerHoldsItsPartitionAlone(t *testing.T) {
	k := startKafka(t, 2)
	s, _ := file(t)
	w := k.start(s)
	k.send(good(0, "a", "paid"), good(1, "b", "paid"))
	until(t, "both run", func() bool { return nextIn(t, s, 0) == 1 && nextIn(t, s, 1) == 1 })
	k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders.dlq", Err: kerr.NotLeaderForPartition, Count: -1})
	k.send(bad(0))
	until(t, "the letter is under way", func() bool { return w.kafka.BufferedProduceRecords() == 1 })
	start := time.Now()
	for i := range int64(3) {
		k.send(good(1, "b", "paid"))
		until(t, "the other partition goes on", func() bool { return nextIn(t, s, 1) == 2+i })
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("three orders of the other partition took %s", took)
	}
	if at := nextIn(t, s, 0); at != 1 {
		t.Errorf("it stands at %d, the letter was not written", at)
	}
}
