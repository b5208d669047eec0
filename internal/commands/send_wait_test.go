package commands

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/send"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// idlePipeline is a broker, a database with its tables, and a member of the
// group that applies nothing.
type idlePipeline struct {
	t       *testing.T
	environ []string
	store   sink.Store
	claim   sink.Claim
}

func newIdlePipeline(t *testing.T) *idlePipeline {
	t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	cfg := sink.DefaultConfig()
	cfg.URL = sink.URL(filepath.Join(t.TempDir(), "orders.db"))
	if _, _, err := sink.Migrate(t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	store, err := sink.Open(t.Context(), cfg, sink.OpenOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	assigned := make(chan struct{}, 1)
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.ConsumerGroup("orders-process"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { assigned <- struct{}{} }),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	select {
	case <-assigned:
	case <-time.After(20 * time.Second):
		t.Fatal("no partitions after 20 s")
	}
	id, _, err := topic.Exists(t.Context(), client.Admin(cl), "orders")
	if err != nil {
		t.Fatal(err)
	}
	return &idlePipeline{
		t: t, store: store,
		environ: []string{"ORDERSCTL_KAFKA_BROKERS=" + kafka.ListenAddrs()[0], "ORDERSCTL_DB_URL=" + string(cfg.URL)},
		claim:   sink.Claim{Group: "orders-process", Topic: "orders", TopicID: topic.FormatID(id), Start: map[int32]int64{0: 0}},
	}
}

func (p *idlePipeline) run(ctx context.Context, args ...string) (code int, out, talk string) {
	var stdout, stderr bytes.Buffer
	app := &App{
		IO:      IO{In: strings.NewReader(""), Out: &stdout, Err: &stderr},
		Sources: config.Sources{Environ: p.environ, WorkDir: p.t.TempDir()},
	}
	code = Run(ctx, app, args)
	return code, stdout.String(), stderr.String()
}

func (p *idlePipeline) passed(next int64) {
	p.t.Helper()
	if err := p.store.Seek(p.t.Context(), p.claim, map[int32]int64{0: next}); err != nil {
		p.t.Fatal(err)
	}
}

func TestSendWaitsForTheDatabase(t *testing.T) {
	p := newIdlePipeline(t)
	code, _, talk := p.run(t.Context(), "send", "--count", "5", "--wait", "db=50ms")
	if code != exitFailed || !strings.Contains(talk, "FAIL  5 orders acknowledged, 5 not processed after ") ||
		!strings.Contains(talk, "(the database has no offsets of group orders-process in this topic orders)") {
		t.Errorf("exit code %d, %q", code, talk)
	}
	p.passed(7)
	code, _, talk = p.run(t.Context(), "send", "--count", "5", "--wait", "db=50ms")
	if code != exitFailed || !strings.Contains(talk, "FAIL  5 orders acknowledged, 3 not processed after ") || strings.Contains(talk, "(the database") {
		t.Errorf("two of them were passed: exit code %d, %q", code, talk)
	}
	p.passed(15)
	code, _, talk = p.run(t.Context(), "send", "--count", "5", "--wait", "db")
	if code != exitOK || !strings.Contains(talk, "ok    5 orders acknowledged, processed ") {
		t.Errorf("exit code %d, %q", code, talk)
	}
}

func TestOffsetsOfAnotherTopicOfThatNameDoNotCount(t *testing.T) {
	p := newIdlePipeline(t)
	p.claim.TopicID = "AAAAAAAAAAAAAAAAAAAAAA"
	p.passed(1000)
	code, _, talk := p.run(t.Context(), "send", "--count", "5", "--wait", "db=50ms")
	if code != exitFailed || !strings.Contains(talk, "5 not processed") {
		t.Errorf("exit code %d, %q", code, talk)
	}
}

func TestWaitingEndsWithCtrlC(t *testing.T) {
	p := newIdlePipeline(t)
	ctx, interrupt := context.WithTimeout(t.Context(), 2*time.Second)
	defer interrupt()
	code, out, talk := p.run(ctx, "send", "--total", "1.5", "--wait", "db")
	if code != exitInterrupted || !strings.HasPrefix(out, "ord-") || !strings.Contains(talk, "warn  1 order acknowledged, 1 not processed after ") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out, talk)
	}
}

func TestOrdersWithoutAPlaceCannotBeWaitedFor(t *testing.T) {
	w := &sendWait{}
	w.saw(send.Receipt{Outcome: client.NotWritten})
	if w.failed() {
		t.Error("what was not acknowledged is not waited for")
	}
	w.saw(send.Receipt{Outcome: client.Acked, Enqueued: true})
	if got, want := w.verdict(), "1 not waited for: the server did not tell their places"; got != want || !w.failed() {
		t.Errorf("got %q, want %q", got, want)
	}
}
