package bench

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

const (
	// tick is how often notebooks are emptied and a view is shown.
	tick = 250 * time.Millisecond
	// openSeconds is how many seconds are kept as histograms: the window of live
	// figures and of thresholds that abort, and some to spare for a tick that is late.
	openSeconds = 16
	// Window is what thresholds look at while a run goes on.
	Window = 10 * time.Second

	keptSlowest = 10
	keptCauses  = 64 // a server that puts an id into its status must not fill our memory
)

// collector adds up a run: in all, and by second. Its size does not depend on
// how long the run takes.
type collector struct {
	warmup time.Duration // what was due before is not measured

	mu sync.Mutex
	// All guarded by mu.
	latency, service, lag  *Histogram
	refused                *Histogram // of orders that were refused, which latency leaves out
	dropped                uint64     // measured
	slots                  [openSeconds]*slot
	newest                 int64 // second
	closed                 int64 // seconds before it are in the series
	series                 series
	causes                 []causeCount
	settled                [3]uint64 // measured; by outcomeIndex
	firstSeq               uint64
	anyMeasured            bool
	lastAnswer             time.Duration
	slowest                []Slow // the slowest first
	gaps                   gaps
	late                   lateness
	perJob                 int           // orders, of the largest
	ticked, stood, stoodAt time.Duration // when the watcher came last; how much too late it came at worst, and since when

	ours *Slow // the first that failed for want of something on this machine
}

// slot is one second.
type slot struct {
	second       int64
	latency, lag *Histogram
	sent         uint64
	settled      [3]uint64
	dropped      uint64
}

type causeCount struct {
	outcome client.Outcome
	cause   string
	n       uint64
}

// Slow is one of the slowest orders.
type Slow struct {
	Seq              uint64
	Latency, Service time.Duration // Service is -1 where it was never sent
	At               time.Duration // when it was answered
	Outcome          client.Outcome
	Cause            string
	Partition        int32 // -1 where the answer did not tell
	Offset           int64
}

func newCollector(warmup time.Duration) *collector {
	c := &collector{warmup: warmup, latency: NewHistogram(), service: NewHistogram(), lag: NewHistogram(), refused: NewHistogram(), gaps: newGaps()}
	for i := range c.slots {
		c.slots[i] = &slot{second: -1, latency: NewHistogram(), lag: NewHistogram()}
	}
	c.slots[0].second = 0
	return c
}

// absorb takes the samples of a lane.
func (c *collector) absorb(starts []start, ends []sample) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range starts {
		s := &starts[i]
		at := c.slot(s.at)
		switch {
		case !s.dropped:
			at.sent += uint64(s.orders)
		case s.due >= c.warmup:
			c.dropped += uint64(s.orders)
			fallthrough
		default:
			at.dropped += uint64(s.orders)
		}
		if s.lag < 0 {
			continue
		}
		c.perJob = max(c.perJob, s.orders)
		at.lag.RecordN(s.lag, s.orders)
		if s.due >= c.warmup {
			c.lag.RecordN(s.lag, s.orders)
			c.late.order(s.due, s.lag)
		}
	}
	for i := range ends {
		c.add(&ends[i])
	}
}

func (c *collector) add(s *sample) {
	latency := s.Answered - s.due
	which := outcomeIndex(s.Outcome)
	at, refused := c.slot(s.Answered), s.refused()
	if !refused {
		at.latency.Record(latency)
	}
	at.settled[which]++
	c.lastAnswer = max(c.lastAnswer, s.Answered)
	if s.Outcome == client.Acked {
		c.gaps.ack(s.Answered, s.due, s.Partition)
	} else {
		c.gaps.failed(s.Answered, s.due)
	}
	if s.Ours && c.ours == nil {
		c.ours = slowOf(s, latency)
	}
	if s.due < c.warmup {
		return
	}
	if refused {
		c.refused.Record(latency)
	} else {
		c.latency.Record(latency)
	}
	if s.Sent >= 0 && !refused {
		c.service.Record(s.Answered - s.Sent)
	}
	c.settled[which]++
	c.count(s.Outcome, s.Cause)
	if !c.anyMeasured || s.seq < c.firstSeq {
		c.anyMeasured, c.firstSeq = true, s.seq
	}
	if len(c.slowest) < keptSlowest || latency > c.slowest[len(c.slowest)-1].Latency {
		c.keepSlow(slowOf(s, latency))
	}
}

func slowOf(s *sample, latency time.Duration) *Slow {
	service := time.Duration(-1)
	if s.Sent >= 0 {
		service = max(s.Answered-s.Sent, 0)
	}
	return &Slow{
		Seq: s.seq, Latency: latency, Service: service, At: s.Answered,
		Outcome: s.Outcome, Cause: s.Cause, Partition: s.Partition, Offset: s.Offset,
	}
}

func (c *collector) keepSlow(s *Slow) {
	at, _ := slices.BinarySearchFunc(c.slowest, s.Latency, func(e Slow, l time.Duration) int { return cmp.Compare(l, e.Latency) })
	c.slowest = slices.Insert(c.slowest, at, *s)
	c.slowest = c.slowest[:min(len(c.slowest), keptSlowest)]
}

func (c *collector) count(o client.Outcome, cause string) {
	for i := range c.causes {
		if k := &c.causes[i]; k.outcome == o && k.cause == cause {
			k.n++
			return
		}
	}
	if len(c.causes) >= keptCauses && cause != "other" {
		c.count(o, "other")
		return
	}
	c.causes = append(c.causes, causeCount{o, cause, 1})
}

// slot is that of a time. What comes too late for its second counts in the
// oldest that is open.
func (c *collector) slot(at time.Duration) *slot {
	second := max(int64(at/time.Second), c.closed)
	for c.newest < second {
		c.newest++
		c.closeTo(c.newest - openSeconds + 1)
		s := c.slots[c.newest%openSeconds]
		s.second, s.sent, s.settled = c.newest, 0, [3]uint64{}
		s.dropped = 0
		s.latency.Reset()
		s.lag.Reset()
	}
	return c.slots[second%openSeconds]
}

// closeTo puts the seconds before one into the series.
func (c *collector) closeTo(second int64) {
	for ; c.closed < second; c.closed++ {
		s := c.slots[c.closed%openSeconds]
		lat, lag := s.latency.Quantiles(), s.lag.Quantiles()
		p := Second{
			At: time.Duration(c.closed) * time.Second, Width: time.Second,
			Sent: s.sent, Acked: s.settled[0], NotWritten: s.settled[1], Unknown: s.settled[2],
			P50: lat.P50, P99: lat.P99, Max: lat.Max,
			LagP50: lag.P50, LagP99: lag.P99, LagMax: lag.Max,
		}
		c.series.add(p)
		if p.At >= c.warmup {
			c.late.add(p)
		}
	}
}

// tick closes the seconds that are over. A lane may still hold samples of the
// last moments, so it leaves those some time.
func (c *collector) tick(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cameAt(now)
	settled := now - 2*tick
	if settled <= 0 {
		return
	}
	c.slot(settled)
	c.closeTo(int64(settled / time.Second))
	c.gaps.closeTo(settled)
}

// cameAt notes when the watcher came, and how late that was. What of it is
// warm-up does not count.
func (c *collector) cameAt(now time.Duration) {
	since := max(c.ticked, c.warmup)
	if still := now - since - tick; still > c.stood {
		c.stood, c.stoodAt = still, since
	}
	c.ticked = now
}

// left notes when the watcher went. What it did in between, such as drawing on a
// terminal that takes nothing, held up nobody else.
func (c *collector) left(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ticked = max(c.ticked, now)
}

// finish closes all.
func (c *collector) finish(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cameAt(now)
	c.slot(now)
	c.closeTo(int64(now/time.Second) + 1)
	if last := &c.series.points[len(c.series.points)-1]; now > last.At {
		last.Width = min(last.Width, now-last.At)
	}
	c.gaps.closeTo(now + tick)
	c.gaps.end()
}

// recent adds up the last seconds that are closed, for up to so long.
func (c *collector) recent(length time.Duration) figures {
	h, settled, dropped := NewHistogram(), [3]uint64{}, uint64(0)
	first := max(c.closed-int64(length/time.Second), 0, c.newest-openSeconds+1)
	for second := first; second < c.closed; second++ {
		s := c.slots[second%openSeconds]
		h.Merge(s.latency)
		for i, n := range s.settled {
			settled[i] += n
		}
		dropped += s.dropped
	}
	return figures{h, settled, dropped, time.Duration(c.closed-first) * time.Second}
}

// quickest is the smallest latency of this second and the one before.
func (c *collector) quickest() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	least := time.Duration(0)
	for second := max(c.newest-1, 0); second <= c.newest; second++ {
		if h := c.slots[second%openSeconds].latency; h.Count() > 0 && (least == 0 || h.Min() < least) {
			least = h.Min()
		}
	}
	return least
}

func outcomeIndex(o client.Outcome) int {
	switch o {
	case client.Acked:
		return 0
	case client.NotWritten:
		return 1
	default:
		return 2
	}
}
