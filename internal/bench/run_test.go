package bench

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
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
	if n := m.Latency.Count(); n != settled-m.Dropped {
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

// The test of the whole idea: the latency of the orders that were due while the
// server stalled has the rest of the stall in it, whether or not a connection
// was free for them.
func TestRunTellsAStallAsItWasFelt(t *testing.T) {
	const rate, at, stall = 500, 500 * ms, 400 * ms
	e := newEndpoint(t)
	m := e.run(t, context.Background(), 4, Options{
		Plan:  Plan{Stages: []Stage{{1500 * ms, rate, rate}}},
		Began: e.stall(at, stall),
	})
	if m.Acked != 750 || m.Dropped != 0 {
		t.Fatalf("%d acked, %d dropped", m.Acked, m.Dropped)
	}
	// 200 of 750 were due in it, evenly: half of those waited half of it and more.
	if felt, _ := m.Latency.At(100 * (1 - 100.0/750)); felt < stall*4/10 {
		t.Errorf("of 750 orders the 100th slowest took %s, want about %s", felt, stall/2)
	}
	if m.Latency.Max() < stall*9/10 {
		t.Errorf("max is %s, the stall was %s", m.Latency.Max(), stall)
	}
	// Four were under way: only they can have seen it.
	if served, _ := m.Service.At(98); served > stall/2 {
		t.Errorf("p98 of service time is %s", served)
	}
	// And it was not the generator.
	if lag, _ := m.Lag.At(90); lag > stall/4 {
		t.Errorf("p90 of the generator's lag is %s", lag)
	}
	if m.MaxWaiting < 150 {
		t.Errorf("%d waited for a connection", m.MaxWaiting)
	}
	// A busy machine may have gaps of its own beside it.
	if !slices.ContainsFunc(m.Gaps, func(g Gap) bool { return (g.At-at).Abs() <= 100*ms && (g.For-stall).Abs() <= 100*ms }) {
		t.Errorf("gaps %+v", m.Gaps)
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
	m := e.run(t, ctx, 4, Options{
		Plan:  Plan{Stages: []Stage{{0, 1000, 1000}}},
		Began: func(time.Time) { time.AfterFunc(300*ms, cancel) },
	})
	if !m.CutShort || m.Acked < 100 || m.Acked != m.Scheduled || m.Span < 250*ms {
		t.Errorf("cut %t, %d acked of %d in %s", m.CutShort, m.Acked, m.Scheduled, m.Span)
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
			m := e.run(t, ctx, 2, Options{
				Plan: plan, Timeout: time.Minute,
				Began: func(start time.Time) {
					e.stall(100*ms, 4*time.Second)(start)
					time.AfterFunc(300*ms, cancel)
				},
			})
			if !m.CutShort || m.Unknown != 2 || m.Causes["unknown cut short"] != 2 || m.Took > 3500*ms {
				t.Errorf("cut %t after %s, %v", m.CutShort, m.Took, m.Causes)
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

func TestRunShowsItself(t *testing.T) {
	e := newEndpoint(t)
	var last Snapshot
	seen := 0
	threshold, _ := ParseThreshold("p50<1m")
	lost, _ := ParseThreshold("lost==0")
	e.run(t, context.Background(), 2, Options{
		Plan: Plan{Stages: stages(t, "1500ms@200")}, Thresholds: []Threshold{threshold, lost},
		Observe: func(s Snapshot) { last, seen = s, seen+1 },
	})
	if seen < 4 || last.Acked < 200 || last.Due < last.Sent || last.Sent < last.Acked {
		t.Fatalf("%d snapshots, the last: %+v", seen, last)
	}
	if last.Asked != 200 || last.Last.Sent < 150 || last.Last.Sent > 250 || last.Run.Acked < 150 || last.Run.Acked > 250 {
		t.Errorf("rates %+v, %+v of %g", last.Last, last.Run, last.Asked)
	}
	if last.Latency.Count == 0 || last.Length != 1500*ms || last.Warming {
		t.Errorf("got %+v", last)
	}
	if th := last.Thresholds; len(th) != 2 || !th[0].Known || !th[0].OK || th[1].Known {
		t.Errorf("thresholds %+v", th)
	}
}

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
		if err := c.failing([]Threshold{threshold}, tt.warmup); (err != nil) != tt.want {
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

// A machine at rest keeps the schedule; this one may not be, so only what would
// be wrong on any machine is asserted.
func TestPacerThreadSleeps(t *testing.T) {
	done := make(chan time.Duration)
	go func() {
		s := newSleeper()
		before := time.Now()
		for range 20 {
			s.sleep(ms)
		}
		done <- time.Since(before)
	}()
	if took := <-done; took < 15*ms {
		t.Errorf("20 ms took %s", took)
	}
}
