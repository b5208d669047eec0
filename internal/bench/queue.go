package bench

import (
	"sync"
	"time"
)

// queue holds the jobs that are due until a lane takes them, in the order of
// the schedule. It tells whose the waiting is: the lanes' times of becoming
// free are matched with the jobs one to one, so a job that was due while a lane
// lay idle has waited for this program, and one that was not, for the server.
type queue struct {
	flow *flow

	mu   sync.Mutex
	cond sync.Cond
	// All guarded by mu.
	jobs   ring[released]
	free   ring[time.Duration] // since when each idle lane has been so, the longest first
	orders uint64              // in jobs
	closed bool
}

func newQueue(f *flow) *queue {
	q := &queue{flow: f}
	q.cond.L = &q.mu
	return q
}

// released is a job with the time at which the pacer handed it over.
type released struct {
	Job
	at time.Duration
}

// taken is a job with all that tells whose its waiting was.
type taken struct {
	released
	available time.Duration // since when the lane that it is matched with could take one
}

// lag is how late this program was with a job that a lane takes now. What lay
// between its being due and its release is the program's whatever the lanes did:
// a program that was stopped has read their answers late too, so that the lanes'
// times of becoming free don't tell.
func (t taken) lag(now time.Duration) time.Duration {
	return max(now-max(t.Due, t.available), t.at-t.Due, 0)
}

// push hands over jobs that are due by now.
func (q *queue) push(jobs []Job, now time.Duration) {
	q.mu.Lock()
	for _, j := range jobs {
		q.jobs.push(released{j, now})
		q.orders += uint64(j.Orders)
	}
	if n := q.stuck(); n > q.flow.maxWaiting.Load() {
		q.flow.maxWaiting.Store(n)
	}
	q.mu.Unlock()
	for range jobs {
		q.cond.Signal()
	}
}

// pop waits for the next job. freed is since when the lane could have taken
// one. false: there will be none.
func (q *queue) pop(freed time.Duration) (taken, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free.push(freed)
	for q.jobs.n == 0 && !q.closed {
		q.cond.Wait()
	}
	if q.jobs.n == 0 {
		return taken{}, false
	}
	j := q.jobs.pop()
	q.orders -= uint64(j.Orders)
	q.flow.take(j.Orders)
	return taken{j, q.free.pop()}, true
}

// waiting is how many orders wait for a lane to become free.
func (q *queue) waiting() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stuck()
}

// stuck leaves out those that an idle lane is about to take.
func (q *queue) stuck() uint64 {
	if q.jobs.n <= q.free.n {
		return 0
	}
	return q.orders * uint64(q.jobs.n-q.free.n) / uint64(q.jobs.n)
}

// close lets the lanes end when they have emptied the queue.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.cond.Broadcast()
}

// abandon closes the queue and gives back what no lane has taken.
func (q *queue) abandon() []Job {
	q.mu.Lock()
	var left []Job
	for q.jobs.n > 0 {
		left = append(left, q.jobs.pop().Job)
	}
	q.orders = 0
	q.closed = true
	q.mu.Unlock()
	q.cond.Broadcast()
	return left
}

// ring is a queue that keeps its memory.
type ring[T any] struct {
	buf  []T // its length is a power of two
	head int
	n    int
}

func (r *ring[T]) push(x T) {
	if r.n == len(r.buf) {
		grown := make([]T, max(16, 2*len(r.buf)))
		for i := range r.n {
			grown[i] = r.buf[(r.head+i)&(len(r.buf)-1)]
		}
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = x
	r.n++
}

// pop takes the oldest; there has to be one.
func (r *ring[T]) pop() T {
	x := r.buf[r.head]
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	return x
}
