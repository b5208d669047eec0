package send

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

const (
	// Beside the number of orders their bytes are bounded: a line that tail
	// printed may carry large headers.
	windowBytes = 64 << 20
	// Failures in a row after which a run whose target acknowledges nothing is
	// ended; fewer may be one bad moment at a low rate.
	hopeless = 10
)

// run is one call of Run.
type run struct {
	to   Target
	opts Options
	stop context.CancelCauseFunc

	mu      sync.Mutex // taken alone or before nothing else
	room    sync.Cond  // fewer parcels are under way, or the run ends
	head    *Parcel    // the oldest parcel under way
	tail    *Parcel
	under   int
	bytes   int
	stats   Stats
	answers int64   // settled, ever
	inARow  int     // failures since the last acknowledgement
	ending  bool    // set with the end of the run's context
	last    At      // the last one that was taken or rejected
	lost    *Parcel // the oldest that failed by the end itself
	streak  *Parcel // the oldest that failed since the last acknowledgement

	reportMu sync.Mutex // held around Report; never together with mu
}

// Parcel is one order under way.
type Parcel struct {
	ID string
	At At

	run        *run
	prev, next *Parcel
	size       int
	seq        int64
	settled    bool
}

// Result is what became of a parcel.
type Result struct {
	Outcome   client.Outcome
	Enqueued  bool // acknowledged before Kafka has it
	Topic     string
	Partition int32
	Offset    int64
	Placed    bool // Topic, Partition and Offset are known
	EventID   string
	RequestID string
	Err       error // why it was not acknowledged
	// OfOrder is set where the order itself is the reason, so that others may
	// still pass.
	OfOrder bool
	// Halted is set where the run ended before the order was tried.
	Halted bool
	// Fatal ends the run: every other order would end the same way.
	Fatal bool
}

// take makes a parcel of e and waits for room for it; nil when the run ends.
func (r *run) take(ctx context.Context, e *Entry) *Parcel {
	p := &Parcel{ID: e.Order.ID, At: e.At, run: r, size: size(e)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full() {
		// Half the window has to come free: waking up for each single order
		// costs more than sending it.
		for ctx.Err() == nil && (r.under > r.opts.Window/2 || r.bytes > windowBytes/2) {
			r.room.Wait()
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if p.prev = r.tail; p.prev == nil {
		r.head = p
	} else {
		p.prev.next = p
	}
	r.tail = p
	r.under++
	r.bytes += p.size
	r.stats.Taken++
	p.seq = r.stats.Taken
	r.last = p.At
	return p
}

func (r *run) full() bool { return r.under >= r.opts.Window || r.bytes >= windowBytes }

func size(e *Entry) int {
	n := 512 + len(e.Order.ID) + len(e.Order.UserID)
	for _, h := range e.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// Settle says what became of the parcel. Only the first call counts: an answer
// that comes after the run has given up on it is too late.
func (p *Parcel) Settle(res Result) {
	r := p.run
	tell := res.Outcome != client.Acked || r.opts.ReportAcked
	r.mu.Lock()
	if p.settled {
		r.mu.Unlock()
		return
	}
	p.settled = true
	r.tally(p, res)
	if tell {
		// Told before it is let go: Run must not return with a report to come.
		r.mu.Unlock()
		if res.Fatal {
			r.stop(res.Err)
		}
		r.report(receiptOf(p, res))
		r.mu.Lock()
	}
	r.unlink(p)
	r.mu.Unlock()
}

// tally counts a result; mu is held.
func (r *run) tally(p *Parcel, res Result) {
	r.answers++
	r.inARow++
	switch res.Outcome {
	case client.Acked:
		r.inARow, r.streak = 0, nil
		r.stats.Acked++
		if res.Enqueued {
			r.stats.Enqueued++
		}
	case client.NotWritten:
		r.stats.NotWritten++
	default:
		r.stats.Unknown++
	}
	if res.OfOrder {
		r.inARow = 0
	}
	if res.Outcome == client.Acked || res.OfOrder {
		return
	}
	if r.streak == nil || p.seq < r.streak.seq {
		r.streak = p
	}
	if (r.ending || res.Fatal) && (r.lost == nil || p.seq < r.lost.seq) {
		r.lost = p
	}
}

// unlink lets a parcel go; mu is held.
func (r *run) unlink(p *Parcel) {
	if p.prev == nil {
		r.head = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		r.tail = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
	r.under--
	r.bytes -= p.size
	if r.under <= r.opts.Window/2 && r.bytes <= windowBytes/2 {
		r.room.Broadcast()
	}
}

// reject reports what is no order.
func (r *run) reject(bad *Rejected) {
	r.mu.Lock()
	r.stats.Rejected++
	r.last = bad.At
	r.mu.Unlock()
	r.report(receiptOfRejected(bad))
}

func (r *run) report(rec Receipt) {
	if r.opts.Report == nil {
		return
	}
	r.reportMu.Lock()
	defer r.reportMu.Unlock()
	r.opts.Report(rec)
}

// wake lets everyone who waits look at their context again.
func (r *run) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ending = true
	r.room.Broadcast()
}

// awaitAll returns when nothing is under way, or gives up on what is.
func (r *run) awaitAll(hurry context.Context) {
	r.mu.Lock()
	for r.under > 0 && hurry.Err() == nil {
		r.room.Wait()
	}
	var left []*Parcel
	for p := r.head; p != nil; p = p.next {
		left = append(left, p)
	}
	r.mu.Unlock()
	for _, p := range left {
		p.Settle(Result{Outcome: client.Unknown, Err: errors.New("no answer before the end")})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.under > 0 { // one that was settled at the same time is still being told
		r.room.Wait()
	}
}

// watch ends a run that gets nowhere and tells the progress.
func (r *run) watch(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	answered, acked := time.Now(), time.Now()
	var answers, acks int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		r.mu.Lock()
		stats, under, inARow := r.stats, r.under, r.inARow
		if under == 0 || r.answers != answers {
			answered, answers = now, r.answers
		}
		r.mu.Unlock()
		if stats.Acked != acks || inARow == 0 {
			acked, acks = now, stats.Acked
		}
		switch {
		case now.Sub(answered) > r.opts.Patience:
			r.stop(ErrNoAnswer)
		case inARow >= hopeless && now.Sub(acked) > r.opts.Patience/4:
			r.stop(ErrNoneAcked)
		}
		if r.opts.Tick != nil {
			r.opts.Tick(stats)
		}
	}
}

func (r *run) count() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

func (r *run) resumeAt() At {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A run that ends while everything fails goes on where that began.
	first := r.lost
	if r.streak != nil && (first == nil || r.streak.seq < first.seq) {
		first = r.streak
	}
	if first != nil {
		return first.At
	}
	at := r.last
	at.N++
	return at
}
