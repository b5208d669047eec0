package ingest

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"
)

const (
	// How long and how much a client may go on sending after it was refused.
	lingerTime  = 2 * time.Second
	lingerBytes = 16 << 20
)

// lingerer makes connections that can be closed without losing the answer.
type lingerer struct {
	net.Listener
	log    *slog.Logger
	bodies *bodies
}

// Accept goes on after what passes by itself, above all when there are no file
// descriptors left: the server would take it for the end.
func (l lingerer) Accept() (net.Conn, error) {
	const most = time.Second
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, most) {
		c, err := l.Listener.Accept()
		if err == nil {
			return &lingering{Conn: newLazy(c), bodies: l.bodies}, nil
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if pause == most {
			l.log.Error("no connection can be accepted, trying on", "err", err)
		}
		time.Sleep(pause)
	}
}

// lingering reads on before it closes, where the request was refused before
// it was read whole. Closed at once, the unread rest makes the kernel send a
// reset, and the client loses the 413 that it was sent (RFC 9112 9.6).
type lingering struct {
	net.Conn
	linger atomic.Bool

	bodies *bodies
	read   int          // of the request that is being read or answered, by the goroutine that does
	held   atomic.Int64 // of it, what bodies knows of
}

// Read gives up where too much is being held for requests that have not been
// answered.
func (c *lingering) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.read += n; c.read <= smallRequest {
		return n, err
	}
	c.held.Add(int64(n))
	if !c.bodies.take(int64(n)) {
		return n, errCrowded
	}
	return n, err
}

// answered begins the next request.
func (c *lingering) answered() {
	if c.read > smallRequest {
		c.bodies.total.Add(-c.held.Swap(0))
	}
	c.read = 0
}

func (c *lingering) Close() error {
	c.bodies.total.Add(-c.held.Swap(0))
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger.Load() && half.CloseWrite() == nil {
		if c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes) // whatever ends it, the connection is closed next
		}
	}
	return c.Conn.Close()
}

const (
	// What is not counted: every connection may have that.
	smallRequest = 128 << 10
	// What all others may have sent without an answer. Each may send 8 MiB, and
	// there can be thousands.
	maxBodies = 256 << 20
)

var errCrowded = errors.New("too much is being read from all connections together")

// bodies bounds the memory of large requests while they are being read: beyond
// it the connection that asks for more is closed.
type bodies struct {
	total   atomic.Int64
	metrics *metrics
}

func (b *bodies) take(n int64) bool {
	if b.total.Add(n) <= maxBodies {
		return true
	}
	b.metrics.reject(rejectedMemory)
	return false
}
