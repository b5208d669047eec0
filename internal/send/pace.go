package send

import (
	"context"
	"time"

	"github.com/ordersctl/ordersctl/internal/unit"
)

const (
	// A timer is not more exact than this: what is due within it goes at once.
	grain = time.Millisecond
	// How far a target that stalled may push us behind the schedule before the
	// schedule moves: without it a pause would be followed by a flood.
	slack = 100 * time.Millisecond
)

// pacer spreads orders evenly. It knows no clock.
type pacer struct {
	rate  float64 // per second, 0 for no limit
	base  time.Duration
	count float64 // since base
}

func newPacer(rate unit.Rate) *pacer { return &pacer{rate: float64(max(rate, 0))} }

// wait says how long the next order has to wait, so much time after the start.
func (p *pacer) wait(elapsed time.Duration) time.Duration {
	if p.rate == 0 {
		return 0
	}
	due := p.base + time.Duration(p.count/p.rate*float64(time.Second))
	if elapsed-due > slack {
		p.base, p.count, due = elapsed, 0, elapsed
	}
	p.count++
	if early := due - elapsed; early >= grain {
		return early
	}
	return 0
}

// hold waits until the next order is due; false when ctx is done before.
func (p *pacer) hold(ctx context.Context, start time.Time) bool {
	if p.rate == 0 {
		return true
	}
	d := p.wait(time.Since(start))
	if d == 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
