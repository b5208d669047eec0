package process

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// stall is a server that can be stopped, with its connections standing and new
// ones taken by the system.
type stall struct {
	stopped chan struct{}
	gone    chan struct{}
	once    sync.Once
}

func (s *stall) stop() { close(s.stopped) }

// end lets it be closed.
func (s *stall) end() { s.once.Do(func() { close(s.gone) }) }

func (s *stall) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &stalling{l, s}, err
}

type stalling struct {
	net.Listener
	*stall
}

func (l *stalling) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stalled{c, l.stall}, nil
}

type stalled struct {
	net.Conn
	*stall
}

// Read gives nothing any more: no request is answered.
func (c *stalled) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.stopped:
		<-c.gone
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

// A broker that hangs is waited for a few seconds at the end: it has nothing
// that would be lost.
func TestTheEndDoesNotWaitForKafkaThatHangs(t *testing.T) {
	t.Parallel()
	s := &stall{stopped: make(chan struct{}), gone: make(chan struct{})}
	k := startKafka(t, 2, kfake.ListenFn(s.listen))
	f := newFold()
	w := k.start(f)
	t.Cleanup(s.end)
	k.send(good(0, "a", "paid"), good(1, "b", "paid"))
	until(t, "it runs, and Kafka has its offsets", func() bool {
		return f.at(0) == 1 && f.at(1) == 1 && w.committedAll()
	})
	s.stop()
	began := time.Now()
	w.end()
	if took := time.Since(began); took > 12*time.Second {
		t.Errorf("it takes %s", took)
	}
}

func (r *running) committedAll() bool {
	for _, p := range r.all() {
		p.mu.Lock()
		sent := p.placed && p.sent == p.next
		p.mu.Unlock()
		if !sent {
			return false
		}
	}
	return true
}
