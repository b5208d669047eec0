package ingest

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/time/rate"

	"github.com/ordersctl/ordersctl/internal/client"
)

const (
	// How many connections are told at one time why they are turned away; more
	// are just closed. A flood must not cost more than it has to.
	maxFarewells = 128
	// How long one of them may take to read that.
	farewellTime  = time.Second
	farewellBytes = 64 << 10
	// One line in this time says that connections are turned away.
	tellEvery = 10 * time.Second
	// Files for all that is not a client's connection: brokers, the admin port,
	// what is read anew, those that are being turned away.
	reservedFiles = maxFarewells + 128
)

// limiter hands out connections up to a number for each address and one in all;
// the others are turned away before anything is spent on them.
type limiter struct {
	net.Listener
	all        int
	perAddress int
	secure     bool // TLS: nothing can be said before the handshake
	metrics    *metrics
	log        *slog.Logger

	told      rate.Sometimes
	farewells chan struct{} // one for each that is being told
	leaving   sync.WaitGroup

	mu        sync.Mutex
	open      int
	byAddress map[netip.Addr]int
}

func newLimiter(all, perAddress int, secure bool, m *metrics, log *slog.Logger) *limiter {
	return &limiter{
		all: all, perAddress: perAddress, secure: secure, metrics: m, log: log,
		told:      rate.Sometimes{Interval: tellEvery},
		farewells: make(chan struct{}, maxFarewells),
		byAddress: map[netip.Addr]int{},
	}
}

// Accept never waits for those that it turns away.
func (l *limiter) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addressOf(c)
		why := l.admit(from)
		if why == "" {
			return &counted{Conn: c, release: func() { l.release(from) }}, nil
		}
		l.turnAway(c, why)
	}
}

// admit counts a connection, or says why not. The address goes first, so that
// one that asks for everything does not look like a server that is full.
func (l *limiter) admit(from netip.Addr) rejection {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.byAddress[from] >= l.perAddress:
		return rejectedAddress
	case l.open >= l.all:
		return rejectedConnections
	}
	l.open++
	l.byAddress[from]++
	return ""
}

func (l *limiter) release(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.byAddress[from]--; l.byAddress[from] == 0 {
		delete(l.byAddress, from)
	}
}

func (l *limiter) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

func (l *limiter) turnAway(c net.Conn, why rejection) {
	l.metrics.reject(why)
	l.told.Do(func() {
		l.log.Warn("connections are turned away", "reason", string(why), "remote", c.RemoteAddr().String(), "open", l.count(),
			"max_connections", l.all, "max_connections_per_address", l.perAddress)
	})
	if l.secure {
		_ = c.Close() // nothing was sent on it
		return
	}
	select {
	case l.farewells <- struct{}{}:
		l.leaving.Go(func() {
			farewell(c, why)
			<-l.farewells
		})
	default:
		_ = c.Close() // as above
	}
}

// farewell answers 503 before the request is read. What the client sends
// meanwhile is read away, or the reset that it causes would overtake the answer.
func farewell(c net.Conn, why rejection) {
	defer func() { _ = c.Close() }() // whatever it says, it is gone
	if c.SetDeadline(time.Now().Add(farewellTime)) != nil {
		return
	}
	detail := "too many connections are open"
	if why == rejectedAddress {
		detail += " from this address"
	}
	if _, err := c.Write(plainRefusal(fasthttp.StatusServiceUnavailable, detail)); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, c, farewellBytes) // whatever ends it, the connection is closed next
	}
}

// plainRefusal is the answer where there is no request yet that it could be
// given to.
func plainRefusal(code int, detail string) []byte {
	a := refuse(code, client.NotWritten, detail)
	a.problem.RequestID = client.NewID()
	body, err := json.Marshal(a.problem)
	if err != nil {
		body = []byte(`{}`) // strings and numbers only: this can't happen
	}
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nConnection: close\r\n",
		code, fasthttp.StatusMessage(code), len(body)+1)
	head += fmt.Sprintf("%s: %s\r\n%s: %s\r\n%s: %s\r\n", headerRequestID, a.problem.RequestID,
		fasthttp.HeaderXContentTypeOptions, nosniff, fasthttp.HeaderCacheControl, noStore)
	if code == fasthttp.StatusServiceUnavailable {
		head += fmt.Sprintf("%s: %s\r\n", fasthttp.HeaderRetryAfter, retryAfter)
	}
	return append(append([]byte(head+"\r\n"), body...), '\n')
}

// addressOf is what connections are counted by: an IPv4 address or, as one
// customer has that many of them, the first 64 bits of an IPv6 address.
func addressOf(c net.Conn) netip.Addr {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap()
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	once    sync.Once
	release func()
}

func (c *counted) Close() error {
	defer c.once.Do(c.release)
	return c.Conn.Close()
}

// CloseWrite ends our side of the connection.
func (c *counted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// fitting is how many connections the process can have open: what is wanted, or
// what its limit of files leaves.
func fitting(wanted int, log *slog.Logger) int {
	limit, known := fileLimit()
	if !known {
		return wanted
	}
	room := max(limit-reservedFiles, limit/2)
	if wanted <= room {
		return wanted
	}
	log.Warn("this process may not open enough files for serve.max-connections, so it takes fewer (ulimit -n, LimitNOFILE)",
		"max_connections", room, "wanted", wanted, "file_limit", limit)
	return room
}
