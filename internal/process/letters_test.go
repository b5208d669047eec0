package process

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/twmb/franz-go/pkg/kgo"

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
	t.Parallel()
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

// A record may be larger than any batch that a topic takes: it came compressed.
func TestALargeRecordIsDeadLettered(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	cl := k.dial(kgo.ProducerBatchCompression(kgo.GzipCompression()), kgo.ProducerBatchMaxBytes(8<<20))
	big := &kgo.Record{Topic: "orders", Key: []byte("k"), Value: append([]byte(`{"id":"k"`), bytes.Repeat([]byte(" "), 3<<20)...)}
	k.send(good(0, "a", "paid"), bad(0), bad(0))
	if err := cl.ProduceSync(t.Context(), big).FirstErr(); err != nil {
		t.Fatal(err)
	}
	k.send(bad(0), good(0, "b", "paid"))
	w := k.start(f, func(o *Options) { o.BatchWait = 300 * time.Millisecond })
	until(t, "all is booked", func() bool { return f.at(0) == 6 })
	k.agrees(w.Worker, f)
	letters := k.read("orders.dlq")
	if len(letters) != 4 {
		t.Fatalf("%d letters, want 4", len(letters))
	}
	largest := 0
	for _, l := range letters {
		largest = max(largest, len(l.Value))
	}
	if largest != len(big.Value) {
		t.Errorf("the largest letter has %d bytes, want %d", largest, len(big.Value))
	}
}

// What was acknowledged is not written again when another letter fails.
func TestLettersThatAreWrittenAreNotWrittenAgain(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	noise := make([]byte, 100<<10)
	rand.NewChaCha8([32]byte{}).Read(noise)
	k.send(bad(0), &kgo.Record{Key: []byte("k"), Value: noise}, bad(0))
	limit := func(bytes string) {
		t.Helper()
		rs, err := k.adm().AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &bytes}}, "orders.dlq")
		if err != nil || rs[0].Err != nil {
			t.Fatal(err, rs)
		}
	}
	limit("20000")
	w := k.start(f)
	until(t, "it waits", func() bool { return w.paused(0) == pausedLetters && len(k.read("orders.dlq")) == 2 })
	until(t, "it says what to do", func() bool { return strings.Contains(w.log.String(), "raise max.message.bytes") })
	until(t, "it tried again", func() bool {
		for _, p := range w.Status().Partitions {
			if p.Since != nil && time.Since(*p.Since) > time.Second {
				return true
			}
		}
		return false
	})
	limit("200000")
	until(t, "all is booked", func() bool { return f.at(0) == 3 && w.paused(0) == "" })
	if n := len(k.read("orders.dlq")); n != 3 {
		t.Errorf("%d letters, want 3", n)
	}
}

func TestADeadLetterTopicThatWasMadeAnewIsGoneOnWith(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 1)
	f := newFold()
	k.send(bad(0))
	w := k.start(f)
	until(t, "the first letter is written", func() bool { return f.at(0) == 1 })
	if _, err := k.adm().DeleteTopics(t.Context(), "orders.dlq"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.adm().CreateTopic(t.Context(), 1, 1, nil, "orders.dlq"); err != nil {
		t.Fatal(err)
	}
	k.send(bad(0), good(0, "a", "paid"))
	until(t, "it goes on", func() bool { return f.at(0) == 3 })
	if !strings.Contains(w.log.String(), "the dead letter topic was deleted and made anew") {
		t.Error("nothing was said of it")
	}
}
