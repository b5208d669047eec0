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
	memory *memory
}

// Accept goes on after what passes by itself, above all when there are no file
// descriptors left: the server would take it for the end.
func (l lingerer) Accept() (net.Conn, error) {
	const most = time.Second
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, most) {
		c, err := l.Listener.Accept()
		if err == nil {
			return &lingering{Conn: newLazy(c), memory: l.memory}, nil
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

	memory  *memory
	holding atomic.Int64 // of it, for the request that is being answered
}

// Read comes when the answer before it is written.
func (c *lingering) Read(p []byte) (int, error) {
	if c.holding.Load() > 0 {
		c.memory.give(c.holding.Swap(0))
	}
	return c.Conn.Read(p)
}

// hold takes n more until the answer is written.
func (c *lingering) hold(n int64) bool {
	if !c.memory.take(n) {
		return false
	}
	c.holding.Add(n)
	return true
}

func (c *lingering) Close() error {
	c.memory.give(c.holding.Swap(0))
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger.Load() && half.CloseWrite() == nil {
		if c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes) // whatever ends it, the connection is closed next
		}
	}
	return c.Conn.Close()
}
