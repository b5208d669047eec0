package ingest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/unit"
)

const (
	// What large requests take in all, from the length that they announce to the
	// last byte of their answers. Each may have 8 MiB, there can be thousands, and
	// a few bytes can announce or unpack to as much.
	maxMemory = 256 * unit.MiB
	// A body that is not larger is not counted: every connection may have that.
	smallBody = 64 * unit.KiB
	// How long what was announced is kept for a body that does not come, beyond
	// the time that it has.
	leaseSlack = time.Minute
)

// memory counts it. A part is leased when a header announces it, known by that
// header, which belongs to one connection; the handler moves it to the
// connection, where it stays until the answer is written.
type memory struct {
	used   atomic.Int64
	leased atomic.Int32 // how many leases there are: none, nearly always

	mu     sync.Mutex // taken alone
	leases map[*fasthttp.RequestHeader]lease
}

type lease struct {
	size  int64
	until time.Time
}

func (m *memory) take(n int64) bool {
	if m.used.Add(n) <= int64(maxMemory) {
		return true
	}
	m.used.Add(-n)
	return false
}

func (m *memory) give(n int64) { m.used.Add(-n) }

// lease takes n for the body that h announces.
func (m *memory) lease(h *fasthttp.RequestHeader, n int64, now, until time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end(h) // of a connection that is gone, where it did not end itself
	if !m.take(n) {
		for of, l := range m.leases {
			if now.After(l.until) {
				m.end(of)
			}
		}
		if !m.take(n) {
			return false
		}
	}
	if m.leases == nil {
		m.leases = map[*fasthttp.RequestHeader]lease{}
	}
	m.leases[h] = lease{n, until}
	m.leased.Store(int32(len(m.leases)))
	return true
}

// settle ends a lease: its part is the connection's from now on.
func (m *memory) settle(h *fasthttp.RequestHeader, c *lingering) {
	if m.leased.Load() == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if l, ok := m.leases[h]; ok && c != nil {
		c.holding.Add(l.size)
		m.used.Add(l.size) // which end takes off
	}
	m.end(h)
}

// end gives a lease back. The caller holds mu.
func (m *memory) end(h *fasthttp.RequestHeader) {
	if l, ok := m.leases[h]; ok {
		delete(m.leases, h)
		m.leased.Store(int32(len(m.leases)))
		m.give(l.size)
	}
}

// announced is what a body will take: the library makes room for the length
// that its header, or a chunk's, says before it comes. 0 where it is not
// counted.
func announced(length, most int) int64 {
	switch {
	case most <= int(smallBody), 0 <= length && length <= int(smallBody):
		return 0
	case length < 0 || length > most: // in chunks; too large is refused
		return int64(most)
	}
	return int64(length)
}
