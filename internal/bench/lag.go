package bench

import (
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"
)

const (
	// DefaultLagLimit is what the p99 of the generator's own lag may be. Lag is
	// part of every latency that is measured, so a latency of a few milliseconds
	// means little beyond it.
	DefaultLagLimit = time.Millisecond

	// lateSeconds in a row with most orders beyond the limit spoil a run too: in
	// a long one they would be lost in the p99.
	lateSeconds = 3

	// starvedHalf of the run is how long the program's threads together may have
	// waited for a CPU, where orders waited for connections starvedFactor times
	// the limit: an answer that has come and is not read for want of a CPU looks
	// like a connection that the server keeps busy.
	starvedHalf   = 0.5
	starvedFactor = 10

	// busyCPU is the share of its CPUs above which a closed loop measures this
	// program as much as the server.
	busyCPU = 0.9

	// starvedTimes is how many times as long as they ran this program's threads
	// may wait for a CPU: beyond it answers are read late whatever the pacer, whose
	// thread sleeps most of the time and is woken first, makes of it. A server on
	// the same machine that takes what there is brings it to 2; three programs that
	// want the same CPU, to 4 and more.
	starvedTimes = 3
	// starvedShare of the run has to be waited through before that counts: where
	// little runs a little waiting is many times as long.
	starvedShare = 0.25

	// starvedEach is how long a wait has to be, on average, to spoil a closed loop.
	// Its server gets its work from this program and beside it, on one machine,
	// takes all the CPU that there is: then threads wait often, and each time for
	// a short while. On two CPUs that is 0.07 to 0.4 ms, and 0.47 ms where both
	// are pinned to one; 0.8 to 2.7 ms where four other programs are never
	// done with the CPU that it has.
	//
	// Held against the service time it would call every closed loop beside a quick
	// server spoiled, for those waits are as long as its answers take: such a run
	// is valid, but said to be short of CPU.
	starvedEach = DefaultLagLimit * 7 / 10

	// starvedLong is how long a run has to be for the waiting to count: the first
	// moments of any program are made of it.
	starvedLong = time.Second

	// standsStill is far longer than the watcher, which looks four times a second,
	// is kept from it on a busy machine.
	standsStill = 500 * time.Millisecond
)

// Judgement says whether the figures are the server's, or were spoiled by the
// program that measured them.
type Judgement struct {
	Valid  bool
	Reason string        // of an invalid run
	At     time.Duration // since when, from the run's start
	Hint   string        // what to do about an invalid run
	Notes  []string      // what a reader of the figures should know, though they are valid

	LagP99, LagLimit time.Duration
	CPUs             int
	CPU              float64       // share of them that this process used; negative: unknown
	MachineCPU       float64       // share of all CPUs of the machine that all processes used; negative: unknown
	WaitedForCPU     time.Duration // by this process's threads together; negative: unknown
	WaitedEach       time.Duration // each time that one got a CPU, on average; negative: unknown
	ShortOfCPU       bool          // valid, and its times are longer than the server's
	GCPauses         uint64
	GCPauseMax       time.Duration // upper end of its bucket
	OpenFiles        uint64        // limit; 0: unknown

	machineCPUs float64 // of the machine, which may have more than this process was given; 0: unknown
}

// usage is what the process had taken at a moment.
type usage struct {
	at                      time.Time
	cpus                    int
	process, waited         time.Duration
	times                   int64 // that its threads got a CPU
	busy, total             time.Duration
	hasCPU, hasWait, hasAll bool
	pauses                  *metrics.Float64Histogram
}

func takeUsage(cpus int) usage {
	u := usage{at: time.Now(), cpus: cpus}
	u.process, u.hasCPU = processTime()
	u.waited, u.times, u.hasWait = waitedForCPU()
	u.busy, u.total, u.hasAll = machineTime()
	read := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(read)
	if read[0].Value.Kind() == metrics.KindFloat64Histogram {
		u.pauses = read[0].Value.Float64Histogram()
	}
	return u
}

// since is the share of the CPUs that was used between two moments.
func (u usage) since(before usage) (process, machine float64, waited time.Duration) {
	process, machine, waited = -1, -1, -1
	wall := u.at.Sub(before.at)
	if wall <= 0 {
		return process, machine, waited
	}
	if u.hasCPU && before.hasCPU {
		process = float64(u.process-before.process) / float64(wall) / float64(max(before.cpus, 1))
	}
	if all := u.total - before.total; u.hasAll && before.hasAll && all > 0 {
		machine = float64(u.busy-before.busy) / float64(all)
	}
	if u.hasWait && before.hasWait {
		waited = max(u.waited-before.waited, 0)
	}
	return process, machine, waited
}

// cpus is how many this process may use: what it is pinned to counts, and a
// container's quota. Ask before a run begins, which adds a thread to them.
func cpus() int { return min(runtime.NumCPU(), max(runtime.GOMAXPROCS(0), 1)) }

// judge holds a run against the limits. The series is without warm-up.
func judge(limit time.Duration, open bool, c *collector, points []Second, before, after usage) Judgement {
	lag, ours := c.lag, c.ours
	if limit == 0 {
		limit = DefaultLagLimit
	}
	j := Judgement{Valid: true, LagLimit: limit, CPUs: before.cpus}
	j.CPU, j.MachineCPU, j.WaitedForCPU = after.since(before)
	j.WaitedEach = waitEach(before, after)
	j.GCPauses, j.GCPauseMax = pausesBetween(before.pauses, after.pauses)
	j.OpenFiles, _ = openFiles()
	j.LagP99 = lag.quantile(99)
	if wall := after.at.Sub(before.at); j.MachineCPU >= 0 && wall > 0 {
		j.machineCPUs = float64(after.total-before.total) / float64(wall)
	}
	if ours != nil {
		j.invalid(ours.At, "%s on this machine", ours.Cause)
		j.Hint = "use fewer --connections, or let this machine have more files (ulimit -n) and ports (net.ipv4.ip_local_port_range)"
		return j
	}
	if limit > DefaultLagLimit {
		j.Notes = append(j.Notes, fmt.Sprintf("the generator was allowed to be %s late, and to want for CPU: latencies hold that", short(limit)))
	}
	// Who allows a longer lag allows what makes it.
	starved, took := limit <= DefaultLagLimit && starvedBetween(before, after), after.at.Sub(before.at)
	if !open {
		if j.stood(c, limit, took); !j.Valid {
			return j
		}
		// Nothing is due in a closed loop, so nothing can be late, and one that
		// takes all CPUs together with its server is what many are for.
		if starved && j.WaitedEach > starvedEach {
			j.invalid(0, "generator waited %s for a CPU in %s from 0:00 on, %s > %s each time: answers were read late", short(j.WaitedForCPU), short(took), shortBeyond(j.WaitedEach, starvedEach), short(starvedEach))
			j.allow()
			return j
		}
		if starved {
			j.ShortOfCPU = true
			j.Notes = append(j.Notes, fmt.Sprintf("the generator's threads waited %s for a CPU: its times are longer than the server's", short(j.WaitedForCPU)))
		}
		if j.CPU > busyCPU {
			j.Notes = append(j.Notes, fmt.Sprintf("the generator used %.0f %% of its CPUs: the rate may be its own limit", 100*j.CPU))
		}
		return j
	}
	switch at := c.late.since(); {
	case j.LagP99 > limit && c.lateEnough(limit):
		few := ""
		if _, enough := lag.At(99); !enough {
			few = fmt.Sprintf(" of %d %s", lag.Count(), plural(int(min(lag.Count(), 2)), "order"))
		}
		j.invalid(at, "generator lag p99 %s%s > %s from %s on: %s", shortBeyond(j.LagP99, limit), few, short(limit), stamp(at), j.cause(took))
		if !c.late.spoiled && c.late.stood == 0 {
			j.allow()
		}
	case c.late.stood > 0:
		j.invalid(c.late.stoodAt, "generator up to %s late with what was due from %s on: %s", short(c.late.stood), stamp(c.late.stoodAt), j.cause(took))
	case c.late.spoiled:
		j.invalid(at, "generator lag p50 > %s for %d s and longer from %s on: %s", short(limit), lateSeconds, stamp(at), j.cause(took))
	case starved:
		j.invalid(0, "generator waited %s for a CPU in %s from 0:00 on, over %d times as long as it ran: answers were read late", short(j.WaitedForCPU), short(took), starvedTimes)
		j.allow()
	case limit <= DefaultLagLimit && j.lateInAll(c, points, before, after):
	default:
		j.noteTail(lag, points)
	}
	return j
}

// noteTail tells of a generator that was late with too few orders to spoil the
// run: the percentiles above are its own doing all the same.
func (j *Judgement) noteTail(lag *Histogram, points []Second) {
	const stop = 100 // limits: far beyond what a scheduler does, and seen in the maximum
	p999, known := lag.At(99.9)
	above := "above p99"
	if _, enough := lag.At(99); !enough {
		above = "of the slowest"
	}
	// With too few orders to tell a p99 a single one may be all of the tail.
	alone := above != "above p99" && j.LagP99 > j.LagLimit
	if !alone && (!known || p999 <= j.LagLimit) && lag.Max() <= stop*j.LagLimit {
		return
	}
	var worst Second
	for _, p := range points {
		if p.LagMax > worst.LagMax {
			worst = p
		}
	}
	j.Notes = append(j.Notes, fmt.Sprintf("the generator itself was up to %s late at %s: latencies %s hold that", shortBeyond(lag.Max(), j.LagLimit), stamp(worst.At), above))
}

// starvedBetween tells whether this program had too little CPU to read answers
// in time.
func starvedBetween(before, after usage) bool {
	_, _, waited := after.since(before)
	wall := after.at.Sub(before.at)
	return before.hasCPU && after.hasCPU && wall >= starvedLong &&
		waited > starvedTimes*(after.process-before.process) && float64(waited) > starvedShare*float64(wall)
}

// waitEach is how long this program's threads waited for a CPU each time, on
// average; -1 where it is not known.
func waitEach(before, after usage) time.Duration {
	_, _, waited := after.since(before)
	times := after.times - before.times
	if waited < 0 || times <= 0 {
		return -1
	}
	return waited / time.Duration(times)
}

// lateInAll finds the generator that never looks late, because it is late in
// all that it does: orders wait for connections while it waits for a CPU, half
// of the run and more, and longer than it runs.
func (j *Judgement) lateInAll(c *collector, points []Second, before, after usage) bool {
	took, ran := after.at.Sub(before.at), after.process-before.process
	behind := c.latency.quantile(99) - c.service.quantile(99)
	if behind <= starvedFactor*j.LagLimit || float64(j.WaitedForCPU) < starvedHalf*float64(took) || j.WaitedForCPU < ran {
		return false
	}
	var since time.Duration
	for _, p := range points {
		if p.P99 > starvedFactor*j.LagLimit {
			since = p.At
			break
		}
	}
	j.invalid(since, "generator waited %s for a CPU in %s, and orders for connections from %s on", short(j.WaitedForCPU), short(took), stamp(since))
	j.allow()
	return true
}

func (j *Judgement) invalid(at time.Duration, format string, args ...any) {
	j.Valid, j.At, j.Reason = false, at, fmt.Sprintf(format, args...)
	j.Hint = "run it where it has a CPU to itself, or ask for less at a time (--rate, -c, --connections)"
}

// allow adds the limit with which the run would have been valid.
func (j *Judgement) allow() {
	if limit := laterLimit(max(j.LagP99, j.LagLimit)); limit > 0 {
		j.Hint += fmt.Sprintf("; --lag-limit %s allows as much, and latencies hold it", limit)
	}
}

// stood judges a closed loop whose program stood still: nothing is due in it,
// so nothing else tells that from a server that does not answer.
func (j *Judgement) stood(c *collector, limit, took time.Duration) {
	switch {
	case c.stood > max(limit, lateSeconds*time.Second):
		j.invalid(c.stoodAt, "generator stood still for %s from %s on: %s", short(c.stood), stamp(c.stoodAt), j.cause(took))
	case c.stood > standsStill:
		j.Notes = append(j.Notes, fmt.Sprintf("the generator itself stood still for %s at %s: times hold that", short(c.stood), stamp(c.stoodAt)))
	}
}

// laterLimit is a limit that a generator with this lag keeps; 0 where it would
// measure nothing but itself.
func laterLimit(lag time.Duration) time.Duration {
	for _, limit := range []time.Duration{2, 5, 10, 20, 50, 100} {
		if limit *= time.Millisecond; limit >= lag+lag/2 {
			return limit
		}
	}
	return 0
}

// cause is the likeliest reason for a generator that was late.
func (j *Judgement) cause(took time.Duration) string {
	switch {
	case j.CPU > busyCPU:
		return fmt.Sprintf("CPU %.0f %%", 100*j.CPU)
	case j.MachineCPU > busyCPU:
		return fmt.Sprintf("CPU %.0f %%, of it %.0f %% others'", 100*j.MachineCPU, 100*max(j.MachineCPU-j.ofMachine(), 0))
	case float64(j.WaitedForCPU) > starvedShare*float64(took): // that makes long pauses too
		return fmt.Sprintf("its threads waited %s for a CPU", short(j.WaitedForCPU))
	case j.GCPauseMax > j.LagLimit:
		return fmt.Sprintf("garbage collection paused it for up to %s", short(j.GCPauseMax))
	case j.WaitedForCPU > 0:
		return fmt.Sprintf("its threads waited %s for a CPU", short(j.WaitedForCPU))
	}
	return "its timers are late"
}

// ofMachine is the share of all CPUs of the machine that this process used. It
// may have been given fewer.
func (j *Judgement) ofMachine() float64 {
	if j.CPU <= 0 || j.machineCPUs <= 0 {
		return 0
	}
	return j.CPU * float64(j.CPUs) / j.machineCPUs
}

// lateness follows the seconds of a run as they end, before a long run puts
// neighbours together: of those nobody knows any more which stood in a row.
type lateness struct {
	limit   time.Duration
	first   time.Duration // the begin of the first second whose p99 was beyond the limit
	found   bool          // there was one
	row     int           // seconds up to now with most orders beyond the limit
	begin   time.Duration // of the first of them
	spoiled bool          // there were lateSeconds in a row, the first ones from begin on

	stood   time.Duration // the longest lag of lateSeconds and more; 0: none
	stoodAt time.Duration // since when the first of those orders was due
}

// order tells of the lag of one that is measured. A program that stands still
// for seconds and then sends all that was due is late in one second only, by
// when it was sent.
func (l *lateness) order(due, lag time.Duration) {
	if lag < lateSeconds*time.Second || lag <= l.limit {
		return
	}
	if l.stood == 0 {
		l.stoodAt = due
	}
	l.stood, l.stoodAt = max(l.stood, lag), min(l.stoodAt, due)
}

func (l *lateness) add(p Second) {
	if p.LagP99 > l.limit && !l.found {
		l.found, l.first = true, p.At
	}
	switch {
	case l.spoiled:
	case p.LagP50 <= l.limit:
		l.row = 0
	default:
		if l.row++; l.row == 1 {
			l.begin = p.At
		}
		l.spoiled = l.row >= lateSeconds
	}
}

// since is from when on the generator was late.
func (l *lateness) since() time.Duration {
	if l.spoiled {
		return l.begin
	}
	return l.first
}

// lateEnough tells whether so many requests were late that they stand in a figure
// that is shown: ten, as above any percentile, or half where there are fewer
// than twenty. One in a hundred of 1,000 and more is always enough. The orders
// of a request were late once, together.
func (c *collector) lateEnough(limit time.Duration) bool {
	late, each := uint64(0), uint64(max(c.perJob, 1)) //nolint:gosec // it is positive
	for d, n := range c.lag.Distribution {
		if d > limit {
			late += n
		}
	}
	requests := (c.lag.Count() + each - 1) / each
	return (late+each-1)/each >= min(enoughAbove, (requests+1)/2)
}

// shortBeyond is short, with the digits that tell it from a limit that it is
// beyond.
func shortBeyond(d, limit time.Duration) string {
	if text := short(d); text != short(limit) {
		return text
	}
	return spaced(d.Round(time.Microsecond).String())
}

// pausesBetween counts garbage collections' pauses, and their longest.
func pausesBetween(before, after *metrics.Float64Histogram) (n uint64, longest time.Duration) {
	if before == nil || after == nil || len(before.Counts) != len(after.Counts) {
		return 0, 0
	}
	for i := range after.Counts {
		if d := after.Counts[i] - before.Counts[i]; d > 0 {
			n += d
			end := after.Buckets[i+1]
			if math.IsInf(end, 1) {
				end = after.Buckets[i]
			}
			longest = time.Duration(end * 1e9)
		}
	}
	return n, longest
}

// short is a duration with two or three digits, for a sentence.
func short(d time.Duration) string {
	for _, grain := range []time.Duration{10 * time.Second, 100 * time.Millisecond, time.Millisecond, 10 * time.Microsecond, time.Microsecond} {
		if d >= 10*grain {
			return spaced(d.Round(grain).String())
		}
	}
	return spaced(d.String())
}

// spaced writes 14ms and 0.1% as text has them: 14 ms, 0.1 %.
func spaced(quantity string) string {
	number := strings.TrimRight(quantity, "abcdefghijklmnopqrstuvwxyzµ%")
	if number == "" || number == quantity || strings.ContainsAny(number, "hm") {
		return quantity
	}
	return number + " " + quantity[len(number):]
}

// stamp is a moment of a run: 3:10.
func stamp(at time.Duration) string {
	s := int(at / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
