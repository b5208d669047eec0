package ingest

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
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
	l := lingerer{Listener: &short{}, log: slog.New(slog.DiscardHandler), bodies: &bodies{}}
	if c, err := l.Accept(); err != nil || c == nil {
		t.Errorf("got %v, %v, want the connection that came after", c, err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want the end", err)
	}
}

func TestLargeRequestsTakeBoundedMemoryWhileTheyAreRead(t *testing.T) {
	b := &bodies{metrics: newMetrics(prometheus.NewRegistry())}
	open := func() (*lingering, net.Conn) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
		return &lingering{Conn: ours, bodies: b}, theirs
	}
	// read sends n bytes through a connection and gives the error that ended it.
	read := func(c *lingering, peer net.Conn, n int) error {
		go func() { _, _ = peer.Write(make([]byte, n)) }() // what was read tells
		_, err := io.CopyN(io.Discard, c, int64(n))
		return err
	}
	large, peer := open()
	b.total.Store(maxBodies - 1<<20)
	if err := read(large, peer, 1<<20); err != nil {
		t.Fatalf("the last one that fits: %v", err)
	}
	small, smallPeer := open()
	if err := read(small, smallPeer, smallRequest); err != nil {
		t.Errorf("a small request while no room is left: %v", err)
	}
	late, latePeer := open()
	if err := read(late, latePeer, 1<<20); !errors.Is(err, errCrowded) {
		t.Errorf("a large request while no room is left: %v", err)
	}
	_ = late.Close() // a pipe's end
	large.answered()
	if got := b.total.Load(); got != maxBodies-1<<20 {
		t.Errorf("%d bytes are held after the answer and the close, want %d", got, maxBodies-1<<20)
	}
	if err := read(large, peer, 1<<20); err != nil {
		t.Errorf("the next request of the connection: %v", err)
	}
}
