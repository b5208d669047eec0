package send

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// edge is a server with POST /order and POST /orders whose outcomes the test
// chooses. What it takes goes into a log.
type edge struct {
	t *testing.T
	// outcome says what becomes of an order; nil takes all.
	outcome func(o order.Order) verdict
	// whole answers a request to /orders by itself where it returns true.
	whole func(w http.ResponseWriter, orders []order.Order) bool

	mu       sync.Mutex
	log      []string // "id/user" of what is written
	requests []string // "path n"
	header   http.Header
}

// verdict is what becomes of an order.
type verdict struct {
	status    int
	outcome   client.Outcome
	retryable bool
	written   bool
}

var (
	taken       = verdict{202, client.Acked, false, true}
	late        = verdict{500, client.NotWritten, true, false}
	wrong       = verdict{400, client.NotWritten, false, false}
	lost        = verdict{500, client.Unknown, true, false}
	lostWritten = verdict{500, client.Unknown, true, true}
)

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	dec := order.NewDecoder(order.Rules{})
	var orders []order.Order
	for text := range bytes.SplitSeq(bytes.TrimSpace(body), []byte("\n")) {
		o, err := dec.Decode(text)
		if err != nil {
			e.t.Errorf("%s: %v", text, err)
		}
		orders = append(orders, o)
	}
	e.mu.Lock()
	e.requests = append(e.requests, fmt.Sprintf("%s %d", r.URL.Path, len(orders)))
	e.header = r.Header
	e.mu.Unlock()
	w.Header().Set(headerRequestID, "r")
	switch r.URL.Path {
	case "/order":
		v := e.judge(orders[0])
		e.answer(w, v.status, map[string]any{"outcome": v.outcome, "retryable": v.retryable, "detail": "why"})
	case "/orders":
		if e.whole == nil || !e.whole(w, orders) {
			e.takeSeveral(w, orders)
		}
	default:
		http.NotFound(w, r)
	}
}

func (e *edge) judge(o order.Order) verdict {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := taken
	if e.outcome != nil {
		v = e.outcome(o)
	}
	if v.written {
		e.log = append(e.log, o.ID+"/"+o.UserID)
	}
	return v
}

// takeSeveral answers as the contract of POST /orders says.
func (e *edge) takeSeveral(w http.ResponseWriter, orders []order.Order) {
	accepted, status := 0, 0
	var results []map[string]any
	for i, o := range orders {
		v := e.judge(o)
		r := map[string]any{"index": i, "status": v.status, "outcome": v.outcome, "id": o.ID, "event_id": "e-" + o.UserID}
		if v.outcome == client.Acked {
			accepted++
			r["topic"], r["partition"], r["offset"] = "orders", 0, i
		} else {
			r["retryable"], r["detail"] = v.retryable, "why"
		}
		if results = append(results, r); i == 0 {
			status = v.status
		} else if v.status != status {
			status = 207
		}
	}
	e.answer(w, status, map[string]any{"accepted": accepted, "refused": len(orders) - accepted, "results": results})
}

func (e *edge) answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		e.t.Log(err)
	}
}

// dialEdge starts it and connects.
func dialEdge(t *testing.T, e *edge, cfg HTTPConfig) *HTTP {
	t.Helper()
	e.t = t
	srv := httptest.NewServer(e)
	t.Cleanup(srv.Close)
	cfg.URL, cfg.Several, cfg.ConnectTimeout = srv.URL+"/order", srv.URL+"/orders", 5*time.Second
	if cfg.Connections == 0 {
		cfg.Connections = 1
	}
	h, err := DialHTTP(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// inputOf is orders "id/user", one a line.
func inputOf(orders string) Source {
	var in strings.Builder
	for o := range strings.FieldsSeq(orders) {
		id, user, _ := strings.Cut(o, "/")
		fmt.Fprintf(&in, `{"id":%q,"user_id":%q,"total":1,"status":"pending","timestamp":"2025-10-06T17:00:00Z"}`+"\n", id, user)
	}
	return NewReader("f", strings.NewReader(in.String()), order.NewDecoder(order.Rules{}), io.Discard)
}

// script gives each order, by its user, its outcomes one after another; after
// them, and to all others, taken.
func script(of map[string][]verdict) func(order.Order) verdict {
	return func(o order.Order) verdict {
		list := of[o.UserID]
		if len(list) == 0 {
			return taken
		}
		of[o.UserID] = list[1:]
		return list[0]
	}
}

// once lets only the first request to /orders be answered by whole.
func once(whole func(w http.ResponseWriter, e *edge, orders []order.Order)) func(*edge) {
	return func(e *edge) {
		first := true
		e.whole = func(w http.ResponseWriter, orders []order.Order) bool {
			if !first {
				return false
			}
			first = false
			whole(w, e, orders)
			return true
		}
	}
}

func problem(status int, body string) func(http.ResponseWriter, *edge, []order.Order) {
	return func(w http.ResponseWriter, _ *edge, _ []order.Order) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func TestSeveralOrdersInARequest(t *testing.T) {
	const (
		refusesAll = `{"outcome":"not_written","retryable":true,"detail":"busy"}`
		noSuch     = `{"outcome":"not_written","retryable":false,"detail":"nothing here"}`
	)
	type want struct {
		Log      string // what the server has, in its order
		Told     string // user=outcome in the order in which it was told
		Requests string
		Note     string
	}
	for _, test := range []struct {
		name  string
		input string
		edge  func(*edge)
		want  want
	}{
		{"one alone goes to /order", "a/1", nil,
			want{Log: "a/1", Told: "1=acked", Requests: "/order 1"}},
		{"three share a request", "a/1 b/2 a/3", nil,
			want{Log: "a/1 a/3 b/2", Told: "1=acked 3=acked 2=acked", Requests: "/orders 3"}},
		{"one that is refused holds back nobody", "a/1 a/2 b/3",
			func(e *edge) { e.outcome = script(map[string][]verdict{"1": {wrong}}) },
			want{Log: "a/2 b/3", Told: "1=not_written 2=acked 3=acked", Requests: "/orders 3"}},
		{"what is not written is tried again, alone", "a/1 b/2 c/3",
			func(e *edge) { e.outcome = script(map[string][]verdict{"2": {late, late}}) },
			want{Log: "a/1 c/3 b/2", Told: "1=acked 3=acked 2=acked", Requests: "/orders 3, /order 1, /order 1"}},
		{"and the orders of its id with it, in their order", "a/1 a/2 b/3",
			func(e *edge) { e.outcome = script(map[string][]verdict{"1": {late}, "2": {late}}) },
			want{Log: "b/3 a/1 a/2", Told: "3=acked 1=acked 2=acked", Requests: "/orders 3, /orders 2"}},
		{"but not behind a later one of its id", "a/1 a/2 b/3",
			func(e *edge) { e.outcome = script(map[string][]verdict{"1": {late}}) },
			want{Log: "a/2 b/3", Told: "1=not_written 2=acked 3=acked", Requests: "/orders 3"}},
		{"nor behind one that may be written", "a/1 a/2 b/3",
			func(e *edge) { e.outcome = script(map[string][]verdict{"1": {late}, "2": {lostWritten}}) },
			want{Log: "a/2 b/3", Told: "1=not_written 2=unknown 3=acked", Requests: "/orders 3"}},
		{"one behind the taken one is tried again", "a/1 a/2 a/3",
			func(e *edge) { e.outcome = script(map[string][]verdict{"1": {late}, "3": {late}}) },
			want{Log: "a/2 a/3", Told: "1=not_written 2=acked 3=acked", Requests: "/orders 3, /order 1"}},
		{"a refused one is told after the one before it", "a/1 a/2 a/3 b/4",
			func(e *edge) { e.outcome = script(map[string][]verdict{"1": {late}, "2": {wrong}, "3": {late}}) },
			want{Log: "b/4 a/1 a/3", Told: "4=acked 1=acked 2=not_written 3=acked", Requests: "/orders 4, /orders 2"}},
		{"what is unknown is never tried again", "a/1 b/2 c/3",
			func(e *edge) { e.outcome = script(map[string][]verdict{"1": {lost}, "2": {lostWritten}}) },
			want{Log: "b/2 c/3", Told: "1=unknown 2=unknown 3=acked", Requests: "/orders 3"}},
		{"a request refused as a whole is tried again as a whole", "a/1 a/2 b/3",
			once(problem(503, refusesAll)),
			want{Log: "a/1 a/2 b/3", Told: "1=acked 2=acked 3=acked", Requests: "/orders 3, /orders 3"}},
		{"a 503 of a proxy is unknown for all", "a/1 b/2",
			once(problem(503, "busy")),
			want{Told: "1=unknown 2=unknown", Requests: "/orders 2"}},
		{"a 400 as a whole is final", "a/1 b/2",
			once(problem(400, noSuch)),
			want{Told: "1=not_written 2=not_written", Requests: "/orders 2"}},
		{"a connection that breaks is unknown for all", "a/1 b/2",
			once(func(w http.ResponseWriter, _ *edge, _ []order.Order) { cut(w) }),
			want{Told: "1=unknown 2=unknown", Requests: "/orders 2"}},
		{"an answer that breaks off is unknown for all", "a/1 b/2",
			once(func(w http.ResponseWriter, _ *edge, _ []order.Order) {
				w.Header().Set("Content-Length", "1000")
				w.WriteHeader(202)
				_, _ = io.WriteString(w, `{"accepted":2,"refused":0,"results":[{"index":0,"status":202,"outcome":"acked"},`)
			}),
			want{Told: "1=unknown 2=unknown", Requests: "/orders 2"}},
		{"rubbish is unknown for all", "a/1 b/2", once(problem(202, `{"results":"many"}`)),
			want{Told: "1=unknown 2=unknown", Requests: "/orders 2"}},
		{"a 202 that says nothing of each is unknown for all", "a/1 b/2", once(problem(202, `{"id":"a"}`)),
			want{Told: "1=unknown 2=unknown", Requests: "/orders 2"}},
		{"a result too few is unknown for all", "a/1 b/2",
			once(problem(202, `{"results":[{"index":0,"status":202,"outcome":"acked"}]}`)),
			want{Told: "1=unknown 2=unknown", Requests: "/orders 2"}},
		{"results in another order are unknown for all", "a/1 b/2",
			once(problem(207, `{"results":[{"index":1,"status":202,"outcome":"acked"},{"index":0,"status":400,"outcome":"not_written"}]}`)),
			want{Told: "1=unknown 2=unknown", Requests: "/orders 2"}},
		{"results of other orders are unknown for all", "a/1 b/2",
			once(problem(202, `{"results":[{"index":0,"status":202,"outcome":"acked","id":"b"},{"index":1,"status":202,"outcome":"acked","id":"a"}]}`)),
			want{Told: "1=unknown 2=unknown", Requests: "/orders 2"}},
		{"a result that contradicts itself is unknown", "a/1 b/2 c/3",
			once(problem(207, `{"results":[{"index":0,"status":202,"outcome":"not_written","retryable":true},{"index":1,"status":400,"outcome":"acked"},{"index":2,"status":202,"outcome":"enqueued"}]}`)),
			want{Told: "1=unknown 2=unknown 3=acked", Requests: "/orders 3"}},
		{"a server without /orders gets one a request", "a/1 b/2 a/3",
			func(e *edge) {
				e.whole = func(w http.ResponseWriter, _ []order.Order) bool { w.WriteHeader(404); return true }
			},
			want{Log: "a/1 b/2 a/3", Told: "1=acked 2=acked 3=acked", Requests: "/orders 3, /order 1, /order 1, /order 1", Note: "404"}},
		{"so does one that has something else there", "a/1 a/2",
			func(e *edge) {
				e.whole = func(w http.ResponseWriter, _ []order.Order) bool { w.WriteHeader(405); return true }
			},
			want{Log: "a/1 a/2", Told: "1=acked 2=acked", Requests: "/orders 2, /order 1, /order 1", Note: "405"}},
		{"too much at once goes in smaller requests", "a/1 b/2 a/3 b/4 c/5",
			once(problem(413, ``)),
			want{Log: "a/1 a/3 b/2 c/5 b/4", Told: "1=acked 3=acked 2=acked 5=acked 4=acked", Requests: "/orders 5, /orders 3, /orders 2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := &edge{}
			if test.edge != nil {
				test.edge(e)
			}
			var got want
			h := dialEdge(t, e, HTTPConfig{Batch: 100, RetryFor: 5 * time.Second, Notice: func(s string) { got.Note += s }})
			h.queue.linger = time.Minute // the end of the input is what sends
			var told []string
			_, _ = Run(t.Context(), inputOf(test.input), h, Options{
				Window: HTTPWindow(1, 100), Patience: time.Minute, ReportAcked: true,
				Report: func(r Receipt) { told = append(told, fmt.Sprintf("%d=%s", r.Line, r.Outcome)) },
			})
			e.mu.Lock()
			defer e.mu.Unlock()
			got.Log, got.Told, got.Requests = strings.Join(e.log, " "), strings.Join(told, " "), strings.Join(e.requests, ", ")
			if test.want.Note != "" && strings.Contains(got.Note, test.want.Note) {
				got.Note = test.want.Note
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestSeveralUnderEveryFault mixes all outcomes at random and holds the
// server's log against what was told.
func TestSeveralUnderEveryFault(t *testing.T) {
	const n, connections = 1200, 8
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(1, 2))
	dice := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(n)
	}
	e := &edge{outcome: func(order.Order) verdict {
		switch dice(40) {
		case 0, 1, 2:
			return late
		case 3:
			return wrong
		case 4:
			return lost
		case 5:
			return lostWritten
		}
		return taken
	}}
	e.whole = func(w http.ResponseWriter, orders []order.Order) bool {
		switch dice(20) {
		case 0:
			problem(503, `{"outcome":"not_written","retryable":true}`)(w, e, nil)
		case 1:
			cut(w)
		case 2: // written, and the answer is lost
			for _, o := range orders {
				e.judge(o)
			}
			cut(w)
		case 3:
			for _, o := range orders {
				e.judge(o)
			}
			problem(207, `{"results":[{}]}`)(w, e, nil)
		default:
			return false
		}
		return true
	}
	h := dialEdge(t, e, HTTPConfig{Batch: 20, Connections: connections, RetryFor: 2 * time.Second})
	told := map[string]client.Outcome{}
	last := map[string]int64{}
	sum, err := Run(t.Context(), NewReader("f", bytes.NewReader(sequences(n, 60, 0)), order.NewDecoder(order.Rules{}), io.Discard), h, Options{
		Window: HTTPWindow(connections, 20), Patience: time.Minute, ReportAcked: true,
		Report: func(r Receipt) {
			told[fmt.Sprintf("%s/%d", r.ID, r.Line-1)] = r.Outcome
			if r.Line <= last[r.ID] {
				t.Errorf("line %d of %s is told behind line %d", r.Line, r.ID, last[r.ID])
			}
			last[r.ID] = r.Line
		},
	})
	if err != nil || sum.Taken != n || sum.Acked+sum.NotWritten+sum.Unknown != n || sum.NotWritten == 0 || sum.Unknown == 0 {
		t.Errorf("error %v, %+v", err, sum.Stats)
	}
	written := map[string]int{}
	behind := map[string]int{}
	for _, entry := range e.log {
		written[entry]++
		id, user, _ := strings.Cut(entry, "/")
		var seq int
		if _, err := fmt.Sscan(user, &seq); err != nil {
			t.Fatal(err)
		}
		if before, seen := behind[id]; seen && seq <= before {
			t.Errorf("%s: number %d stands behind number %d", id, seq, before)
		}
		behind[id] = seq
	}
	for entry, outcome := range told {
		if outcome == client.Acked && written[entry] != 1 || outcome == client.NotWritten && written[entry] != 0 || written[entry] > 1 {
			t.Errorf("%s was told to be %s and is there %d times", entry, outcome, written[entry])
		}
	}
	if len(e.requests) > n/4 {
		t.Errorf("%d requests for %d orders", len(e.requests), n)
	}
}

func TestAPipeThatPausesIsNotHeldBack(t *testing.T) {
	e := &edge{}
	h := dialEdge(t, e, HTTPConfig{Batch: 100})
	in, w := io.Pipe()
	done := make(chan Summary, 1)
	acked := make(chan int64, 10)
	go func() {
		sum, _ := Run(t.Context(), NewReader("f", in, order.NewDecoder(order.Rules{}), io.Discard), h, Options{
			Window: HTTPWindow(1, 100), Patience: time.Minute, ReportAcked: true, Report: func(r Receipt) { acked <- r.Line },
		})
		done <- sum
	}()
	for n := range int64(3) {
		if _, err := io.WriteString(w, line("a")+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, acked, "an answer before anything more is written"); got != n+1 {
			t.Errorf("line %d is answered, want %d", got, n+1)
		}
	}
	w.Close()
	if sum := receive(t, done, "the end"); sum.Acked != 3 {
		t.Errorf("%+v", sum.Stats)
	}
}

func TestRequestsStayUnderTheServersLimit(t *testing.T) {
	e := &edge{}
	h := dialEdge(t, e, HTTPConfig{Batch: 100})
	h.queue.mostSize = 350 // of lines of 93 bytes
	sum, err := Run(t.Context(), bytesSource(t, sequences(10, 10, 0)), h, Options{Window: HTTPWindow(1, 100), Patience: time.Minute})
	slices.Sort(e.requests)
	if diff := cmp.Diff([]string{"/order 1", "/orders 3", "/orders 3", "/orders 3"}, e.requests); diff != "" || err != nil || sum.Acked != 10 {
		t.Errorf("error %v, %+v, requests (-want +got):\n%s", err, sum.Stats, diff)
	}
}

func bytesSource(t *testing.T, text []byte) Source {
	t.Helper()
	return NewReader("f", bytes.NewReader(text), order.NewDecoder(order.Rules{}), io.Discard)
}

func TestAServerWithoutOrdersIsToldOnce(t *testing.T) {
	const n, connections = 2000, 8
	e := &edge{whole: func(w http.ResponseWriter, _ []order.Order) bool { w.WriteHeader(404); return true }}
	var notes []string // of one goroutine at a time: the test is run with -race
	h := dialEdge(t, e, HTTPConfig{Batch: 50, Connections: connections, Notice: func(s string) { notes = append(notes, s) }})
	sum, err := Run(t.Context(), bytesSource(t, sequences(n, 40, 0)), h, Options{Window: HTTPWindow(connections, 50), Patience: time.Minute})
	if err != nil || sum.Acked != n || len(e.log) != n {
		t.Errorf("error %v, %+v, %d written", err, sum.Stats, len(e.log))
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "/orders") {
		t.Errorf("notes %q, want one", notes)
	}
	if several := len(e.requests) - n; several < 1 || several > connections {
		t.Errorf("/orders was asked %d times on %d connections", several, connections)
	}
	last := map[string]int{}
	for _, entry := range e.log {
		id, user, _ := strings.Cut(entry, "/")
		seq, _ := strconv.Atoi(user)
		if before, seen := last[id]; seen && seq <= before {
			t.Errorf("%s: number %d stands behind number %d", id, seq, before)
		}
		last[id] = seq
	}
}

func TestSeveralAreEndedEarly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	began, release := make(chan struct{}, 10), make(chan struct{})
	e := &edge{}
	e.whole = func(http.ResponseWriter, []order.Order) bool { began <- struct{}{}; <-release; return false }
	h := dialEdge(t, e, HTTPConfig{Batch: 10})
	done := make(chan Summary, 1)
	go func() {
		sum, _ := Run(ctx, NewGenerated(1000, order.GeneratorOptions{}), h, Options{Window: HTTPWindow(1, 10), Patience: time.Minute})
		done <- sum
	}()
	receive(t, began, "a request")
	cancel()
	receive(t, h.halted, "the end to be known")
	close(release)
	sum := receive(t, done, "the end")
	if sum.Acked != 10 || sum.Unknown != 0 || len(e.requests) != 1 || sum.Resume.N != 11 {
		t.Errorf("%d requests, %+v, goes on at %s; want the ten that were under way and no other", len(e.requests), sum.Stats, sum.Resume)
	}
}

func TestTheAPIKeyIsABearerToken(t *testing.T) {
	e := &edge{}
	h := dialEdge(t, e, HTTPConfig{Batch: 10, APIKey: "k-1"})
	for _, input := range []string{"a/1", "a/1 b/2"} {
		if sum, err := Run(t.Context(), inputOf(input), h, Options{Window: 10, Patience: time.Minute}); err != nil || sum.Failed() != 0 {
			t.Errorf("error %v, %+v", err, sum.Stats)
		}
		if got := e.header.Get("Authorization"); got != "Bearer k-1" {
			t.Errorf("Authorization %q of %q", got, e.requests[len(e.requests)-1])
		}
	}
}

func TestARequestThatEndsTheRunIsToldOnce(t *testing.T) {
	e := &edge{whole: func(w http.ResponseWriter, _ []order.Order) bool { w.WriteHeader(401); return true }}
	h := dialEdge(t, e, HTTPConfig{Batch: 100})
	var told []string
	sum, err := Run(t.Context(), inputOf("a/1 b/2 c/3"), h, Options{Window: 100, Patience: time.Minute, Report: func(r Receipt) {
		if !r.Halted {
			told = append(told, r.Error)
		}
	}})
	want := "server answered 401 Unauthorized"
	if diff := cmp.Diff([]string{want}, told); diff != "" || err == nil || err.Error() != want || sum.NotWritten != 3 || sum.Resume.N != 1 {
		t.Errorf("error %v, %+v, goes on at %s, told (-want +got):\n%s", err, sum.Stats, sum.Resume, diff)
	}
}
