//go:build unix

package commands

import (
	"io"

	"golang.org/x/sys/unix"
)

// readerGone tells whether the reader of a pipe is gone. Who has nothing to
// write would learn it from no EPIPE, and "tail | head -1" would stay until the
// next order.
func readerGone(w io.Writer) func() bool {
	f, ok := w.(*stdout)
	if !ok {
		return nil
	}
	conn, err := f.file.SyscallConn()
	if err != nil {
		return nil
	}
	return func() bool {
		gone := false
		err := conn.Control(func(fd uintptr) {
			fds := []unix.PollFd{{Fd: int32(fd)}} // errors are told unasked
			_, err := unix.Poll(fds, 0)
			gone = err == nil && fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) != 0
		})
		return err == nil && gone
	}
}
