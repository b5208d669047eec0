package telemetry

import (
	"net"
	"sync"
)

// limited accepts so many connections at one time; those beyond are closed, as
// they would hold a file each while they wait.
type limited struct {
	net.Listener
	places chan struct{}
}

func limit(ln net.Listener, n int) net.Listener {
	return &limited{Listener: ln, places: make(chan struct{}, n)}
}

// Accept is as of [net.Listener].
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &placed{Conn: c, free: func() { <-l.places }}, nil
		default:
			_ = c.Close() // nothing was said on it
		}
	}
}

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	once sync.Once
	free func()
}

// Close is as of [net.Conn].
func (c *placed) Close() error {
	defer c.once.Do(c.free)
	return c.Conn.Close()
}
