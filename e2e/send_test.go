//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/e2e/kafka"
)

// writeOrders writes n orders of 97 ids, one a line, whose user is their
// number, and behind every n/bad-th one a line that is no order.
func writeOrders(t *testing.T, n, bad int) string {
	t.Helper()
	var in bytes.Buffer
	for i := range n {
		fmt.Fprintf(&in, `{"id":"ord-%d","user_id":"%d","total":1.5,"status":"pending","timestamp":"2025-10-06T17:00:00Z"}`+"\n", i*7%97, i)
		if bad > 0 && i%(n/bad) == 0 {
			fmt.Fprintf(&in, `{"id":"bad-%d","total":"1"}`+"\n", i)
		}
	}
	path := filepath.Join(t.TempDir(), "orders.ndjson")
	if err := os.WriteFile(path, in.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// inOrder fails where the records are not n different orders, each id's in
// their order and in one partition.
func inOrder(t *testing.T, records []*kgo.Record, n int) {
	t.Helper()
	type last struct {
		partition int32
		number    int
	}
	seen := map[string]last{}
	numbers := map[int]bool{}
	for _, r := range records {
		var o struct {
			ID     string `json:"id"`
			UserID string `json:"user_id"`
		}
		if err := json.Unmarshal(r.Value, &o); err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(o.UserID)
		if err != nil || string(r.Key) != o.ID {
			t.Fatalf("record with key %q: %s", r.Key, r.Value)
		}
		if before, ok := seen[o.ID]; ok && (before.partition != r.Partition || before.number >= number) {
			t.Errorf("%s: number %d in partition %d stands behind number %d in %d", o.ID, number, r.Partition, before.number, before.partition)
		}
		seen[o.ID] = last{r.Partition, number}
		numbers[number] = true
	}
	if len(records) != n || len(numbers) != n {
		t.Errorf("%d records of %d orders, want %d", len(records), len(numbers), n)
	}
}

func TestTwentyThousandOrdersWithTenBadLines(t *testing.T) {
	k := borrow(t)
	run(t, k.Bootstrap(), "topic", "create", "orders")
	const n, bad = 20_000, 10
	rejects := filepath.Join(t.TempDir(), "bad.ndjson")
	stdout, stderr, code := try(t, k.Bootstrap(), "", "send", writeOrders(t, n, bad), "--rejects", rejects)
	if code != 1 || stdout != "" || strings.Count(stderr, "/total: is a string, wants a number") != bad {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s", code, stdout, stderr)
	}
	text, err := os.ReadFile(rejects)
	if err != nil || strings.Count(string(text), `{"id":"bad-`) != bad || strings.Count(string(text), "\n") != bad {
		t.Errorf("rejects: %v\n%s", err, text)
	}
	inOrder(t, readAll(t, k.Bootstrap(), "orders"), n)
}

func TestSendAndTailRoundTrip(t *testing.T) {
	k := borrow(t)
	run(t, k.Bootstrap(), "topic", "create", "orders")
	run(t, k.Bootstrap(), "topic", "create", "copy")
	run(t, k.Bootstrap(), "send", "--count", "500", "--seed", "7", "--keys", "20")
	tailed := run(t, k.Bootstrap(), "tail", "-o", ":end", "-f", "json")
	if _, stderr, code := try(t, k.Bootstrap(), tailed, "send", "-t", "copy", "-"); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	texts := func(topic string) map[string]string {
		all := map[string]string{}
		for _, r := range readAll(t, k.Bootstrap(), topic) {
			all[fmt.Sprintf("%d@%d", r.Partition, r.Offset)] = fmt.Sprintf("%s %s %s", r.Key, header(r, "event-id"), r.Value)
		}
		return all
	}
	if diff := cmp.Diff(texts("orders"), texts("copy")); diff != "" {
		t.Errorf("copy (-orders +copy):\n%s", diff)
	}
}

func TestAnInterruptedSendGoesOnWhereItSays(t *testing.T) {
	k := borrow(t)
	run(t, k.Bootstrap(), "topic", "create", "orders")
	const n = 20_000
	file := writeOrders(t, n, 0)
	var talk log
	cmd := command(context.WithoutCancel(t.Context()), t, k.Bootstrap(), "send", file, "--rate", "1k")
	cmd.Stderr = &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	eventually(t, "some orders are in the topic", func() bool { return written(t, k.Bootstrap(), "orders") > 2000 })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatal("send did not end within 30 s of its signal")
	}
	said := regexp.MustCompile(`tail -n \+(\d+) `).FindStringSubmatch(talk.String())
	if cmd.ProcessState.ExitCode() != 130 || said == nil {
		t.Fatalf("exit code %d\n%s", cmd.ProcessState.ExitCode(), talk.String())
	}
	from, _ := strconv.Atoi(said[1])
	if got := len(readAll(t, k.Bootstrap(), "orders")); got != from-1 {
		t.Errorf("%d records, but it says to go on with line %d", got, from)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rest := strings.SplitAfterN(string(text), "\n", from)[from-1]
	if _, stderr, code := try(t, k.Bootstrap(), rest, "send", "-"); code != 0 {
		t.Fatalf("the rest: exit code %d\n%s", code, stderr)
	}
	inOrder(t, readAll(t, k.Bootstrap(), "orders"), n)
}

func TestABrokerKilledUnderSend(t *testing.T) {
	k := kafka.Start(t, kafka.Options{})
	run(t, k.Bootstrap(), "topic", "create", "orders")
	const n = 20_000
	var out, talk log
	cmd := command(context.WithoutCancel(t.Context()), t, k.Bootstrap(), "send", writeOrders(t, n, 0), "--rate", "4k", "-o", "json")
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some receipts", func() bool { return strings.Count(out.String(), "\n") > 3000 })
	if err := k.Kill(1); err != nil {
		t.Fatal(err)
	}
	if err := k.Restart(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its code depends on what was on the wire when the broker died

	places := map[string]string{}
	events := map[string]bool{}
	for _, r := range readAll(t, k.Bootstrap(), "orders") {
		event := header(r, "event-id")
		if events[event] {
			t.Errorf("event %s stands twice", event)
		}
		events[event] = true
		places[fmt.Sprintf("%d@%d", r.Partition, r.Offset)] = event
	}
	outcomes := map[string]int{}
	for l := range strings.Lines(out.String()) {
		var rec struct {
			Outcome   string `json:"outcome"`
			EventID   string `json:"event_id"`
			Partition int32  `json:"partition"`
			Offset    int64  `json:"offset"`
		}
		if err := json.Unmarshal([]byte(l), &rec); err != nil {
			t.Fatalf("receipt %q: %s", l, err)
		}
		outcomes[rec.Outcome]++
		switch place := fmt.Sprintf("%d@%d", rec.Partition, rec.Offset); {
		case rec.Outcome == "acked" && places[place] != rec.EventID:
			t.Errorf("acknowledged at %s, where event %q is: %s", place, places[place], l)
		case rec.Outcome == "not_written" && events[rec.EventID]:
			t.Errorf("not written, and there: %s", l)
		}
	}
	t.Logf("%v, exit code %d", outcomes, cmd.ProcessState.ExitCode())
	if got := outcomes["acked"] + outcomes["not_written"] + outcomes["unknown"]; got != n {
		t.Errorf("%d receipts, want %d: %v\n%s", got, n, outcomes, talk.String())
	}
	if (cmd.ProcessState.ExitCode() == 0) != (outcomes["acked"] == n) {
		t.Errorf("exit code %d with %v", cmd.ProcessState.ExitCode(), outcomes)
	}
}

func TestSendOverHTTPPostsSeveralAndKeepsTheirOrder(t *testing.T) {
	k := borrow(t)
	const n = 20_000
	for name, c := range map[string]struct {
		serve, send []string
		requests    int // to /orders at most
	}{
		"by default":                       {nil, nil, n / 20},
		"to a server that has little room": {[]string{"--max-in-flight", "700"}, []string{"--connections", "16"}, n},
	} {
		t.Run(name, func(t *testing.T) {
			topic := "orders-" + strconv.Itoa(len(c.serve))
			run(t, k.Bootstrap(), "topic", "create", topic)
			s := serve(t, k.Bootstrap(), append([]string{"-t", topic}, c.serve...)...)
			_, stderr, code := try(t, k.Bootstrap(), "", append([]string{"send", writeOrders(t, n, 0), "--to", s.url}, c.send...)...)
			if code != 0 || !strings.Contains(stderr, "20,000 orders acknowledged") {
				t.Errorf("exit code %d\n%s", code, tailOf(stderr, 2000))
			}
			inOrder(t, readAll(t, k.Bootstrap(), topic), n)
			several, refused := 0, 0
			for l := range strings.Lines(s.metrics()) {
				if strings.HasPrefix(l, "ordersctl_http_requests_total{") && strings.Contains(l, `route="/orders"`) {
					count, _ := strconv.Atoi(strings.TrimSpace(l[strings.LastIndexByte(l, ' ')+1:]))
					several += count
					if strings.Contains(l, `code="503"`) {
						refused = count
					}
				}
			}
			if several < n/1000 || several > c.requests || (refused > 0) != (c.serve != nil) {
				t.Errorf("%d requests to /orders, of them %d refused", several, refused)
			}
		})
	}
}

func TestServeKilledUnderSend(t *testing.T) {
	k := borrow(t)
	run(t, k.Bootstrap(), "topic", "create", "orders")
	s := serve(t, k.Bootstrap())
	const n = 20_000
	var out, talk log
	cmd := command(context.WithoutCancel(t.Context()), t, k.Bootstrap(), "send", writeOrders(t, n, 0), "--to", s.url, "--rate", "4k", "--connections", "8", "-o", "json")
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some receipts", func() bool { return strings.Count(out.String(), "\n") > 3000 })
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.end()
	again := command(context.WithoutCancel(t.Context()), t, k.Bootstrap(), s.cmd.Args[1:]...)
	again.Stderr = s.log
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = again.Process.Signal(syscall.SIGTERM)
		_ = again.Wait()
	})
	_ = cmd.Wait() // its code depends on what was on the wire when serve died

	outcomes := map[string]string{} // by the order's number
	counts := map[string]int{}
	for l := range strings.Lines(out.String()) {
		var rec struct {
			Outcome string `json:"outcome"`
			Line    int    `json:"line"`
		}
		if err := json.Unmarshal([]byte(l), &rec); err != nil {
			t.Fatalf("receipt %q: %s", l, err)
		}
		outcomes[strconv.Itoa(rec.Line-1)] = rec.Outcome
		counts[rec.Outcome]++
	}
	t.Logf("%v, exit code %d", counts, cmd.ProcessState.ExitCode())
	if len(outcomes) != n || counts["acked"] < n*3/4 {
		t.Errorf("%d receipts of %d: %v\n%s", len(outcomes), n, counts, tailOf(talk.String(), 2000))
	}
	records := readAll(t, k.Bootstrap(), "orders")
	inOrder(t, records, len(records))
	written := map[string]int{}
	for _, r := range records {
		var o struct {
			UserID string `json:"user_id"`
		}
		if err := json.Unmarshal(r.Value, &o); err != nil {
			t.Fatal(err)
		}
		written[o.UserID]++
	}
	for number, outcome := range outcomes {
		if times := written[number]; outcome == "acked" && times != 1 || outcome == "not_written" && times != 0 || times > 1 {
			t.Errorf("order number %s is %s and stands in the topic %d times", number, outcome, times)
		}
	}
}
