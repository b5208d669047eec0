package send

import (
	"slices"
	"sync"
	"time"
)

// job is one order to post.
type job struct {
	body   []byte
	parcel *Parcel
	lane   *lane

	result Result // of the last attempt; without an outcome before the first
	final  bool   // no other attempt follows
}

// lane is the orders of one id. One request at a time carries some of them,
// the oldest ones in their order: so they arrive in it.
type lane struct {
	jobs  []*job // those that wait
	bytes int
	ready bool // none of its orders is under way
}

// queue gathers orders into groups, one for each request. A group goes when it
// has as many as a request may carry, when its first order has waited for
// linger, or when nothing more comes.
type queue struct {
	linger   time.Duration
	mostSize int // bytes in a group

	mu      sync.Mutex // guards all below, and the lanes
	change  sync.Cond
	most    int // orders in a group
	lanes   map[string]*lane
	ready   []*lane // the one that has waited longest first
	count   int     // orders in them
	bytes   int
	timer   *time.Timer
	waiting bool // for the timer
	due     bool // it has fired
	hurried bool // a group need not be waited for any more
	closed  bool
}

func newQueue(most, mostSize int, linger time.Duration) *queue {
	q := &queue{linger: linger, mostSize: mostSize, most: most, lanes: map[string]*lane{}}
	q.change.L = &q.mu
	q.timer = time.AfterFunc(time.Hour, q.fire)
	q.timer.Stop()
	return q
}

// add puts an order behind those of its id.
func (q *queue) add(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, known := q.lanes[j.parcel.ID]
	if !known {
		l = &lane{ready: true}
		q.lanes[j.parcel.ID] = l
		q.ready = append(q.ready, l)
	}
	j.lane = l
	l.jobs = append(l.jobs, j)
	l.bytes += len(j.body) + 1
	if l.ready {
		q.count++
		q.bytes += len(j.body) + 1
		q.announce()
	}
}

// take gives the next group, the orders of one id together, and nil when the
// queue was closed.
func (q *queue) take() []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.complete() {
		if q.closed {
			return nil
		}
		q.change.Wait()
	}
	group := make([]*job, 0, min(q.most, q.count))
	size, lanes := 0, 0
	for _, l := range q.ready {
		n := 0
		for n < len(l.jobs) && len(group) < q.most && (len(group) == 0 || size+len(l.jobs[n].body) < q.mostSize) {
			group = append(group, l.jobs[n])
			size += len(l.jobs[n].body) + 1
			n++
		}
		if n == 0 {
			break
		}
		lanes++
		q.count -= len(l.jobs)
		q.bytes -= l.bytes
		for _, j := range l.jobs[:n] {
			l.bytes -= len(j.body) + 1
		}
		l.jobs, l.ready = l.jobs[n:], false
	}
	clear(q.ready[:lanes])
	q.ready = q.ready[lanes:]
	q.due = false
	q.announce()
	return group
}

// release says that none of an id's orders is under way any more.
func (q *queue) release(id string, l *lane) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(l.jobs) == 0 {
		delete(q.lanes, id)
		return
	}
	q.makeReady(l)
	q.announce()
}

// back puts a group that take gave before what waits, to be taken again in
// groups of most orders.
func (q *queue) back(group []*job, most int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.most = min(q.most, most)
	for len(group) > 0 {
		l, n := group[0].lane, sameLane(group)
		l.jobs = slices.Concat(group[:n], l.jobs)
		for _, j := range group[:n] {
			l.bytes += len(j.body) + 1
		}
		q.makeReady(l)
		group = group[n:]
	}
	q.announce()
}

// sameLane is how many orders at the beginning of a group are of one id.
func sameLane(group []*job) int {
	n := 1
	for n < len(group) && group[n].lane == group[0].lane {
		n++
	}
	return n
}

func (q *queue) makeReady(l *lane) {
	l.ready = true
	q.ready = append(q.ready, l)
	q.count += len(l.jobs)
	q.bytes += l.bytes
}

// hurry lets groups go that are not full: nothing more comes.
func (q *queue) hurry() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hurried = true
	q.change.Broadcast()
}

// close lets everyone go who waits in take.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.timer.Stop()
	q.change.Broadcast()
}

func (q *queue) complete() bool {
	return len(q.ready) > 0 && (q.count >= q.most || q.bytes >= q.mostSize || q.due || q.hurried)
}

// announce wakes one who takes where a group is complete, and else starts its
// time; mu is held.
func (q *queue) announce() {
	switch {
	case len(q.ready) == 0:
	case q.complete():
		q.change.Signal()
	case !q.waiting:
		q.waiting = true
		q.timer.Reset(q.linger)
	}
}

func (q *queue) fire() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = false
	q.due = len(q.ready) > 0
	q.announce()
}
