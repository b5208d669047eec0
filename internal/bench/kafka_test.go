package bench

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/broker"
	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// startKafka gives a client's configuration for a broker with topic orders.
func startKafka(t *testing.T) (*broker.Broker, client.Config) {
	t.Helper()
	cfg := broker.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	b, err := broker.Start(t.Context(), cfg, slog.New(slog.DiscardHandler), kfake.SeedTopics(3, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	c := client.DefaultConfig()
	c.Brokers = []string{b.Addr()}
	return b, c
}

func runKafka(t *testing.T, cfg client.Config, source Source, o Options) Measured {
	t.Helper()
	cl, err := client.New(cfg, slog.New(slog.DiscardHandler), KafkaOpts(o.Plan, o.MaxInFlight, o.Timeout)...)
	if err != nil {
		t.Fatal(err)
	}
	k := NewKafka(t.Context(), cl, "orders", source)
	t.Cleanup(func() { _ = k.Close() })
	o.Target, o.LagLimit = k, anyLag
	m, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if settled := m.Acked + m.NotWritten + m.Unknown + m.Dropped; settled != m.Scheduled {
		t.Errorf("%d scheduled, %d have an outcome: %v", m.Scheduled, settled, m.Causes)
	}
	return m
}

// check holds the topic against the ledger: each acked order where it was told
// to be, byte for byte.
func check(t *testing.T, cfg client.Config, source Source, ledger *Ledger, n uint64) {
	t.Helper()
	cl, err := client.New(cfg, slog.New(slog.DiscardHandler), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	decoder := order.NewDecoder(order.Rules{})
	for left := n; left > 0; left-- {
		records := cl.PollRecords(ctx, 1)
		if err := records.Err(); err != nil {
			t.Fatalf("%d records are missing: %s", left, err)
		}
		records.EachRecord(func(r *kgo.Record) {
			o, err := client.FromRecord(r, decoder)
			if err != nil {
				t.Fatal(err)
			}
			run, seq, ok := ParseUserID(o.UserID)
			if !ok || run != "7f3a91c2" || string(source.Append(nil, seq)) != string(r.Value) {
				t.Fatalf("record is %s", r.Value)
			}
			e := ledger.Entry(seq)
			if e.State != Acked || e.Partition != r.Partition || e.Offset != r.Offset || e.Answered < e.Sent || e.Sent == 0 {
				t.Fatalf("%s: ledger has %+v", client.Place(r), e)
			}
			if got := client.HeaderValue(r, client.HeaderClient); got != client.ClientDirect {
				t.Fatalf("client is %q", got)
			}
		})
	}
}

func TestKafka(t *testing.T) {
	for name, plan := range map[string]Plan{
		"open loop":               {Stages: []Stage{{500 * ms, 4000, 4000}}},
		"open loop, in bursts":    {Stages: []Stage{{500 * ms, 4000, 4000}}, Batch: 100},
		"closed loop":             {Concurrency: 20, Count: 2000},
		"as fast as it goes":      {Max: true, Count: 20_000},
		"small window, in bursts": {Concurrency: 5, Batch: 10, Count: 95},
	} {
		t.Run(name, func(t *testing.T) {
			_, cfg := startKafka(t)
			source := newTestSource(t, SourceOptions{Dist: Zipf, Keys: 100})
			ledger := NewLedger(0)
			m := runKafka(t, cfg, source, Options{Plan: plan, Ledger: ledger})
			want := plan.Count
			if want == 0 {
				want = 2000
			}
			if m.Acked != want || m.EndSeq != want || m.Latency.Count() != want {
				t.Fatalf("%d acked of %d: %v", m.Acked, want, m.Causes)
			}
			if w := uint64(plan.Concurrency); w > 0 && m.MaxFlying > max(w, uint64(plan.Batch)) {
				t.Errorf("%d were under way at once, want at most %d", m.MaxFlying, w)
			}
			if m.Slowest[0].Partition < 0 || m.Slowest[0].Offset < 0 {
				t.Errorf("the slowest is nowhere: %+v", m.Slowest[0])
			}
			check(t, cfg, source, ledger, want)
		})
	}
}

func TestKafkaThatRefuses(t *testing.T) {
	b, cfg := startKafka(t)
	b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Err: kerr.TopicAuthorizationFailed, Count: -1})
	ledger := NewLedger(0)
	m := runKafka(t, cfg, newTestSource(t, SourceOptions{}), Options{Plan: Plan{Stages: []Stage{{100 * ms, 100, 100}}}, Ledger: ledger})
	// The reply to an earlier attempt may have been lost: nobody can know.
	if diff := cmp.Diff(map[string]uint64{"unknown TOPIC_AUTHORIZATION_FAILED": 10}, m.Causes); diff != "" {
		t.Error(diff)
	}
	if got := states(ledger, 10); got[Unknown] != 10 {
		t.Errorf("ledger has %v", got)
	}
}

func TestKafkaThatIsGone(t *testing.T) {
	t.Parallel()
	_, cfg := startKafka(t)
	cfg.Brokers = []string{"127.0.0.1:1"}
	ledger := NewLedger(0)
	m := runKafka(t, cfg, newTestSource(t, SourceOptions{}), Options{Plan: Plan{Stages: []Stage{{100 * ms, 100, 100}}}, Ledger: ledger, Timeout: time.Second})
	if m.NotWritten+m.Unknown != 10 || m.Took > 6*time.Second {
		t.Errorf("got %v after %s", m.Causes, m.Took)
	}
	if got := states(ledger, 10); got[Open] != 0 || got[Unsent] != 0 {
		t.Errorf("ledger has %v", got)
	}
}

func TestKafkaCause(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
		ours bool
	}{
		{kgo.ErrRecordTimeout, "timeout", false},
		{kgo.ErrClientClosed, "no answer", false},
		{kgo.ErrMaxBuffered, "buffer full", true},
		{kerr.MessageTooLarge, "MESSAGE_TOO_LARGE", false},
		{errors.New("of the future"), "other", false},
	} {
		if cause, ours := kafkaCause(tt.err); cause != tt.want || ours != tt.ours {
			t.Errorf("%v: %q, %t", tt.err, cause, ours)
		}
	}
}
