package ingest_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// wire is a client's side of a connection that sends fixed bytes, ends its sending and keeps what it is answered:
// no sockets, no waiting, the same each time.
type wire struct {
	input []byte
	piece int // at most so many bytes a read, 0 for all there are

	output bytes.Buffer
	closed chan struct{}
	once   sync.Once
}

func newWire(input []byte, piece int) *wire {
	return &wire{input: input, piece: piece, closed: make(chan struct{})}
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.input) == 0 {
		return 0, io.EOF
	}
	if w.piece > 0 && len(p) > w.piece {
		p = p[:w.piece]
	}
	n := copy(p, w.input)
	w.input = w.input[n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) { return w.output.Write(p) }

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

func (w *wire) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }
func (w *wire) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000} }

func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// wires is a listener that accepts what it is given.
type wires struct {
	next   chan *wire
	closed chan struct{}
	once   sync.Once
}

func newWires() *wires { return &wires{next: make(chan *wire), closed: make(chan struct{})} }

func (l *wires) Accept() (net.Conn, error) {
	select {
	case w := <-l.next:
		return w, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *wires) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *wires) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

// exchange is all that the server answers to input until it closes the connection; false where it does not, although
// the client sends no more.
func (l *wires) exchange(input []byte, piece int) ([]byte, bool) {
	w := newWire(input, piece)
	l.next <- w
	select {
	case <-w.closed:
		return w.output.Bytes(), true
	case <-time.After(20 * time.Second):
		return nil, false
	}
}
