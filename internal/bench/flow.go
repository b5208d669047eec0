package bench

import (
	"sync/atomic"

	"github.com/ordersctl/ordersctl/internal/client"
)

// flow counts the orders of a run by where they are. The pacer adds, lanes and
// their answers take away; a view reads whenever it likes.
type flow struct {
	released atomic.Uint64 // due and not dropped
	taken    atomic.Uint64 // by a lane
	dropped  atomic.Uint64

	acked, notWritten, unknown atomic.Uint64

	_       [40]byte // what every lane writes apart from what the pacer writes
	settles atomic.Uint64
	wake    chan struct{} // for the one that waits for answers; holds one
	target  atomic.Int64  // it waits until no more than so many are unsettled; negative: nobody waits

	maxFlying, maxWaiting atomic.Uint64
	enqueued              atomic.Bool   // some were acknowledged before they were written
	unsolicited           atomic.Uint64 // answers that nobody had asked for
}

func newFlow() *flow {
	f := &flow{wake: make(chan struct{}, 1)}
	f.target.Store(-1)
	return f
}

func (f *flow) settled(o client.Outcome) {
	switch o {
	case client.Acked:
		f.acked.Add(1)
	case client.NotWritten:
		f.notWritten.Add(1)
	default:
		f.unknown.Add(1)
	}
	f.settles.Add(1)
	if target := f.target.Load(); target >= 0 && f.unsettled() <= uint64(target) {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// await waits until no more than so many orders are unsettled, or until cancel
// says something. One goroutine at a time.
func await[T any](f *flow, target uint64, cancel <-chan T) {
	f.target.Store(int64(target))
	defer f.target.Store(-1)
	for f.unsettled() > target {
		select {
		case <-f.wake:
		case <-cancel:
			return
		}
	}
}

// unsettled is how many orders are due and without an outcome.
func (f *flow) unsettled() uint64 { return minus(f.released.Load(), f.settles.Load()) }

// flying is how many a lane has taken and nobody has answered.
func (f *flow) flying() uint64 { return minus(f.taken.Load(), f.settles.Load()) }

// take counts n orders that a lane takes.
func (f *flow) take(n int) {
	now := minus(f.taken.Add(uint64(n)), f.settles.Load())
	for {
		most := f.maxFlying.Load()
		if now <= most || f.maxFlying.CompareAndSwap(most, now) {
			return
		}
	}
}

// minus is 0 where the two counters were read in an unlucky moment.
func minus(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}
