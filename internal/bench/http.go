package bench

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ordersctl/ordersctl/internal/client"
)

const (
	// DefaultConnections keeps a server on the same machine busy; past it only
	// the waiting grows.
	DefaultConnections = 64
	// DefaultTimeout is how long an answer may take, from when its order was sent.
	DefaultTimeout = 10 * time.Second
	// filesBeside is what a process has open beside the connections, generously.
	filesBeside = 64
)

// HTTPConfig says where to and how.
type HTTPConfig struct {
	URL            string
	Connections    int
	Batch          int           // orders in a request; above 1 the body is NDJSON
	Topic          string        // that is read back; receipts of another one are told; empty: not looked at
	Key            client.Secret // sent as "Authorization: Bearer"; empty: none
	Timeout        time.Duration // of an answer, from when its order was sent
	ConnectTimeout time.Duration
	TLS            *tls.Config // nil: the system's authorities
}

// HTTP posts orders, each on whatever connection is free. Each is sent once:
// nothing is tried again, no redirect is followed.
type HTTP struct {
	cfg    HTTPConfig
	source Source
	addr   string
	tls    *tls.Config // nil: plain
	head   []byte      // of a request, up to the value of Content-Length
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex
	ready []*conn            // opened ahead, of no lane yet; guarded by mu
	open  map[*conn]struct{} // all; guarded by mu
}

// UnreachableError says that there is no server.
type UnreachableError struct {
	URL string
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("connect to %s: %s", e.URL, rootCause(e.Err))
}

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint is the next step.
func (e *UnreachableError) Hint() string {
	return `start one with "ordersctl serve" or "ordersctl dev", or name yours with --to`
}

// ExitCode is that of a broker or server that is unreachable.
func (e *UnreachableError) ExitCode() int { return 4 }

func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// FilesError says that the process may not open as many connections.
type FilesError struct {
	Connections int
	Limit       uint64
}

func (e *FilesError) Error() string {
	return fmt.Sprintf("%d connections do not fit into the limit of %d open files", e.Connections, e.Limit)
}

// Hint is the next step.
func (e *FilesError) Hint() string {
	return fmt.Sprintf("raise the limit: ulimit -n %d", e.Connections+filesBeside)
}

// ExitCode is that of a wrong use.
func (e *FilesError) ExitCode() int { return 2 }

// DialHTTP opens the connections, so that a server that is not there is told
// before anything is sent and no order waits for a handshake at the start.
func DialHTTP(ctx context.Context, cfg HTTPConfig, source Source) (*HTTP, error) {
	h, err := newHTTP(cfg, source)
	if err != nil {
		return nil, err
	}
	h.ctx, h.cancel = context.WithCancel(context.WithoutCancel(ctx))
	first, err := h.dial(ctx)
	if err != nil {
		h.cancel()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		u, _ := url.Parse(cfg.URL)
		return nil, &UnreachableError{URL: u.Redacted(), Err: err}
	}
	h.ready = append(h.ready, first)
	var open errgroup.Group
	open.SetLimit(64)
	for range h.cfg.Connections - 1 {
		open.Go(func() error {
			c, err := h.dial(ctx)
			if err != nil {
				return nil // its lane tries again, and an order then says why not
			}
			h.mu.Lock()
			h.ready = append(h.ready, c)
			h.mu.Unlock()
			return nil
		})
	}
	return h, open.Wait()
}

func newHTTP(cfg HTTPConfig, source Source) (*HTTP, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is not a URL of an endpoint, wants one like http://localhost:8080/order", cfg.URL)
	}
	cfg.Batch = max(cfg.Batch, 1)
	if cfg.Connections <= 0 {
		cfg.Connections = DefaultConnections
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = cfg.Timeout
	}
	if limit, ok := openFiles(); ok && uint64(cfg.Connections)+filesBeside > limit {
		return nil, &FilesError{Connections: cfg.Connections, Limit: limit}
	}
	h := &HTTP{cfg: cfg, source: source, addr: u.Host, open: map[*conn]struct{}{}}
	if u.Port() == "" {
		h.addr = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	if u.Scheme == "https" {
		h.tls = cfg.TLS.Clone()
		if h.tls == nil {
			h.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if h.tls.ServerName == "" {
			h.tls.ServerName = u.Hostname()
		}
	}
	h.head = requestHead(u, cfg)
	return h, nil
}

// requestHead is the same in all requests.
func requestHead(u *url.URL, cfg HTTPConfig) []byte {
	contentType := "application/json"
	if cfg.Batch > 1 {
		contentType = "application/x-ndjson"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: ordersctl-bench\r\nContent-Type: %s\r\n", u.RequestURI(), u.Host, contentType)
	switch {
	case cfg.Key != "":
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", string(cfg.Key))
	case u.User != nil: // as send does
		password, _ := u.User.Password()
		fmt.Fprintf(&b, "Authorization: Basic %s\r\n", base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
	}
	b.WriteString("Content-Length: ")
	return []byte(b.String())
}

// Lanes is the number of connections.
func (h *HTTP) Lanes() int { return h.cfg.Connections }

// Answers is true: a connection has one request at a time.
func (h *HTTP) Answers() bool { return true }

// Lane is one connection, and the ones after it where that breaks.
func (h *HTTP) Lane(_ int, p *Port) Lane {
	l := &httpLane{http: h, port: p, answer: newAnswerReader(h.cfg.Batch, h.cfg.Topic)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.ready); n > 0 {
		l.conn, h.ready = h.ready[n-1], h.ready[:n-1]
	}
	return l
}

// Close ends what is under way.
func (h *HTTP) Close() error {
	h.cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.open {
		_ = c.Close() // whoever reads from it has its error at once
	}
	h.ready = nil
	return nil
}

func (h *HTTP) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.ConnectTimeout)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", h.addr)
	if err != nil {
		return nil, err
	}
	c := newConn(raw)
	if h.tls != nil {
		if err := c.secure(ctx, h.tls); err != nil {
			_ = raw.Close()
			return nil, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		_ = raw.Close()
		return nil, h.ctx.Err()
	}
	h.open[c] = struct{}{}
	return c, nil
}

func (h *HTTP) drop(c *conn) {
	_ = c.Close()
	h.mu.Lock()
	delete(h.open, c)
	h.mu.Unlock()
}

// httpLane is one connection's side of a run, used by one goroutine.
type httpLane struct {
	http   *HTTP
	port   *Port
	conn   *conn // nil: none yet, or the last one broke
	answer *answerReader
	body   []byte
	starts []int    // of the job's orders in body
	ids    [][]byte // of them
	out    []byte
	made   Job // that is in out
}

// Prepare makes the request.
func (l *httpLane) Prepare(j Job) {
	l.write(j)
	l.made = j
}

func (l *httpLane) Send(j Job, now time.Duration) {
	if l.made.Seq != j.Seq || l.made.Orders != j.Orders {
		l.Prepare(j)
	}
	l.made = Job{}
	sent, err := l.exchange(j, now)
	var unwritten *unwrittenError
	if errors.As(err, &unwritten) {
		// The server closed the connection in this very moment. Nothing of the
		// order has left, so this is no second attempt.
		l.disconnect()
		sent, err = l.exchange(j, l.port.Now())
	}
	answered := l.port.Now()
	if err != nil {
		l.disconnect()
		r := Reply{Outcome: client.Unknown, Sent: sent, Answered: answered, Partition: -1, Offset: -1}
		if sent < 0 || errors.As(err, &unwritten) {
			r.Outcome, r.Sent = client.NotWritten, -1
		}
		r.Cause, r.Ours = causeOf(err)
		l.settle(j, r)
		return
	}
	behind := l.conn.behind()
	more := behind == connUnsolicited
	switch {
	case more:
		l.port.Unsolicited()
		l.disconnect()
	case behind == connClosed, l.answer.last():
		l.disconnect()
	default:
		l.conn.used = answered
	}
	if j.Orders == 1 && l.http.cfg.Batch == 1 {
		r := l.answer.single(l.ids[0])
		if more {
			r.doubt()
		}
		l.tell(j, j.Seq, sent, answered, r)
		return
	}
	for i, r := range l.answer.each(l.ids) {
		if more {
			r.doubt()
		}
		l.tell(j, j.Seq+uint64(i), sent, answered, r)
	}
}

func (l *httpLane) tell(j Job, seq uint64, sent, answered time.Duration, r Reply) {
	r.Sent, r.Answered = sent, answered
	if r.Elsewhere {
		l.port.Elsewhere(seq, l.answer.elsewhere)
	}
	l.port.Settle(j, seq, r)
}

// exchange sends the job and reads the answer. sent is negative where there was
// no connection to send it on.
func (l *httpLane) exchange(j Job, now time.Duration) (sent time.Duration, err error) {
	if sent, err = l.connect(now); err != nil {
		return -1, err
	}
	for i := range j.Orders {
		l.port.Sent(j.Seq+uint64(i), sent)
	}
	return sent, l.conn.exchange(l.port.clock.start.Add(sent), l.http.cfg.Timeout, l.out, l.answer)
}

// write makes the request in one piece: one write, one packet.
func (l *httpLane) write(j Job) {
	l.body, l.starts, l.ids = l.body[:0], l.starts[:0], l.ids[:0]
	for i := range j.Orders {
		l.starts = append(l.starts, len(l.body))
		l.body = l.http.source.Append(l.body, j.Seq+uint64(i))
		if l.http.cfg.Batch > 1 {
			l.body = append(l.body, '\n')
		}
	}
	for _, start := range l.starts {
		l.ids = append(l.ids, idOf(l.body[start:]))
	}
	l.out = append(l.out[:0], l.http.head...)
	l.out = strconv.AppendInt(l.out, int64(len(l.body)), 10)
	l.out = append(l.out, "\r\n\r\n"...)
	l.out = append(l.out, l.body...)
}

// connect makes sure of a connection and says when the order can leave. It
// looks at one that was used before: a server that closes connections did so
// while nobody read, and an order written then would be unknown for no fault of
// the server's; what a server said in the meantime would be taken for the
// answer of the next order.
func (l *httpLane) connect(now time.Duration) (time.Duration, error) {
	if l.conn != nil && now-l.conn.used > lookAfter {
		switch l.conn.look() {
		case connUnsolicited:
			l.port.Unsolicited()
			l.disconnect()
		case connClosed:
			l.disconnect()
		}
	}
	if l.conn != nil {
		return now, nil
	}
	c, err := l.http.dial(l.http.ctx)
	if err != nil {
		return 0, err
	}
	l.conn = c
	return l.port.Now(), nil
}

func (l *httpLane) disconnect() {
	if l.conn != nil {
		l.http.drop(l.conn)
		l.conn = nil
	}
}

func (l *httpLane) settle(j Job, r Reply) {
	for i := range j.Orders {
		l.port.Settle(j, j.Seq+uint64(i), r)
	}
}

// Close gives the connection back.
func (l *httpLane) Close() { l.disconnect() }
