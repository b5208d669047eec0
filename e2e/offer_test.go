//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/e2e/traffic"
)

// sample is one request: its attempt, when it was due, when it went out and
// when its answer was there.
type sample struct {
	attempt
	order           string
	due, sent, done time.Time
	retryAfter      string
}

// addr is where orders are taken.
func (s *server) addr() string {
	return strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/order")
}

// offered is what a load was, as it was meant and as it was answered.
type offered struct {
	samples []sample
	skipped int // not sent: every connection waited for an answer
}

// offer starts to send rate orders a second over so many connections at the
// most. The function that it gives stops that and waits for what is outstanding.
func (s *server) offer(rate float64, connections int) (stop func() offered) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), generator, "-addr", s.addr(), "-rate", fmt.Sprint(rate),
		"-connections", fmt.Sprint(connections), "-name", fmt.Sprintf("load%d", s.loads.Add(1)))
	talk, out := &log{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, talk
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return sync.OnceValue(func() offered {
		_ = in.Close() // which tells it to end
		var all traffic.Result
		if err := cmd.Wait(); err != nil {
			s.t.Fatalf("the traffic generator: %v\n%s", err, talk.String())
		}
		if err := gob.NewDecoder(out).Decode(&all); err != nil {
			s.t.Fatal(err)
		}
		o := offered{skipped: all.Skipped}
		for _, one := range all.Samples {
			o.samples = append(o.samples, sampleOf(one))
		}
		return o
	})
}

func sampleOf(l traffic.Sample) sample {
	s := sample{order: l.Order, due: l.Due, sent: l.Sent, done: l.Done, retryAfter: l.RetryAfter}
	s.attempt = attempt{code: l.Code, took: l.Done.Sub(l.Sent), requestID: l.RequestID, Event: l.EventID, Outcome: l.Outcome}
	if l.Err != "" {
		s.err = errors.New(l.Err)
	}
	return s
}

// order sends one order by a client that is the test's own.
func order(ctx context.Context, c *traffic.Conn, id, key string) sample {
	one := traffic.Sample{Order: id, Sent: time.Now()}
	var err error
	if one.Answer, err = c.Post(ctx, traffic.Order(id), key); err != nil {
		one.Err = err.Error()
	}
	one.Done = time.Now()
	return sampleOf(one)
}

func attemptsOf(samples []sample) []attempt {
	all := make([]attempt, len(samples))
	for i, s := range samples {
		all[i] = s.attempt
	}
	return all
}

// everyAcceptedOrderIsThere looks for the 202s by order id; judge does by event
// id.
func everyAcceptedOrderIsThere(t *testing.T, samples []sample, records []*kgo.Record) {
	t.Helper()
	there := map[string]bool{}
	for _, r := range records {
		there[string(r.Key)] = true
	}
	missing := 0
	for _, s := range samples {
		if s.err == nil && s.code == 202 && !there[s.order] {
			if missing++; missing <= 10 {
				t.Errorf("order %s was answered 202 (event %s) and is not in the topic", s.order, s.Event)
			}
		}
	}
	if missing > 10 {
		t.Errorf("%d orders in all were answered 202 and are not in the topic", missing)
	}
}

// quantile gives the q-th of what of(sample) says, 0 where there are none.
func quantile(samples []sample, q float64, of func(sample) time.Duration) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	all := make([]time.Duration, len(samples))
	for i, s := range samples {
		all[i] = of(s)
	}
	slices.SortFunc(all, cmp.Compare[time.Duration])
	return all[min(len(all)-1, int(q*float64(len(all))))]
}

func (s sample) answerTime() time.Duration { return s.done.Sub(s.sent) }

// answersBy counts the answers by code, or error.
func answersBy(samples []sample) map[string]int {
	n := map[string]int{}
	for _, s := range samples {
		switch {
		case s.err != nil:
			n["no answer"]++
		default:
			n[strings.TrimSpace(fmt.Sprint(s.code, " ", s.Outcome))]++
		}
	}
	return n
}

// memory samples what a process has resident.
type memory struct {
	stop chan struct{}
	done chan struct{}

	mu  sync.Mutex
	at  []time.Time // guarded by mu, as mib
	mib []float64
}

func (s *server) watchMemory() *memory {
	m := &memory{stop: make(chan struct{}), done: make(chan struct{})}
	tick := time.NewTicker(100 * time.Millisecond)
	go func() {
		defer close(m.done)
		defer tick.Stop()
		for {
			m.mu.Lock()
			m.at, m.mib = append(m.at, time.Now()), append(m.mib, s.resident())
			m.mu.Unlock()
			select {
			case <-m.stop:
				return
			case <-tick.C:
			}
		}
	}()
	return m
}

func (m *memory) end() {
	close(m.stop)
	<-m.done
}

// peak is the most MiB from one moment to another.
func (m *memory) peak(from, to time.Time) (most float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, at := range m.at {
		if !at.Before(from) && !at.After(to) {
			most = max(most, m.mib[i])
		}
	}
	return most
}

// resident is what serve has in memory, in MiB.
func (s *server) resident() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	var size, resident int
	fmt.Sscan(string(text), &size, &resident)
	return float64(resident) * float64(os.Getpagesize()) / (1 << 20)
}

// live is what is left of serve's heap, in MiB, after a collection, which wants
// admin.pprof. What is resident may be twice that and grows up to there
// between two collections, leak or not.
func (s *server) live(t *testing.T) float64 {
	t.Helper()
	for range 3 { // what is pooled goes with the second collection after its last use
		resp, err := http.Get(s.admin + "/debug/pprof/heap?gc=1")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("collect: %s, %v", resp.Status, err)
		}
	}
	return s.metric("go_memstats_heap_alloc_bytes") / (1 << 20)
}

// metric is the value of the one series that is written like this.
func (s *server) metric(series string) (value float64) {
	for line := range strings.Lines(s.metrics()) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			fmt.Sscan(rest, &value)
		}
	}
	return value
}

// pause waits for a moment of the test's own schedule: what is to happen goes
// on for that long.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test was ended")
	}
}
