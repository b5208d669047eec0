package bench

import (
	"context"
	"sync"
	"time"
)

// loop deals out a closed loop: the next order is due when somebody can take it.
type loop struct {
	plan  Plan
	batch uint64

	mu       sync.Mutex
	next     uint64 // seq; guarded by mu
	measured uint64 // guarded by mu
	full     bool   // it ended because of the plan's limit; guarded by mu
}

func newLoop(p Plan) *loop { return &loop{plan: p, batch: uint64(max(p.Batch, 1))} }

// inBlocks deals out several orders at a time to lanes that do not wait for
// answers, where so many are under way that nobody can tell the difference.
func (l *loop) inBlocks(window uint64) {
	const (
		most  = 16
		share = 256 // of what is under way
	)
	l.batch = max(l.batch, min(window/share, most))
}

// take gives the next job; false: there are no more.
func (l *loop) take(now time.Duration) (Job, bool) {
	if length := l.plan.Length(); length > 0 && now >= length {
		return Job{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.batch
	if l.plan.Limit > 0 {
		n = min(n, l.plan.Limit-l.next)
		l.full = n == 0
	}
	if now >= l.plan.Warmup {
		if l.plan.Count > 0 {
			n = min(n, l.plan.Count-l.measured)
		}
		l.measured += n
	}
	if n == 0 {
		return Job{}, false
	}
	j := Job{Seq: l.next, Orders: int(n), Due: now}
	l.next += n
	return j, true
}

func (l *loop) end() (seq uint64, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next, l.full
}

// fewest is how many orders are under way at least where only their number
// counts. Records that are acknowledged before they have left the processor's
// cache take a quarter less of its time.
const fewest = 8 << 10

// firstWindow is how many orders a closed loop has under way at first where
// lanes do not wait for answers.
func (r *run) firstWindow() uint64 {
	if r.Plan.Concurrency > 0 {
		return max(uint64(r.Plan.Concurrency), r.loop.batch)
	}
	return max(min(uint64(r.MaxInFlight), fewest), r.loop.batch)
}

// widen doubles the window of --rate max where the way is so long that the
// orders under way are all on it: then even the quickest takes about as long as
// the window lasts. Where orders wait in line it takes much less.
func (r *run) widen(acked float64, quickest time.Duration) {
	if !r.Plan.Max || r.Target.Answers() {
		return
	}
	if now := r.window.Load(); acked*quickest.Seconds() > float64(now)/2 {
		r.window.Store(max(min(2*now, uint64(r.MaxInFlight)), now))
	}
}

// serveLoop is a lane of a closed loop.
func (r *run) serveLoop(ctx context.Context, lane Lane, port *Port) {
	waits, prepare := r.Target.Answers(), prepares(lane)
	done := ctx.Done()
	for {
		select {
		case <-done:
			return
		default:
		}
		if window := r.window.Load(); !waits && r.flow.unsettled()+r.loop.batch > window {
			// A large window is filled up again when an eighth of it is free:
			// to wake for each would cost more than to produce it.
			await(r.flow, min(window-r.loop.batch, window-window/8), done)
			continue
		}
		now := r.clock.now()
		j, ok := r.loop.take(now)
		if !ok {
			r.ended.Store(true)
			return
		}
		r.flow.released.Add(uint64(j.Orders))
		r.flow.take(j.Orders)
		prepare(j)
		now = r.clock.now()
		port.tally.begin(start{at: now, due: j.Due, orders: j.Orders, lag: -1})
		lane.Send(j, now)
	}
}
