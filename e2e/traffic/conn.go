// Package traffic is the clients of tests: [Conn] posts orders over one connection
// that is kept, [Run] offers them at a fixed rate over many. Tests run Run as a
// program of its own (cmd/traffic): under the race detector it would measure
// itself.
//
// net/http's client is not used: it costs more than the server under test, and
// sends again by itself what carries an Idempotency-Key.
package traffic

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// timeout is longer than every timer of the server.
const timeout = 30 * time.Second

// Answer is what a client was told.
type Answer struct {
	Code       int
	RequestID  string
	RetryAfter string
	EventID    string `json:"event_id"`
	Outcome    string `json:"outcome"`
}

// Conn is one client with one connection, made when it is needed and again
// after an error. The zero value with an Addr is ready.
type Conn struct {
	Addr string
	From string // our own IP address, "" for any

	conn net.Conn
	in   *bufio.Reader
	buf  []byte
}

// Post sends one body to POST /order and reads the answer. A key that is not
// empty is its Idempotency-Key.
func (c *Conn) Post(ctx context.Context, body, key string) (a Answer, err error) {
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if err = c.Send(ctx, body, key); err != nil {
		return a, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, err
	}
	if err = json.Unmarshal(raw, &a); err != nil {
		return a, err
	}
	a.Code, a.RequestID, a.RetryAfter = resp.StatusCode, resp.Header.Get("X-Request-Id"), resp.Header.Get("Retry-After")
	if resp.Close {
		c.Close()
	}
	return a, nil
}

// Send sends one body and leaves its answer to come: for a client that hangs
// up.
func (c *Conn) Send(ctx context.Context, body, key string) error {
	if err := c.open(ctx); err != nil {
		return err
	}
	b := c.buf[:0]
	b = append(b, "POST /order HTTP/1.1\r\nHost: serve\r\nContent-Type: application/json\r\n"...)
	if key != "" {
		b = append(b, "Idempotency-Key: "+key+"\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	b = append(b, body...)
	c.buf = b
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

// Close hangs up.
func (c *Conn) Close() {
	if c.conn != nil {
		_ = c.conn.Close() // whatever it says, the connection is gone
		c.conn = nil
	}
}

func (c *Conn) open(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	d := net.Dialer{Timeout: timeout}
	if c.From != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(c.From)}
	}
	conn, err := d.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReaderSize(conn, 2048)
	return nil
}

// Order is a valid order with this id.
func Order(id string) string {
	return `{"id":"` + id + `","user_id":"u1","total":99.99,"status":"pending","timestamp":"2025-10-06T17:00:00Z"}`
}
