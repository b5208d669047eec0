//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/e2e/traffic"
)

// settings is a configuration file for tests that read many small batches:
// under the race detector, whose sync.Pool drops at random what is put into it,
// each one of lz4 costs the reading test a new buffer of megabytes.
func settings(t *testing.T, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte("kafka:\n  compression: none\n"+more), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// event is one order that a client wants taken once: its attempts, all under
// one Idempotency-Key.
type event struct {
	order    string
	hungUp   bool // its client closed the connection while it waited, and did not come back
	attempts []attempt
}

func (e event) taken() bool {
	return len(e.attempts) > 0 && e.attempts[len(e.attempts)-1].code == 202
}

// shop is n clients with a connection each, every event an order and a key of
// its own. Some hang up while they wait; the others send again what was not
// accepted until it is.
type shop struct {
	addrs  []string             // one instance or more: what is sent again goes to the next
	hangUp func() time.Duration // how long a client waits that hangs up; 0 for one that stays
	retry  bool
	ctx    context.Context
	over   chan struct{} // closed: no new events

	mu  sync.Mutex
	all []event
}

func (s *shop) open(ctx context.Context, n int) (end func() []event) {
	s.ctx, s.over = ctx, make(chan struct{})
	var serving sync.WaitGroup
	for i := range n {
		serving.Go(func() { s.client(i) })
	}
	return sync.OnceValue(func() []event {
		close(s.over)
		serving.Wait()
		return s.all
	})
}

func (s *shop) client(i int) {
	conns := make([]traffic.Conn, len(s.addrs))
	for at, addr := range s.addrs {
		conns[at].Addr = addr
		defer conns[at].Close()
	}
	var mine []event
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for seq := 0; ; seq++ {
		select {
		case <-s.over:
			s.mu.Lock()
			s.all = append(s.all, mine...)
			s.mu.Unlock()
			return
		case <-tick.C:
		}
		e := event{order: fmt.Sprintf("shop-%d-%d", i, seq)}
		if wait := s.hangUp(); wait > 0 {
			e.hungUp = true
			c := &conns[i%len(conns)]
			_ = c.Send(s.ctx, traffic.Order(e.order), "key-"+e.order)
			<-time.After(wait)
			c.Close()
		} else {
			s.untilTaken(conns, i, &e)
		}
		mine = append(mine, e)
	}
}

// untilTaken tries for a minute at most, each time another instance.
func (s *shop) untilTaken(conns []traffic.Conn, at int, e *event) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); at++ {
		a := order(s.ctx, &conns[at%len(conns)], e.order, "key-"+e.order).attempt
		e.attempts = append(e.attempts, a)
		if a.code == 202 || !s.retry {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
}

// told is the answers of everyone who waited.
func told(events []event) (answers map[string]int, slowest time.Duration, hungUp int) {
	answers = map[string]int{}
	for _, e := range events {
		if e.hungUp {
			hungUp++
		}
		for _, a := range e.attempts {
			slowest = max(slowest, a.took)
			if a.err != nil {
				answers["no answer: "+a.err.Error()]++
				continue
			}
			answers[fmt.Sprint(a.code, a.Outcome)]++
		}
	}
	return answers, slowest, hungUp
}

// oneEventEach holds a topic against events: each that was accepted is there,
// all records of an order have one event id, and no attempt is there that was
// answered not_written.
func oneEventEach(t *testing.T, events []event, records []*kgo.Record) {
	t.Helper()
	ids := map[string]map[string]bool{} // event ids by order
	requests := map[string]bool{}
	for _, r := range records {
		if ids[string(r.Key)] == nil {
			ids[string(r.Key)] = map[string]bool{}
		}
		ids[string(r.Key)][header(r, "event-id")] = true
		requests[header(r, "request-id")] = true
	}
	for _, e := range events {
		if n := len(ids[e.order]); n > 1 {
			t.Errorf("order %s is in the topic under %d event ids: %v", e.order, n, slices.Collect(maps.Keys(ids[e.order])))
		}
		for _, a := range e.attempts {
			switch {
			case a.err != nil:
			case a.requestID == "":
				t.Errorf("an answer %d without a request id", a.code)
			case a.code == 202 && !ids[e.order][a.Event]:
				t.Errorf("order %s was answered 202 with event %s, the topic has %v", e.order, a.Event, ids[e.order])
			case a.Outcome == "not_written" && requests[a.requestID]:
				t.Errorf("order %s: request %s was answered %d not_written and is in the topic", e.order, a.requestID, a.code)
			}
		}
	}
}

func TestLostRepliesLeaveOneEventEachAndEveryoneWithAnAnswer(t *testing.T) {
	t.Parallel()
	const timer = 3 * time.Second
	k, p := kafkaBehindProxy(t)
	run(t, p.addr(), "topic", "create", "orders")
	s := serve(t, p.addr(), "--timeout", timer.String(), "--config", settings(t, ""))
	other := serve(t, p.addr(), "--timeout", timer.String(), "--config", settings(t, ""))
	shop := &shop{addrs: []string{s.addr(), other.addr()}, retry: true, hangUp: func() time.Duration {
		if rand.IntN(4) > 0 {
			return 0
		}
		return time.Duration(rand.Int64N(int64(time.Second)))
	}}
	end := shop.open(t.Context(), 100)
	eventually(t, "500 orders are acknowledged", func() bool { return acknowledged(s) > 500 })
	p.lose()
	pause(t, 6*time.Second)
	p.heal()
	before := acknowledged(s)
	eventually(t, "orders are acknowledged again", func() bool { return acknowledged(s) > before+500 })
	events := end()

	answers, slowest, hungUp := told(events)
	retried, unknown := 0, 0
	for _, e := range events {
		if e.hungUp {
			continue
		}
		if !e.taken() {
			t.Errorf("order %s was never accepted: %+v", e.order, e.attempts)
		}
		if len(e.attempts) > 1 {
			retried++
		}
		for _, a := range e.attempts {
			if a.err == nil && a.code == 500 && a.Outcome == "unknown" {
				unknown++
			}
			if a.err != nil {
				t.Errorf("a client that waited had no answer: %v", a.err)
			}
		}
	}
	records := readAll(t, k.Bootstrap(), "orders")
	t.Logf("%d replies lost; %d events in %d records, %d retried, %d hung up; answers %v, slowest %s",
		p.lost.Load(), len(events), len(records), retried, hungUp, answers, slowest)
	oneEventEach(t, events, records)
	if slowest > timer+slack {
		t.Errorf("the slowest answer took %s, the timer is %s", slowest, timer)
	}
	if p.lost.Load() == 0 || unknown == 0 || hungUp == 0 || len(records) <= len(events) {
		t.Errorf("%d replies lost, %d answers unknown, %d clients hung up, %d records of %d events: this shows nothing",
			p.lost.Load(), unknown, hungUp, len(records), len(events))
	}
}

// slack is what two busy cores may add to a timer.
const slack = time.Second

func TestClientsThatHangUpDoNotHarmTheirNeighbours(t *testing.T) {
	t.Parallel()
	k, p := kafkaBehindProxy(t)
	run(t, p.addr(), "topic", "create", "orders", "-p", "1")
	p.delay.Store(int64(50 * time.Millisecond)) // time to hang up in
	s := serve(t, p.addr(), "--config", settings(t, ""))
	shop := &shop{addrs: []string{s.addr()}, hangUp: func() time.Duration {
		if rand.IntN(2) > 0 {
			return 0
		}
		return time.Duration(rand.Int64N(int64(60 * time.Millisecond)))
	}}
	end := shop.open(t.Context(), 100)
	pause(t, 3*time.Second)
	events := end()

	answers, _, hungUp := told(events)
	t.Logf("%d events, %d hung up, answers to the others %v", len(events), hungUp, answers)
	for answer, n := range answers {
		if answer != "202" {
			t.Errorf("%d neighbours of clients that hung up were told %s", n, answer)
		}
	}
	if hungUp < 500 || answers["202"] < 500 {
		t.Errorf("%d hung up, %d were accepted: this shows nothing", hungUp, answers["202"])
	}
	oneEventEach(t, events, readAll(t, k.Bootstrap(), "orders"))
}
