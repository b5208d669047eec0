// Package bench is the load generator and the judge of what it did. Start at
// [Run], which sends the orders of a [Source] to a [Target] by a [Plan], books
// each in a [Ledger] and measures; [Verify] then reads the topic back and holds
// it against the ledger.
//
// It prints nothing, tries nothing again, and knows no command line.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

// DefaultMaxInFlight is how many orders may be due and without an outcome. It
// is 20 s of 5,000/s against a server that answers nothing.
const DefaultMaxInFlight = 100_000

// Options are a run's.
type Options struct {
	Plan   Plan
	Target Target
	Ledger *Ledger

	MaxInFlight int           // beyond it orders are dropped; 0 is DefaultMaxInFlight
	Timeout     time.Duration // how long the last answers are waited for; 0 is DefaultTimeout
	LagLimit    time.Duration // for the p99 of the generator's lag; 0 is DefaultLagLimit

	Thresholds  []Threshold
	AbortOnFail bool // end the run when a threshold is not met over the last Window

	Began   func(start time.Time) // called right before the first order is due
	Observe func(Snapshot)        // called four times a second, from one goroutine
}

// Measured is what a run has measured, without warm-up unless said.
type Measured struct {
	Start    time.Time     // of the schedule, warm-up included: all times count from here
	Warmup   time.Duration // shorter than asked for where the run was cut short in it
	Span     time.Duration // of the schedule after warm-up, as far as it came
	Took     time.Duration // from the end of warm-up to the last answer
	CutShort bool
	Full     bool   // cut short because the ledger has no more room
	Aborted  string // the threshold that ended the run

	Scheduled, Acked, NotWritten, Unknown, Dropped uint64

	Causes map[string]uint64 // by outcome and cause: "not_written 503"

	FirstSeq, EndSeq uint64 // of what was measured; the ledger has warm-up's too, from 0

	Latency, Service, Lag *Histogram // Lag is empty in a closed loop
	Refused               *Histogram // orders that were turned away; not in Latency and Service
	Series                []Second   // warm-up included
	Slowest               []Slow
	Gaps                  []Gap // the first ones, warm-up included
	GapsMore              uint64
	Enqueued              bool   // orders were acknowledged before they were written; warm-up included
	MaxFlying, MaxWaiting uint64 // orders on their way, orders waiting for a connection; warm-up included

	Generator Judgement
}

// note adds what a reader of the figures should know.
func (m *Measured) note(format string, args ...any) {
	m.Generator.Notes = append(m.Generator.Notes, fmt.Sprintf(format, args...))
}

// run is one run while it goes on.
type run struct {
	Options
	flow    *flow
	queue   *queue
	loop    *loop         // closed
	window  atomic.Uint64 // how many are under way in it, where lanes do not wait for answers
	clock   clock
	collect *collector
	tallies []*tally
	ports   []*Port
	lanes   []Lane
	spare   *Port // for what no lane has taken

	// Written by the pacer before it ends.
	endSeq             uint64
	scheduled, dropped uint64 // measured
	firstSeq           uint64
	anyMeasured        bool
	full               bool
	over               time.Duration // when another order would be due after the last of Plan.Count; 0: nobody knows

	ended atomic.Bool // nothing more is due; answers are waited for

	cpus   int   // that the program may use
	before usage // at the end of warm-up
}

// Run sends a plan's orders and measures. It ends when all have an outcome, or
// early, with a valid result, when ctx does; only a plan that can't be run is
// an error.
func Run(ctx context.Context, o Options) (Measured, error) {
	if err := o.Plan.Validate(); err != nil {
		return Measured{}, err
	}
	if o.Target == nil || o.Ledger == nil {
		return Measured{}, errors.New("run has no target or no ledger")
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = DefaultMaxInFlight
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if room := o.Ledger.Max(); o.Plan.Limit == 0 || o.Plan.Limit > room {
		o.Plan.Limit = room
	}
	r := &run{Options: o, flow: newFlow(), collect: newCollector(o.Plan.Warmup)}
	return r.run(ctx)
}

func (r *run) run(ctx context.Context) (Measured, error) {
	r.cpus = cpus()
	r.collect.late.limit = cmp.Or(r.LagLimit, DefaultLagLimit)
	if r.Plan.Open() {
		r.queue = newQueue(r.flow)
		// One more for the pacer: else it waits, when it wakes, until a lane has
		// done its turn.
		restore := runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
		defer runtime.GOMAXPROCS(restore)
	} else {
		r.loop = newLoop(r.Plan)
		if !r.Target.Answers() {
			r.loop.inBlocks(r.firstWindow())
			r.window.Store(r.firstWindow())
		}
	}
	runtime.GC() // what came before is not the run's to pay for
	for i := range r.Target.Lanes() {
		p := r.newPort()
		r.ports = append(r.ports, p)
		r.lanes = append(r.lanes, r.Target.Lane(i, p))
	}
	r.spare = r.newPort()
	r.before = takeUsage(r.cpus)
	r.clock = clock{time.Now()}
	for _, p := range append(r.ports, r.spare) {
		p.clock = r.clock
	}
	if r.Began != nil {
		r.Began(r.clock.start)
	}

	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	watched := r.watch(ctx, abort)
	span := r.send(ctx)
	cut := ctx.Err() != nil
	cut = r.drain(ctx) || cut
	watched()
	return r.measured(span, cut, context.Cause(ctx)), nil
}

func (r *run) newPort() *Port {
	t := newTally(r.collect)
	r.tallies = append(r.tallies, t)
	return &Port{ledger: r.Ledger, tally: t, flow: r.flow}
}

// send runs the schedule and the lanes, and returns when all lanes have ended.
// span is when the schedule has.
func (r *run) send(ctx context.Context) (span time.Duration) {
	var lanes, others sync.WaitGroup
	for i := range r.lanes {
		lanes.Go(func() {
			defer r.lanes[i].Close()
			if r.queue != nil {
				r.serveQueue(r.lanes[i], r.ports[i])
			} else {
				r.serveLoop(ctx, r.lanes[i], r.ports[i])
			}
		})
	}
	paced, over := make(chan struct{}), make(chan struct{})
	others.Go(func() { r.hurry(ctx, paced, over) })
	if r.queue != nil {
		r.pace(ctx)
		close(paced)
		r.ended.Store(true)
		span = r.clock.now()
		r.queue.close()
		lanes.Wait()
	} else {
		close(paced)
		lanes.Wait()
		span = r.clock.now()
	}
	close(over)
	others.Wait()
	return span
}

// hurry ends lanes that would go on for long. When the time of an answer has
// passed since the schedule ended nothing waits for a connection any more; a run
// that is cut short ends for good a little later, so that a server in good
// health can answer what was due.
func (r *run) hurry(ctx context.Context, paced, over <-chan struct{}) {
	patience := time.NewTimer(time.Hour)
	defer patience.Stop()
	patience.Stop()
	for {
		select {
		case <-over:
			return
		case <-paced:
			paced = nil
			patience.Reset(r.Timeout)
		case <-patience.C:
			r.abandon()
		case <-ctx.Done():
			if paced != nil {
				<-paced // what it releases to the last has to be given up too
			}
			patience.Reset(cutPatience)
			select {
			case <-over:
			case <-patience.C:
				r.abandon()
				_ = r.Target.Close()
			}
			return
		}
	}
}

// pace releases orders as they come due. It gives way to the lanes that it has
// woken before it looks for how long to sleep: they then run on the thread that
// is awake, where to wake another one takes as long as the kernel took to wake
// this one, and longer on a virtual machine.
func (r *run) pace(ctx context.Context) {
	p := newPacer(r.Plan)
	var due []Job
	for ctx.Err() == nil {
		now := r.clock.now()
		due = due[:0]
		var wait time.Duration
		ended := false
		for len(due) < mostAtOnce && wait == 0 && !ended {
			var j Job
			if j, wait, ended = p.pace(now); j.Orders > 0 {
				due = append(due, j)
			}
		}
		r.release(due)
		if ended {
			r.full, r.over = p.full, p.over
			return
		}
		if wait == 0 {
			continue
		}
		if len(due) > 0 {
			runtime.Gosched()
			wait = p.next.Due - r.clock.now()
		}
		if wait > 0 {
			sleep(nap(wait))
		}
	}
}

const (
	// mostAtOnce is how many jobs are released before the clock is looked at again.
	mostAtOnce = 256
	// longestSleep is how long an interrupted run may not notice.
	longestSleep = 20 * time.Millisecond
	// shortestSleep and stayAwake: a CPU that has slept for a millisecond wakes
	// late, the more so where it is a virtual machine's; one that sleeps a tenth of
	// it at a time does not, and is still idle for more than nine tenths of it
	// (docs/performance.md).
	shortestSleep = 100 * time.Microsecond
	stayAwake     = time.Millisecond
)

// nap is how long to sleep before the clock is looked at again, where something
// is due after wait.
func nap(wait time.Duration) time.Duration {
	if wait > stayAwake {
		return min(wait-stayAwake+shortestSleep, longestSleep)
	}
	return min(wait, shortestSleep)
}

// release hands jobs to the lanes, as many as may be in flight.
func (r *run) release(due []Job) {
	if len(due) == 0 {
		return
	}
	now := r.clock.now()
	fit := due[:0]
	for _, j := range due {
		n := uint64(j.Orders)
		r.endSeq = j.Seq + n
		measured := j.Due >= r.Plan.Warmup
		if measured {
			r.scheduled += n
			if !r.anyMeasured {
				r.anyMeasured, r.firstSeq = true, j.Seq
			}
		}
		if r.flow.unsettled()+n <= uint64(r.MaxInFlight) {
			r.flow.released.Add(n)
			fit = append(fit, j)
			continue
		}
		for i := range n {
			r.Ledger.Drop(j.Seq + i)
		}
		r.flow.dropped.Add(n)
		// Late all the same: a burst after a stop must not drop the evidence.
		r.spare.tally.begin(start{at: now, due: j.Due, orders: j.Orders, lag: now - j.Due, dropped: true})
		if measured {
			r.dropped += n
		}
	}
	if len(fit) > 0 {
		r.queue.push(fit, now)
	}
}

// serveQueue is a lane of an open loop.
func (r *run) serveQueue(lane Lane, port *Port) {
	waits, prepare := r.Target.Answers(), prepares(lane)
	freed := time.Duration(0) // a lane that does not wait for answers is always free
	for {
		j, ok := r.queue.pop(freed)
		if !ok {
			return
		}
		now := r.clock.now()
		port.tally.begin(start{at: now, due: j.Due, orders: j.Orders, lag: j.lag(now)})
		prepare(j.Job)
		now = r.clock.now()
		lane.Send(j.Job, now)
		if waits {
			freed = r.clock.now()
		}
	}
}

// abandon books what no lane has taken.
func (r *run) abandon() {
	if r.queue == nil {
		return
	}
	jobs := r.queue.abandon()
	now := r.clock.now()
	for _, j := range jobs {
		r.flow.taken.Add(uint64(j.Orders))
		for i := range j.Orders {
			// As long as it had waited by then; how long it would have, nobody knows.
			r.spare.Settle(j, j.Seq+uint64(i), Reply{
				Outcome: client.NotWritten, Cause: causeNeverSent, Sent: -1, Answered: now, Partition: -1, Offset: -1,
			})
		}
	}
}

// drain waits for what was handed over and not answered. Closing the target
// answers the rest. cut tells that ctx ended the waiting.
func (r *run) drain(ctx context.Context) (cut bool) {
	patient, enough := context.WithTimeout(ctx, r.Timeout+r.Timeout/4) // the client's own timer comes first
	defer enough()
	await(r.flow, 0, patient.Done())
	if cut = ctx.Err() != nil && r.flow.unsettled() > 0; cut {
		r.linger(ctx)
	}
	if r.flow.unsettled() > 0 {
		_ = r.Target.Close()
		r.linger(ctx)
	}
	return cut
}

// linger waits for the last answers of a run that was cut short, or of a target
// that was closed.
func (r *run) linger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutPatience)
	defer cancel()
	await(r.flow, 0, ctx.Done())
}

// cutPatience is what the last orders of an interrupted run get. Nobody wants to
// wait long after Ctrl-C, and without it more would be unknown.
const cutPatience = 2 * time.Second

func (r *run) measured(span time.Duration, cut bool, cause error) Measured {
	after := takeUsage(r.cpus)
	c := r.collect
	for _, t := range r.tallies {
		t.flush()
	}
	c.finish(r.clock.now())
	c.mu.Lock()
	defer c.mu.Unlock()
	m := Measured{
		Start: r.clock.start, Warmup: r.Plan.Warmup, Full: r.full,
		Acked: c.settled[0], NotWritten: c.settled[1], Unknown: c.settled[2], Dropped: r.dropped,
		Causes: map[string]uint64{}, FirstSeq: r.firstSeq, EndSeq: r.endSeq, Scheduled: r.scheduled,
		Latency: c.latency, Service: c.service, Lag: c.lag, Refused: c.refused,
		Series: c.series.points, Slowest: c.slowest, Gaps: c.gaps.found, GapsMore: c.gaps.missed,
		Enqueued: r.flow.enqueued.Load(), MaxFlying: r.flow.maxFlying.Load(), MaxWaiting: r.flow.maxWaiting.Load(),
	}
	if r.loop != nil {
		m.FirstSeq = c.firstSeq
		m.EndSeq, m.Full = r.loop.end()
		m.Scheduled = m.Acked + m.NotWritten + m.Unknown
	}
	m.CutShort = cut || m.Full
	m.Warmup = min(m.Warmup, span)
	if length := r.Plan.Length(); length > 0 && (!m.CutShort || span > length) && r.Plan.Count == 0 {
		span = length // the last gap belongs to it, the pacer's wake does not
	}
	if r.over > 0 && !m.CutShort {
		span = r.over // so does the last of a number of orders
	}
	m.Span = span - m.Warmup
	m.Took = max(m.Span, c.lastAnswer-m.Warmup)
	for _, k := range c.causes {
		m.Causes[string(k.outcome)+" "+k.cause] += k.n
	}
	var failed *AbortError
	if errors.As(cause, &failed) {
		m.Aborted = failed.Threshold.Text
	}
	points := m.Series
	for len(points) > 0 && points[0].At < m.Warmup {
		points = points[1:]
	}
	m.Generator = judge(r.LagLimit, r.queue != nil, c, points, r.before, after)
	if n := r.flow.unsolicited.Load(); n > 0 {
		m.note("the server answered %s times without being asked; those connections were dropped", thousands(n))
	}
	return m
}
