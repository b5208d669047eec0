package ingest

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"testing"
)

// short is a listener that has no file descriptors left, twice.
type short struct {
	net.Listener
	calls int
}

func (s *short) Accept() (net.Conn, error) {
	s.calls++
	if s.calls < 3 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	if s.calls == 3 {
		here, there := net.Pipe()
		return here, there.Close()
	}
	return nil, net.ErrClosed
}

func TestAShortageOfFilesDoesNotEndTheServer(t *testing.T) {
	l := lingerer{Listener: &short{}, log: slog.New(slog.DiscardHandler), memory: &memory{}}
	if c, err := l.Accept(); err != nil || c == nil {
		t.Errorf("got %v, %v, want the connection that came after", c, err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want the end", err)
	}
}
