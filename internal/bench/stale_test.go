package bench

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/client"
)

const (
	answer202 = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
	answer408 = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
	answer503 = "HTTP/1.1 503 No\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n" + `{"outcome":"not_written"}`
)

// ways are the ones that an order can take: without TLS (0) and with it.
var ways = map[string]uint16{"plain": 0, "TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// misbehavingOver is misbehaving with or without TLS.
func misbehavingOver(t testing.TB, version uint16, f func(net.Conn)) HTTPConfig {
	t.Helper()
	if version == 0 {
		return HTTPConfig{URL: misbehaving(t, f)}
	}
	server := httptest.NewTLSServer(nil) // its certificate
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	url := misbehaving(t, func(c net.Conn) {
		secure := tls.Server(&corked{Conn: c}, &tls.Config{Certificates: server.TLS.Certificates, MinVersion: version, MaxVersion: version})
		defer secure.Close()
		f(secure)
	})
	return HTTPConfig{URL: strings.Replace(url, "http", "https", 1), TLS: &tls.Config{RootCAs: roots}}
}

// corked holds back what is written until it is let go.
type corked struct {
	net.Conn
	held []byte
	on   bool
}

func (c *corked) Write(b []byte) (int, error) {
	if !c.on {
		return c.Conn.Write(b)
	}
	c.held = append(c.held, b...)
	return len(b), nil
}

// together writes texts, in TLS each a record of its own, in one packet.
func together(c net.Conn, texts []string) {
	secure, ok := c.(*tls.Conn)
	if !ok {
		_, _ = io.WriteString(c, strings.Join(texts, ""))
		return
	}
	cork := secure.NetConn().(*corked) //nolint:forcetypeassert // misbehavingOver made it
	cork.on = true
	for _, text := range texts {
		_, _ = io.WriteString(c, text)
	}
	cork.on = false
	_, _ = cork.Write(cork.held)
	cork.held = nil
}

// until waits until a connection looks so.
func (c *conn) until(t *testing.T, want connState) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); c.look() != want; {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come to look like %d", want)
		}
	}
}

// A server may close a connection that lay idle. Nobody is to blame for that,
// and no order must be unknown because of it.
func TestHTTPNoticesWhenAnIdleConnectionWasClosed(t *testing.T) {
	for name, version := range ways {
		t.Run(name, func(t *testing.T) {
			cfg := misbehavingOver(t, version, func(c net.Conn) {
				if readRequest(c) {
					_, _ = io.WriteString(c, answer202)
				}
			})
			s := newSettled()
			l := mustDial(t, cfg).Lane(0, s.port)
			defer l.Close()
			want := []Reply{{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1}}
			for seq := range uint64(4) {
				if diff := cmp.Diff(want, withoutTimes(s.send(l, Job{Seq: seq, Orders: 1}))); diff != "" {
					t.Fatalf("order %d (-want +got):\n%s", seq, diff)
				}
				if c := l.(*httpLane).conn; c != nil { // else the goodbye came with the answer
					c.until(t, connClosed)
					c.used -= time.Minute
				}
			}
			if n := s.port.flow.unsolicited.Load(); n != 0 {
				t.Errorf("%d answers that nobody asked for", n)
			}
		})
	}
}

// A server with a short keep-alive, as they all have one, over a whole run.
func TestHTTPOutlivesAServersKeepAlive(t *testing.T) {
	t.Parallel()
	for name, version := range ways {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadAll(r.Body)
				w.WriteHeader(http.StatusAccepted)
			}))
			server.Config.IdleTimeout = 20 * time.Millisecond
			cfg := HTTPConfig{}
			if version == 0 {
				server.Start()
			} else {
				server.TLS = &tls.Config{MaxVersion: version}
				server.StartTLS()
				roots := x509.NewCertPool()
				roots.AddCert(server.Certificate())
				cfg.TLS = &tls.Config{RootCAs: roots}
			}
			t.Cleanup(server.Close)
			cfg.URL = server.URL
			plan := Plan{Stages: []Stage{{For: time.Second, From: 10, To: 10}}}
			m, err := Run(t.Context(), Options{Plan: plan, Target: mustDial(t, cfg), Ledger: NewLedger(1000), LagLimit: time.Minute})
			if err != nil || m.Acked != m.Scheduled || m.Scheduled == 0 {
				t.Errorf("%d of %d acked, %v, %v", m.Acked, m.Scheduled, m.Causes, err)
			}
		})
	}
}

// What a server says by itself, 408 before it closes or an answer twice, would
// be taken for the answer of the next order, and so on.
func TestHTTPTakesNothingUnaskedForAnAnswer(t *testing.T) {
	for name, version := range ways {
		for _, tt := range []struct {
			name         string
			first, later []string // what is written to the first order, at once and later
			want         Reply    // of the first order
		}{
			{"later, by itself", []string{answer202}, []string{answer408}, Reply{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1}},
			{"at once, in one piece", []string{answer202 + answer408}, nil, Reply{Outcome: client.Unknown, Cause: "unsolicited answer", Partition: -1, Offset: -1}},
			{"at once, each by itself", []string{answer202, answer408}, nil, Reply{Outcome: client.Unknown, Cause: "unsolicited answer", Partition: -1, Offset: -1}},
		} {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				first, goOn := make(chan struct{}, 1), make(chan struct{})
				first <- struct{}{}
				cfg := misbehavingOver(t, version, func(c net.Conn) {
					for readRequest(c) {
						select {
						case <-first:
							together(c, tt.first)
							<-goOn
							together(c, tt.later)
						default:
							_, _ = io.WriteString(c, answer503)
						}
					}
				})
				s := newSettled()
				l := mustDial(t, cfg).Lane(0, s.port)
				defer l.Close()
				if diff := cmp.Diff([]Reply{tt.want}, withoutTimes(s.send(l, Job{Orders: 1}))); diff != "" {
					t.Errorf("the first order (-want +got):\n%s", diff)
				}
				close(goOn)
				if c := l.(*httpLane).conn; tt.later != nil {
					c.until(t, connUnsolicited)
					c.used -= time.Minute
				}
				want := []Reply{{Outcome: client.NotWritten, Cause: "503", Partition: -1, Offset: -1}}
				for seq := range uint64(3) {
					if diff := cmp.Diff(want, withoutTimes(s.send(l, Job{Seq: seq + 1, Orders: 1}))); diff != "" {
						t.Errorf("order %d (-want +got):\n%s", seq+1, diff)
					}
				}
				if n := s.port.flow.unsolicited.Load(); n != 1 {
					t.Errorf("%d answers that nobody asked for", n)
				}
			})
		}
	}
}

// Some servers end a body with an empty line that its length does not count. Its
// record, or its packet, may be one of its own.
func TestHTTPForgivesEmptyLinesBehindAnAnswer(t *testing.T) {
	for name, version := range ways {
		for how, later := range map[string]bool{"at once": false, "later": true} {
			t.Run(name+" "+how, func(t *testing.T) {
				goOn := make(chan struct{})
				cfg := misbehavingOver(t, version, func(c net.Conn) {
					for readRequest(c) {
						if !later {
							together(c, []string{answer202, "\r\n", "\r", "\n"})
							continue
						}
						_, _ = io.WriteString(c, answer202)
						<-goOn
						together(c, []string{"\r\n", "\r\n", strings.Repeat("\r\n", 20)})
						goOn <- struct{}{}
					}
				})
				s := newSettled()
				l := mustDial(t, cfg).Lane(0, s.port)
				defer l.Close()
				first := l.(*httpLane).conn
				for seq := range uint64(3) {
					if r := s.send(l, Job{Seq: seq, Orders: 1}); r[0].Outcome != client.Acked {
						t.Errorf("order %d: %+v", seq, r[0])
					}
					c := l.(*httpLane).conn
					if c != first {
						t.Fatalf("order %d made another connection", seq)
					}
					if later {
						goOn <- struct{}{}
						<-goOn
						if state := c.look(); state != connGood {
							t.Errorf("order %d: the connection looks like %d", seq, state)
						}
					}
					c.used -= time.Minute
				}
				if n := s.port.flow.unsolicited.Load(); n != 0 {
					t.Errorf("%d answers that nobody asked for", n)
				}
			})
		}
	}
}

// What came of a server that closes at once, behind its answer, says nothing
// against the answer.
func TestHTTPTakesAnAnswerBeforeAGoodbye(t *testing.T) {
	for name, version := range ways {
		t.Run(name, func(t *testing.T) {
			cfg := misbehavingOver(t, version, func(c net.Conn) {
				if !readRequest(c) {
					return
				}
				if secure, ok := c.(*tls.Conn); ok { // the answer and close_notify in one packet
					cork := secure.NetConn().(*corked) //nolint:forcetypeassert // misbehavingOver made it
					cork.on = true
					_, _ = io.WriteString(c, answer202)
					_ = secure.CloseWrite() // which forbids to write
					cork.on = false
					_ = cork.SetWriteDeadline(time.Time{})
					_, _ = cork.Write(cork.held)
					return
				}
				_, _ = io.WriteString(c, answer202)
			})
			s := newSettled()
			l := mustDial(t, cfg).Lane(0, s.port)
			defer l.Close()
			for seq := range uint64(3) {
				if r := s.send(l, Job{Seq: seq, Orders: 1}); r[0].Outcome != client.Acked {
					t.Errorf("order %d: %+v", seq, r[0])
				}
				if c := l.(*httpLane).conn; c != nil {
					if version != 0 {
						t.Fatal("close_notify came with the answer and was not seen")
					}
					c.until(t, connClosed)
					c.used -= time.Minute
				}
			}
		})
	}
}

// A connection is as good as it was when the deadline of its last answer has
// passed meanwhile.
func TestHTTPKeepsAConnectionWhoseDeadlineHasPassed(t *testing.T) {
	for name, version := range ways {
		t.Run(name, func(t *testing.T) {
			cfg := misbehavingOver(t, version, func(c net.Conn) {
				for readRequest(c) {
					_, _ = io.WriteString(c, answer202)
				}
			})
			s := newSettled()
			l := mustDial(t, cfg).Lane(0, s.port)
			defer l.Close()
			c := l.(*httpLane).conn
			for seq := range uint64(3) {
				if err := c.SetDeadline(time.Unix(1, 0)); err != nil {
					t.Fatal(err)
				}
				c.deadline, c.used = time.Time{}, -time.Minute
				if r := s.send(l, Job{Seq: seq, Orders: 1}); r[0].Outcome != client.Acked || l.(*httpLane).conn != c {
					t.Errorf("order %d: %+v, the same connection %t", seq, r[0], l.(*httpLane).conn == c)
				}
			}
		})
	}
}

// brokenWire can't be written to any more.
type brokenWire struct{ net.Conn }

func (brokenWire) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// Over TLS, too, an order of which nothing has left goes over another connection.
func TestHTTPSendsWhatHasNotLeftTLS(t *testing.T) {
	cfg := misbehavingOver(t, tls.VersionTLS13, func(c net.Conn) {
		for readRequest(c) {
			_, _ = io.WriteString(c, answer202)
		}
	})
	s := newSettled()
	l := mustDial(t, cfg).Lane(0, s.port)
	defer l.Close()
	c := l.(*httpLane).conn
	c.wire.Conn = brokenWire{c.wire.Conn}
	if r := s.send(l, Job{Orders: 1}); r[0].Outcome != client.Acked {
		t.Errorf("got %+v", r[0])
	}
}

// An order's way there and back. Between orders the
// connection is looked at, as with a schedule.
func BenchmarkHTTPLane(b *testing.B) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		b.Run(name, func(b *testing.B) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
			cfg := HTTPConfig{Connections: 1}
			if secure {
				server.StartTLS()
				roots := x509.NewCertPool()
				roots.AddCert(server.Certificate())
				cfg.TLS = &tls.Config{RootCAs: roots}
			} else {
				server.Start()
			}
			defer server.Close()
			cfg.URL = server.URL
			source, err := NewSource(SourceOptions{Seed: 1, Run: testRun, Keys: 100, Dist: Uniform})
			if err != nil {
				b.Fatal(err)
			}
			h, err := DialHTTP(b.Context(), cfg, source)
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			l := h.Lane(0, newSettled().port).(*httpLane) //nolint:forcetypeassert // it makes no others
			for b.Loop() {
				l.conn.used = -time.Minute
				l.Send(Job{Orders: 1}, l.port.Now())
			}
		})
	}
}
