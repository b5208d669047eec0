package send

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

const (
	// DefaultConnections keeps a server on the same machine busy; past it only
	// the waiting grows.
	DefaultConnections = 64

	// serve answers within 10 s by default, and its word on the outcome is
	// better than our "no answer".
	requestTimeout = 30 * time.Second
	// HTTPPatience is how long an endpoint may answer nothing at all: longer than
	// it has for one request.
	HTTPPatience = requestTimeout + 15*time.Second
	// A connection that lay idle may have been closed by the server just as we
	// write to it, and then nobody knows whether the order was read. Servers
	// keep them for 5 s and longer.
	idleTimeout = 2 * time.Second

	firstPause = 100 * time.Millisecond // between two attempts, doubled up to
	maxPause   = 2 * time.Second

	headerRequestID = "X-Request-Id"
)

// HTTPConfig says where to and how.
type HTTPConfig struct {
	URL         string
	Connections int
	// ConnectTimeout is for the first contact and for each connection.
	ConnectTimeout time.Duration
	// RetryFor is how long an order is tried again that is known not to be
	// written and may be tried again.
	RetryFor time.Duration
}

// HTTP posts orders, one a request. Orders of one id are posted one after
// another, each when the one before it was answered. Only what is known not to
// be written is tried again.
type HTTP struct {
	cfg    HTTPConfig
	http   *http.Client
	ctx    context.Context //nolint:containedctx // of the requests, which outlive an interrupted run for a moment
	cancel context.CancelFunc
	halted chan struct{}
	halt   sync.Once

	ready   chan *job // of different ids; has room for a window
	workers sync.WaitGroup

	mu   sync.Mutex
	busy map[string][]*job // ids with an order under way, and the orders behind it; guarded by mu
}

type job struct {
	body   []byte
	parcel *Parcel
}

// HTTPWindow is how many orders may wait for or be under way on so many
// connections: enough to find other ids while one id's orders queue up.
func HTTPWindow(connections int) int { return 16 * connections }

// DialHTTP makes the first contact, so that a server that is not there is told
// before anything is read.
func DialHTTP(ctx context.Context, cfg HTTPConfig) (*HTTP, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: cfg.ConnectTimeout}
	if err := reach(ctx, dialer, u); err != nil {
		return nil, err
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true) // one request a connection is what cfg.Connections means
	h := &HTTP{
		cfg: cfg,
		http: &http.Client{
			Timeout: requestTimeout,
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         dialer.DialContext,
				TLSHandshakeTimeout: cfg.ConnectTimeout,
				MaxConnsPerHost:     cfg.Connections,
				MaxIdleConns:        cfg.Connections,
				MaxIdleConnsPerHost: cfg.Connections,
				IdleConnTimeout:     idleTimeout,
				DisableCompression:  true,
				Protocols:           &protocols,
			},
			// To follow one would be a second attempt elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		halted: make(chan struct{}),
		// A window, and what the workers free after they let go of a place in it.
		ready: make(chan *job, HTTPWindow(cfg.Connections)+cfg.Connections),
		busy:  map[string][]*job{},
	}
	h.ctx, h.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for range cfg.Connections {
		h.workers.Go(h.work)
	}
	return h, nil
}

// reach connects once. Behind a proxy that would tell nothing.
func reach(ctx context.Context, dialer *net.Dialer, u *url.URL) error {
	if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err != nil || proxy != nil {
		return err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	addr := net.JoinHostPort(u.Hostname(), port)
	dial := dialer.DialContext
	if u.Scheme == "https" {
		dial = (&tls.Dialer{NetDialer: dialer}).DialContext
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &UnreachableError{URL: u.Redacted(), Err: err}
	}
	return conn.Close()
}

// UnreachableError says that there is no server.
type UnreachableError struct {
	URL string
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no server at %s: %s", e.URL, rootCause(e.Err))
}

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint is the next step.
func (e *UnreachableError) Hint() string {
	return `start one with "ordersctl serve" or "ordersctl dev", or name yours with --to`
}

// ExitCode is that of a broker or server that is unreachable.
func (e *UnreachableError) ExitCode() int { return 4 }

// Send queues the order: to be posted at once, or behind those of its id.
func (h *HTTP) Send(e *Entry, p *Parcel) {
	j := &job{body: order.Append(nil, &e.Order), parcel: p}
	h.mu.Lock()
	behind, busy := h.busy[p.ID]
	if busy {
		h.busy[p.ID] = append(behind, j)
	} else {
		h.busy[p.ID] = nil
	}
	h.mu.Unlock()
	if !busy {
		h.ready <- j // has room: Run has never more than a window under way
	}
}

// Flush has nothing to hurry: every order is posted as soon as it can be.
func (h *HTTP) Flush(context.Context) {}

// Halt lets the requests end that are under way and begins no more.
func (h *HTTP) Halt() { h.halt.Do(func() { close(h.halted) }) }

// Close ends what is still under way, and the workers. It comes after Run.
func (h *HTTP) Close() {
	h.Halt()
	h.cancel()
	h.workers.Wait()
	h.http.CloseIdleConnections()
}

func (h *HTTP) work() {
	for {
		select {
		case j := <-h.ready:
			j.parcel.Settle(h.deliver(j)) // before the next of its id, whose answer comes after it
			h.nextOf(j.parcel.ID)
		case <-h.ctx.Done():
			return
		}
	}
}

// nextOf makes the next order of an id ready.
func (h *HTTP) nextOf(id string) {
	h.mu.Lock()
	behind := h.busy[id]
	if len(behind) == 0 {
		delete(h.busy, id)
		h.mu.Unlock()
		return
	}
	h.busy[id] = behind[1:]
	h.mu.Unlock()
	h.ready <- behind[0]
}

// deliver posts an order until its outcome is final.
func (h *HTTP) deliver(j *job) Result {
	select {
	case <-h.halted:
		return Result{Outcome: client.NotWritten, Halted: true, Err: errors.New("not sent, the run was ended")}
	default:
	}
	giveUp := time.Now().Add(h.cfg.RetryFor)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		a := h.post(j)
		wait := max(pause, a.retryAfter)
		if !a.again || time.Now().Add(wait).After(giveUp) {
			return a.Result
		}
		select {
		case <-time.After(wait):
		case <-h.halted:
			return a.Result
		}
	}
}

// answered is a result, and whether to try again.
type answered struct {
	Result
	again      bool
	retryAfter time.Duration
}

// post makes one attempt.
func (h *HTTP) post(j *job) answered {
	// The transport repeats a POST by itself only where it has not written a
	// byte of it. With an Idempotency-Key it would repeat the others too.
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(h.ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.cfg.URL, bytes.NewReader(j.body))
	if err != nil {
		return answered{Result: Result{Outcome: client.NotWritten, Err: err, Fatal: true}}
	}
	requestID := client.NewID()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(headerRequestID, requestID)
	resp, err := h.http.Do(req) //nolint:bodyclose // readAnswer closes it
	if err != nil {
		a := answered{Result: Result{Outcome: client.Unknown, RequestID: requestID, Err: plainError(err)}}
		if !connected.Load() {
			// Not a byte was on its way to the server.
			a.Outcome, a.again = client.NotWritten, true
		}
		return a
	}
	a := readAnswer(resp)
	if a.RequestID == "" {
		a.RequestID = requestID
	}
	return a
}

// plainError leaves out the method and the URL, which are always the same.
func plainError(err error) error {
	var u *url.Error
	if !errors.As(err, &u) {
		return err
	}
	if u.Timeout() {
		return errors.New("no answer in time")
	}
	return u.Err
}

// rootCause is the end of a chain: "connection refused".
func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
