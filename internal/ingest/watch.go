package ingest

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// How exactly a request's time ends; it is cut short by so much, so that it
	// never ends late.
	watchTick = 50 * time.Millisecond
	// Handlers on many processors do not wait for one lock.
	watchShards = 16
)

// watch ends the wait of flights whose time is over. They all get the same
// time, so each list is in the order of its ends, and one look at the first of
// each is enough where a timer a request costs as much as decoding its order.
type watch struct {
	shards [watchShards]watchShard
	over   atomic.Bool // nobody waits any more
}

type watchShard struct {
	mu          sync.Mutex // taken alone
	first, last *flight    // oldest first
	_           [40]byte   // to a cache line of its own
}

// start looks after the flights until the function it gives is called.
func (w *watch) start(timeout time.Duration) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(watchTick)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				w.expire(now.Add(watchTick - timeout))
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// end wakes everyone who waits or will.
func (w *watch) end() {
	w.over.Store(true)
	for i := range w.shards {
		s := &w.shards[i]
		s.mu.Lock()
		for f := s.first; f != nil; f = f.watched.next {
			s.wake(f)
		}
		s.mu.Unlock()
	}
}

// expire wakes those that started before.
func (w *watch) expire(before time.Time) {
	for i := range w.shards {
		s := &w.shards[i]
		s.mu.Lock()
		for f := s.first; f != nil && f.start.Before(before); f = f.watched.next {
			s.wake(f)
		}
		s.mu.Unlock()
	}
}

func (w *watch) add(f *flight) {
	s := &w.shards[rand.Uint32N(watchShards)]
	s.mu.Lock()
	defer s.mu.Unlock()
	// Nearly always the last one: only a batch that took long to read is older
	// than others that wait.
	prev := s.last
	for prev != nil && f.start.Before(prev.start) {
		prev = prev.watched.prev
	}
	f.watched.shard, f.watched.prev = s, prev
	if prev == nil {
		f.watched.next, s.first = s.first, f
	} else {
		f.watched.next, prev.watched.next = prev.watched.next, f
	}
	if next := f.watched.next; next == nil {
		s.last = f
	} else {
		next.watched.prev = f
	}
	if w.over.Load() {
		s.wake(f)
	}
}

// wake ends a flight's wait; once, for which done has room. The caller holds
// mu.
func (s *watchShard) wake(f *flight) {
	if !f.watched.woken {
		f.watched.woken = true
		f.done <- false
	}
}

func (w *watch) remove(f *flight) {
	s := f.watched.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	prev, next := f.watched.prev, f.watched.next
	if prev == nil {
		s.first = next
	} else {
		prev.watched.next = next
	}
	if next == nil {
		s.last = prev
	} else {
		next.watched.prev = prev
	}
	f.watched.shard, f.watched.prev, f.watched.next, f.watched.woken = nil, nil, nil, false
}
