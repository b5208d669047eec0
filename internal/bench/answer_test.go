package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

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
		{"an empty answer that is called a web page", 202, "text/html; charset=utf-8", "", Reply{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1}},
		{"a word that is called a web page", 202, "text/html; charset=utf-8", "ok\n", Reply{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1}},
		{"JSON that is called a web page", 202, "text/html", `{"outcome":"unknown"}`, Reply{Outcome: client.Unknown, Cause: "202", Partition: -1, Offset: -1}},
		{"a web page that begins late", 200, "text/html", "\ufeff\r\n <!doctype html>", Reply{Outcome: client.Unknown, Cause: "web page", Partition: -1, Offset: -1}},
		{"a proxy that gave up waiting", 408, "text/plain", "stream timeout", Reply{Outcome: client.Unknown, Cause: "408", Partition: -1, Offset: -1}},
		{"a gateway whose call was cancelled", 499, "", "", Reply{Outcome: client.Unknown, Cause: "499", Partition: -1, Offset: -1}},
		{"serve that did not get it all in time", 408, problem, `{"outcome":"not_written"}`, Reply{Outcome: client.NotWritten, Cause: "408", Partition: -1, Offset: -1}},
		{"JSON behind a byte order mark", 202, "application/json", "\ufeff" + `{"outcome":"not_written"}`, Reply{Outcome: client.NotWritten, Cause: "202", Partition: -1, Offset: -1}},
		{"a text in another encoding", 503, problem, `{"detail":"caf` + "\xe9" + `","outcome":"not_written"}`, Reply{Outcome: client.NotWritten, Cause: "503", Partition: -1, Offset: -1}},
		{"a name twice", 202, "application/json", `{"outcome":"acked","outcome":"unknown"}`, Reply{Outcome: client.Unknown, Cause: "broken JSON", Partition: -1, Offset: -1}},
		{"a long answer", 202, "application/json", `{"partition":1,"x":"` + strings.Repeat("x", 900<<10) + `","offset":7}`, Reply{Outcome: client.Acked, Cause: "202", Partition: 1, Offset: 7}},
		{"an answer that is too long", 202, "application/json", `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, Reply{Outcome: client.Unknown, Cause: "answer too long", Partition: -1, Offset: -1}},
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
		{"one place of all", "application/json", `{"topic":"orders","partition":0,"offset":5}`, 202, []Reply{r(acked, "202"), r(acked, "202"), r(acked, "202")}},
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

// What is odd about an answer and says nothing against it.
func TestHTTPTakesOddAnswers(t *testing.T) {
	for name, version := range ways {
		for _, tt := range []struct{ name, before, behind string }{
			{"a long head", "X-Policy: " + strings.Repeat("x", 10<<10) + "\r\nX-More: " + strings.Repeat("y", 40<<10) + "\r\n", ""},
			{"an empty line behind it", "", "\r\n"},
		} {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				conns := make(chan struct{}, 10)
				offset := 0
				cfg := misbehavingOver(t, version, func(c net.Conn) {
					conns <- struct{}{}
					for readRequest(c) {
						body := fmt.Sprintf(`{"partition":0,"offset":%d}`, offset)
						offset++
						_, _ = io.WriteString(c, fmt.Sprintf("HTTP/1.1 202 Accepted\r\n%sContent-Length: %d\r\n\r\n%s%s", tt.before, len(body), body, tt.behind))
					}
				})
				s := newSettled()
				l := mustDial(t, cfg).Lane(0, s.port)
				defer l.Close()
				for seq := range uint64(3) {
					want := []Reply{{Outcome: client.Acked, Cause: "202", Partition: 0, Offset: int64(seq)}}
					if diff := cmp.Diff(want, withoutTimes(s.send(l, Job{Seq: seq, Orders: 1}))); diff != "" {
						t.Errorf("order %d (-want +got):\n%s", seq, diff)
					}
				}
				if len(conns) != 1 || s.port.flow.unsolicited.Load() != 0 {
					t.Errorf("%d connections, %d answers that nobody asked for", len(conns), s.port.flow.unsolicited.Load())
				}
			})
		}
	}
}
