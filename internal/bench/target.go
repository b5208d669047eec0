package bench

import (
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

// Target is where orders go: [HTTP] or [Kafka].
type Target interface {
	// Lanes is how many ways in there are; each is used by one goroutine.
	Lanes() int
	// Lane opens the ith. What becomes of its orders is told to the port.
	Lane(i int, p *Port) Lane
	// Answers tells whether Send returns only when all outcomes are known.
	Answers() bool
	// Close ends what is under way, which is reported soon after. It may be
	// called while lanes send, and again.
	Close() error
}

// Lane is one way in.
type Lane interface {
	// Send sends the orders of a job, each once: nothing is tried again. It
	// tells the port of each before it leaves and when its outcome is known,
	// and returns when the lane can take another job, which may be long before
	// the outcomes are known. now is the time.
	Send(j Job, now time.Duration)
	// Close is called when there are no more jobs.
	Close()
}

// preparer is a lane whose jobs take time to be made. That time is not the
// server's, and as work that a client has to do not a lag either.
type preparer interface {
	// Prepare is called before the Send of the same job.
	Prepare(j Job)
}

// prepares is the lane's Prepare, if it has one.
func prepares(l Lane) func(Job) {
	if p, ok := l.(preparer); ok {
		return p.Prepare
	}
	return func(Job) {}
}

// Reply is what became of one order.
type Reply struct {
	Outcome client.Outcome
	// Cause is of a small closed set: "202", "503", "timeout", "reset".
	Cause     string
	Partition int32 // -1 where the answer did not tell
	Offset    int64 // as Partition
	// Sent is when its first byte was about to be written, negative where none
	// was; Answered when its answer was read. From the run's start.
	Sent, Answered time.Duration
	// Ours says that it failed for want of something on this machine: files,
	// ports.
	Ours bool
	// Elsewhere says that its receipt names another topic, which the lane tells
	// the port. A place there is none that anybody could look up.
	Elsewhere bool
}

// isElsewhere is for a receipt of another topic.
func (r *Reply) isElsewhere() { r.Elsewhere, r.Partition, r.Offset = true, -1, -1 }

// The causes of orders that nobody has refused and nobody has taken.
const (
	causeTimeout   = "timeout"
	causeNeverSent = "never sent"
)

// doubt is for an answer that more came behind of: which of them is the
// order's, only a receipt tells.
func (r *Reply) doubt() {
	if r.Outcome != client.Acked || r.Partition < 0 {
		r.Outcome, r.Cause, r.Partition, r.Offset = client.Unknown, causeUnsolicited, -1, -1
		r.Elsewhere = false // nor is it known where it is
	}
}

// Port is what a lane reports to.
type Port struct {
	clock  clock
	ledger *Ledger
	tally  *tally
	flow   *flow
}

// Now is the time since the run's start.
func (p *Port) Now() time.Duration { return p.clock.now() }

// Sent books an order before its first byte leaves.
func (p *Port) Sent(seq uint64, at time.Duration) { p.ledger.Sent(seq, at) }

// Settle books what became of an order of the job. It is called once an order,
// on any goroutine.
func (p *Port) Settle(j Job, seq uint64, r Reply) {
	p.ledger.Settle(seq, r.Outcome, r.Answered, r.Partition, r.Offset)
	p.tally.end(sample{seq: seq, due: j.Due, Reply: r})
	p.flow.settled(r.Outcome)
	if r.Cause == causeEnqueued {
		p.flow.enqueued.Store(true)
	}
}

// Elsewhere books that an order is acknowledged in another topic.
func (p *Port) Elsewhere(seq uint64, topic string) { p.ledger.Elsewhere(seq, topic) }

// Unsolicited counts an answer that nobody had asked for.
func (p *Port) Unsolicited() { p.flow.unsolicited.Add(1) }

// clock counts from the run's start, on the monotonic clock.
type clock struct{ start time.Time }

func (c clock) now() time.Duration { return time.Since(c.start) }
