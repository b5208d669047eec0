package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/ordersctl/ordersctl/internal/ingest"
)

// FuzzEdge sends raw bytes to the real server, with an embedded broker behind it, and holds what comes back against
// net/http's reading of the same bytes: two parsers that disagree about where a request ends are how requests are
// smuggled.
func FuzzEdge(f *testing.F) {
	for _, seed := range requests() {
		f.Add([]byte(seed), uint16(0))
	}
	f.Add([]byte(post("/order", "Content-Type: application/json\r\n", body("a"))), uint16(1))
	connections := newWires()
	failures := new(failureLog)
	startOn(f, connections, failures)
	f.Fuzz(func(t *testing.T, input []byte, piece uint16) {
		given := bytes.Clone(input)
		output, ended := connections.exchange(input, int(piece))
		if !ended {
			t.Fatal("the connection is still open, although its client has sent all")
		}
		for _, failure := range failures.take() {
			t.Error(failure)
		}
		checkExchange(t, given, output)
	})
}

// startOn starts a server whose connections come from l and whose log is told to failures.
func startOn(t testing.TB, l *wires, failures *failureLog) {
	t.Helper()
	startWith(t, func(o *ingest.Options) {
		o.Kafka.Linger = 0
		o.Log = slog.New(failures)
	}, func(s *ingest.Server) { s.ListenOn(l) })
}

// failureLog keeps what is logged as an error: the server answers a panic with 500 and goes on.
type failureLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *failureLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}
func (l *failureLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *failureLog) WithGroup(string) slog.Handler      { return l }

func (l *failureLog) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

func (l *failureLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

func TestAPanicWouldBeSeenByTheFuzzTarget(t *testing.T) {
	l := new(failureLog)
	slog.New(l).Error("panic while answering", "panic", "index out of range")
	if lines := l.take(); len(lines) != 1 || !strings.Contains(lines[0], "index out of range") {
		t.Errorf("kept %q", lines)
	}
}

func post(path, header, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s", path, header, len(body), body)
}

func chunked(header string, chunks ...string) string {
	s := "POST /order HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + header + "\r\n"
	for _, c := range chunks {
		s += fmt.Sprintf("%x\r\n%s\r\n", len(c), c)
	}
	return s + "0\r\n\r\n"
}

// requests are what a client might send, well-meaning or not.
func requests() []string {
	const json, ndjson = "Content-Type: application/json\r\n", "Content-Type: application/x-ndjson\r\n"
	o := body("a")
	valid := post("/order", json, o)
	key := func(k string) string { return json + "Idempotency-Key: " + k + "\r\n" }
	return []string{
		valid,
		post("/order", "", o),
		valid + valid,
		valid + post("/order", json, "{}") + valid,
		post("/order", json, "[") + "GET /order HTTP/1.1\r\nHost: a\r\n\r\n" + valid,
		post("/order", key("k"), o) + post("/order", key("k"), o) + post("/order", key("k"), body("b")),
		post("/order", key(""), o),
		post("/order", key("k")+"Idempotency-Key: l\r\n", o),
		post("/order", json+"Expect: 100-continue\r\n", o) + valid,
		post("/order", json+"Connection: close\r\n", o) + valid,
		post("/order", "Content-Type: application/json; charset=latin1\r\n", o),
		post("/order", "Content-Type: multipart/form-data; boundary=x\r\n", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n"),
		post("/order", "Content-Type: application/x-www-form-urlencoded\r\n", "a=b"),
		post("/order", json+"Content-Encoding: gzip\r\n", gzipped(o)),
		post("/order", json+"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n", o),
		post("http://a/order", json, o),
		post("/order?x=1", json, o),
		post("/%6frder", json, o),
		post("//order", json, o),
		post("/order", json, strings.Repeat(" ", 70<<10)+o),
		post("/order", "X: "+strings.Repeat("x", 17<<10)+"\r\n", o),
		chunked(json, o) + valid,
		chunked(json, o[:10], o[10:]),
		strings.Replace(chunked(json, o), "\r\n\r\n{", ";ext=1\r\n{", 1),
		strings.Replace(chunked(json+"Trailer: X\r\n", o), "0\r\n\r\n", "0\r\nX: 1\r\n\r\n", 1),
		chunked(json+"Content-Length: 5\r\n", o) + valid,
		chunked(json+"Transfer-Encoding: identity\r\n", o),
		strings.Replace(chunked(json, o), "chunked", "xchunked", 1),
		strings.Replace(chunked(json, o), "chunked", "gzip, chunked", 1),
		strings.Replace(chunked(json, o), "Transfer-Encoding:", "Transfer-Encoding :", 1),
		strings.Replace(valid, "Content-Length: ", "Content-Length: +", 1),
		strings.Replace(valid, "Content-Length: ", "Content-Length: 3\r\nContent-Length: ", 1),
		strings.Replace(valid, "Content-Length: ", "Content-Length: 99999999999999999999", 1),
		strings.Replace(valid, "Host: a\r\n", "", 1),
		strings.Replace(valid, "Host: a\r\n", "Host: a\r\nHost: b\r\n", 1),
		strings.Replace(valid, "Host: a\r\n", "Host: a\r\n folded\r\n", 1),
		strings.Replace(valid, "HTTP/1.1", "HTTP/1.0", 1) + valid,
		strings.Replace(valid, "HTTP/1.1\r\n", "HTTP/1.0\r\nConnection: keep-alive\r\n", 1) + valid,
		strings.Replace(valid, "HTTP/1.1", "HTTP/2.0", 1),
		strings.ReplaceAll(valid, "\r\n", "\n"),
		strings.ReplaceAll(valid, "\r\n", "\r"),
		valid[:len(valid)-1],
		valid + valid[:len(valid)-1],
		valid + valid[:len(valid)-len(o)],
		valid[:20],
		valid + "\r\n" + valid,
		valid + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"HEAD /order HTTP/1.1\r\nHost: a\r\n\r\n" + valid,
		"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\nHEAD /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" + valid,
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + valid,
		"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + valid,
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"",
		post("/orders", ndjson, o+"\n\n"+body("b")+"\n"),
		post("/orders", ndjson, o+"\n{}\n"),
		post("/orders", ndjson, o+"\n\v"+o+"\n\v\n"),
		post("/orders", ndjson, "["+o+"]"),
		post("/orders", "", "\n"+o+"\r\n["+o+"]"),
		post("/orders", json, "["+o+","+strings.Replace(o, "{", `{"id":"b",`, 1)+",{\"\xff\":1}]"),
		post("/orders", json, "["+o+",]"),
		post("/orders", json, "["+o+"}]"),
		post("/orders", json, "["+o+",1,"+body("b")+"]") + valid,
		post("/orders", json, "[]"),
		post("/orders", "", " ["+o+"]"),
		post("/orders", ndjson+"Content-Encoding: gzip\r\n", gzipped(o+"\n"+o)),
		post("/orders", key("k"), "["+o+"]"),
	}
}
