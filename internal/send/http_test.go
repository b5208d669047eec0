package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// dialTest connects to a server of handler.
func dialTest(t *testing.T, connections int, handler http.HandlerFunc) *HTTP {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	h, err := DialHTTP(t.Context(), HTTPConfig{URL: srv.URL + "/order", Connections: connections, ConnectTimeout: 5 * time.Second, RetryFor: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func TestHTTPKeepsTheOrderOfAnID(t *testing.T) {
	const n, connections = 2000, 16
	dec := order.NewDecoder(order.Rules{})
	var mu sync.Mutex
	under := map[string]int{}
	last := map[string]int{}
	var together, most atomic.Int64
	h := dialTest(t, connections, func(w http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), together.Add(1)))
		defer together.Add(-1)
		body, _ := io.ReadAll(r.Body)
		o, err := dec.Decode(body)
		var seq int
		if _, scanErr := fmt.Sscan(o.UserID, &seq); err != nil || scanErr != nil {
			t.Errorf("body %s: %v", body, err)
		}
		mu.Lock()
		if before, seen := last[o.ID]; seen && seq <= before {
			t.Errorf("order %s: number %d came behind number %d", o.ID, seq, before)
		}
		last[o.ID] = seq
		if under[o.ID]++; under[o.ID] > 1 {
			t.Errorf("order %s: %d requests at a time", o.ID, under[o.ID])
		}
		mu.Unlock()
		<-time.After(time.Duration(rand.IntN(3)) * time.Millisecond) // a server of uneven speed
		mu.Lock()
		under[o.ID]--
		mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	})
	src := NewReader("f", bytes.NewReader(sequences(n, 40, 0)), dec, io.Discard)
	sum, err := Run(t.Context(), src, h, Options{Window: HTTPWindow(connections, 1), Patience: time.Minute})
	if err != nil || sum.Acked != n {
		t.Errorf("acked %d of %d, error %v", sum.Acked, n, err)
	}
	if most.Load() < connections/2 {
		t.Errorf("at most %d requests at a time on %d connections", most.Load(), connections)
	}
}

func TestHTTPOutcomes(t *testing.T) {
	type want struct {
		Outcome  client.Outcome
		Requests int64
		Err      string
	}
	problem := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	// first answers the first request, and then accepts.
	first := func(h http.HandlerFunc) http.HandlerFunc {
		var n atomic.Int64
		return func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				h(w, r)
				return
			}
			w.WriteHeader(http.StatusAccepted)
		}
	}
	hangUp := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		want    want
	}{
		{"202", problem(202, `{"id":"a"}`), want{client.Acked, 1, ""}},
		{"201 of another server", problem(201, ``), want{client.Acked, 1, ""}},
		{"400 with faults", problem(400, `{"outcome":"not_written","errors":[{"pointer":"/total","detail":"is missing"}]}`), want{client.NotWritten, 1, "server answered 400: /total: is missing"}},
		{"404 of another server", problem(404, `gone`), want{client.NotWritten, 1, "server answered 404 Not Found"}},
		{"500 that says not written and to try again", first(problem(500, `{"outcome":"not_written","retryable":true}`)), want{client.Acked, 2, ""}},
		{"503 that says not written and to try again", first(problem(503, `{"outcome":"not_written","retryable":true}`)), want{client.Acked, 2, ""}},
		{"500 that says not written and no more", first(problem(500, `{"outcome":"not_written","retryable":false,"detail":"no"}`)), want{client.NotWritten, 1, "server answered 500: no"}},
		{"500 that says unknown is never tried again", first(problem(500, `{"outcome":"unknown","retryable":true,"detail":"no"}`)), want{client.Unknown, 1, "server answered 500: no"}},
		{"an outcome that nobody knows is unknown", first(problem(400, `{"outcome":"perhaps","retryable":true}`)), want{client.Unknown, 1, "server answered 400 Bad Request"}},
		{"502 of a proxy is unknown", first(problem(502, `<html>`)), want{client.Unknown, 1, "server answered 502 Bad Gateway"}},
		{"503 of a proxy is unknown", first(problem(503, ``)), want{client.Unknown, 1, "server answered 503 Service Unavailable"}},
		{"429 is tried again", first(problem(429, ``)), want{client.Acked, 2, ""}},
		{"a redirect is not followed", problem(302, ``), want{client.Unknown, 1, "server answered 302: it wants to be asked at"}},
		{"a connection that breaks is unknown", first(hangUp), want{client.Unknown, 1, "EOF"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var requests atomic.Int64
			h := dialTest(t, 1, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				test.handler(w, r)
			})
			var got Receipt
			_, _ = Run(t.Context(), &One{Order: order.Order{ID: "a"}}, h, Options{
				Window: 1, Patience: time.Minute, ReportAcked: true, Report: func(r Receipt) { got = r },
			})
			if diff := cmp.Diff(test.want, want{got.Outcome, requests.Load(), got.Error}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHTTPIsEndedEarly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	began, release := make(chan struct{}, 100), make(chan struct{})
	var posts atomic.Int64
	h := dialTest(t, 2, func(w http.ResponseWriter, _ *http.Request) {
		posts.Add(1)
		began <- struct{}{}
		<-release
		w.WriteHeader(http.StatusAccepted)
	})
	done := make(chan Summary, 1)
	go func() {
		src := NewGenerated(1000, order.GeneratorOptions{})
		sum, _ := Run(ctx, src, h, Options{Window: HTTPWindow(2, 1), Patience: time.Minute})
		done <- sum
	}()
	receive(t, began, "a request")
	receive(t, began, "a second request")
	cancel()
	receive(t, h.halted, "the end to be known")
	close(release)
	sum := receive(t, done, "the end")
	if sum.Acked != 2 || sum.Unknown != 0 || posts.Load() != 2 {
		t.Errorf("%d requests, %+v; want the two that were under way, acked, and no other", posts.Load(), sum.Stats)
	}
	if sum.Resume.N != 3 {
		t.Errorf("goes on at %s, want order 3", sum.Resume)
	}
}

func TestEndpoints(t *testing.T) {
	for given, want := range map[string][2]string{
		"http://h:1":                      {"http://h:1/order", "http://h:1/orders"},
		"http://h:1/":                     {"http://h:1/order", "http://h:1/orders"},
		"http://h:1/order":                {"http://h:1/order", "http://h:1/orders"},
		"http://h:1/orders":               {"http://h:1/order", "http://h:1/orders"},
		"https://h/shop/v1/order?key=1":   {"https://h/shop/v1/order?key=1", "https://h/shop/v1/orders?key=1"},
		"http://h:1/order/":               {"http://h:1/order/", ""},
		"http://h:1/orders/7":             {"http://h:1/orders/7", ""},
		"http://h:1/preorder":             {"http://h:1/preorder", ""},
		"http://h:1/topics/orders/events": {"http://h:1/topics/orders/events", ""},
	} {
		u, err := url.Parse(given)
		if err != nil {
			t.Fatal(err)
		}
		one, several := Endpoints(u)
		if diff := cmp.Diff(want, [2]string{one, several}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", given, diff)
		}
	}
}

func TestHTTPServerThatIsNotThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String() + "/order"
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = DialHTTP(t.Context(), HTTPConfig{URL: url, Connections: 1, ConnectTimeout: time.Second})
	var away *UnreachableError
	if !errors.As(err, &away) || away.ExitCode() != 4 || !strings.HasSuffix(err.Error(), "connection refused") {
		t.Errorf("got %v, want that it refuses connections", err)
	}
}
