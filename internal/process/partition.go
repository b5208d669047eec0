package process

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Reasons why a partition stands still; metrics have them as "reason".
const (
	pausedOutage  = "outage"        // the database is away
	pausedDeploy  = "misdeployment" // the database is not what it should be: schema, rights, name
	pausedLetters = "dead_letters"  // dead letters can't be written
	pausedBreaker = "breaker"       // too many of them
	pausedKafka   = "kafka"         // Kafka does not say where the log begins and ends, or refuses to be read

	// Shown as kafka, but nothing ends it here: a batch that is not decompressed.
	pausedLarge = "large"

	// Not shown: the usual course of things.
	pausedFull = "full" // the queue
	pausedSeek = "seek" // on the way to another offset
)

func pauseReasons() []string {
	return []string{pausedOutage, pausedDeploy, pausedLetters, pausedBreaker, pausedKafka}
}

// partition is one that is ours, with its worker.
type partition struct {
	w       *Worker
	number  int32
	breaker *breaker // its worker's alone

	stopping chan struct{}   // closed: finish the batch in flight
	done     chan struct{}   // closed when the worker has ended
	ctx      context.Context //nolint:containedctx // of the worker: its batch in flight is abandoned with it
	cancel   context.CancelFunc
	arrived  chan struct{} // there is something in the queue, or to look at
	once     sync.Once     // stopping

	mu      sync.Mutex
	started bool                 // guarded by mu: there is a worker, or never will be
	placed  bool                 // guarded by mu: it is known where it stands
	gone    bool                 // guarded by mu: asked to end; whether it is fetched is not its business any more
	next    int64                // guarded by mu: the database's next offset
	expect  int64                // guarded by mu: of the next record to come
	end     int64                // guarded by mu: of the log, as far as known
	queue   []*kgo.Record        // guarded by mu
	bytes   int                  // guarded by mu: of the queue
	astray  bool                 // guarded by mu: the log has no record at expect; look when the queue is empty
	met     bool                 // guarded by mu: the client has come to where it was sent, or let itself be sent again
	reasons map[string]pauseInfo // guarded by mu: why it is not fetched
	since   map[string]time.Time // guarded by mu: of reasons that were taken back to try once more
	blind   pauseInfo            // guarded by mu: since when Kafka does not tell of its log, zero where it does
	waiting time.Time            // guarded by mu: timestamp of the record at next, where it was read
	grew    time.Time            // guarded by mu: when end was seen to move last
	unread  time.Time            // guarded by mu: since when there is something to be read
	most    int                  // guarded by mu: records of a batch
	asked   time.Time            // guarded by mu: since when the database is waited for, zero where it is not
	sent    int64                // guarded by mu: next offset as committed to Kafka
	rate    rates                // guarded by mu
	still   stillness            // guarded by mu
}

type pauseInfo struct {
	since  time.Time
	detail string
}

func newPartition(w *Worker, number int32) *partition {
	p := &partition{
		w: w, number: number, breaker: new(breaker), most: w.opts.BatchRecords,
		stopping: make(chan struct{}), done: make(chan struct{}), arrived: make(chan struct{}, 1),
		next: -1, end: -1, sent: -1, reasons: map[string]pauseInfo{}, since: map[string]time.Time{},
	}
	// Not of the run's context: the batch in flight is finished.
	p.ctx, p.cancel = context.WithCancel(context.Background()) //nolint:forbidigo // a callback of the Kafka client has none that lives on
	return p
}

// start lets the worker begin.
func (p *partition) start(at location) {
	p.begin(func() {
		p.expect, p.end, p.grew, p.breaker = at.next, at.end, time.Now(), at.breaker
		p.passLocked(at.next, time.Time{})
		p.w.calls.hunger()
	}, p.work)
}

// startLater lets the worker begin by finding out where it stands, as what was
// asked of Kafka ended in err. Nothing is read meanwhile.
func (p *partition) startLater(err error) {
	p.begin(func() { p.pauseLocked(pausedSeek, "") }, func() {
		if next, ok := p.found(err, &backoff{}); ok {
			p.healed()
			p.seek(next)
			p.work()
		}
	})
}

func (p *partition) begin(prepare, work func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started {
		return
	}
	p.started = true
	prepare()
	p.w.ended.Go(func() {
		defer close(p.done)
		defer p.cancel()
		work()
	})
}

// stop asks the worker to end.
func (p *partition) stop() {
	p.once.Do(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.gone = true
		close(p.stopping)
		if !p.placed {
			p.cancel() // nothing of it is in flight
		}
		if !p.started {
			p.started = true // never to be
			p.cancel()
			close(p.done)
		}
	})
}

// ends waits for the worker's end, and tells whether it came in time.
func (p *partition) ends(ctx context.Context) bool {
	select {
	case <-p.done:
		return true
	default:
	}
	select {
	case <-p.done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *partition) queued() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

// supplied: there is enough for the next batches, n times over. Once all
// partitions are, no more is polled. One that runs far ahead of the others is
// paused: that throws away what the client has fetched of it, so it comes late.
func (p *partition) supplied(n int) bool {
	c := p.w.opts.Config
	return len(p.queue) >= n*4*c.BatchRecords || p.bytes >= n*int(c.BatchBytes)
}

const farAhead = 3

// appetite tells whether it would take more, or has enough for now. One that
// stands still is neither.
func (p *partition) appetite() (hungry, stuffed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.placed || len(p.reasons) > 0 {
		return false, false
	}
	return !p.supplied(1), p.supplied(1)
}

// halted: what comes now does not follow what is applied. It is read again from
// where the partition goes on, if it does.
func (p *partition) halted() bool {
	_, moving := p.reasons[pausedSeek]
	_, tripped := p.reasons[pausedBreaker]
	return moving || tripped || p.gone
}

// push takes records of a poll, in order. It drops what came before a seek.
func (p *partition) push(records []*kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(records) == 0 || !p.placed {
		return
	}
	if p.halted() {
		return
	}
	if !p.met {
		// The client moves its first offset into the log, without a word. Where the
		// log has a gap there it is only looked at twice: from now on the client
		// goes exactly where it is sent.
		if p.met = true; records[0].Offset > p.expect {
			p.loseLocked()
			return
		}
	}
	for _, r := range records {
		if r.Offset < p.expect {
			continue
		}
		p.queue = append(p.queue, r)
		p.bytes += size(r)
		p.expect = r.Offset + 1
	}
	if p.supplied(farAhead) {
		p.pauseLocked(pausedFull, "")
	}
	p.wake()
}

func size(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value) + 100 // what the record itself takes, or so
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// lose says that the log has no record at the offset that comes next.
func (p *partition) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.placed { // else none was looked for
		p.loseLocked()
	}
}

func (p *partition) loseLocked() {
	p.astray = true
	p.pauseLocked(pausedSeek, "")
	p.wake()
}

func (p *partition) wake() {
	select {
	case p.arrived <- struct{}{}:
	default:
	}
}

// pause stops the fetching of this partition alone; all reasons have to be
// gone before it goes on.
func (p *partition) pause(reason, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pauseLocked(reason, detail)
}

func (p *partition) pauseLocked(reason, detail string) {
	if old, ok := p.reasons[reason]; ok {
		p.reasons[reason] = pauseInfo{old.since, detail}
		return
	}
	since, ok := p.since[reason]
	if !ok {
		since = time.Now()
	}
	p.reasons[reason] = pauseInfo{since, detail}
	if len(p.reasons) == 1 && !p.gone {
		p.w.kafka.PauseFetchPartitions(p.set())
	}
}

func (p *partition) resume(reasons ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resumeLocked(reasons...)
}

func (p *partition) resumeLocked(reasons ...string) {
	before := len(p.reasons)
	for _, r := range reasons {
		delete(p.reasons, r)
	}
	if before > 0 && len(p.reasons) == 0 && !p.gone {
		p.w.kafka.ResumeFetchPartitions(p.set())
		p.w.calls.hunger()
	}
}

func (p *partition) set() map[string][]int32 {
	return map[string][]int32{p.w.opts.Topic: {p.number}}
}

// seek goes on at another offset. Only between polls can it be set without a
// record slipping in that was fetched before.
func (p *partition) seek(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.bytes, p.astray = nil, 0, false
	if !p.placed || next != p.next {
		p.passLocked(next, time.Time{})
	}
	p.pauseLocked(pausedSeek, "")
	p.w.calls.add(func() { p.setOffset(next, time.Now()) })
}

// seekFor is how long the client may take from the answer of position until it
// knows the partition: some moments.
const seekFor = 10 * time.Second

func (p *partition) setOffset(next int64, since time.Time) {
	if p.w.ours(p.number) != p {
		return // given away in the meantime
	}
	name := p.w.opts.Topic
	p.w.kafka.SetOffsets(map[string]map[int32]kgo.EpochOffset{name: {p.number: {Epoch: -1, Offset: next}}})
	if _, ok := p.w.kafka.CommittedOffsets()[name][p.number]; !ok {
		// The client skips in silence what it does not know to be consumed. That
		// would leave us where we are: nothing may be read from there.
		if time.Since(since) > seekFor {
			p.w.fail(&positionError{p.number, next})
			return
		}
		time.AfterFunc(50*time.Millisecond, func() { p.w.calls.add(func() { p.setOffset(next, since) }) })
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expect = next
	p.resumeLocked(pausedSeek, pausedFull, pausedLarge) // a batch that is too large is met again
}

// work applies batch after batch until it is stopped, or can't go on: behind a
// batch that was not applied nothing may be.
func (p *partition) work() {
	for {
		records, ok := p.gather()
		if ok && len(records) > 0 {
			ok = p.apply(records)
		} else if ok {
			ok = p.relocate()
		}
		if !ok {
			return
		}
	}
}

// gather waits for a batch: as many records as there are up to the limits, and
// a little while for company where there are fewer. It gives none where the
// partition went astray, and false at the end.
func (p *partition) gather() ([]*kgo.Record, bool) {
	var over <-chan time.Time
	for {
		records, astray, full := p.peek()
		select {
		case <-p.stopping:
			return nil, false
		default:
		}
		switch {
		case full, len(records) > 0 && (p.w.opts.BatchWait == 0 || astray):
			return p.take(len(records)), true
		case len(records) == 0 && astray:
			return nil, true
		case len(records) > 0 && over == nil:
			timer := time.NewTimer(p.w.opts.BatchWait)
			defer timer.Stop()
			over = timer.C
		}
		select {
		case <-p.stopping:
			return nil, false
		case <-p.arrived:
		case <-over:
			records, _, _ = p.peek()
			return p.take(len(records)), true
		}
	}
}

// peek is the next batch as far as it is there, and whether it is full.
func (p *partition) peek() (records []*kgo.Record, astray, full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, n, bytes := p.w.opts.Config, 0, 0
	for n < len(p.queue) && n < p.most && bytes < int(c.BatchBytes) {
		bytes += size(p.queue[n])
		n++
	}
	return p.queue[:n], p.astray, n == p.most || bytes >= int(c.BatchBytes)
}

// take removes a batch's records from the queue and lets more come.
func (p *partition) take(n int) []*kgo.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	records := p.queue[:n:n]
	p.queue = p.queue[n:]
	if n > 0 {
		p.waiting = records[0].Timestamp
	}
	for _, r := range records {
		p.bytes -= size(r)
	}
	if !p.supplied(1) {
		p.resumeLocked(pausedFull)
		p.w.calls.hunger()
	}
	return records
}

// position is where the database stands.
func (p *partition) position() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// wait waits, unless the worker is to end.
func (p *partition) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.stopping:
		return false
	case <-p.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
