package process

import "time"

// saw notes where the log ends.
func (p *partition) saw(end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blind = pauseInfo{}
	if end > p.end {
		p.end, p.grew = end, time.Now()
	}
	if p.unread.IsZero() && p.placed && p.end > p.next {
		p.unread = p.grew
	}
}

// ending is where the log was seen to end, -1 where it was not.
func (p *partition) ending() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// unseen notes that Kafka does not tell where the log ends.
func (p *partition) unseen(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blind.since.IsZero() {
		p.blind.since = time.Now()
	}
	p.blind.detail = err.Error()
}

// oldestLocked is the timestamp of the oldest record that waits. One that was
// not read yet is as old as it is known to be there.
func (p *partition) oldestLocked() time.Time {
	switch {
	case !p.waiting.IsZero():
		return p.waiting
	case len(p.queue) > 0:
		return p.queue[0].Timestamp
	}
	return p.unread
}

// passLocked notes that what stands before next is done; waiting is the
// timestamp of the record that stands there, where it was read.
func (p *partition) passLocked(next int64, waiting time.Time) {
	p.placed, p.next, p.waiting, p.unread = true, next, waiting, time.Time{}
	if p.end > next {
		p.unread = p.grew // of those that were there before, none is left
	}
}
