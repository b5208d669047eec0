package ingest

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func pipe(t *testing.T) (*lazy, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return newLazy(ours), theirs
}

func TestADeadlineThatWasMovedDoesNotEndARead(t *testing.T) {
	c, peer := pipe(t)
	start := time.Now()
	for _, after := range []time.Duration{50 * time.Millisecond, 2 * time.Second} {
		if err := c.SetReadDeadline(start.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		<-time.After(100 * time.Millisecond) // past the first, before the second
		_, _ = peer.Write([]byte("x"))       // its reader tells
	}()
	b := make([]byte, 8)
	if n, err := c.Read(b); n != 1 || err != nil {
		t.Fatalf("read %d, %v", n, err)
	}
	if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) < 2*time.Second {
		t.Errorf("read after the second: %v after %s", err, time.Since(start))
	}
}

func TestADeadlineThatIsMovedForwardHoldsAtOnce(t *testing.T) {
	c, _ := pipe(t)
	for _, at := range []time.Time{time.Now().Add(time.Hour), time.Now().Add(20 * time.Millisecond)} {
		if err := c.SetDeadline(at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
}

func TestAWriteGoesOnWhereTheDeadlineWasMoved(t *testing.T) {
	c, peer := pipe(t)
	for _, after := range []time.Duration{50 * time.Millisecond, time.Minute} {
		if err := c.SetWriteDeadline(time.Now().Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	read := make(chan string)
	go func() {
		b := make([]byte, 6)
		_, _ = io.ReadFull(peer, b[:2]) // the text tells
		<-time.After(100 * time.Millisecond)
		_, _ = io.ReadFull(peer, b[2:])
		read <- string(b)
	}()
	if n, err := c.Write([]byte("orders")); n != 6 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if got := <-read; got != "orders" {
		t.Errorf("the peer read %q", got)
	}
}

func TestNoDeadlineIsNone(t *testing.T) {
	c, peer := pipe(t)
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go func() {
		<-time.After(60 * time.Millisecond)
		_, _ = peer.Write([]byte("x")) // its reader tells
	}()
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
}

func TestADeadlineIsSetOnceForManyRequests(t *testing.T) {
	c, _ := pipe(t)
	sets := 0
	c.read.set = func(time.Time) error { sets++; return nil }
	start := time.Now()
	for i := range 1000 { // a request: idle, then reading
		_ = c.SetReadDeadline(start.Add(time.Duration(i)*time.Millisecond + 2*time.Minute))  // a counter can't fail
		_ = c.SetReadDeadline(start.Add(time.Duration(i)*time.Millisecond + 10*time.Second)) // as above
	}
	if sets != 2 {
		t.Errorf("set %d times, want 2: the first one, and the first that is earlier", sets)
	}
}
