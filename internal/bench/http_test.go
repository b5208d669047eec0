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
	"github.com/ordersctl/ordersctl/internal/order"
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

func TestHTTPReadsWhatBecameOfAnOrder(t *testing.T) {
	const problem = "application/problem+json"
	for _, tt := range []struct {
		name              string
		code              int
		contentType, body string
		want              Reply
	}{
		{"serve, enqueued", 202, "application/json", `{"id":"1","event_id":"e","topic":"orders","outcome":"enqueued"}`, Reply{Outcome: client.Acked, Cause: "202 enqueued", Partition: -1, Offset: -1}},
		{"another server's receipt", 201, "application/json", `{"offset": 5, "topic": "x", "partition": 1}`, Reply{Outcome: client.Acked, Cause: "201", Partition: 1, Offset: 5}},
		{"no body", 200, "", "", Reply{Outcome: client.Acked, Cause: "200", Partition: -1, Offset: -1}},
		{"no JSON", 200, "text/plain", "ok", Reply{Outcome: client.Acked, Cause: "200", Partition: -1, Offset: -1}},
		{"a web page is no endpoint", 200, "text/html; charset=utf-8", "<p>", Reply{Outcome: client.Unknown, Cause: "web page", Partition: -1, Offset: -1}},
		{"a 2xx that says not", 200, "application/json", `{"outcome":"not_written","id":"1"}`, Reply{Outcome: client.NotWritten, Cause: "200", Partition: -1, Offset: -1}},
		{"serve is full", 503, problem, `{"outcome":"not_written","retryable":true}`, Reply{Outcome: client.NotWritten, Cause: "503", Partition: -1, Offset: -1}},
		{"serve does not know", 500, problem, `{"outcome":"unknown"}`, Reply{Outcome: client.Unknown, Cause: "500", Partition: -1, Offset: -1}},
		{"another server's 5xx", 503, "text/plain", "no", Reply{Outcome: client.Unknown, Cause: "503", Partition: -1, Offset: -1}},
		{"another server's 4xx", 429, "text/plain", "no", Reply{Outcome: client.NotWritten, Cause: "429", Partition: -1, Offset: -1}},
		{"a 4xx that says unknown", 409, problem, `{"outcome":"unknown"}`, Reply{Outcome: client.Unknown, Cause: "409", Partition: -1, Offset: -1}},
		{"an outcome of the future", 500, problem, `{"outcome":"half"}`, Reply{Outcome: client.Unknown, Cause: "500", Partition: -1, Offset: -1}},
		{"unknown, in another writing", 202, "application/json", `{"event_id":"x","outcome" : "unknown","partition":0,"offset":7}`, Reply{Outcome: client.Unknown, Cause: "202", Partition: -1, Offset: -1}},
		{"unknown, beside an offset that is none", 400, problem, `{"outcome":"unknown","offset":"7"}`, Reply{Outcome: client.Unknown, Cause: "400", Partition: -1, Offset: -1}},
		{"an outcome that is no word", 202, "application/json", `{"outcome":{"ok":true}}`, Reply{Outcome: client.Unknown, Cause: "202", Partition: -1, Offset: -1}},
		{"no outcome", 202, "application/json", `{"outcome":null}`, Reply{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1}},
		{"a place that is none", 202, "application/json", `{"partition":-5,"offset":99999999999999999999}`, Reply{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1}},
		{"JSON that ends too early", 202, "application/json; charset=utf-8", `{"id":"x","outcome":"unknown"`, Reply{Outcome: client.Unknown, Cause: "broken JSON", Partition: -1, Offset: -1}},
		{"a refusal in broken JSON", 400, problem, `{"outcome":"unkn`, Reply{Outcome: client.Unknown, Cause: "broken JSON", Partition: -1, Offset: -1}},
		{"a brace that nobody calls JSON", 202, "text/plain", `{"outcome":"not_written",}`, Reply{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1}},
		{"JSON that is no object", 202, "application/json", `"ok"`, Reply{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1}},
		{"JSON that says nothing at all", 202, "application/json", ``, Reply{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1}},
		{"another order's receipt", 202, "application/json", `{"id":"17","event_id":"e","topic":"orders","partition":2,"offset":7}`, Reply{Outcome: client.Unknown, Cause: "receipt of another order", Partition: -1, Offset: -1}},
		{"another order of a run", 503, problem, `{"id":"b-7f3a91c2-k1","outcome":"not_written"}`, Reply{Outcome: client.Unknown, Cause: "receipt of another order", Partition: -1, Offset: -1}},
		{"the server's own name of it", 201, "application/json", `{"id":"0b5c7e"}`, Reply{Outcome: client.Acked, Cause: "201", Partition: -1, Offset: -1}},
		{"a redirect is not followed", 307, "", "", Reply{Outcome: client.Unknown, Cause: "307", Partition: -1, Offset: -1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.Header().Set("Content-Type", tt.contentType)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.code)
				_, _ = io.WriteString(w, tt.body)
			}))
			t.Cleanup(server.Close)
			s := newSettled()
			l := mustDial(t, HTTPConfig{URL: server.URL}).Lane(0, s.port)
			t.Cleanup(l.Close)
			if diff := cmp.Diff([]Reply{tt.want}, withoutTimes(s.send(l, Job{Orders: 1}))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if asked != 1 {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

func TestHTTPBatch(t *testing.T) {
	const acked, not, unknown = client.Acked, client.NotWritten, client.Unknown
	r := func(o client.Outcome, cause string, place ...int64) Reply {
		if place == nil {
			return Reply{Outcome: o, Cause: cause, Partition: -1, Offset: -1}
		}
		return Reply{Outcome: o, Cause: cause, Partition: int32(place[0]), Offset: place[1]}
	}
	for _, tt := range []struct {
		name, contentType, body string
		code                    int
		want                    []Reply
	}{
		{
			"all accepted", "application/json", `{"accepted":3,"refused":0,"results":[
				{"index":0,"status":202,"outcome":"acked","id":"ID0","event_id":"a","topic":"orders","partition":0,"offset":7},
				{"index":1,"status":202,"outcome":"acked","id":"ID1","event_id":"b","topic":"orders","partition":1,"offset":9},
				{"index":2,"status":202,"outcome":"enqueued","id":"ID2","event_id":"c","topic":"orders"}]}`,
			202, []Reply{r(acked, "202", 0, 7), r(acked, "202", 1, 9), r(acked, "202 enqueued")},
		},
		{
			"some accepted, one left out", "application/json", `{"accepted":1,"refused":1,"results":[
				{"index":2,"status":400,"outcome":"not_written","retryable":false,"detail":"x","errors":[{"pointer":"/total","detail":"y"}]},
				{"index":0,"status":202,"outcome":"acked","topic":"orders","partition":0,"offset":7}]}`,
			207, []Reply{r(acked, "202", 0, 7), r(unknown, "207"), r(not, "400")},
		},
		{
			"none accepted, of one cause", "application/problem+json", `{"title":"x","status":500,"outcome":"unknown","accepted":0,"refused":3,"results":[
				{"index":0,"status":500,"outcome":"not_written"},{"index":1,"status":500,"outcome":"unknown"},{"index":2,"status":500,"outcome":"not_written"}]}`,
			500, []Reply{r(not, "500"), r(unknown, "500"), r(not, "500")},
		},
		{"refused before a look at them", "application/problem+json", `{"outcome":"not_written"}`, 503, []Reply{r(not, "503"), r(not, "503"), r(not, "503")}},
		{"a peer that says nothing", "", "", 200, []Reply{r(acked, "200"), r(acked, "200"), r(acked, "200")}},
		{"a peer that fails", "", "oops", 502, []Reply{r(unknown, "502"), r(unknown, "502"), r(unknown, "502")}},
		{"results of other orders", "application/json", `{"results":[
				{"index":0,"id":"ID1","partition":0,"offset":7},{"index":1,"id":"ID1","partition":0,"offset":8},{"index":2,"id":"b-x-k1"}]}`,
			202, []Reply{r(unknown, "receipt of another order"), r(acked, "202", 0, 8), r(unknown, "receipt of another order")}},
		{"in the orders' sequence", "application/json", `{"results":[{"status":202},{"status":400,"outcome":"not_written"},{"status":500}]}`, 207, []Reply{r(acked, "202"), r(not, "400"), r(unknown, "500")}},
		{"whose is not said", "application/json", `{"results":[{"status":202},{"status":400,"outcome":"not_written"}]}`, 207, []Reply{r(unknown, "207"), r(unknown, "207"), r(unknown, "207")}},
		{"one order twice", "application/json", `{"results":[{"index":1,"status":202},{"index":1,"status":400}]}`, 207, []Reply{r(unknown, "207"), r(unknown, "two results of one order"), r(unknown, "207")}},
		{"results that are none", "application/json", `{"outcome":"acked","results":{"0":202}}`, 202, []Reply{r(unknown, "broken JSON"), r(unknown, "broken JSON"), r(unknown, "broken JSON")}},
		{"indexes out of range", "application/json", `{"results":[{"index":-1,"status":500},{"index":3,"status":500}]}`, 202, []Reply{r(acked, "202"), r(acked, "202"), r(acked, "202")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var orders []order.Order
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if ct := req.Header.Get("Content-Type"); ct != "application/x-ndjson" {
					t.Errorf("content type %q", ct)
				}
				decoder := order.NewDecoder(order.Rules{})
				for lines := bufio.NewScanner(req.Body); lines.Scan(); {
					o, err := decoder.Decode(lines.Bytes())
					if err != nil {
						t.Error(err)
					}
					orders = append(orders, o)
				}
				w.Header().Set("Content-Type", tt.contentType)
				w.WriteHeader(tt.code)
				text := tt.body
				for i, o := range orders {
					text = strings.ReplaceAll(text, fmt.Sprintf("ID%d", i), o.ID)
				}
				_, _ = io.WriteString(w, text)
			}))
			t.Cleanup(server.Close)
			h := mustDial(t, HTTPConfig{URL: server.URL, Batch: 3})
			s := newSettled()
			l := h.Lane(0, s.port)
			t.Cleanup(l.Close)
			if diff := cmp.Diff(tt.want, withoutTimes(s.send(l, Job{Seq: 3, Orders: 3}))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if want := []order.Order{h.source.Order(3), h.source.Order(4), h.source.Order(5)}; !cmp.Equal(want, orders) {
				t.Error(cmp.Diff(want, orders))
			}
		})
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
		}, "broken answer"},
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

func TestPlace(t *testing.T) {
	for _, tt := range []struct {
		body      string
		partition int32
		offset    int64
		ok        bool
	}{
		{`{"id":"1","event_id":"e","topic":"t","partition":3,"offset":12}` + "\n", 3, 12, true},
		{`{"id":"12","event_id":"e","topic":"t","partition":3,"offset":12}`, 0, 0, false},
		{`{"id":"1","event_id":"e","topic":"t" ,"partition":3,"offset":12}`, 0, 0, false},
		{`{"id":"1","event_id":"e","topic":"t","outcome":"unknown","topic":"t","partition":3,"offset":12}`, 0, 0, false},
		{`{"id":"1","event_id":"e","topic":"t","partition":3,"offset":012}`, 0, 0, false},
		{`{"id":"1","event_id":"e","topic":"t","partition":3,"offset":}`, 0, 0, false},
		{`{"id":"1","topic":"t","offset":12,"partition":3}`, 0, 0, false},
		{`{"id":"1","topic":"t","partition":-1,"offset":12}`, 0, 0, false},
		{`{"id":"1","outcome":"enqueued","partition":1,"offset":12}`, 0, 0, false},
		{`{"id":"1","topic":"t","partition":1,"offset":99999999999999999999}`, 0, 0, false},
		{`{}`, 0, 0, false},
		{``, 0, 0, false},
	} {
		if p, o, _, ok := place([]byte(tt.body), []byte("1")); p != tt.partition && ok || o != tt.offset && ok || ok != tt.ok {
			t.Errorf("%s: %d, %d, %t", tt.body, p, o, ok)
		}
	}
}
