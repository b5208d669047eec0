package send

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/broker"
	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// startKafka gives a client's configuration for a broker with topic orders.
func startKafka(t *testing.T) client.Config {
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
	return c
}

func dial(t *testing.T, cfg client.Config, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := client.Dial(t.Context(), cfg, slog.New(slog.DiscardHandler), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func newKafka(t *testing.T, cfg client.Config, receipts bool) *Kafka {
	t.Helper()
	k := NewKafka(dial(t, cfg, KafkaOpts()...), cfg, "orders", receipts)
	t.Cleanup(k.Close) // before the client's: last in, first out
	return k
}

// consume reads n records of topic orders.
func consume(t *testing.T, cfg client.Config, n int) []*kgo.Record {
	t.Helper()
	cl := dial(t, cfg, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %s", len(records), n, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// sequences makes orders whose user says which of its id's it is: n lines in
// all, among which every tenth of them-th one is bad.
func sequences(n, keys, bad int) []byte {
	var in bytes.Buffer
	for i := range n {
		fmt.Fprintf(&in, `{"id":"ord-%d","user_id":"%d","total":1,"status":"pending","timestamp":"2025-10-06T17:00:00Z"}`+"\n", i*7%keys, i)
		if bad > 0 && i%(n/bad) == 0 {
			fmt.Fprintf(&in, `{"id":"bad-%d"}`+"\n", i)
		}
	}
	return in.Bytes()
}

func TestTwentyThousandWithTenBad(t *testing.T) {
	cfg := startKafka(t)
	const n, bad = 20_000, 10
	var rejects bytes.Buffer
	src := NewReader("f", bytes.NewReader(sequences(n, 97, bad)), order.NewDecoder(order.Rules{}), &rejects)
	places := map[string]bool{}
	sum, err := Run(t.Context(), src, newKafka(t, cfg, true), Options{
		Window: KafkaWindow, Patience: time.Minute, ReportAcked: true,
		Report: func(r Receipt) {
			if r.Outcome == client.Acked {
				places[fmt.Sprintf("%s/%d@%d %s %s", r.Topic, *r.Partition, *r.Offset, r.ID, r.EventID)] = true
			}
		},
	})
	if diff := cmp.Diff(Stats{Rejected: bad, Taken: n, Acked: n}, sum.Stats); diff != "" || err != nil {
		t.Errorf("error %v, stats (-want +got):\n%s", err, diff)
	}
	if got := strings.Count(rejects.String(), `{"id":"bad-`); got != bad || strings.Count(rejects.String(), "\n") != bad {
		t.Errorf("%d rejects, want %d:\n%s", got, bad, rejects.String())
	}

	dec := order.NewDecoder(order.Rules{})
	last := map[string]int{}
	home := map[string]int32{}
	for _, r := range consume(t, cfg, n) {
		o, err := client.FromRecord(r, dec)
		if err != nil {
			t.Fatalf("%s: %s", client.Place(r), err)
		}
		if !places[client.Place(r)+" "+o.ID+" "+client.HeaderValue(r, client.HeaderEventID)] {
			t.Fatalf("%s has no receipt", client.Place(r))
		}
		var seq int
		if _, err := fmt.Sscan(o.UserID, &seq); err != nil {
			t.Fatal(err)
		}
		before, seen := last[o.ID]
		if seen && (seq <= before || home[o.ID] != r.Partition) {
			t.Fatalf("%s: order %s number %d stands behind number %d", client.Place(r), o.ID, seq, before)
		}
		last[o.ID], home[o.ID] = seq, r.Partition
	}
}

func TestTailedRecordKeepsItsEvent(t *testing.T) {
	cfg := startKafka(t)
	in := `{"topic":"x","partition":0,"offset":1,"key":"a","headers":[{"key":"event-id","value":"e-1"},{"key":"request-id","value":"r-1"},` +
		`{"key":"client","value":"shop"},{"key":"mine","value":null},{"key":"mine","value_base64":"/w=="}],"value":` + line("a") + `}`
	src := NewReader("f", strings.NewReader(in), order.NewDecoder(order.Rules{}), &bytes.Buffer{})
	sum, err := Run(t.Context(), src, newKafka(t, cfg, false), Options{Window: KafkaWindow, Patience: time.Minute})
	if err != nil || sum.Acked != 1 {
		t.Fatalf("acked %d, error %v", sum.Acked, err)
	}
	r := consume(t, cfg, 1)[0]
	var got []string
	for _, h := range r.Headers {
		text := string(h.Value)
		switch {
		case h.Key == client.HeaderRequestID && text != "r-1" && len(text) == 36:
			text = "new" // the attempt is another one
		case h.Key == client.HeaderReceivedAt && text != "":
			text = "now"
		}
		got = append(got, h.Key+"="+text)
	}
	want := []string{
		"event-id=e-1", "request-id=new", "client=shop", "mine=", "mine=\xff",
		"content-type=application/json", "schema-version=1", "received-at=now",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if string(r.Key) != "a" || string(r.Value) != line("a") {
		t.Errorf("record %s: %s", r.Key, r.Value)
	}
}
