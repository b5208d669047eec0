// Package send takes orders from a [Source] (flags, files, a generator) to a
// [Target] (Kafka, an HTTP endpoint) and says of each one what became of it.
// Start at [Run].
//
// Orders of one id arrive in the order in which they were read. What failed is
// named and left: nothing whose outcome is unknown is sent a second time.
package send

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/unit"
)

// At is where an order stands in what was read, counted from 1.
type At struct {
	File    string // "" where no file was read
	N       int64  // line, element of a JSON array, or number of a generated order
	Element bool   // N counts the elements of a JSON array
}

// String is how errors name the place: "orders.ndjson:17".
func (a At) String() string {
	switch {
	case a.File == "":
		return fmt.Sprintf("order %d", a.N)
	case a.Element:
		return fmt.Sprintf("%s: element %d", a.File, a.N)
	}
	return fmt.Sprintf("%s:%d", a.File, a.N)
}

// Entry is one order to send.
type Entry struct {
	Order   order.Order
	Headers []kgo.RecordHeader // of a line that tail printed, else nil
	At      At
}

// Source gives orders one after another: [Reader], [Files], [Generated], [One].
type Source interface {
	// Next fills e. The error is [*Rejected] where this one is no order and the
	// next may be, io.EOF at the end, or what broke the source for good.
	Next(e *Entry) error
}

// Rejected is something in a source that is not an order.
type Rejected struct {
	At  At
	Err error // order.Faults where it was JSON
}

func (r *Rejected) Error() string { return fmt.Sprintf("%s: %s", r.At, r.Err) }

// Unwrap gives the faults.
func (r *Rejected) Unwrap() error { return r.Err }

// Target is where orders go: [Kafka], [HTTP].
type Target interface {
	// Send takes the entry over, keeps nothing of it but what it copied, and
	// settles the parcel once, from any goroutine. It does not wait for room:
	// Run never has more than a window of parcels under way.
	Send(e *Entry, p *Parcel)
	// Flush returns when everything is settled or ctx is done.
	Flush(ctx context.Context)
	// Halt is told that the run ends early: what was not begun is not begun
	// any more and settles as not written.
	Halt()
}

// Options say how Run goes about it.
type Options struct {
	Rate   unit.Rate // orders per second, 0 for no limit
	Window int       // orders under way at most
	// Patience is how long nothing at all may be answered before the run is
	// given up. It has to be longer than the target's own limit for one order.
	Patience time.Duration
	// Report gets what was not acknowledged, one call at a time, and where
	// ReportAcked is set what was, as answers come in: in order within an id.
	Report      func(Receipt)
	ReportAcked bool
	Tick        func(Stats) // a few times a second
}

// Stats counts orders.
type Stats struct {
	Rejected   int64 // not an order
	Taken      int64 // handed to the target: the sum of those below and what is under way
	Acked      int64
	Enqueued   int64 // taken by a server that answers before Kafka has it
	NotWritten int64
	Unknown    int64
}

// Failed is how many were not acknowledged.
func (s Stats) Failed() int64 { return s.Rejected + s.NotWritten + s.Unknown }

// Summary is what became of all of them.
type Summary struct {
	Stats
	Elapsed time.Duration
	// Resume is the first place that was not sent, or is not known to be, when
	// the run ended early. Of what stands before it every order was
	// acknowledged or reported.
	Resume At
}

const (
	// DrainTimeout is what an interrupted run waits for answers. A broker that
	// is there answers in milliseconds; for one that is not, 10 s are as long
	// as a person should have to wait.
	DrainTimeout = 10 * time.Second

	tickEvery = 250 * time.Millisecond
)

// ErrNoAnswer ends a run whose target answers nothing any more.
var ErrNoAnswer = errors.New("no answer any more, gave up")

// ErrNoneAcked ends a run in which everything fails.
var ErrNoneAcked = errors.New("nothing is acknowledged any more, gave up")

// Run sends everything that src has. Its error says why it ended before that:
// the context's, the source's, the target's, [ErrNoAnswer] or [ErrNoneAcked].
// That single orders failed is no error of Run: see [Stats.Failed].
func Run(ctx context.Context, src Source, to Target, opts Options) (Summary, error) {
	start := time.Now()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{to: to, opts: opts, stop: stop}
	r.room.L = &r.mu
	defer context.AfterFunc(ctx, func() {
		r.wake() // first: what Halt settles is counted as the end's doing
		to.Halt()
	})()

	watchCtx, endWatch := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		r.watch(watchCtx)
	}()

	err := r.feed(ctx, src)
	r.drain(ctx)
	endWatch()
	<-watched
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx) // ended while the last answers were awaited
	}
	if opts.Tick != nil {
		opts.Tick(r.count())
	}
	return Summary{Stats: r.count(), Elapsed: time.Since(start), Resume: r.resumeAt()}, err
}

// feed hands over until the source or the run ends.
func (r *run) feed(ctx context.Context, src Source) error {
	pace := newPacer(r.opts.Rate)
	start := time.Now()
	var e Entry
	for ctx.Err() == nil {
		err := src.Next(&e)
		var bad *Rejected
		switch {
		case err == nil:
		case errors.As(err, &bad):
			r.reject(bad)
			continue
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return err
		}
		if !pace.hold(ctx, start) {
			break
		}
		p := r.take(ctx, &e)
		if p == nil {
			break
		}
		r.to.Send(&e, p)
	}
	return context.Cause(ctx)
}

// drain waits for the answers that are still out; after an interruption at
// most DrainTimeout. What has none then is unknown.
func (r *run) drain(ctx context.Context) {
	hurry, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), ErrNoAnswer) {
			cancel()
			return
		}
		select {
		case <-time.After(DrainTimeout):
			cancel()
		case <-hurry.Done():
		}
	})()
	defer context.AfterFunc(hurry, r.wake)()
	r.to.Flush(hurry)
	r.awaitAll(hurry)
}
