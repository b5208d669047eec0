//go:build e2e

package e2e

import (
	"bufio"
	wire "encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordersctl/ordersctl/e2e/kafka"
)

const (
	produceKey = 0 // the API key of a produce request
	// Of the protocol's frames only the length and the first eight bytes are
	// read. A length beyond this is no frame: better an end than 2 GiB.
	maxFrame = 16 << 20
)

// proxy stands between serve and a broker that advertises the proxy's address,
// and spoils replies.
type proxy struct {
	listener net.Listener
	broker   string

	delay  atomic.Int64 // of each produce reply, in nanoseconds
	losing atomic.Bool  // replies are read from the broker and go nowhere
	lost   atomic.Int64 // produce replies that went nowhere

	mu     sync.Mutex
	links  map[*link]bool
	closed bool
	ending sync.WaitGroup // of the links
}

// link is one connection of a client with its other half to the broker.
type link struct {
	*proxy
	client, broker net.Conn

	mu       sync.Mutex
	produces map[int32]bool // correlation ids whose reply is outstanding
}

// kafkaBehindProxy is one broker that clients reach through the proxy alone,
// wherever they begin.
func kafkaBehindProxy(t *testing.T) (*kafka.Cluster, *proxy) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: ln, links: map[*link]bool{}}
	k := kafka.Start(t, kafka.Options{Brokers: 1, ExtraProperties: map[string]string{
		"advertised.listeners": "PLAINTEXT://" + p.addr(),
	}})
	p.broker = k.Bootstrap()
	var accepting sync.WaitGroup
	accepting.Go(p.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		accepting.Wait()
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.cut()
		p.ending.Wait()
	})
	return k, p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// lose lets requests through and loses every reply, until heal.
func (p *proxy) lose() { p.losing.Store(true) }

// heal ends lose. The connections end too: what waits for a lost reply on
// them would wait in vain.
func (p *proxy) heal() {
	p.losing.Store(false)
	p.cut()
}

// cut ends every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.ending.Go(func() { p.connect(conn) })
	}
}

func (p *proxy) connect(client net.Conn) {
	broker, err := net.DialTimeout("tcp", p.broker, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{proxy: p, client: client, broker: broker, produces: map[int32]bool{}}
	p.mu.Lock()
	p.links[l] = true
	if p.closed {
		l.close()
	}
	p.mu.Unlock()
	var halves sync.WaitGroup
	halves.Go(l.requests)
	halves.Go(l.replies)
	halves.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.broker.Close()
}

func (l *link) requests() {
	defer l.close()
	in := bufio.NewReader(l.client)
	for {
		// Length, API key, version, correlation id.
		frame, err := readFrame(in, 8)
		if err != nil {
			return
		}
		if wire.BigEndian.Uint16(frame[4:]) == produceKey {
			l.mu.Lock()
			l.produces[int32(wire.BigEndian.Uint32(frame[8:]))] = true
			l.mu.Unlock()
		}
		if _, err := l.broker.Write(frame); err != nil {
			return
		}
	}
}

// replies are each held for the delay that stands when they come, in their
// order, all at the same time: a slow broker, not a narrow one.
func (l *link) replies() {
	type held struct {
		frame []byte
		until time.Time
	}
	queue := make(chan held, 1024)
	var writing sync.WaitGroup
	writing.Go(func() {
		defer l.close()
		for h := range queue {
			if wait := time.Until(h.until); wait > 0 {
				<-time.After(wait)
			}
			if _, err := l.client.Write(h.frame); err != nil {
				break
			}
		}
		for range queue { // the reader below must not wait for us
		}
	})
	defer writing.Wait()
	defer close(queue)
	in := bufio.NewReader(l.broker)
	for {
		frame, err := readFrame(in, 4) // length, correlation id
		if err != nil {
			return
		}
		id := int32(wire.BigEndian.Uint32(frame[4:]))
		l.mu.Lock()
		produce := l.produces[id]
		delete(l.produces, id)
		l.mu.Unlock()
		h := held{frame: frame, until: time.Now()}
		switch {
		case l.losing.Load():
			if produce {
				l.lost.Add(1)
			}
			continue
		case produce:
			h.until = h.until.Add(time.Duration(l.delay.Load()))
		}
		queue <- h
	}
}

// readFrame reads one frame of the protocol with its length in front.
func readFrame(r io.Reader, atLeast int) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(wire.BigEndian.Uint32(size[:]))
	if n < atLeast || n > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, 4+n)
	copy(frame, size[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}
