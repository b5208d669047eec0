package bench

import (
	"sync"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

// tallySize is how many samples a lane keeps before it hands them on: enough
// that the one lock that all lanes share costs nothing, few enough that ten
// thousand lanes fit.
const tallySize = 64

// sample is one order with its outcome.
type sample struct {
	seq uint64
	due time.Duration
	Reply
}

// refused tells of an order that somebody turned away. That takes no time worth
// the name: among the latencies it would make a server that refuses half of its
// orders a fast one. Those that waited for nothing are no such.
func (s *sample) refused() bool {
	return s.Outcome == client.NotWritten && s.Cause != causeTimeout && s.Cause != causeNeverSent
}

// start is a job as a lane takes it, or as the pacer drops it.
type start struct {
	at     time.Duration
	due    time.Duration
	lag    time.Duration // negative in a closed loop, which has none
	orders int
	// dropped says that no lane took it: it was only late, or not.
	dropped bool
}

// tally is a lane's own notebook. The lane writes, the collector empties it
// four times a second, so its lock is all but never waited for.
type tally struct {
	to *collector

	mu     sync.Mutex // held while to.mu is taken
	starts []start
	ends   []sample
	_      [64]byte // lanes' notebooks apart from each other
}

func newTally(to *collector) *tally {
	return &tally{to: to} // a lane that is little used needs little
}

func (t *tally) begin(s start) {
	t.mu.Lock()
	t.starts = append(t.starts, s)
	if len(t.starts) == tallySize {
		t.handOn()
	}
	t.mu.Unlock()
}

func (t *tally) end(s sample) {
	t.mu.Lock()
	t.ends = append(t.ends, s)
	if len(t.ends) == tallySize {
		t.handOn()
	}
	t.mu.Unlock()
}

// flush hands on what there is.
func (t *tally) flush() {
	t.mu.Lock()
	t.handOn()
	t.mu.Unlock()
}

func (t *tally) handOn() {
	t.to.absorb(t.starts, t.ends)
	t.starts, t.ends = t.starts[:0], t.ends[:0]
}
