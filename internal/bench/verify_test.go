package bench

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/client"
)

// kafkaWith starts a broker with the topic orders and gives a client of it.
func kafkaWith(t testing.TB, partitions int32) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	cfg := client.DefaultConfig()
	cfg.Brokers = kafka.ListenAddrs()
	cfg.Compression = "none" // the race detector looks at every byte of lz4's buffers
	cl, err := client.New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kafka, cl
}

// write puts the world's log into Kafka.
func (w *world) write(t testing.TB, cl *kgo.Client) {
	t.Helper()
	var records []*kgo.Record
	for p, list := range w.log {
		for _, r := range list {
			if r.value != nil {
				records = append(records, &kgo.Record{Topic: "orders", Partition: int32(p), Key: r.key, Value: r.value, Headers: []kgo.RecordHeader{{Key: "event-id", Value: []byte("x")}}})
			}
		}
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func offsets(topic string, partition int32, at int64) kadm.Offsets {
	all := kadm.Offsets{}
	all.Add(kadm.Offset{Topic: topic, Partition: partition, At: at})
	return all
}

func (w *world) options(mark Mark) VerifyOptions {
	return VerifyOptions{Mark: mark, Ledger: w.ledger, Source: w, Run: testRun, N: w.n, Keys: w.keys, Start: time.Now()}
}

func TestVerifyReadsTheTopicFromItsMark(t *testing.T) {
	_, cl := kafkaWith(t, 3)
	before := honest(rand.New(rand.NewPCG(9, 9)), 50, 5, 3, false)
	before.write(t, cl) // not of this run, though it bears its name: it stands before the mark
	mark, err := TakeMark(t.Context(), cl, "orders", true)
	if err != nil {
		t.Fatal(err)
	}
	w := honest(rand.New(rand.NewPCG(1, 2)), 20_000, 100, 3, false)
	want := Integrity{Expected: w.n, Acked: w.n, Records: w.n}
	w.spoil(rand.New(rand.NewPCG(3, 4)), &want)
	w.write(t, cl)
	// Twice: one reading must not count what the one before it found.
	for range 2 {
		got, err := Verify(t.Context(), cl, w.options(mark))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, onlyCounts(got)); diff != "" {
			t.Error(diff)
		}
	}
	if want.Breaches() < 5 {
		t.Errorf("only %d faults: this proves little", want.Breaches())
	}
}

func TestVerifyPassesOverWhatHoldsNoRecords(t *testing.T) {
	kafka, cl := kafkaWith(t, 1)
	mark, err := TakeMark(t.Context(), cl, "orders", true)
	if err != nil {
		t.Fatal(err)
	}
	w := honest(rand.New(rand.NewPCG(1, 2)), 100, 10, 1, false)
	w.write(t, cl)
	tx, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.TransactionalID("t"), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	// The log ends with a transaction that was aborted, and its marker.
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(t.Context(), kgo.StringRecord("aborted")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := tx.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	got, err := Verify(t.Context(), cl, w.options(mark))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Integrity{Expected: 100, Acked: 100, Records: 100}, onlyCounts(got)); diff != "" {
		t.Error(diff)
	}
}

func TestVerifyDoesNotJudgeWhatItCannotSee(t *testing.T) {
	for _, test := range []struct {
		name   string
		happen func(t *testing.T, cl *kgo.Client)
		want   string
	}{
		{"retention was faster", func(t *testing.T, cl *kgo.Client) {
			if _, err := client.Admin(cl).DeleteRecords(t.Context(), offsets("orders", 0, 5)); err != nil {
				t.Fatal(err)
			}
		}, "orders/0@0 was deleted up to offset 5 before it was read back"},
		{"the topic was made again", func(t *testing.T, cl *kgo.Client) {
			adm := client.Admin(cl)
			if _, err := adm.DeleteTopic(t.Context(), "orders"); err != nil {
				t.Fatal(err)
			}
			if _, err := adm.CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
				t.Fatal(err)
			}
		}, `topic "orders" was deleted and made again`},
		{"the topic is gone", func(t *testing.T, cl *kgo.Client) {
			if _, err := client.Admin(cl).DeleteTopic(t.Context(), "orders"); err != nil {
				t.Fatal(err)
			}
		}, `there is no topic "orders"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, cl := kafkaWith(t, 1)
			mark, err := TakeMark(t.Context(), cl, "orders", true)
			if err != nil {
				t.Fatal(err)
			}
			w := honest(rand.New(rand.NewPCG(1, 2)), 20, 10, 1, false)
			w.write(t, cl)
			test.happen(t, cl)
			got, err := Verify(t.Context(), cl, w.options(mark))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestACompactedTopicIsRefused(t *testing.T) {
	_, cl := kafkaWith(t, 1)
	compact := "compact"
	if _, err := client.Admin(cl).CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &compact}, "compacted"); err != nil {
		t.Fatal(err)
	}
	if _, err := TakeMark(t.Context(), cl, "compacted", true); err == nil || !strings.Contains(err.Error(), "is compacted") {
		t.Errorf("got %v", err)
	}
}

func TestLogAppendTimeIsSeen(t *testing.T) {
	_, cl := kafkaWith(t, 1)
	broker := "LogAppendTime"
	if _, err := client.Admin(cl).CreateTopic(t.Context(), 1, 1, map[string]*string{"message.timestamp.type": &broker}, "stamped"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"orders": false, "stamped": true} {
		if m, err := TakeMark(t.Context(), cl, name, true); err != nil || m.LogAppendTime != want {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

// An unknown order may be written late; the end of the log is taken after that.
func TestVerifyWaitsForUnknownOrders(t *testing.T) {
	t.Parallel()
	_, cl := kafkaWith(t, 1)
	mark, err := TakeMark(t.Context(), cl, "orders", true)
	if err != nil {
		t.Fatal(err)
	}
	w := honest(rand.New(rand.NewPCG(1, 2)), 10, 10, 1, false)
	w.ledger.Settle(9, client.Unknown, time.Second, -1, -1)
	late := *w.at(9)
	*w.at(9) = logged{}
	w.write(t, cl)
	opts := w.options(mark)
	opts.Settle = 2 * time.Second
	opts.Say = func(line string) {
		// It waits now: the order arrives.
		rec := &kgo.Record{Topic: "orders", Key: late.key, Value: late.value}
		if err := cl.ProduceSync(context.WithoutCancel(t.Context()), rec).FirstErr(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(line, "1 unknown orders may still be written") {
			t.Errorf("it says %q", line)
		}
	}
	got, err := Verify(t.Context(), cl, opts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Integrity{Expected: 10, Acked: 9, UnknownWritten: 1, Records: 10}, onlyCounts(got)); diff != "" {
		t.Error(diff)
	}
	if got.Settled <= 0 || got.Settled > opts.Settle {
		t.Errorf("waited %s", got.Settled)
	}

	opts.Say = func(string) { t.Error("it waits though the time has passed") }
	opts.Start = time.Now().Add(-time.Minute)
	if _, err := Verify(t.Context(), cl, opts); err != nil {
		t.Fatal(err)
	}
}

// An order that is only enqueued is acknowledged before it is in the log.
func TestVerifyWaitsForEnqueuedOrders(t *testing.T) {
	t.Parallel()
	_, cl := kafkaWith(t, 1)
	mark, err := TakeMark(t.Context(), cl, "orders", true)
	if err != nil {
		t.Fatal(err)
	}
	w := honest(rand.New(rand.NewPCG(1, 2)), 10, 10, 1, false)
	late := *w.at(9)
	*w.at(9) = logged{}
	w.write(t, cl)
	opts := w.options(mark)
	opts.Settle, opts.Enqueued = 2*time.Second, true
	opts.Say = func(line string) {
		rec := &kgo.Record{Topic: "orders", Key: late.key, Value: late.value}
		if err := cl.ProduceSync(context.WithoutCancel(t.Context()), rec).FirstErr(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(line, "0 unknown and 10 enqueued orders may still be written") {
			t.Errorf("it says %q", line)
		}
	}
	got, err := Verify(t.Context(), cl, opts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Integrity{Expected: 10, Acked: 10, Records: 10}, onlyCounts(got)); diff != "" {
		t.Error(diff)
	}
}

// One empty answer is not the end of the log.
func TestVerifyAsksTwiceForWhatIsNotThere(t *testing.T) {
	kafka, cl := kafkaWith(t, 1)
	mark, err := TakeMark(t.Context(), cl, "orders", true)
	if err != nil {
		t.Fatal(err)
	}
	w := honest(rand.New(rand.NewPCG(1, 2)), 10, 10, 1, false)
	w.write(t, cl)
	kafka.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		req := r.(*kmsg.FetchRequest) //nolint:forcetypeassert // it is of that key
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
		empty := kmsg.NewFetchResponseTopicPartition()
		empty.HighWatermark, empty.LastStableOffset = 10, 10
		topic.Partitions = append(topic.Partitions, empty)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true // this once
	})
	got, err := Verify(t.Context(), cl, w.options(mark))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Integrity{Expected: 10, Acked: 10, Records: 10}, onlyCounts(got)); diff != "" {
		t.Error(diff)
	}
}
