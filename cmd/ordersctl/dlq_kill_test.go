package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/broker"
	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// TestReplayThatIsKilled kills one in the middle and runs it again: nothing is
// left out, and what is sent twice is one event.
func TestReplayThatIsKilled(t *testing.T) {
	const letters = 600
	k := startReplays(t, letters)
	first := k.command("--rate", "600")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	k.until(func() bool { return k.records() >= letters/3 })
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err == nil {
		t.Fatal("it ended before it was killed")
	}
	half := k.records()
	if half >= letters {
		t.Fatalf("all %d were replayed before the kill", half)
	}
	again := k.command()
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sent := k.events()
	if len(sent) != letters {
		t.Errorf("%d of %d letters were replayed", len(sent), letters)
	}
	for id, n := range sent {
		if n > 2 {
			t.Errorf("event %s was sent %d times", id, n)
		}
	}
	if out, err := k.command().CombinedOutput(); err != nil || k.records() != k.total(sent) {
		t.Errorf("a third run sends more: %v\n%s", err, out)
	}
}

type replays struct {
	t      *testing.T
	addr   string
	cl     *kgo.Client
	adm    *kadm.Client
	config string
}

func startReplays(t *testing.T, letters int) *replays {
	t.Helper()
	cfg := broker.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	b, err := broker.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	kafka := client.DefaultConfig()
	kafka.Brokers = []string{b.Addr()}
	cl, err := client.Dial(t.Context(), kafka, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	k := &replays{t: t, addr: b.Addr(), cl: cl, adm: client.Admin(cl), config: t.TempDir()}
	if _, err := k.adm.CreateTopics(t.Context(), 3, 1, nil, "orders", "orders.dlq"); err != nil {
		t.Fatal(err)
	}
	id, _, err := topic.Exists(t.Context(), k.adm, "orders")
	if err != nil {
		t.Fatal(err)
	}
	var all []*kgo.Record
	for n := range letters {
		key := fmt.Sprint("ord-", n)
		r := &kgo.Record{Topic: "orders", Partition: int32(n % 3), Offset: int64(n), Timestamp: time.Now(), Key: []byte(key)}
		r.Value = fmt.Appendf(nil, `{"id":%q,"user_id":"u1","total":1,"status":"paid","timestamp":"2026-11-22T02:41:00Z"}`, key)
		all = append(all, dlq.Wrap("orders.dlq", r, dlq.Failure{
			Refusal: sink.Refusal{Class: sink.RefusedDatabase, Reason: "23514 x"}, TopicID: topic.FormatID(id), At: time.Now(),
		}))
	}
	if err := cl.ProduceSync(t.Context(), all...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return k
}

// command is "ordersctl dlq replay --execute" as a process of its own: this
// binary under that name.
func (k *replays) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(k.t.Context(), os.Args[0])
	cmd.Args = append([]string{"ordersctl", "dlq", "replay", "--execute"}, args...)
	cmd.Dir = k.config
	cmd.Env = append(os.Environ(), "ORDERSCTL_KAFKA_BROKERS="+k.addr, "HOME="+k.config, "XDG_CONFIG_HOME="+k.config, "XDG_DATA_HOME="+k.config)
	cmd.Stdout = new(bytes.Buffer)
	if len(args) == 0 {
		cmd.Stdout = nil // CombinedOutput sets it
	}
	return cmd
}

func (k *replays) until(met func() bool) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			k.t.Fatalf("after 20 s there are %d records", k.records())
		}
	}
}

// records is how many stand in orders.
func (k *replays) records() int {
	k.t.Helper()
	ends, err := k.adm.ListEndOffsets(k.t.Context(), "orders")
	if err != nil {
		k.t.Fatal(err)
	}
	n := 0
	ends.Each(func(o kadm.ListedOffset) { n += int(o.Offset) })
	return n
}

// events is how often each event stands in orders.
func (k *replays) events() map[string]int {
	k.t.Helper()
	k.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{"orders": {0: kgo.NewOffset().AtStart(), 1: kgo.NewOffset().AtStart(), 2: kgo.NewOffset().AtStart()}})
	sent := map[string]int{}
	for left := k.records(); left > 0; {
		fetches := k.cl.PollFetches(k.t.Context())
		if err := fetches.Err(); err != nil {
			k.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			sent[client.HeaderValue(r, client.HeaderEventID)]++
			left--
		})
	}
	return sent
}

func (k *replays) total(sent map[string]int) int {
	n := 0
	for _, times := range sent {
		n += times
	}
	return n
}
