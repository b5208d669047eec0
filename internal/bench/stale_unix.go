//go:build unix

package bench

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// stale looks whether the server has closed the connection, or said something
// that nobody asked for, without waiting and without taking anything away.
func (c *conn) stale() bool {
	s, ok := c.raw.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN, err == unix.EINTR:
		case err != nil, n == 0:
			gone = true
		default:
			gone = c.raw == c.Conn // in TLS it may be a session ticket
		}
		return true
	})
	return gone || err != nil
}
