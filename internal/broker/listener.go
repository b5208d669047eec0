package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// ListenError says that the Kafka port could not be had.
type ListenError struct {
	Addr string // as it was asked for
	Err  error
}

func (e *ListenError) Error() string { return fmt.Sprintf("listen for Kafka clients: %v", e.Err) }
func (e *ListenError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *ListenError) Hint() string {
	return fmt.Sprintf("%s may be held by another broker: stop that, or move this one with --kafka-listen (dev.kafka-listen), as in --kafka-listen localhost:19092", e.Addr)
}

// network opens the broker's listeners and knows all that runs on them.
type network struct {
	host    string
	httpURL string
	log     *slog.Logger

	// running counts accept loops and open connections. kfake's Close returns
	// while its own goroutines still hold connections, and who reads the data
	// directory after our Close must not meet them.
	running sync.WaitGroup
}

// listen is kfake's ListenFn. The port is kfake's, the host ours.
func (n *network) listen(_, address string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if n.host != "localhost" {
		ln, err := n.listenTCP(net.JoinHostPort(n.host, port))
		if err != nil {
			return nil, &ListenError{Addr: net.JoinHostPort(n.host, port), Err: err}
		}
		return n.serve(ln.Addr().String(), ln), nil
	}

	// A free port of one family may be taken in the other.
	for range 10 {
		var lns []net.Listener
		lns, err = n.listenLocalhost(port)
		if err == nil {
			_, port, _ = net.SplitHostPort(lns[0].Addr().String())
			return n.serve(net.JoinHostPort(n.host, port), lns...), nil
		}
		if port != "0" {
			break
		}
	}
	return nil, &ListenError{Addr: net.JoinHostPort(n.host, port), Err: err}
}

// listenLocalhost listens on 127.0.0.1 and on ::1 with the same port. kcat and
// Java may try ::1 first: were it another program's, they would reach that. A
// machine without ::1 does without.
func (n *network) listenLocalhost(port string) ([]net.Listener, error) {
	v4, err := n.listenTCP(net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, err
	}
	_, port, _ = net.SplitHostPort(v4.Addr().String())
	v6, err := n.listenTCP(net.JoinHostPort("::1", port))
	switch {
	case err == nil:
		return []net.Listener{v4, v6}, nil
	case errors.Is(err, syscall.EADDRINUSE):
		_ = v4.Close() // nothing was accepted on it
		return nil, err
	default:
		n.log.Debug("no IPv6 loopback to listen on", slog.Any("err", err))
		return []net.Listener{v4}, nil
	}
}

func (n *network) listenTCP(addr string) (net.Listener, error) {
	return net.Listen("tcp", addr) //nolint:noctx // kfake asks for the listener and gives no context
}

// serve merges lns into one listener that is advertised as addr.
func (n *network) serve(addr string, lns ...net.Listener) *listener {
	l := &listener{
		addr:     hostPort(addr),
		lns:      lns,
		accepted: make(chan net.Conn),
		closed:   make(chan struct{}),
	}
	for _, ln := range lns {
		n.running.Go(func() { n.accept(l, ln) })
	}
	return l
}

// accept hands ln's connections to l until l is closed. kfake stops listening
// for good at the first error of Accept, so that a moment without file
// descriptors would leave a broker that is deaf but alive: such errors stay
// here.
func (n *network) accept(l *listener, ln net.Listener) {
	var pause time.Duration
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			pause = min(max(2*pause, 5*time.Millisecond), time.Second) // as net/http does
			n.log.Warn("accept on the Kafka port", slog.Any("err", err), slog.Duration("retry_in", pause))
			select {
			case <-time.After(pause):
				continue
			case <-l.closed:
				return
			}
		}
		pause = 0
		n.running.Add(1)
		guarded := newConn(c, n.httpURL, n.log, n.running.Done)
		select {
		case l.accepted <- guarded:
		case <-l.closed:
			_ = guarded.Close() // the broker is closing
			return
		}
	}
}

// listener is one or two listeners that look like one.
type listener struct {
	addr     hostPort
	lns      []net.Listener
	accepted chan net.Conn

	closeOnce sync.Once
	closed    chan struct{}
	closeErr  error
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr is what the broker advertises to its clients.
func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Close() error {
	l.closeOnce.Do(func() {
		close(l.closed)
		for _, ln := range l.lns {
			l.closeErr = errors.Join(l.closeErr, ln.Close())
		}
	})
	return l.closeErr
}

// hostPort is an address that keeps its host's name: clients that came by
// "localhost" are sent there again, and the host may be another for them (a
// forwarded port).
type hostPort string

func (hostPort) Network() string  { return "tcp" }
func (a hostPort) String() string { return string(a) }
