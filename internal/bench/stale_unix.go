//go:build unix

package bench

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lookAfter is when a connection is looked at before it is used again. It costs
// half a microsecond; in a loop that writes right behind an answer there was no
// time for anything to come.
const lookAfter = 20 * time.Microsecond

// look tells whether the server has closed the connection, or said something
// that nobody asked for, without waiting and without taking anything away.
func (c *conn) look() connState {
	if c.sys == nil {
		s, ok := c.raw.(syscall.Conn)
		if !ok {
			return connGood
		}
		sys, err := s.SyscallConn()
		if err != nil {
			return connClosed
		}
		c.sys, c.peek = sys, c.peekAt // once: this is done before nearly every order
	}
	c.state = connGood
	if err := c.sys.Read(c.peek); err != nil {
		return connClosed
	}
	return c.state
}

func (c *conn) peekAt(fd uintptr) bool {
	n, _, err := unix.Recvfrom(int(fd), c.one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch {
	case err == unix.EAGAIN, err == unix.EINTR:
	case err != nil, n == 0:
		c.state = connClosed
	case c.raw == c.Conn: // in TLS it may be a session ticket
		c.state = connUnsolicited
	}
	return true
}
