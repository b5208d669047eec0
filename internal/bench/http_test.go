package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/client"
)

// settled collects what a lane reports.
type settled struct {
	port   *Port
	ledger *Ledger
}

func newSettled() *settled {
	c := newCollector(0)
	s := &settled{ledger: NewLedger(1 << 20)}
	s.port = &Port{clock: clock{time.Now()}, ledger: s.ledger, tally: newTally(c), flow: newFlow()}
	return s
}

func (s *settled) take() []Reply {
	var list []Reply
	for _, e := range s.port.tally.ends {
		list = append(list, e.Reply)
	}
	s.port.tally.ends = s.port.tally.ends[:0]
	return list
}

func (s *settled) send(l Lane, j Job) []Reply {
	l.Send(j, s.port.Now())
	return s.take()
}

func dialTest(t *testing.T, cfg HTTPConfig) (*HTTP, error) {
	t.Helper()
	if cfg.Connections == 0 {
		cfg.Connections = 1
	}
	h, err := DialHTTP(context.Background(), cfg, newTestSource(t, SourceOptions{Seed: 1}))
	if err == nil {
		t.Cleanup(func() { _ = h.Close() })
	}
	return h, err
}

func mustDial(t *testing.T, cfg HTTPConfig) *HTTP {
	t.Helper()
	h, err := dialTest(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// withoutTimes leaves what an answer says.
func withoutTimes(list []Reply) []Reply {
	for i := range list {
		list[i].Sent, list[i].Answered = 0, 0
	}
	return list
}

func TestHTTPSendsOneOrder(t *testing.T) {
	var got *http.Request
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r, string(b)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"id":"%s","event_id":"e","topic":"orders","partition":2,"offset":184211}`+"\n", idOf(b))
	}))
	t.Cleanup(server.Close)
	h := mustDial(t, HTTPConfig{URL: server.URL + "/order?x=1", Key: "s3cret"})
	s := newSettled()
	l := h.Lane(0, s.port)
	t.Cleanup(l.Close)

	replies := s.send(l, Job{Seq: 7, Orders: 1})
	if r := replies[0]; r.Sent < 0 || r.Answered < r.Sent {
		t.Errorf("sent at %s, answered at %s", r.Sent, r.Answered)
	}
	if diff := cmp.Diff([]Reply{{Outcome: client.Acked, Cause: "202", Partition: 2, Offset: 184211}}, withoutTimes(replies)); diff != "" {
		t.Error(diff)
	}
	if want := string(h.source.Append(nil, 7)); body != want {
		t.Errorf("sent %s, want %s", body, want)
	}
	for name, want := range map[string]string{"Authorization": "Bearer s3cret", "Content-Type": "application/json", "User-Agent": "ordersctl-bench"} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	if got.RequestURI != "/order?x=1" || got.Host != strings.TrimPrefix(server.URL, "http://") {
		t.Errorf("asked %q of %q", got.RequestURI, got.Host)
	}
	e := s.ledger.Entry(7)
	if e.State != Acked || e.Partition != 2 || e.Offset != 184211 || e.Sent == 0 || e.Answered < e.Sent {
		t.Errorf("ledger has %+v", e)
	}
}

// misbehaving answers each connection by f.
func misbehaving(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		group.Wait()
	})
	return "http://" + l.Addr().String()
}

func readRequest(c net.Conn) bool {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

func TestHTTPSendsTheNameAndPasswordOfAURL(t *testing.T) {
	for _, tt := range []struct {
		user string
		key  client.Secret
		want string
	}{
		{"", "", ""},
		{"u:p@", "", "Basic dTpw"},
		{"u@", "", "Basic dTo="},
		{"u%20v:p%40@", "", "Basic dSB2OnBA"},
		{"u:p@", "key", "Bearer key"},
	} {
		var got string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Get("Authorization")
			w.WriteHeader(http.StatusAccepted)
		}))
		s := newSettled()
		l := mustDial(t, HTTPConfig{URL: strings.Replace(server.URL, "//", "//"+tt.user, 1), Key: tt.key}).Lane(0, s.port)
		s.send(l, Job{Orders: 1})
		l.Close()
		server.Close()
		if got != tt.want {
			t.Errorf("user %q, key %q: sent %q, want %q", tt.user, tt.key, got, tt.want)
		}
	}
}

func TestHTTPThatBreaks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		want  string
	}{
		{"closed instead of an answer", func(c net.Conn) { readRequest(c) }, "closed"},
		{"reset instead of an answer", func(c net.Conn) {
			readRequest(c)
			_ = c.(*net.TCPConn).SetLinger(0)
		}, "reset"},
		{"closed in the middle of an answer", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 50\r\n\r\n{")
		}, "closed"},
		{"no HTTP", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "SSH-2.0-OpenSSH\r\n\r\n")
		}, "broken answer"},
		{"no answer in time", func(c net.Conn) {
			readRequest(c)
			_, _ = c.Read(make([]byte, 1)) // until the client hangs up
		}, "timeout"},
		{"an answer without end", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := c.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, "answer too long"},
		{"a head without end", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(c, "X-More: yes\r\n"); err != nil {
					return
				}
			}
		}, "answer too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := mustDial(t, HTTPConfig{URL: misbehaving(t, tt.serve), Timeout: 300 * time.Millisecond})
			s := newSettled()
			l := h.Lane(0, s.port)
			defer l.Close()
			got := s.send(l, Job{Orders: 1})
			if r := got[0]; r.Outcome != client.Unknown || r.Cause != tt.want || r.Sent < 0 {
				t.Errorf("got %+v, want unknown, %q", r, tt.want)
			}
			// The connection is not used again.
			if again := s.send(l, Job{Seq: 1, Orders: 1}); again[0].Cause != tt.want {
				t.Errorf("the second one: %+v", again[0])
			}
		})
	}
}

func TestHTTPThatIsGone(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	h := mustDial(t, HTTPConfig{URL: url})
	s := newSettled()
	l := h.Lane(0, s.port)
	defer l.Close()
	l.(*httpLane).disconnect()
	listener.Close()
	want := Reply{Outcome: client.NotWritten, Cause: "refused", Sent: -1, Partition: -1, Offset: -1}
	got := s.send(l, Job{Orders: 1})
	got[0].Answered = 0
	if diff := cmp.Diff([]Reply{want}, got); diff != "" {
		t.Error(diff)
	}
	if e := s.ledger.Entry(0); e.State != NotWritten || e.Sent != 0 {
		t.Errorf("ledger has %+v", e)
	}

	var gone *UnreachableError
	if _, err := dialTest(t, HTTPConfig{URL: url}); !errors.As(err, &gone) || gone.ExitCode() != 4 || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("at the start: %v", err)
	}
}

// cutConn can't be written to any more.
type cutConn struct{ net.Conn }

func (cutConn) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// A connection that breaks before a byte of the order has left is nobody's
// fault: the order goes over another one.
func TestHTTPSendsWhatHasNotLeft(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	s := newSettled()
	l := mustDial(t, HTTPConfig{URL: server.URL}).Lane(0, s.port)
	defer l.Close()
	conn := l.(*httpLane).conn
	conn.Conn = cutConn{conn.Conn}
	conn.raw = conn.Conn
	want := []Reply{{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1}}
	if diff := cmp.Diff(want, withoutTimes(s.send(l, Job{Orders: 1}))); diff != "" || asked.Load() != 1 {
		t.Errorf("asked %d times (-want +got):\n%s", asked.Load(), diff)
	}
}

func TestHTTPOverTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	h := mustDial(t, HTTPConfig{URL: server.URL, TLS: &tls.Config{RootCAs: roots}, Connections: 3})
	s := newSettled()
	for i := range 3 {
		l := h.Lane(i, s.port)
		t.Cleanup(l.Close)
		for seq := range uint64(3) {
			if r := s.send(l, Job{Seq: seq, Orders: 1}); r[0].Outcome != client.Acked {
				t.Errorf("lane %d: %+v", i, r)
			}
			l.(*httpLane).conn.used -= time.Minute
			if l.(*httpLane).conn.look() != connGood {
				t.Error("a session ticket looks like the end")
			}
		}
	}
	if _, err := dialTest(t, HTTPConfig{URL: server.URL}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
}

func TestHTTPRefusesWhatItCannotReach(t *testing.T) {
	for _, url := range []string{"localhost:8080", "ftp://x", "http://", "://"} {
		if _, err := dialTest(t, HTTPConfig{URL: url}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
	var files *FilesError
	if _, err := dialTest(t, HTTPConfig{URL: "http://127.0.0.1:1", Connections: 1 << 30}); !errors.As(err, &files) && err != nil {
		var gone *UnreachableError
		if !errors.As(err, &gone) { // where there is no limit
			t.Errorf("too many connections: %v", err)
		}
	}
}
