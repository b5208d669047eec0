package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Snapshot is a run while it goes on.
type Snapshot struct {
	Now, Length time.Duration // Length is 0 where the run has no end in time
	Warming     bool          // the warm-up goes on
	Asked       float64       // rate at this moment; 0 in a closed loop

	Last, Run Rates // over the last second, since the end of warm-up

	// Since the start, warm-up included.
	Due, Sent, Acked, NotWritten, Unknown, Dropped uint64

	Flying, MaxFlying   uint64 // sent and not answered
	Waiting, MaxWaiting uint64 // for a connection

	Recent       Quantiles // latency over the last 10 s
	Latency, Lag Quantiles // without warm-up
	LagLimit     time.Duration
	CPU          float64 // share of the CPUs over the last second; negative: unknown

	Seconds    []Second // the last 60
	Causes     []CauseCount
	Gaps       []Gap
	Leaders    []LeaderChange // for whoever watches them to fill in
	Thresholds []ThresholdState
}

// Rates are per second.
type Rates struct{ Due, Sent, Acked float64 }

// CauseCount is how often an outcome had a cause.
type CauseCount struct {
	Outcome, Cause string
	Count          uint64
}

// ThresholdState is how a threshold stands.
type ThresholdState struct {
	Threshold
	Known bool // else it is judged after the run
	Value string
	OK    bool
}

// AbortError says which threshold ended a run.
type AbortError struct {
	Threshold Threshold
	Value     string
}

func (e *AbortError) Error() string {
	return fmt.Sprintf("threshold %s is not met: %s over the last %s", e.Threshold.Text, e.Value, Window)
}

// counts are a moment's.
type counts struct {
	at               time.Duration
	due, sent, acked uint64
	process          time.Duration
}

func (r *run) counts(now time.Duration) counts {
	// The later part of an order's way first: however long this takes, no more are
	// sent than were due, or acked than sent.
	c := counts{at: now, acked: r.flow.acked.Load()}
	c.sent = r.flow.taken.Load()
	c.due = r.flow.released.Load() + r.flow.dropped.Load()
	c.process, _ = processTime()
	return c
}

func (c counts) since(before counts) Rates {
	s := (c.at - before.at).Seconds()
	if s <= 0 {
		return Rates{}
	}
	return Rates{float64(c.due-before.due) / s, float64(c.sent-before.sent) / s, float64(c.acked-before.acked) / s}
}

// watch collects four times a second until the function that it returns is
// called, which waits for it.
func (r *run) watch(ctx context.Context, abort context.CancelCauseFunc) (end func()) {
	// Nothing was due before, so the counts are 0 however late this is read.
	var began counts
	began.process, _ = processTime()
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		w := watcher{run: r, warming: r.Plan.Warmup > 0, base: began, past: []counts{began}}
		for {
			select {
			case <-ticker.C:
				w.look(ctx, abort)
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		group.Wait()
	}
}

// watcher is what watching remembers.
type watcher struct {
	*run
	warming bool
	base    counts   // at the end of warm-up
	past    []counts // of the last second, the oldest first

	settles uint64        // when it looked last
	spoke   time.Duration // when an order had an outcome last, or none was open
}

func (w *watcher) look(ctx context.Context, abort context.CancelCauseFunc) {
	now := w.clock.now()
	for _, t := range w.tallies {
		t.flush()
	}
	w.collect.tick(now)
	c := w.counts(w.clock.now()) // what came before took its time on a busy machine
	if w.warming && now >= w.Plan.Warmup {
		w.warming, w.base, w.before = false, c, takeUsage(w.cpus)
	}
	w.past = append(w.past, c)
	if len(w.past) > int(time.Second/tick)+1 {
		w.past = w.past[1:]
	}
	w.widen(c.since(w.past[0]).Acked, w.collect.quickest())
	if w.Observe != nil {
		w.Observe(w.snapshot(c))
	}
	// When nothing more is due a window says nothing of the run: it holds ever
	// more of the time in which the last answers are waited for.
	if w.AbortOnFail && ctx.Err() == nil && !w.ended.Load() {
		if err := w.collect.failing(w.Thresholds, w.Plan.Warmup, w.silent(now)); err != nil {
			abort(err)
		}
	}
	w.collect.left(w.clock.now())
}

// silent is for how long no order has had an outcome although some were open
// all the time.
func (w *watcher) silent(now time.Duration) time.Duration {
	settles := w.flow.settles.Load()
	if settles != w.settles || w.flow.unsettled() == 0 {
		w.settles, w.spoke = settles, now
	}
	return now - w.spoke
}

func (w *watcher) snapshot(c counts) Snapshot {
	f := w.flow
	s := Snapshot{
		Now: c.at, Length: w.Plan.Length(), Warming: w.warming,
		Last: c.since(w.past[0]), Run: c.since(w.base),
		Due: c.due, Sent: c.sent, Acked: c.acked,
		NotWritten: f.notWritten.Load(), Unknown: f.unknown.Load(), Dropped: f.dropped.Load(),
		Flying: f.flying(), MaxFlying: f.maxFlying.Load(), MaxWaiting: f.maxWaiting.Load(),
		LagLimit: w.LagLimit, CPU: -1,
	}
	if s.LagLimit == 0 {
		s.LagLimit = DefaultLagLimit
	}
	if w.queue != nil {
		s.Waiting = w.queue.waiting()
		s.Asked = NewSchedule(w.Plan).Rate(c.at)
	}
	if before := w.past[0]; c.process > 0 && c.at > before.at {
		s.CPU = float64(c.process-before.process) / float64(c.at-before.at) / float64(w.cpus)
	}
	w.collect.show(&s, w.Thresholds)
	return s
}

// show adds what the collector knows.
func (c *collector) show(s *Snapshot, thresholds []Threshold) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Recent = c.recent(Window).latency.Quantiles()
	s.Latency, s.Lag = c.latency.Quantiles(), c.lag.Quantiles()
	s.Seconds = c.series.last(60)
	s.Gaps = append(s.Gaps, c.gaps.found...)
	for _, k := range c.causes {
		s.Causes = append(s.Causes, CauseCount{string(k.outcome), k.cause, k.n})
	}
	m := figures{c.latency, c.settled, c.dropped, s.Now - c.warmup}
	for _, t := range thresholds {
		state := ThresholdState{Threshold: t, Known: t.Known(m)}
		state.Value, state.OK = t.Eval(m)
		s.Thresholds = append(s.Thresholds, state)
	}
}

// failing gives the threshold that is not met over the last window, once that
// is past the warm-up. Where orders are open and none has had an outcome for
// silent, none will have a latency that is less.
func (c *collector) failing(thresholds []Threshold, warmup, silent time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Duration(c.closed)*time.Second < warmup+Window {
		return nil
	}
	m := c.recent(Window)
	for _, t := range thresholds {
		if value, ok := t.Eval(m); !ok && t.Known(m) {
			return &AbortError{Threshold: t, Value: value}
		}
		below := kindOf(t.Metric) == latencyMetric && (t.Op == "<" || t.Op == "<=")
		if below && silent >= Window && t.Bound < float64(silent) {
			return &AbortError{Threshold: t, Value: "no answer"}
		}
	}
	return nil
}

// figures are those that can be had while a run goes on.
type figures struct {
	latency *Histogram
	settled [3]uint64
	dropped uint64
	span    time.Duration
}

func (f figures) Metric(name string) (float64, bool) {
	all := f.settled[0] + f.settled[1] + f.settled[2] + f.dropped
	switch name {
	case metricErrorRate:
		if all == 0 {
			return 0, false
		}
		return float64(all-f.settled[0]) / float64(all), true
	case metricDropped:
		return float64(f.dropped), true
	case "rate":
		if f.span < time.Second {
			return 0, false
		}
		return float64(f.settled[0]) / f.span.Seconds(), true
	}
	return latencyMetricOf(f.latency, f.dropped, name)
}

// latencyMetricOf knows no figure that dropped orders may have been beyond.
func latencyMetricOf(h *Histogram, dropped uint64, name string) (float64, bool) {
	switch {
	case h == nil || h.Count() == 0:
		return 0, false
	case dropped > 0 && (name == "max" || name == "mean"):
		return 0, false
	case name == "max":
		return float64(h.Max()), true
	case name == "mean":
		return float64(h.Mean()), true
	}
	p, ok := percentileOf(name)
	if !ok {
		return 0, false
	}
	if hidden(p, h.Count(), dropped) {
		return 0, false
	}
	d, ok := h.At(p)
	return float64(d), ok
}
