package bench

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync/atomic"
)

// wire is what TLS reads from and writes to. What TLS has read it keeps to
// itself, and what lies in the socket may as well be a session ticket, the
// server's goodbye or an answer: only who reads through TLS can tell. Here that
// is done without waiting.
type wire struct {
	net.Conn
	reads reading
	take  func(b []byte) (int, error) // what the socket holds
	left  atomic.Bool                 // something was written; atomic because Close writes, too
}

// reading is what a read of a wire does.
type reading uint8

const (
	readWaits reading = iota
	readTakes         // what the socket holds, without waiting
	readEnds          // nothing: what TLS holds is all there is
)

// errNothing is a timeout: after one TLS can be read again.
var errNothing = os.ErrDeadlineExceeded

// Read reads as it is told to.
func (w *wire) Read(b []byte) (int, error) {
	switch w.reads {
	case readTakes:
		return w.take(b)
	case readEnds:
		return 0, errNothing
	default:
		return w.Conn.Read(b)
	}
}

// Write notes that something has left.
func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	if n > 0 {
		w.left.Store(true)
	}
	return n, err
}

// through looks at a connection through TLS, where an empty line may come in a
// record of its own.
func (c *conn) through(how reading) connState {
	c.wire.reads = how
	defer func() { c.wire.reads = readWaits }()
	for range mostBlanks {
		_, err := c.in.Peek(1)
		switch {
		case err == nil:
			if !c.blank() {
				return connUnsolicited
			}
		case errors.Is(err, errNothing):
			return connGood
		default:
			return connClosed // or broken, which an order had better not find out
		}
	}
	return connUnsolicited
}

// mostBlanks is how often a connection is looked at anew because there were
// only empty lines. Who sends them without end does not hold up an order.
const mostBlanks = 16

// blank drops what is in the buffer where that is nothing but empty lines, which
// some servers send behind a body.
func (c *conn) blank() bool {
	n := c.in.Buffered()
	held, _ := c.in.Peek(n)
	if !isBlank(held) {
		return false
	}
	_, _ = c.in.Discard(n)
	return true
}

func isBlank(b []byte) bool { return len(bytes.Trim(b, "\r\n")) == 0 }

// behind tells what came with an answer that was read, without asking the
// socket.
func (c *conn) behind() connState {
	switch {
	case !c.blank():
		return connUnsolicited
	case c.wire != nil:
		return c.through(readEnds)
	}
	return connGood
}
