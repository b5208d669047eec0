package ingest

import (
	"log/slog"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// from is a connection from an address.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

func TestConnectionsAreCountedByWhoCanHaveMany(t *testing.T) {
	for name, c := range map[string]struct {
		one, other string
		same       bool
	}{
		"an address and its neighbour":         {"192.0.2.1", "192.0.2.2", false},
		"an address in two forms":              {"192.0.2.1", "::ffff:192.0.2.1", true},
		"one customer's IPv6 addresses":        {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		"two customers' IPv6 addresses":        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		"link-local addresses on two networks": {"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		resolve := func(host string) net.Conn {
			addr, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(host, "1"))
			if err != nil {
				t.Fatal(err)
			}
			return from{addr: addr}
		}
		if same := addressOf(resolve(c.one)) == addressOf(resolve(c.other)); same != c.same {
			t.Errorf("%s: counted together: %t", name, same)
		}
	}
}

func TestAPlaceIsGivenBackOnce(t *testing.T) {
	l := newLimiter(3, 2, false, newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	a := addressOf(from{addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}})
	b := addressOf(from{addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2)}})
	for i, c := range []struct {
		who  string
		want rejection
	}{{"a", ""}, {"a", ""}, {"a", rejectedAddress}, {"b", ""}, {"b", rejectedConnections}, {"a", rejectedAddress}} {
		who := a
		if c.who == "b" {
			who = b
		}
		if got := l.admit(who); got != c.want {
			t.Errorf("connection %d, of %s: %q, want %q", i, c.who, got, c.want)
		}
	}
	here, there := net.Pipe()
	defer there.Close()
	conn := &counted{Conn: here, release: func() { l.release(a) }}
	for range 3 {
		_ = conn.Close()
	}
	if l.count() != 2 || l.byAddress[a] != 1 {
		t.Errorf("%d open, %d of them of a", l.count(), l.byAddress[a])
	}
	l.release(a)
	l.release(b)
	if l.count() != 0 || len(l.byAddress) != 0 {
		t.Errorf("%d open at the end, %d addresses", l.count(), len(l.byAddress))
	}
}

func TestFewerConnectionsWhereTheProcessMayNotOpenMore(t *testing.T) {
	limit, known := fileLimit()
	if !known {
		if got := fitting(100_000, slog.New(slog.DiscardHandler)); got != 100_000 {
			t.Errorf("got %d", got)
		}
		return
	}
	if got := fitting(limit, slog.New(slog.DiscardHandler)); got >= limit || got < limit/2 {
		t.Errorf("%d connections of %d files", got, limit)
	}
	if got := fitting(10, slog.New(slog.DiscardHandler)); got != 10 {
		t.Errorf("got %d", got)
	}
}
