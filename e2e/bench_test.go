//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ordersctl/ordersctl/e2e/kafka"
)

// benchResult is what these tests read of a result.
type benchResult struct {
	Verdict struct {
		Word     string   `json:"word"`
		Reasons  []string `json:"reasons"`
		ExitCode int      `json:"exit_code"`
	} `json:"verdict"`
	Orders struct {
		Scheduled  uint64 `json:"scheduled"`
		Acked      uint64 `json:"acked"`
		NotWritten uint64 `json:"not_written"`
		Unknown    uint64 `json:"unknown"`
	} `json:"orders"`
	Integrity *struct {
		Acked           uint64 `json:"acked"`
		UnknownWritten  uint64 `json:"unknown_written"`
		UnknownAbsent   uint64 `json:"unknown_absent"`
		Lost            uint64 `json:"lost"`
		Duplicated      uint64 `json:"duplicated"`
		Reordered       uint64 `json:"reordered"`
		Corrupted       uint64 `json:"corrupted"`
		NotWrittenFound uint64 `json:"not_written_found"`
		Others          uint64 `json:"others"`
		Records         uint64 `json:"records"`
	} `json:"integrity"`
	Slowest []struct {
		Where  string `json:"where"`
		UserID string `json:"user_id"`
	} `json:"slowest"`
	Gaps []benchGap `json:"gaps"`
}

type benchGap struct {
	For  int64  `json:"for_ns"`
	What string `json:"what"`
}

func readBench(t *testing.T, file string) benchResult {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r benchResult
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBenchFindsNothingWhereNothingIsWrong(t *testing.T) {
	k := borrow(t)
	run(t, k.Bootstrap(), "topic", "create", "orders")
	s := serve(t, k.Bootstrap())
	// Somebody else writes meanwhile: counted, not judged.
	run(t, k.Bootstrap(), "send", "--count", "100", "--seed", "1")
	file := filepath.Join(t.TempDir(), "run.json")
	for name, args := range map[string][]string{
		"over HTTP":  {"--to", s.url, "-c", "64", "-n", "20000"},
		"in batches": {"--to", s.url, "-c", "64", "-n", "200000", "--batch", "10"},
		"to Kafka":   {"--to", "kafka", "--rate", "max", "-n", "200000"},
	} {
		run(t, k.Bootstrap(), append([]string{"bench", "--lag-limit", "1h", "--key-dist", "zipf", "--threshold", "lost==0", "--json", file}, args...)...)
		r := readBench(t, file)
		i := r.Integrity
		if i == nil || i.Acked != r.Orders.Scheduled || i.Records != r.Orders.Scheduled || i.Others != 0 || r.Verdict.Word != "PASS" {
			t.Errorf("%s: %+v", name, r)
		}
		if len(r.Slowest) == 0 {
			t.Fatalf("%s: no slowest order", name)
		}
		// The place of the slowest pastes into the next command.
		if out := run(t, k.Bootstrap(), "tail", r.Slowest[0].Where, "-n", "1", "-f", "value"); !strings.Contains(out, r.Slowest[0].UserID) {
			t.Errorf("%s: at %s stands %s, not %s", name, r.Slowest[0].Where, out, r.Slowest[0].UserID)
		}
	}
}

// Brokers die under the load. What serve and Kafka promise is held against the
// log, and a gap tells of the change.
func TestBenchJudgesARunThroughAKilledBroker(t *testing.T) {
	t.Parallel()
	k := kafka.Start(t, kafka.Options{Brokers: 3})
	run(t, k.Bootstrap(), "topic", "create", "orders", "--replicas", "3", "-c", "min.insync.replicas=2")
	s := serve(t, k.Bootstrap())
	for i, way := range []struct{ name, to string }{{"over HTTP", s.url}, {"to Kafka", "kafka"}} {
		name, to, victim := way.name, way.to, i+1
		file := filepath.Join(t.TempDir(), "run.json")
		var out, talk log
		cmd := command(context.WithoutCancel(t.Context()), t, k.Bootstrap(), "bench", "--lag-limit", "1h", "--to", to, "-c", "64", "-d", "0", "--key-dist", "zipf", "--json", file,
			"--threshold", "error_rate<100%") // while no broker leads, refusals come by the thousand
		cmd.Env = append(cmd.Env, "ORDERSCTL_KAFKA_DELIVERY_TIMEOUT=5s", "ORDERSCTL_KAFKA_REQUEST_TIMEOUT=2s")
		cmd.Stdout, cmd.Stderr = &out, &talk
		before := written(t, k.Bootstrap(), "orders")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		some := func(n int64) func() bool {
			return func() bool { return written(t, k.Bootstrap(), "orders") > before+n }
		}
		eventually(t, name+": orders are written", some(2000))
		so := written(t, k.Bootstrap(), "orders") - before
		if err := k.Kill(victim); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+": others lead", func() bool {
			out, _, code := try(t, k.Bootstrap(), "", "topic", "describe", "orders", "-o", "json")
			return code == 0 && !strings.Contains(out, fmt.Sprintf("\"leader\": %d,", victim))
		})
		if err := k.Restart(t.Context(), victim); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+": orders are written again", some(so+2000))
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		r := readBench(t, file)
		t.Logf("%s: %+v", name, r)
		if cmd.ProcessState.ExitCode() != 130 || r.Verdict.ExitCode != 130 {
			t.Errorf("%s: exit code %d\n%s%s", name, cmd.ProcessState.ExitCode(), out.String(), talk.String())
		}
		i := r.Integrity
		if i == nil || i.Lost+i.Duplicated+i.Reordered+i.Corrupted+i.NotWrittenFound != 0 || i.Acked < 4000 {
			t.Errorf("%s: %+v", name, i)
		}
		if !slices.ContainsFunc(r.Gaps, func(g benchGap) bool { return strings.Contains(g.What, "leader of partition") }) {
			t.Errorf("%s: no gap tells of the change of leader: %+v", name, r.Gaps)
		}
		if i != nil && i.Acked+i.UnknownWritten+i.UnknownAbsent+r.Orders.NotWritten != r.Orders.Scheduled {
			t.Errorf("%s: the outcomes do not sum up: %+v", name, r)
		}
	}
}

// A topic that a retention of moments empties can't be judged, and is not
// called a loss.
func TestBenchDoesNotCallRetentionALoss(t *testing.T) {
	k := borrow(t)
	run(t, k.Bootstrap(), "topic", "create", "orders", "-p", "1")
	var out, talk log
	cmd := command(context.WithoutCancel(t.Context()), t, k.Bootstrap(), "bench", "--lag-limit", "1h", "--to", "kafka", "-c", "4", "-d", "0")
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "orders are written", func() bool { return written(t, k.Bootstrap(), "orders") > 1000 })
	run(t, k.Bootstrap(), "topic", "purge", "orders", "--before", "0@500", "--yes")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	want := "not verified: orders/0@0 was deleted up to offset 500 before it was read back"
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(out.String(), want) || strings.Contains(out.String(), "orders lost") {
		t.Errorf("exit code %d\n%s%s", code, out.String(), talk.String())
	}
}
