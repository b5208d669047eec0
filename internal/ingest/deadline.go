package ingest

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// lazy sets the deadlines of a connection as seldom as it can. The server moves
// each of them with every request, nearly always to a later time, and each move
// costs as much as decoding an order. What is set stays until it has passed;
// only then is it looked at what is wanted.
type lazy struct {
	net.Conn
	read, write deadline
}

// deadline is one that is set and one that is wanted, in Unix ns, 0 for none.
type deadline struct {
	set    func(time.Time) error
	wanted atomic.Int64
	armed  atomic.Int64
}

func newLazy(c net.Conn) *lazy {
	l := &lazy{Conn: c}
	l.read.set, l.write.set = c.SetReadDeadline, c.SetWriteDeadline
	return l
}

// SetDeadline is as of [net.Conn].
func (l *lazy) SetDeadline(t time.Time) error {
	return errors.Join(l.read.want(t), l.write.want(t))
}

// SetReadDeadline is as of [net.Conn].
func (l *lazy) SetReadDeadline(t time.Time) error { return l.read.want(t) }

// SetWriteDeadline is as of [net.Conn].
func (l *lazy) SetWriteDeadline(t time.Time) error { return l.write.want(t) }

// Read is as of [net.Conn].
func (l *lazy) Read(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		if n > 0 || !l.read.later(err) {
			return n, err
		}
	}
}

// Write is as of [net.Conn].
func (l *lazy) Write(p []byte) (int, error) {
	written := 0
	for {
		n, err := l.Conn.Write(p[written:])
		written += n
		if !l.write.later(err) {
			return written, err
		}
	}
}

// CloseWrite ends our side of the connection.
func (l *lazy) CloseWrite() error {
	half, ok := l.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

func (d *deadline) want(t time.Time) error {
	if t.IsZero() {
		d.wanted.Store(0)
		return nil // what is set passes, and nothing comes of it
	}
	at := t.UnixNano()
	d.wanted.Store(at)
	if armed := d.armed.Load(); armed != 0 && armed <= at {
		return nil
	}
	d.armed.Store(at)
	return d.set(t)
}

// later sets the deadline anew where err says that one has passed which is no
// longer wanted.
func (d *deadline) later(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	at := d.wanted.Load()
	if at == 0 {
		d.armed.Store(0)
		return d.set(time.Time{}) == nil
	}
	if at <= time.Now().UnixNano() {
		return false
	}
	d.armed.Store(at)
	return d.set(time.Unix(0, at)) == nil
}
