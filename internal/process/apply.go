package process

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/sink"
)

// A transaction that lost against another one is tried again so often, and so
// long, before it is taken for an outage.
const (
	quickRetries = 10
	quickFor     = 2 * time.Second
)

// apply brings records into the database. It comes back when they are there or
// are to be read again; false where neither is so and the worker has to end.
func (p *partition) apply(records []*kgo.Record) bool {
	b := p.decode(records)
	if b == nil {
		p.mu.Lock()
		p.waiting = time.Time{}
		p.mu.Unlock()
		return true
	}
	quick, pause, began := 0, backoff{}, time.Now()
	for err := p.w.origins(p.ctx, b); err != nil; err = p.w.origins(p.ctx, b) {
		if !p.hold(err, &pause) {
			return false
		}
	}
	for {
		b.attempts++
		start := time.Now()
		written, err := p.write(b)
		var (
			moved   *sink.Moved
			tripped *trippedError
			letter  *letterError
		)
		switch {
		case err == nil:
			p.took(b, written, time.Since(start))
			return true
		case p.ctx.Err() != nil:
			return false
		case errors.As(err, &tripped):
			if tripped.cut == 0 {
				p.resumeOthers(pausedBreaker) // the database has answered
				p.trip(tripped)
				return true
			}
			b.cut(tripped.cut)
			b.trip = tripped
		case errors.As(err, &moved):
			p.w.log.Warn("the database's offset moved, reading again from there", "partition", p.number, "offset", b.First, "next", moved.Next)
			return p.relocate()
		case errors.As(err, &letter): // the database is well
			if !p.hold(err, &pause) {
				return false
			}
		case sink.ClassOf(err) == sink.ClassRetry && quick < quickRetries && time.Since(began) < quickFor:
			quick++
			p.w.blame(err)
			if !p.wait(time.Duration(quick) * 10 * time.Millisecond) {
				return false
			}
		default:
			if next, ok := p.found(err, &pause); !ok {
				return false
			} else if next != b.First {
				// The COMMIT had happened, or another server has taken over with less.
				p.w.log.Warn("after a lost connection the database stands elsewhere, reading from there", "partition", p.number, "offset", b.First, "next", next)
				p.healed()
				p.seek(next)
				return true
			} else if tooLong(err) && len(b.Entries) > 1 {
				p.halve(len(b.Entries))
				p.retry()
				p.seek(next) // its records are read again, in smaller batches
				return true
			}
		}
	}
}

// tooLong says whether a batch was not written within the database's time.
func tooLong(err error) bool {
	const canceled = "57014" // by statement_timeout
	var state interface{ SQLState() string }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &state) && state.SQLState() == canceled
}

// halve has the next batches hold half as many records as one that took too
// long; regain lets them grow again, slowly, since trying in vain takes all of
// the database's time.
func (p *partition) halve(records int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = max(1, records/2)
	p.w.log.Warn("the database takes too long for a batch, the next ones are smaller", "partition", p.number, "records", records, "at_most", p.most)
}

func (p *partition) regainLocked() {
	if p.most += p.most/16 + 1; p.most >= p.w.opts.BatchRecords {
		p.most = p.w.opts.BatchRecords
	}
}

// write writes a batch, and before that the dead letters that it needs. No
// transaction is open while those are waited for.
func (p *partition) write(b *batch) (sink.Written, error) {
	for {
		answered := p.asking()
		written, err := p.w.store.Write(p.ctx, &b.Batch)
		answered()
		var unburied *sink.Unburied
		if !errors.As(err, &unburied) {
			return written, err
		}
		p.w.metrics.bisects.Add(float64(unburied.Bisects))
		p.refused(b, unburied.Refused)
		if err := p.bury(p.ctx, b, unburied.Refused); err != nil {
			return written, err
		}
	}
}

// refused counts what the database refuses for its data, each record once.
func (p *partition) refused(b *batch, entries []int) {
	for _, i := range entries {
		if b.Entries[i].Refusal.Class == sink.RefusedDatabase && !b.refused[i] {
			if b.refused == nil {
				b.refused = map[int]bool{}
			}
			b.refused[i] = true
			p.w.metrics.dbErrors.WithLabelValues(string(sink.ClassData)).Inc()
		}
	}
}

// asking notes since when the database, or the broker, is waited for: one that
// does not answer at all shows, too.
func (p *partition) asking() (answered func()) {
	set := func(at time.Time) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked = at
	}
	set(time.Now())
	return func() { set(time.Time{}) }
}

// hold waits a while because of err, standing still in the eyes of all.
func (p *partition) hold(err error, pause *backoff) bool {
	if p.w.fatal(p.ctx, err) {
		return false
	}
	reason := p.w.blame(err)
	p.resumeOthers(reason)
	p.pause(reason, err.Error())
	p.w.say(reason, err, "partition", p.number, "next", p.position())
	return p.wait(pause.next())
}

// resumeOthers takes back reasons that are no longer the one.
func (p *partition) resumeOthers(but string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, reason := range []string{pausedOutage, pausedDeploy, pausedLetters, pausedKafka} {
		if reason != but {
			delete(p.reasons, reason) // another one comes at once: nothing is fetched in between
			delete(p.since, reason)
		}
	}
}

// healed takes all of them back, and says so where there was one. After a batch
// that was not written that is so once one is: a database that tells where it
// stands may take nothing all the same.
func (p *partition) healed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, reason := range []string{pausedOutage, pausedDeploy, pausedLetters, pausedKafka} {
		since, ok := p.since[reason]
		if info, paused := p.reasons[reason]; paused {
			since, ok = info.since, true
		}
		if ok {
			p.w.log.Info("going on", "partition", p.number, "next", p.next, "after", time.Since(since).Round(time.Millisecond).String(), "reason", reason)
		}
	}
	clear(p.since)
	p.resumeLocked(pausedOutage, pausedDeploy, pausedLetters, pausedKafka)
}

// retry has records fetched though no batch was written yet. Where that fails
// again the partition stands still since it did first.
func (p *partition) retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, reason := range []string{pausedOutage, pausedDeploy, pausedLetters, pausedKafka} {
		if info, ok := p.reasons[reason]; ok {
			p.since[reason] = info.since
		}
	}
	p.resumeLocked(pausedOutage, pausedDeploy, pausedLetters, pausedKafka)
}

// relocate asks the database where to read on, and goes there.
func (p *partition) relocate() bool {
	p.pause(pausedSeek, "")
	next, ok := p.found(nil, &backoff{})
	if ok {
		p.healed()
		p.seek(next)
	}
	return ok
}

// found waits, after err where there is one, until the database says where it
// stands and the log agrees.
func (p *partition) found(err error, pause *backoff) (int64, bool) {
	for {
		if err != nil && !p.hold(err, pause) {
			return 0, false
		}
		answered := p.asking()
		at, unknown, failed := p.w.locate(p.ctx, []int32{p.number})
		answered()
		if err = cmp.Or(failed, unknown[p.number]); err == nil {
			l := at[p.number]
			p.saw(l.end)
			p.breaker = l.breaker
			return l.next, true
		}
	}
}

// took notes what was committed.
func (p *partition) took(b *batch, written sink.Written, took time.Duration) {
	p.healed()
	m := p.w.metrics
	m.duration.Observe(took.Seconds())
	m.records.Observe(float64(len(b.Entries)))
	m.bisects.Add(float64(written.Bisects))
	now, passed := time.Now(), 0
	for i, outcome := range written.Outcomes {
		switch outcome {
		case sink.Passed:
			passed++
			continue
		case sink.Booked:
			continue
		case sink.Inserted, sink.Updated:
			if received := b.Entries[i].Received; !received.IsZero() {
				m.endToEnd.Observe(max(0, now.Sub(received).Seconds()))
			}
		}
		m.outcome(outcome).Inc()
		p.breaker.add(outcome == sink.DeadLettered)
	}
	if next := max(written.Next, b.Next); passed > 0 || next > b.Next {
		p.w.log.Warn("the database's offset stands beyond what was to be written: another member was faster, or somebody set it",
			"partition", p.number, "offset", b.First, "next", next, "passed_over", passed)
	}
	p.mu.Lock()
	p.regainLocked()
	p.passLocked(max(written.Next, b.Next), b.rest)
	if p.next > p.end {
		p.end, p.grew = p.next, now
	}
	p.mu.Unlock()
	if b.trip != nil {
		p.trip(b.trip)
	}
}

// trip opens the breaker. Nothing closes it but a restart: whoever repairs
// what is wrong has to know of it.
func (p *partition) trip(t *trippedError) {
	p.w.mu.Lock()
	p.w.tripped[p.number] = t.why
	p.w.mu.Unlock()
	p.mu.Lock()
	p.waiting = p.oldestLocked() // it stays the oldest, though it is held no more
	p.queue, p.bytes = nil, 0
	p.pauseLocked(pausedBreaker, t.why)
	next := p.next
	p.mu.Unlock()
	p.w.log.Error("the breaker is open, this partition stands still", "partition", p.number, "next", next, "why", t.why,
		"hint", "repair the producer, then restart with --dlq-breaker off to dead-letter what is in the log")
}
