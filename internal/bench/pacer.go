package bench

import "time"

// pacer deals out a schedule. It is a function of the time that is handed to
// it: it knows no clock and starts nothing.
type pacer struct {
	schedule *Schedule
	arrivals *arrivals
	batch    int
	limit    uint64        // orders in all
	count    uint64        // of them measured, 0: no matter
	warmup   time.Duration // what is due before is not measured
	measured uint64
	next     Job
	ended    bool
	full     bool          // it ended because of limit
	last     time.Duration // when the last order was due
	over     time.Duration // when another one would be after the last of count, at the rate of that
}

// Job is what is sent together: Orders orders from Seq on, due at once.
type Job struct {
	Seq    uint64
	Orders int
	Due    time.Duration // the intended time, from the run's start
}

func newPacer(p Plan) *pacer {
	c := &pacer{
		schedule: NewSchedule(p), arrivals: newArrivals(p.Arrivals, p.Seed),
		batch: max(p.Batch, 1), limit: p.Limit, count: p.Count, warmup: p.Warmup,
	}
	c.plan(0)
	return c
}

// pace gives the next job where it is due by now, else how long until it is.
// ended: there are no more.
func (c *pacer) pace(now time.Duration) (j Job, wait time.Duration, ended bool) {
	switch {
	case c.ended:
		return Job{}, 0, true
	case c.next.Due > now:
		return Job{}, c.next.Due - now, false
	}
	j = c.next
	c.plan(j.Seq + uint64(j.Orders))
	return j, 0, false
}

// plan makes the job that begins with seq. Its orders are due with the first
// of them: that one can't leave later than it would alone.
func (c *pacer) plan(seq uint64) {
	j := Job{Seq: seq}
	for ; j.Orders < c.batch; j.Orders++ {
		if c.count > 0 && c.measured >= c.count {
			if rate := c.schedule.Rate(c.last); rate > 0 {
				c.over = c.last + time.Duration(float64(time.Second)/rate)
			}
			break
		}
		due, ok := c.schedule.At(c.arrivals.next())
		if !ok {
			break
		}
		if c.full = c.limit > 0 && seq+uint64(j.Orders) >= c.limit; c.full {
			break
		}
		if j.Orders == 0 {
			j.Due = due
		}
		if j.Due >= c.warmup {
			c.measured++
		}
		c.last = due
	}
	c.next, c.ended = j, j.Orders == 0
}
