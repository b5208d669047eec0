//go:build unix

package bench

import (
	"errors"
	"io"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lookAfter is when a connection is looked at before it is used again. It costs
// half a microsecond; in a loop that writes right behind an answer there was no
// time for anything to come.
const lookAfter = 20 * time.Microsecond

// looker looks at a connection's socket. Its functions are made once: this is
// done before nearly every order.
type looker struct {
	sys   syscall.RawConn
	peek  func(fd uintptr)
	state connState
	first [16]byte

	read func(fd uintptr)
	into []byte
	n    int
	err  error
}

// look tells whether the server has closed the connection, or said something
// that nobody asked for, without waiting. Of what it reads only empty lines do
// not stay for the answer.
func (c *conn) look() connState {
	if c.wire != nil {
		return c.through(readTakes)
	}
	if c.sys == nil {
		if state := c.open(); c.sys == nil {
			return state
		}
	}
	c.state = connGood
	// Control, and not Read: that is refused when the deadline of the answer
	// before has passed.
	if err := c.sys.Control(c.peek); err != nil {
		return connClosed
	}
	return c.state
}

// open makes the functions. Without them the connection is of the state that it
// gives: one of another kind can't be looked at.
func (c *conn) open() connState {
	s, ok := c.raw.(syscall.Conn)
	if !ok {
		return connGood
	}
	sys, err := s.SyscallConn()
	if err != nil {
		return connClosed
	}
	c.sys, c.peek, c.read = sys, c.peekAt, c.readFrom
	return connGood
}

func (c *conn) peekAt(fd uintptr) {
	for range mostBlanks {
		n, _, err := unix.Recvfrom(int(fd), c.first[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN, err == unix.EINTR:
			return
		case err != nil, n == 0:
			c.state = connClosed
			return
		case !isBlank(c.first[:n]):
			c.state = connUnsolicited
			return
		}
		if _, _, err = unix.Recvfrom(int(fd), c.first[:n], unix.MSG_DONTWAIT); err != nil {
			c.state = connClosed
			return
		}
	}
	c.state = connUnsolicited
}

// take reads what the socket holds.
func (c *conn) take(b []byte) (int, error) {
	if c.sys == nil {
		switch state := c.open(); {
		case state == connClosed:
			return 0, io.EOF
		case c.sys == nil:
			return 0, errNothing
		}
	}
	c.into = b
	err := c.sys.Control(c.read)
	c.into = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(c.err, unix.EAGAIN), errors.Is(c.err, unix.EINTR):
		return 0, errNothing
	case c.err != nil:
		return 0, c.err
	case c.n == 0:
		return 0, io.EOF
	default:
		return c.n, nil
	}
}

// readFrom does not wait: sockets of this program are made so.
func (c *conn) readFrom(fd uintptr) { c.n, c.err = unix.Read(int(fd), c.into) }
