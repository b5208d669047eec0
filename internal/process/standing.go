package process

import (
	"math/bits"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

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

// stillness is for how many looks nothing has come of what is there.
type stillness struct {
	at    int64 // expected
	looks int
}

// nudge has the client begin again where nothing comes: an error of a batch
// that is too large is lost where the partition was paused when it came, and the
// client reads no further. Told where to read it says so once more. It does so
// after 10 s, 20 s, 40 s: what is under way is thrown away with it, and an open
// transaction looks the same.
func (p *partition) nudge() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.placed || p.gone || len(p.reasons) > 0 || p.expect >= p.end || p.expect != p.still.at {
		p.still = stillness{at: p.expect}
		return
	}
	if p.still.looks++; p.still.looks < 2 || bits.OnesCount(uint(p.still.looks)) > 1 {
		return
	}
	next := p.expect
	p.w.calls.add(func() {
		if p.w.ours(p.number) == p { // a seek in the meantime has its own offset set after this one
			p.w.kafka.SetOffsets(map[string]map[int32]kgo.EpochOffset{p.w.opts.Topic: {p.number: {Epoch: -1, Offset: next}}})
		}
	})
}
