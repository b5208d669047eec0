//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/sink"
)

// A thousand letters are exported, repaired and replayed; the replay is killed
// in the middle and run again. Each is applied once; those whose order has
// moved on stay where they are.
func TestLettersAreRepairedAndReplayedEachOnce(t *testing.T) {
	const letters, moved = 1000, 20
	p := startPipeline(t, letters)
	c := consume(t, p.Bootstrap(), p.url, "--dlq-breaker", "off")
	var records []*kgo.Record
	for i := range letters {
		id := fmt.Sprintf("fix-%04d", i)
		records = append(records, orderRecord(id, "Paid!", 10+i))
	}
	for i := range moved {
		records = append(records, orderRecord(fmt.Sprintf("fix-%04d", i), "shipped", 7))
	}
	if err := p.shop.cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	p.caughtUp(time.Minute)

	exported := run(t, p.Bootstrap(), "dlq", "export")
	if n := strings.Count(exported, "\n"); n != letters {
		t.Fatalf("%d lines were exported, there are %d letters", n, letters)
	}
	file := filepath.Join(t.TempDir(), "letters.ndjson")
	if err := os.WriteFile(file, bytes.ReplaceAll([]byte(exported), []byte(`"status":"Paid!"`), []byte(`"status":"paid"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	replay := []string{"dlq", "replay", "--db", p.url, "--input", file, "--execute"}
	p.killReplay(append(replay, "--rate", "400"), letters+moved+letters/3)
	out := run(t, p.Bootstrap(), replay...)
	if !strings.Contains(out, "stale") {
		t.Errorf("nothing is said of the stale ones:\n%s", out)
	}
	p.caughtUp(time.Minute)
	p.repaired(letters, moved)
	if left := run(t, p.Bootstrap(), "dlq", "list", "--db", p.url); !strings.Contains(left, fmt.Sprintf("1,000 letters: %d open, %d replayed", moved, letters-moved)) {
		t.Errorf("the letters' states:\n%s", left)
	}
	if code := c.end(); code != 0 {
		t.Errorf("process ended with %d", code)
	}
}

func orderRecord(id, status string, total int) *kgo.Record {
	return &kgo.Record{Topic: "orders", Key: []byte(id), Value: fmt.Appendf(nil,
		`{"id":%q,"user_id":"u","total":%d,"status":%q,"timestamp":"2026-11-22T14:00:00Z"}`, id, total, status)}
}

// killReplay runs a replay and kills it when the topic holds that many records.
func (p *pipeline) killReplay(args []string, records int) {
	p.t.Helper()
	cmd := command(context.WithoutCancel(p.t.Context()), p.t, p.Bootstrap(), args...)
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for written(p.t, p.Bootstrap(), "orders") < int64(records) && time.Now().Before(deadline) {
		<-tick.C
	}
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); err == nil {
		p.t.Error("the replay had ended before it was killed")
	}
}

// repaired holds the database against what the replay should come to.
func (p *pipeline) repaired(letters, moved int) {
	p.t.Helper()
	store := p.store()
	defer store.Close()
	var ids []string
	for i := range letters {
		ids = append(ids, fmt.Sprintf("fix-%04d", i))
	}
	rows, err := store.Rows(p.t.Context(), ids)
	if err != nil {
		p.t.Fatal(err)
	}
	for i, id := range ids {
		want := "paid"
		if i < moved {
			want = "shipped"
		}
		if row := rows[id]; row.Order.Status != want || row.Version != 1 {
			p.t.Errorf("%s is %q after %d events, wants %q after one", id, row.Order.Status, row.Version, want)
		}
	}
	sums, err := store.Totals(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	again := written(p.t, p.Bootstrap(), "orders") - int64(letters+moved) - int64(letters-moved) // sent by both runs
	want := sink.Totals{Orders: int64(letters), Events: int64(letters), DeadLettered: int64(letters), Duplicates: again}
	if sums != want || again < 0 {
		p.t.Errorf("the tables hold %+v, want %+v", sums, want)
	}
}
