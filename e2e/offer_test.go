//go:build e2e

package e2e

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sample is one request of an offered load: its attempt, when it was due, when
// it went out and when its answer was there.
type sample struct {
	attempt
	order      string
	due        time.Time
	sent       time.Time
	done       time.Time
	retryAfter string
}

// generator posts orders at a fixed rate over connections that are kept (an
// open loop: a slow answer does not slow the next request). net/http's client
// costs more than serve itself: at 10,000 a second it would measure itself.
type generator struct {
	addr string // of serve
	most int    // connections

	offered atomic.Int64
	skipped atomic.Int64 // due when every connection waited for an answer

	mu   sync.Mutex
	idle []*worker // guarded by mu; the last one in is the first one out, so that no more are open than are needed
	all  []sample  // guarded by mu
}

// worker is one connection and what it is to send next.
type worker struct {
	conn httpConn
	next chan due
}

type due struct {
	at time.Time
	n  int64
}

func newGenerator(s *server, most int) *generator {
	return &generator{addr: s.addr(), most: most}
}

// addr is where orders are taken.
func (s *server) addr() string {
	return strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/order")
}

// offer starts to send rate orders a second. The function that it gives stops
// that, waits for the answers that are outstanding and gives all samples.
func (g *generator) offer(rate float64) (stop func() []sample) {
	over := make(chan struct{})
	var pacing sync.WaitGroup
	pacing.Go(func() { g.pace(rate, over) })
	return sync.OnceValue(func() []sample {
		close(over)
		pacing.Wait()
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.all
	})
}

func (g *generator) pace(rate float64, over <-chan struct{}) {
	var (
		working sync.WaitGroup
		workers []*worker
	)
	defer func() {
		for _, w := range workers {
			close(w.next)
		}
		working.Wait()
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for n := 0; ; {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		for now := time.Since(begin); ; n++ {
			at := time.Duration(float64(n) / rate * float64(time.Second))
			if at > now {
				break
			}
			w := g.free()
			if w == nil && len(workers) < g.most {
				w = g.another(len(workers))
				workers = append(workers, w)
				working.Go(func() { g.work(w) })
			}
			if w == nil {
				g.skipped.Add(1)
				continue
			}
			w.next <- due{begin.Add(at), g.offered.Add(1)}
		}
	}
}

// another comes from an address of its own for every 250 connections: a limit
// on one client's connections is not what is asked for here.
func (g *generator) another(i int) *worker {
	return &worker{conn: httpConn{addr: g.addr, from: fmt.Sprintf("127.0.0.%d", 1+i/250)}, next: make(chan due, 1)}
}

func (g *generator) free() *worker {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.idle) == 0 {
		return nil
	}
	w := g.idle[len(g.idle)-1]
	g.idle = g.idle[:len(g.idle)-1]
	return w
}

func (g *generator) work(w *worker) {
	var mine []sample
	defer w.conn.close()
	for job := range w.next {
		id := fmt.Sprintf("open-%d", job.n)
		s := sample{order: id, due: job.at, sent: time.Now()}
		s.attempt, s.retryAfter = w.conn.post(anOrder(id), "")
		s.done = time.Now()
		mine = append(mine, s)
		g.mu.Lock()
		g.idle = append(g.idle, w)
		g.mu.Unlock()
	}
	g.mu.Lock()
	g.all = append(g.all, mine...)
	g.mu.Unlock()
}

func anOrder(id string) string {
	return `{"id":"` + id + `","user_id":"u1","total":99.99,"status":"pending","timestamp":"2025-10-06T17:00:00Z"}`
}

// httpConn is one client with one connection, made when it is needed.
type httpConn struct {
	addr, from string
	conn       net.Conn
	in         *bufio.Reader
	buf        []byte
}

// answerTimeout is longer than every timer of serve in these tests.
const answerTimeout = 30 * time.Second

func (c *httpConn) open() error {
	if c.conn != nil {
		return nil
	}
	d := net.Dialer{Timeout: answerTimeout}
	if c.from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(c.from)}
	}
	var err error
	if c.conn, err = d.Dial("tcp", c.addr); err != nil {
		c.conn = nil
		return err
	}
	c.in = bufio.NewReaderSize(c.conn, 2048)
	return nil
}

func (c *httpConn) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// post sends one order and reads the answer.
func (c *httpConn) post(body, key string) (a attempt, retryAfter string) {
	begin := time.Now()
	defer func() {
		a.took = time.Since(begin)
		if a.err != nil {
			c.close()
		}
	}()
	if a.err = c.send(body, key); a.err != nil {
		return a, ""
	}
	var resp *http.Response
	if resp, a.err = http.ReadResponse(c.in, nil); a.err != nil {
		return a, ""
	}
	a.code, a.requestID, retryAfter = resp.StatusCode, resp.Header.Get("X-Request-Id"), resp.Header.Get("Retry-After")
	raw, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(raw, &a)
	}
	a.err = err
	if resp.Close {
		c.close()
	}
	return a, retryAfter
}

// send sends one order and leaves its answer to come.
func (c *httpConn) send(body, key string) error {
	if err := c.open(); err != nil {
		return err
	}
	b := append(c.buf[:0], "POST /order HTTP/1.1\r\nHost: serve\r\nContent-Type: application/json\r\n"...)
	if key != "" {
		b = append(b, "Idempotency-Key: "+key+"\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(append(b, "\r\n\r\n"...), body...)
	c.buf = b
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
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
	resp, err := http.Get(s.admin + "/debug/pprof/heap?gc=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
		t.Fatalf("collect: %s, %v", resp.Status, err)
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
