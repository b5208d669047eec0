package send

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

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

	// serve takes 8 MiB; what is under it is left to proxies on the way.
	maxRequest = 8<<20 - 64<<10
	// How long an order waits for others to share a request with: what nobody
	// notices behind "tail -f".
	linger = 5 * time.Millisecond

	headerRequestID = "X-Request-Id"
)

const (
	// DefaultBatch is how many orders share a request. More gain little, and
	// each is a request whose connection may break.
	DefaultBatch = 200
	// MaxBatch is what serve takes at most.
	MaxBatch = 10_000
)

// HTTPConfig says where to and how.
type HTTPConfig struct {
	// URL takes one order a request. Where Several is set and Batch is over 1,
	// that URL takes up to Batch of them, see [Endpoints].
	URL         string
	Several     string
	Batch       int
	Connections int
	// ConnectTimeout is for the first contact and for each connection.
	ConnectTimeout time.Duration
	// RetryFor is how long an order is tried again that is known not to be
	// written and may be tried again.
	RetryFor time.Duration
	APIKey   string      // sent as a bearer token where it is not empty
	TLS      *tls.Config // for https; nil for the system's authorities
	// Notice is told, once, that the server does not take several orders.
	Notice func(string)
}

// Endpoints are the URLs that take one order and several. They stand beside
// each other: u names the one, and the other is known where the last part of
// its path is "order" or "orders". Any other URL takes one order, and several
// is "".
func Endpoints(u *url.URL) (one, several string) {
	path, last := "", u.Path
	if i := strings.LastIndexByte(u.Path, '/'); i >= 0 {
		path, last = u.Path[:i+1], u.Path[i+1:]
	}
	switch {
	case u.Path == "" || u.Path == "/":
		path = "/"
	case last != "order" && last != "orders":
		return u.String(), ""
	}
	beside := *u
	beside.RawPath = "" // the path is written anew
	beside.Path = path + "order"
	one = beside.String()
	beside.Path = path + "orders"
	return one, beside.String()
}

// HTTP posts orders, several a request where the server takes them so. Orders
// of one id go in their order, in one request or in the next one when that was
// answered. Only what is known not to be written is tried again.
type HTTP struct {
	cfg    HTTPConfig
	http   *http.Client
	ctx    context.Context //nolint:containedctx // of the requests, which outlive an interrupted run for a moment
	cancel context.CancelFunc
	halted chan struct{}
	halt   sync.Once

	queue   *queue
	workers sync.WaitGroup
	oneOnly sync.Once // the server does not take several
}

// HTTPWindow is how many orders may wait for or be under way on so many
// connections: enough to find other ids while one id's orders queue up, and to
// gather the next requests while the present ones are answered.
func HTTPWindow(connections, batch int) int {
	if batch == 1 {
		return 16 * connections
	}
	return max(16*connections, min(2*connections*batch, KafkaWindow))
}

// DialHTTP makes the first contact, so that a server that is not there is told
// before anything is read.
func DialHTTP(ctx context.Context, cfg HTTPConfig) (*HTTP, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: cfg.ConnectTimeout}
	if err := reach(ctx, dialer, cfg.TLS, u); err != nil {
		return nil, err
	}
	if cfg.Several == "" || cfg.Batch < 1 {
		cfg.Batch = 1
	}
	h := &HTTP{
		cfg:    cfg,
		http:   newHTTPClient(cfg, dialer),
		halted: make(chan struct{}),
		queue:  newQueue(cfg.Batch, maxRequest, linger),
	}
	h.ctx, h.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for range cfg.Connections {
		h.workers.Go(h.work)
	}
	return h, nil
}

func newHTTPClient(cfg HTTPConfig, dialer *net.Dialer) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(true) // one request a connection is what cfg.Connections means
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialer.DialContext,
			TLSClientConfig:     cfg.TLS,
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
	}
}

// reach connects once. Behind a proxy that would tell nothing.
func reach(ctx context.Context, dialer *net.Dialer, conf *tls.Config, u *url.URL) error {
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
		dial = (&tls.Dialer{NetDialer: dialer, Config: conf}).DialContext
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
	switch {
	case e.untrusted():
		return fmt.Sprintf("the certificate of %s is not trusted: %s", e.URL, rootCause(e.Err))
	case e.plain():
		return e.URL + " speaks plain HTTP"
	}
	return fmt.Sprintf("no server at %s: %s", e.URL, rootCause(e.Err))
}

func (e *UnreachableError) untrusted() bool {
	var bad *tls.CertificateVerificationError
	return errors.As(e.Err, &bad)
}

// plain tells whether a handshake was answered by letters: those of HTTP.
func (e *UnreachableError) plain() bool {
	var record tls.RecordHeaderError
	return errors.As(e.Err, &record) && string(record.RecordHeader[:]) == "HTTP/"
}

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint is the next step.
func (e *UnreachableError) Hint() string {
	switch {
	case e.untrusted():
		return "name who signed it with send.tls.ca-file (ORDERSCTL_SEND_TLS_CA_FILE)"
	case e.plain():
		return "use http://, or give it a certificate (serve.tls)"
	}
	return `start one with "ordersctl serve" or "ordersctl dev", or name yours with --to`
}

// ExitCode is that of a broker or server that is unreachable.
func (e *UnreachableError) ExitCode() int { return 4 }

// Send queues the order: to be posted soon, or behind those of its id.
func (h *HTTP) Send(e *Entry, p *Parcel) {
	h.queue.add(&job{body: order.Append(nil, &e.Order), parcel: p})
}

// Flush posts what waits for company.
func (h *HTTP) Flush(context.Context) { h.queue.hurry() }

// Halt lets the requests end that are under way and begins no more.
func (h *HTTP) Halt() {
	h.halt.Do(func() { close(h.halted) })
	h.queue.hurry()
}

func (h *HTTP) notice(text string) {
	if h.cfg.Notice != nil {
		h.cfg.Notice(text)
	}
}

// Close ends what is still under way, and the workers. It comes after Run.
func (h *HTTP) Close() {
	h.Halt()
	h.cancel()
	h.queue.close()
	h.workers.Wait()
	h.http.CloseIdleConnections()
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

// refusesOurCertificate tells whether the server ended the handshake over it.
// With TLS 1.3 that comes as the answer to the first request, of which the
// server has read nothing.
func refusesOurCertificate(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && strings.Contains(op.Err.Error(), "certificate")
}

// certificateRefusedError is the server's word on our certificate.
type certificateRefusedError struct{ error }

// Unwrap gives the cause.
func (e *certificateRefusedError) Unwrap() error { return e.error }

// Hint names the setting.
func (e *certificateRefusedError) Hint() string {
	return "name a certificate that the server trusts with send.tls.cert-file and key-file (ORDERSCTL_SEND_TLS_CERT_FILE)"
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
