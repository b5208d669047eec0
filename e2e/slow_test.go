//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ordersctl/ordersctl/e2e/kafka"
	"github.com/ordersctl/ordersctl/e2e/traffic"
)

// wantFiles fails where this process may not open so many. serve starts with
// the same hard limit.
func wantFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < n {
		t.Fatalf("the hard limit of open files is %d and this test needs %d: raise it with \"ulimit -Hn %d\" as root", limit.Max, n, n)
	}
	if limit.Cur < n {
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatalf("raise the limit of open files to %d: %v", limit.Max, err)
		}
	}
}

// trickle is many connections from 127.0.0.2 that each send a request by one
// byte a second.
type trickle struct {
	addr  string
	conns []net.Conn
	open  atomic.Int64 // connections that serve has not ended
	bytes atomic.Int64
}

// dial opens n connections; ones that serve refuses at once count as opened.
func (w *trickle) dial(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	w.conns = make([]net.Conn, n)
	var group errgroup.Group
	group.SetLimit(64)
	for i := range n {
		group.Go(func() error {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 20 * time.Second}
			conn, err := d.DialContext(ctx, "tcp", w.addr)
			if errors.Is(err, syscall.ECONNRESET) {
				return nil
			}
			w.conns[i] = conn
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("open the slow connections: %v", err)
	}
}

// run sends until ctx ends: every connection one byte a second, spread over
// the second.
func (w *trickle) run(ctx context.Context) {
	request := []byte("POST /order HTTP/1.1\r\nHost: serve\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n")
	const slices = 100
	tick := time.NewTicker(time.Second / slices)
	defer tick.Stop()
	for round := 0; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		open := int64(0)
		at := round / slices % len(request)
		for i := round % slices; i < len(w.conns); i += slices {
			if w.conns[i] == nil {
				continue
			}
			if _, err := w.conns[i].Write(request[at : at+1]); err != nil {
				_ = w.conns[i].Close()
				w.conns[i] = nil
				w.open.Add(-1)
				continue
			}
			open++
		}
		w.bytes.Add(open)
	}
}

func (w *trickle) close() {
	for _, c := range w.conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

func TestTenThousandSlowConnectionsDoNotStopOneClient(t *testing.T) {
	const n = 10_000
	wantFiles(t, n+500)
	k := borrow(t)
	run(t, k.Bootstrap(), "topic", "create", "orders")
	for _, c := range []struct {
		name     string
		settings string
		open     int64 // of the slow ones, while the client posts
	}{
		{"as it comes", "", 4096},
		{"all let in", "serve:\n  max-connections-per-address: 10000\n  header-timeout: 1m\n", n},
	} {
		t.Run(c.name, func(t *testing.T) { slow(t, k, n, c.settings, c.open) })
	}
}

func slow(t *testing.T, k *kafka.Cluster, n int, more string, open int64) {
	s := serve(t, k.Bootstrap(), "--config", settings(t, more))
	before := s.resident()
	watch := s.watchMemory()
	begin := time.Now()

	w := &trickle{addr: s.addr()}
	defer w.close()
	w.dial(t.Context(), t, n)
	w.open.Store(int64(n))
	t.Logf("%d connections after %s", n, time.Since(begin).Round(time.Millisecond))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sending sync.WaitGroup
	sending.Go(func() { w.run(ctx) })
	eventually(t, "every slow connection has sent two bytes", func() bool { return w.bytes.Load() > 2*w.open.Load() })

	during := w.open.Load()
	samples := oneAfterAnother(s, 200)
	cancel()
	sending.Wait()
	watch.end()
	peak := watch.peak(begin, time.Now())
	p99 := quantile(samples, 0.99, sample.answerTime)
	t.Logf("%d connections open, then %d, %d bytes sent; answers %v, p50 %s, p99 %s; memory %.0f MiB, then at most %.0f",
		during, w.open.Load(), w.bytes.Load(), answersBy(samples), quantile(samples, 0.5, sample.answerTime), p99, before, peak)
	if got := answersBy(samples)["202"]; got != len(samples) {
		t.Errorf("%d of %d orders were accepted: %v", got, len(samples), answersBy(samples))
	}
	if p99 > 500*time.Millisecond {
		t.Errorf("p99 of a normal client is %s", p99)
	}
	if more := peak - before; more > 300 {
		t.Errorf("%d slow connections take %.0f MiB", n, more)
	}
	if during < open { // one that was turned away is known by its next byte only
		t.Errorf("%d slow connections were open, want %d", during, open)
	}
	away := s.metric(`ordersctl_http_rejected_total{reason="connections_per_address"}`)
	if int64(away) != int64(n)-open {
		t.Errorf("%.0f connections were turned away, want %d", away, int64(n)-open)
	}
}

// oneAfterAnother posts n orders, each when the one before is answered.
func oneAfterAnother(s *server, n int) (all []sample) {
	c := traffic.Conn{Addr: s.addr(), From: "127.0.0.1"}
	defer c.Close()
	for i := range n {
		all = append(all, order(s.t.Context(), &c, fmt.Sprintf("normal-%d", i), ""))
	}
	return all
}
