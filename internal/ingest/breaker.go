package ingest

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// How long an open breaker lets nothing through between two requests: doubled
// from the first to the last. What was let through waits with the client, some
// of it for as long as Kafka is away, and is acknowledged when it is back.
const (
	firstProbe = 250 * time.Millisecond
	lastProbe  = 2 * time.Second
)

// breaker answers for Kafka while it acknowledges nothing: without it every
// client would wait its whole time for the same "no". It opens when orders
// have been waiting for so long without any acknowledgement, lets one request
// through in a while, and closes at the first acknowledgement, whoever's.
//
// That something fails does not open it: an error is an answer, and quick.
type breaker struct {
	after time.Duration
	log   *slog.Logger

	moved   atomic.Int64 // Unix ns: the last acknowledgement or the first record since none was waiting; 0: none is
	lastAck atomic.Int64 // Unix ns, 0 before the first
	open    atomic.Bool
	probe   atomic.Int64 // Unix ns: not before then
	pause   atomic.Int64 // ns from that one to the next
}

// allow says whether a request may be handed to Kafka.
func (b *breaker) allow(now time.Time) bool {
	at := now.UnixNano()
	if !b.open.Load() {
		moved := b.moved.Load()
		if moved == 0 && b.moved.CompareAndSwap(0, at) {
			return true
		}
		if at-b.moved.Load() < int64(b.after) {
			return true
		}
		if b.open.CompareAndSwap(false, true) {
			b.probe.Store(at + int64(firstProbe))
			b.pause.Store(int64(2 * firstProbe))
			b.log.Error("Kafka acknowledges nothing, refusing orders until it does", "for", b.after.String())
		}
	}
	next, pause := b.probe.Load(), b.pause.Load()
	if at < next || !b.probe.CompareAndSwap(next, at+pause) {
		return false
	}
	b.pause.Store(min(2*pause, int64(lastProbe)))
	return true
}

// idle is told when nobody waits any more: from then on there is nothing to
// acknowledge.
func (b *breaker) idle() { b.moved.Store(0) }

// acked is told of each acknowledgement.
func (b *breaker) acked(now time.Time) {
	at := now.UnixNano()
	b.moved.Store(at)
	b.lastAck.Store(at)
	if b.open.Load() && b.open.CompareAndSwap(true, false) {
		b.log.Info("Kafka acknowledges again")
	}
}

// The values of ordersctl_breaker_state.
const (
	breakerClosed  = 0
	breakerProbing = 1 // open, and orders are on their way whose acknowledgement closes it
	breakerOpen    = 2
)

func (b *breaker) state(waiting int64) float64 {
	switch {
	case !b.open.Load():
		return breakerClosed
	case waiting > 0:
		return breakerProbing
	}
	return breakerOpen
}
