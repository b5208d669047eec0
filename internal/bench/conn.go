package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// conn is a connection with its reader.
type conn struct {
	net.Conn
	raw      net.Conn // the socket
	wire     *wire    // between it and TLS; nil where there is none
	in       *bufio.Reader
	deadline time.Time
	used     time.Duration // when it had its last answer

	looker
}

// connState is what a connection that waits for a request looks like.
type connState int

const (
	connGood connState = iota
	connClosed
	connUnsolicited // there are bytes that no request has asked for
)

const (
	// readBuffer holds what ordinary servers send, a few hundred bytes.
	readBuffer = 8 << 10
	// mostHead is the largest head of an answer that is taken. Proxies that add
	// to one stop at 8 to 64 KiB themselves.
	mostHead = 64 << 10
)

func newConn(raw net.Conn) *conn {
	return &conn{Conn: raw, raw: raw, in: bufio.NewReaderSize(raw, readBuffer)}
}

// secure puts TLS over it.
func (c *conn) secure(ctx context.Context, cfg *tls.Config) error {
	c.wire = &wire{Conn: c.raw, take: c.take}
	over := tls.Client(c.wire, cfg)
	if err := over.HandshakeContext(ctx); err != nil {
		return err
	}
	c.Conn = over
	c.in.Reset(over)
	return nil
}

// exchange writes a request and reads its answer.
func (c *conn) exchange(now time.Time, timeout time.Duration, request []byte, a *answerReader) error {
	// Moving a deadline costs as much as making an order. One that is a little
	// later does for many requests.
	if c.deadline.Sub(now) < timeout {
		c.deadline = now.Add(timeout + timeout/16)
		if err := c.SetDeadline(c.deadline); err != nil {
			return err
		}
	}
	if err := c.write(request); err != nil {
		return err
	}
	// The parser calls every error of the first byte the end of the connection.
	if _, err := c.in.Peek(1); err != nil {
		return err
	}
	err := a.read(c.in)
	var small *fasthttp.ErrSmallBuffer
	if errors.As(err, &small) {
		c.grow()
		err = a.read(c.in)
	}
	return err
}

// grow makes the buffer larger, which reads first what is in it: a head that was
// too long is still all there.
func (c *conn) grow() {
	held, _ := c.in.Peek(c.in.Buffered())
	c.in = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(held)), c.Conn), mostHead)
}

func (c *conn) write(request []byte) error {
	if c.wire != nil {
		c.wire.left.Store(false)
	}
	n, err := c.Write(request)
	// TLS counts whole requests only; what has left it, the wire knows.
	if err != nil && n == 0 && (c.wire == nil || !c.wire.left.Load()) {
		return &unwrittenError{err}
	}
	return err
}

// unwrittenError says that no byte of a request left: the connection was gone.
type unwrittenError struct{ err error }

func (e *unwrittenError) Error() string { return e.err.Error() }
func (e *unwrittenError) Unwrap() error { return e.err }

// causeOf names an error by one of a few words. ours: this machine lacked
// something, whatever the server did.
func causeOf(err error) (cause string, ours bool) {
	var timeout interface{ Timeout() bool }
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "out of files", true
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "out of ports", true
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused", false
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset", false
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, fasthttp.ErrTimeout),
		errors.As(err, &timeout) && timeout.Timeout():
		return causeTimeout, false
	case errors.Is(err, context.Canceled), errors.Is(err, net.ErrClosed):
		return "cut short", false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed", false
	case errors.Is(err, fasthttp.ErrBodyTooLarge), errors.As(err, &small):
		return "answer too long", false
	case errors.As(err, &dns):
		return "no such host", false
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid):
		return "certificate", false
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return "network", false
	}
	return "broken answer", false
}
