package bench

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// anyLag keeps a busy machine from spoiling runs whose validity is not the point.
const anyLag = time.Minute

// endpoint is a server and what it saw.
type endpoint struct {
	*httptest.Server
	orders, now, most atomic.Int64
	slow              atomic.Int64 // how long each answer takes
	mu                sync.RWMutex // held for writing while the server stalls
}

func newEndpoint(t *testing.T) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := e.now.Add(1)
		defer e.now.Add(-1)
		for most := e.most.Load(); n > most; most = e.most.Load() {
			if e.most.CompareAndSwap(most, n) {
				break
			}
		}
		body, _ := io.ReadAll(r.Body)
		e.orders.Add(max(int64(strings.Count(string(body), "\n")), 1))
		if slow := e.slow.Load(); slow > 0 {
			<-time.After(time.Duration(slow))
		}
		e.mu.RLock()
		defer e.mu.RUnlock()
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(e.Close)
	return e
}

// stall lets the server answer nothing for a time of the run.
func (e *endpoint) stall(at, length time.Duration) func(time.Time) {
	return func(start time.Time) {
		if at == 0 {
			e.mu.Lock() // before the first order
		} else {
			time.AfterFunc(time.Until(start.Add(at)), e.mu.Lock)
		}
		time.AfterFunc(time.Until(start.Add(at+length)), e.mu.Unlock)
	}
}

func (e *endpoint) run(t *testing.T, ctx context.Context, connections int, o Options) Measured { //nolint:revive // t comes first in tests
	t.Helper()
	h := mustDial(t, HTTPConfig{URL: e.URL + "/order", Connections: connections, Timeout: o.Timeout, Batch: o.Plan.Batch})
	o.Target = h
	if o.Ledger == nil {
		o.Ledger = NewLedger(1 << 20)
	}
	if o.LagLimit == 0 {
		o.LagLimit = anyLag
	}
	m, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	settled := m.Acked + m.NotWritten + m.Unknown + m.Dropped
	if settled != m.Scheduled {
		t.Errorf("%d scheduled, %d have an outcome: %+v", m.Scheduled, settled, m.Causes)
	}
	if n := m.Latency.Count() + m.Refused.Count(); n != settled-m.Dropped {
		t.Errorf("%d latencies of %d orders", n, settled-m.Dropped)
	}
	return m
}

// states counts the ledger's.
func states(l *Ledger, n uint64) map[State]uint64 {
	count := map[State]uint64{}
	for seq := range n {
		count[l.Entry(seq).State]++
	}
	return count
}

func TestRunOpenLoop(t *testing.T) {
	e := newEndpoint(t)
	ledger := NewLedger(0)
	began := false
	m := e.run(t, context.Background(), 4, Options{
		Plan:   Plan{Stages: stages(t, "200ms@500..1500", "200ms@1k"), Warmup: 100 * ms},
		Ledger: ledger,
		Began:  func(start time.Time) { began = !start.IsZero() },
	})
	if !began {
		t.Error("nobody was told that it began")
	}
	if m.Scheduled != 400 || m.Acked != 400 || m.FirstSeq != 50 || m.EndSeq != 450 {
		t.Errorf("%d scheduled, %d acked, from %d to %d", m.Scheduled, m.Acked, m.FirstSeq, m.EndSeq)
	}
	if m.Warmup != 100*ms || m.Span != 400*ms || m.Took < m.Span || m.CutShort || m.Full {
		t.Errorf("warm-up %s, span %s, took %s, cut %t, full %t", m.Warmup, m.Span, m.Took, m.CutShort, m.Full)
	}
	if e.orders.Load() != 450 || e.most.Load() > 4 {
		t.Errorf("server saw %d orders, %d at once", e.orders.Load(), e.most.Load())
	}
	if got := states(ledger, 450); got[Acked] != 450 {
		t.Errorf("ledger has %v", got)
	}
	if m.Causes["acked 202"] != 400 || len(m.Causes) != 1 {
		t.Errorf("causes %v", m.Causes)
	}
	if m.Lag.Count() != 400 || m.Service.Count() != 400 || !m.Generator.Valid {
		t.Errorf("%d lags, %d service times, %+v", m.Lag.Count(), m.Service.Count(), m.Generator)
	}
	if m.Latency.Max() < m.Lag.Max() || m.Slowest[0].Latency != m.Latency.Max() {
		t.Errorf("max: latency %s, lag %s, slowest %+v", m.Latency.Max(), m.Lag.Max(), m.Slowest[0])
	}
	sent := uint64(0)
	for _, s := range m.Series {
		sent += s.Sent
	}
	if sent != 450 {
		t.Errorf("series has %d sent: %+v", sent, m.Series)
	}
}

// The test of the whole idea: 10 s at 1,000/s, and for 2 s in the middle the
// server answers nothing. Of the 2,000 orders that were due meanwhile the first
// waited for all of the stall, the last for nothing of it, so the nth slowest
// felt the stall but n ms: that is known without looking at the program.
func TestRunTellsAStallAsItWasFelt(t *testing.T) {
	t.Parallel() // it waits most of the time
	const rate, length, at, stall, connections = 1000, 10 * time.Second, 4 * time.Second, 2 * time.Second, 16
	e := newEndpoint(t)
	m := e.run(t, context.Background(), connections, Options{
		Plan:  Plan{Stages: []Stage{{length, rate, rate}}},
		Began: e.stall(at, stall),
		// Far beyond what a busy machine does to the generator, far below what it
		// would look like if it were blamed for the stall.
		LagLimit: stall / 4,
	})
	if m.Acked != 10_000 || m.Dropped != 0 {
		t.Fatalf("%d acked, %d dropped", m.Acked, m.Dropped)
	}
	if !m.Generator.Valid {
		t.Errorf("invalid: %s", m.Generator.Reason)
	}
	// Nothing can be answered earlier than that; timers and the queue that is
	// worked off afterwards come on top.
	const early, late = 50 * ms, 750 * ms
	for p, slower := range map[float64]time.Duration{99: 100, 95: 500, 90: 1000} {
		felt, _ := m.Latency.At(p)
		if want := stall - slower*time.Second/rate; felt < want-early || felt > want+late {
			t.Errorf("p%g is %s, want %s", p, felt, want)
		}
	}
	if felt := m.Latency.Max(); felt < stall-early || felt > stall+late {
		t.Errorf("max is %s, the stall was %s", felt, stall)
	}
	// Only those that were on their way saw it from the send: 16 of 10,000.
	if served, _ := m.Service.At(99); served > stall/4 {
		t.Errorf("p99 of the service time is %s", served)
	}
	if n := m.MaxWaiting; n < rate*2-connections-rate/10 {
		t.Errorf("%d waited for a connection", n)
	}
	// A busy machine may have gaps of its own beside it.
	if !slices.ContainsFunc(m.Gaps, func(g Gap) bool { return (g.At-at).Abs() <= 200*ms && (g.For-stall).Abs() <= 500*ms }) {
		t.Errorf("gaps %+v", m.Gaps)
	}
	prints(t, m)
}

// prints holds the summary against the figures: a reader has to see both.
func prints(t *testing.T, m Measured) {
	t.Helper()
	r, err := NewResult(Account{Run: testRun, Source: newTestSource(t, SourceOptions{Seed: 1}), Measured: m, Unverified: "--verify none"})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.WriteText(&text, ReportOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]*Histogram{"from schedule": m.Latency, "service time": m.Service, "generator lag": m.Lag} {
		p99, _ := h.At(99)
		line := regexp.MustCompile(`(?m)^` + name + ` +\S+ +\S+ +(\S+) .* (\S+) +10,000  ours$`).FindStringSubmatch(text.String())
		if line == nil || line[1] != millis(p99) || line[2] != millis(h.Max()) {
			t.Errorf("%s: p99 %s and max %s, printed %q in\n%s", name, p99, h.Max(), line, text.String())
		}
	}
}

func TestRunDropsWhatDoesNotFit(t *testing.T) {
	e := newEndpoint(t)
	ledger := NewLedger(0)
	m := e.run(t, context.Background(), 2, Options{
		Plan: Plan{Stages: stages(t, "200ms@1k")}, MaxInFlight: 50, Ledger: ledger, Began: e.stall(0, 400*ms),
	})
	if m.Scheduled != 200 || m.Dropped == 0 || m.Acked < 50 || m.MaxFlying > 2 {
		t.Errorf("%d scheduled, %d acked, %d dropped, %d at once", m.Scheduled, m.Acked, m.Dropped, m.MaxFlying)
	}
	if got := states(ledger, 200); got[Dropped] != m.Dropped || got[Acked] != m.Acked {
		t.Errorf("ledger has %v, the run %d dropped, %d acked", got, m.Dropped, m.Acked)
	}
	if e.orders.Load() != int64(m.Acked) {
		t.Errorf("server saw %d orders", e.orders.Load())
	}
	// Each of them would have been as slow as any.
	r, err := NewResult(Account{Run: testRun, Source: newTestSource(t, SourceOptions{Seed: 1}), Measured: m, Unverified: "--verify none"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"p50", "p90", "p99", "max", "mean"} {
		if v, known := r.Metric(name); known {
			t.Errorf("%s is %s although %d were dropped", name, time.Duration(v), m.Dropped)
		}
	}
	if m.Lag.Count() != m.Scheduled {
		t.Errorf("%d lags of %d orders: dropped ones may be late, too", m.Lag.Count(), m.Scheduled)
	}
	var text strings.Builder
	if err := r.WriteText(&text, ReportOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`note: 1\d\d dropped orders \(\d\d.\d %\) are in none of these`, `(?m)^FAIL .*only \d+ of 200 orders were acknowledged`} {
		if !regexp.MustCompile(want).MatchString(text.String()) {
			t.Errorf("%s is not in\n%s", want, text.String())
		}
	}
}

func TestRunDoesNotWaitForeverForAConnection(t *testing.T) {
	e := newEndpoint(t)
	m := e.run(t, context.Background(), 1, Options{
		Plan: Plan{Stages: stages(t, "100ms@100")}, Timeout: 300 * ms, Began: e.stall(0, 3*time.Second),
	})
	// Every 300 ms one is given up, and at the end the rest.
	if m.Causes["unknown timeout"] == 0 || m.Causes["not_written never sent"] == 0 || m.Unknown+m.NotWritten != 10 {
		t.Errorf("got %v", m.Causes)
	}
	if m.Latency.Max() < 300*ms || m.Took > 2*time.Second {
		t.Errorf("max %s, took %s", m.Latency.Max(), m.Took)
	}
}

func TestRunCutShortIsAResult(t *testing.T) {
	e := newEndpoint(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var at time.Duration
	m := e.run(t, ctx, 4, Options{
		Plan: Plan{Stages: []Stage{{0, 200, 200}}},
		Observe: func(s Snapshot) {
			if s.Acked >= 50 && at == 0 {
				at = s.Now
				cancel()
			}
		},
	})
	if !m.CutShort || m.Acked < 50 || m.Acked != m.Scheduled || m.Span < at {
		t.Errorf("cut %t at %s, %d acked of %d in %s", m.CutShort, at, m.Acked, m.Scheduled, m.Span)
	}
}

// Nobody waits for the time-out of a dead server after Ctrl-C.
func TestRunCutShortWhileTheServerStalls(t *testing.T) {
	for name, plan := range map[string]Plan{
		"open":   {Stages: []Stage{{0, 100, 100}}},
		"closed": {Concurrency: 2},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var stalled bool
			var at time.Duration // of the end
			t.Cleanup(func() {
				if stalled {
					e.mu.Unlock()
				}
			})
			m := e.run(t, ctx, 2, Options{
				Plan: plan, Timeout: time.Minute,
				Observe: func(s Snapshot) {
					switch {
					case !stalled && s.Acked > 0:
						e.mu.Lock()
						stalled = true
					case stalled && at == 0 && s.Flying == 2 && (s.Waiting > 0 || name == "closed") && s.Last.Acked == 0:
						at = s.Now
						cancel()
					}
				},
			})
			if !m.CutShort || m.Acked == 0 || m.Unknown != 2 || m.Causes["unknown cut short"] != 2 || m.Took > at+cutPatience+5*time.Second {
				t.Errorf("cut %t at %s after %s, %v", m.CutShort, at, m.Took, m.Causes)
			}
			if name == "open" && m.NotWritten == 0 {
				t.Errorf("nothing was left waiting: %v", m.Causes)
			}
		})
	}
}

func TestRunEndsWithAFullLedger(t *testing.T) {
	e := newEndpoint(t)
	for name, plan := range map[string]Plan{
		"open":   {Stages: []Stage{{0, 1000, 1000}}},
		"closed": {Concurrency: 2},
	} {
		if m := e.run(t, context.Background(), 2, Options{Plan: plan, Ledger: NewLedger(50)}); !m.Full || !m.CutShort || m.Acked != 50 {
			t.Errorf("%s: full %t, cut %t, %d acked", name, m.Full, m.CutShort, m.Acked)
		}
	}
}

func TestRunClosedLoop(t *testing.T) {
	e := newEndpoint(t)
	m := e.run(t, context.Background(), 3, Options{Plan: Plan{Concurrency: 3, Count: 500}})
	if m.Acked != 500 || e.orders.Load() != 500 || e.most.Load() > 3 || m.EndSeq != 500 {
		t.Errorf("%d acked, server saw %d, %d at once, end %d", m.Acked, e.orders.Load(), e.most.Load(), m.EndSeq)
	}
	if m.Lag.Count() != 0 || m.CutShort {
		t.Errorf("%d lags, cut %t", m.Lag.Count(), m.CutShort)
	}
}

func TestRunClosedLoopForATime(t *testing.T) {
	e := newEndpoint(t)
	m := e.run(t, context.Background(), 2, Options{Plan: Plan{Max: true, Warmup: 100 * ms, Duration: 200 * ms}})
	if m.Acked < 10 || m.FirstSeq == 0 || m.EndSeq < m.FirstSeq+m.Acked || m.Span != 200*ms {
		t.Errorf("%d acked, from %d to %d in %s", m.Acked, m.FirstSeq, m.EndSeq, m.Span)
	}
	if uint64(e.orders.Load()) != m.EndSeq {
		t.Errorf("server saw %d orders of %d", e.orders.Load(), m.EndSeq)
	}
}

func TestRunBatches(t *testing.T) {
	e := newEndpoint(t)
	m := e.run(t, context.Background(), 2, Options{Plan: Plan{Stages: stages(t, "205ms@1k"), Batch: 10}})
	if m.Acked != 205 || e.orders.Load() != 205 || m.Lag.Count() != 205 {
		t.Errorf("%d acked, server saw %d, %d lags", m.Acked, e.orders.Load(), m.Lag.Count())
	}
}

// What is shown is held against itself and the schedule: how far a run came by a
// moment is the machine's, what follows from it is not.
func TestRunShowsItself(t *testing.T) {
	const rate, length = 200, time.Minute
	e := newEndpoint(t)
	ctx, enough := context.WithTimeout(context.Background(), length/2)
	defer enough()
	seen := []Snapshot{{}} // it begins with nothing
	e.run(t, ctx, 2, Options{
		Plan: Plan{Stages: []Stage{{length, rate, rate}}}, Thresholds: []Threshold{mustThreshold(t, "p50<1m"), mustThreshold(t, "lost==0")},
		Observe: func(s Snapshot) {
			if seen = append(seen, s); s.Acked >= rate && len(seen) > 8 {
				enough()
			}
		},
	})
	last := seen[len(seen)-1]
	if last.Acked < rate || len(seen) <= 8 {
		t.Fatalf("%d snapshots, the last: %+v", len(seen), last)
	}
	for i, s := range seen[1:] {
		before := seen[max(i+1-int(time.Second/tick), 0)]
		if s.Due < s.Sent || s.Sent < s.Acked || s.Asked != rate {
			t.Errorf("at %s of %g/s %d due, %d sent, %d acked", s.Now, s.Asked, s.Due, s.Sent, s.Acked)
		}
		// What was counted at one moment was due at the next at the latest.
		if i+2 < len(seen) && s.Due > uint64(rate*seen[i+2].Now.Seconds())+1 {
			t.Errorf("%d were due before %s", s.Due, seen[i+2].Now)
		}
		if want := (Rates{per(s.Due-before.Due, s.Now-before.Now), per(s.Sent-before.Sent, s.Now-before.Now), per(s.Acked-before.Acked, s.Now-before.Now)}); s.Last != want {
			t.Errorf("at %s the last second is %+v, want %+v since %s", s.Now, s.Last, want, before.Now)
		}
		if want := (Rates{per(s.Due, s.Now), per(s.Sent, s.Now), per(s.Acked, s.Now)}); s.Run != want {
			t.Errorf("at %s the run is %+v, want %+v", s.Now, s.Run, want)
		}
	}
	if last.Latency.Count == 0 || last.Length != length || last.Warming {
		t.Errorf("got %+v", last)
	}
	if th := last.Thresholds; len(th) != 2 || !th[0].Known || !th[0].OK || th[1].Known {
		t.Errorf("thresholds %+v", th)
	}
}

func per(n uint64, in time.Duration) float64 { return float64(n) / in.Seconds() }

func TestRunEndsWhenAThresholdFails(t *testing.T) {
	threshold, err := ParseThreshold("p90<10ms")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		warmup, until time.Duration
		slowFrom      time.Duration
		want          bool
	}{
		{"slow for a window", 0, 21 * time.Second, 10 * time.Second, true},
		{"slow, but not for a window yet", 0, 8 * time.Second, 0, false},
		{"slow in the warm-up", 15 * time.Second, 24 * time.Second, 0, false},
		{"slow after the warm-up", 15 * time.Second, 27 * time.Second, 0, true},
		{"never slow", 0, time.Minute, time.Hour, false},
	} {
		c := newCollector(tt.warmup)
		seq := uint64(0)
		for at := time.Duration(0); at < tt.until; at += 10 * ms {
			latency := ms
			if at >= tt.slowFrom {
				latency = 20 * ms
			}
			c.absorb(nil, []sample{answer(seq, at-latency, at, "acked", "")})
			seq++
		}
		c.tick(tt.until)
		if err := c.failing([]Threshold{threshold}, tt.warmup, 0); (err != nil) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	if _, err := Run(context.Background(), Options{Plan: Plan{Stages: stages(t, "1s@1")}}); err == nil {
		t.Error("a run without a target")
	}
	if _, err := Run(context.Background(), Options{}); err == nil {
		t.Error("a run without a plan")
	}
}

// A signal may end a sleep early, as the runtime's own do to a busy process, but
// not each of them.
func TestSleepSleeps(t *testing.T) {
	var longest time.Duration
	for range 20 {
		before := time.Now()
		sleep(ms)
		longest = max(longest, time.Since(before))
	}
	if longest < ms {
		t.Errorf("none of 20 sleeps of 1 ms took longer than %s", longest)
	}
}

func TestNap(t *testing.T) {
	for _, tt := range []struct{ wait, want time.Duration }{
		{time.Microsecond, time.Microsecond},
		{shortestSleep, shortestSleep},
		{shortestSleep + 1, shortestSleep},
		{stayAwake, shortestSleep},
		{stayAwake + 1, shortestSleep + 1},
		{3 * ms, 3*ms - stayAwake + shortestSleep},
		{time.Hour, longestSleep},
	} {
		if got := nap(tt.wait); got != tt.want {
			t.Errorf("nap(%s) is %s, want %s", tt.wait, got, tt.want)
		}
	}
}

// The gap after the last of a number of orders belongs to the run, as it does to
// one that ends by time: the rate is the one that was asked for.
func TestRunOfANumberOfOrdersKeepsItsRate(t *testing.T) {
	m, err := Run(context.Background(), Options{
		Plan: Plan{Stages: []Stage{{From: 20, To: 20}}, Count: 4}, Target: &holding{from: 100}, Ledger: NewLedger(100),
	})
	if err != nil || m.Scheduled != 4 || m.Span != 200*ms {
		t.Errorf("%d orders in %s, %v, want 4 in 200 ms", m.Scheduled, m.Span, err)
	}
}

// crafting is a target whose requests take long to make and none to answer.
type crafting struct{ port *Port }

func (c *crafting) Lanes() int               { return 1 }
func (c *crafting) Answers() bool            { return true }
func (c *crafting) Lane(_ int, p *Port) Lane { c.port = p; return c }
func (c *crafting) Prepare(Job)              { <-time.After(20 * ms) } // sleep may be short
func (c *crafting) Close()                   {}
func (c *crafting) Send(j Job, now time.Duration) {
	for i := range j.Orders {
		c.port.Sent(j.Seq+uint64(i), now)
		c.port.Settle(j, j.Seq+uint64(i), Reply{Outcome: "acked", Sent: now, Answered: c.port.Now(), Partition: -1, Offset: -1})
	}
}

type craftingTarget struct{ crafting }

func (c *craftingTarget) Close() error { return nil }

// What it takes to make a request is the user's time, but neither the server's
// nor a lag.
func TestMakingARequestIsNotTheServersTime(t *testing.T) {
	for name, plan := range map[string]Plan{
		"open": {Stages: []Stage{{From: 10, To: 10}}, Count: 5}, "closed": {Concurrency: 1, Count: 5},
	} {
		m, err := Run(context.Background(), Options{Plan: plan, Target: new(craftingTarget), Ledger: NewLedger(100)})
		if err != nil || m.Acked != 5 {
			t.Fatalf("%s: %d acked, %v", name, m.Acked, err)
		}
		if m.Latency.Min() < 20*ms || m.Service.Min() > 10*ms || name == "open" && m.Lag.Min() > 10*ms {
			t.Errorf("%s: latency %s, service %s, lag %s", name, m.Latency.Min(), m.Service.Min(), m.Lag.Min())
		}
	}
}
