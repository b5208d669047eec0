package broker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// maxFrame is Kafka's own socket.request.max.bytes: what passes here passes
	// there.
	maxFrame = 100 << 20
	// minFrame is the shortest request header: API key, version, correlation
	// id, length of the client id.
	minFrame = 2 + 2 + 4 + 2
)

// errRefused is what kfake reads in place of a frame that must not reach it. It
// hangs up on any error.
var errRefused = errors.New("frame refused")

// conn is a client's connection. It passes on whole Kafka request frames and
// nothing else, because kfake allocates whatever size a frame claims and
// panics, with the whole process, on an API key that it does not know. Versions
// are not looked at: kfake answers an unsupported one as Kafka does.
//
// Reads come from one goroutine at a time, as kfake's do.
type conn struct {
	net.Conn
	in      *bufio.Reader
	left    int // bytes of the current frame that are still to be passed on, its size field included
	refused bool
	httpURL string
	log     *slog.Logger

	closeOnce sync.Once
	closeErr  error
	onClose   func()
}

func newConn(c net.Conn, httpURL string, log *slog.Logger, onClose func()) *conn {
	return &conn{Conn: c, in: bufio.NewReader(c), httpURL: httpURL, log: log, onClose: onClose}
}

// Read passes on the bytes of the frame at hand. At a frame's start it first
// waits for its head and judges that: no byte of a refused frame is passed on,
// so that not even its size is allocated.
func (c *conn) Read(p []byte) (int, error) {
	if c.left == 0 {
		size, err := c.nextFrame()
		if err != nil {
			return 0, err
		}
		c.left = size
	}
	if len(p) > c.left {
		p = p[:c.left]
	}
	n, err := c.in.Read(p)
	c.left -= n
	return n, err
}

// nextFrame returns the length of the frame that comes next, its size field
// included.
func (c *conn) nextFrame() (int, error) {
	if c.refused {
		return 0, errRefused
	}
	// The size is judged before more is waited for: four bytes may be all that
	// comes.
	head, err := c.in.Peek(4)
	if err != nil {
		return 0, err
	}
	size := int32(binary.BigEndian.Uint32(head))
	if size < minFrame || size > maxFrame {
		return 0, c.refuseSize(head, size)
	}
	if head, err = c.in.Peek(8); err != nil {
		return 0, err
	}
	key := int16(binary.BigEndian.Uint16(head[4:]))
	if !isKnown(key) {
		version := int16(binary.BigEndian.Uint16(head[6:]))
		return 0, c.refuse("an unknown API key came to the Kafka port",
			slog.Int("api_key", int(key)), slog.Int("api_version", int(version)))
	}
	return 4 + int(size), nil
}

// refuseSize tells from a frame's first bytes who is really talking. Read as a
// size, HTTP's and TLS's first bytes are all far above maxFrame, so that no
// Kafka frame can be mistaken for them.
func (c *conn) refuseSize(head []byte, size int32) error {
	switch {
	case isHTTP(head):
		c.warn("an HTTP request came to the Kafka port", slog.String("request", requestLine(c.in)))
		c.answerHTTP()
		return c.hangUp()
	case head[0] == 0x16 && head[1] == 0x03:
		return c.refuse("a TLS handshake came to the Kafka port, which speaks plaintext only")
	default:
		return c.refuse("a frame of an impossible size came to the Kafka port", slog.Int("size_bytes", int(size)))
	}
}

func (c *conn) refuse(msg string, args ...any) error {
	c.warn(msg, args...)
	return c.hangUp()
}

func (c *conn) warn(msg string, args ...any) {
	c.log.Warn(msg, append([]any{slog.String("remote_addr", c.RemoteAddr().String())}, args...)...)
}

func (c *conn) hangUp() error {
	c.refused = true
	_ = c.Close() // the client learns of it either way
	return errRefused
}

// answerHTTP says in HTTP that this is not HTTP. Its errors are nobody's
// concern: the connection is closed in any case.
func (c *conn) answerHTTP() {
	text := "This is the Kafka port of ordersctl: it speaks the Kafka protocol, not HTTP.\n"
	if c.httpURL != "" {
		text += "HTTP is at " + c.httpURL + "\n"
	}
	// A second is plenty on loopback, and a client that never reads or never
	// stops sending must not hold the connection for longer.
	_ = c.SetDeadline(time.Now().Add(time.Second)) // a closed connection ends the writes below by itself
	fmt.Fprintf(c.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)

	// Closing with unread bytes resets the connection, and the client then
	// loses the answer: read what it is still sending.
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		_, _ = io.CopyN(io.Discard, c.in, 1<<20)
	}
}

// Close may be called many times; kfake does so from several goroutines.
func (c *conn) Close() error {
	c.closeOnce.Do(func() {
		c.closeErr = c.Conn.Close()
		c.onClose()
	})
	return c.closeErr
}

// isKnown says whether kfake can make a request of that key. What decides is
// whether kmsg.RequestForKey returns nil, but that allocates; the names come
// from the same table.
func isKnown(key int16) bool { return kmsg.NameForKey(key) != "Unknown" }

func isHTTP(head []byte) bool {
	switch string(head) {
	case "GET ", "HEAD", "POST", "PUT ", "PATC", "DELE", "OPTI", "TRAC", "CONN", "PRI ":
		return true
	}
	return false
}

// requestLine returns what has come of the first line, without the query, which
// may hold secrets.
func requestLine(in *bufio.Reader) string {
	line, _ := in.Peek(min(in.Buffered(), 100))
	if i := bytes.IndexAny(line, "?\r\n"); i >= 0 {
		line = line[:i]
	}
	return string(line)
}
