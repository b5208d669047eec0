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

// window is how many orders a closed loop has under way where lanes do not
// wait for answers.
func (r *run) window() uint64 {
	n := uint64(r.MaxInFlight)
	if r.Plan.Concurrency > 0 {
		n = uint64(r.Plan.Concurrency)
	}
	return max(n, r.loop.batch)
}

// serveLoop is a lane of a closed loop.
func (r *run) serveLoop(ctx context.Context, lane Lane, port *Port) {
	waits, window := r.Target.Answers(), r.window()
	done := ctx.Done()
	for {
		select {
		case <-done:
			return
		default:
		}
		if !waits && r.flow.unsettled()+r.loop.batch > window {
			// A large window is filled up again when an eighth of it is free:
			// to wake for each would cost more than to produce it.
			await(r.flow, min(window-r.loop.batch, window-window/8), done)
			continue
		}
		now := r.clock.now()
		j, ok := r.loop.take(now)
		if !ok {
			return
		}
		r.flow.released.Add(uint64(j.Orders))
		r.flow.take(j.Orders)
		port.tally.begin(start{at: now, due: j.Due, orders: j.Orders, lag: -1})
		lane.Send(j, now)
	}
}
