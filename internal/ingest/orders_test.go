package ingest_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/ingest"
	"github.com/ordersctl/ordersctl/internal/order"
)

type manyReply struct {
	code     int
	header   http.Header
	Outcome  string        `json:"outcome"`
	Detail   string        `json:"detail"`
	Request  string        `json:"request_id"`
	Accepted int           `json:"accepted"`
	Refused  int           `json:"refused"`
	Results  []entryResult `json:"results"`
}

type entryResult struct {
	Index     int          `json:"index"`
	Status    int          `json:"status"`
	Outcome   string       `json:"outcome"`
	Retryable bool         `json:"retryable"`
	ID        string       `json:"id"`
	Event     string       `json:"event_id"`
	Topic     string       `json:"topic"`
	Partition *int32       `json:"partition"`
	Offset    *int64       `json:"offset"`
	Detail    string       `json:"detail"`
	Errors    order.Faults `json:"errors"`
}

// postMany posts to /orders. headers are name, value, name, value.
func (e *edge) postMany(text string, headers ...string) manyReply {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, e.url+"s", strings.NewReader(text))
	if err != nil {
		e.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	r := manyReply{code: resp.StatusCode, header: resp.Header}
	if err := json.Unmarshal(raw, &r); err != nil {
		e.t.Fatalf("%d %s: %v", resp.StatusCode, raw, err)
	}
	return r
}

const noTotal = `{"id":"bad","user_id":"u1","status":"pending","timestamp":"2025-10-06T17:00:00Z"}`

func TestOrdersAreAnsweredOneByOne(t *testing.T) {
	e := start(t, nil)
	for name, c := range map[string]struct {
		body     string
		headers  []string
		code     int
		statuses []int
		detail   string // part of it
	}{
		"one a line, blank lines between":         {body: body("1") + "\n\r\n \n" + body("2") + "\r\n", code: 202, statuses: []int{202, 202}},
		"an array":                                {body: " [" + body("1") + " ,\n" + body("2") + "]\n", code: 202, statuses: []int{202, 202}},
		"one line and no line end":                {body: body("1"), code: 202, statuses: []int{202}},
		"a fault spoils no other line":            {body: body("1") + "\n" + noTotal + "\n{\n" + body("2"), code: 207, statuses: []int{202, 400, 400, 202}},
		"a fault spoils no other element":         {body: "[" + body("1") + "," + noTotal + ",7]", code: 207, statuses: []int{202, 400, 400}},
		"all with faults":                         {body: noTotal + "\n" + noTotal, code: 400, statuses: []int{400, 400}},
		"commas and brackets in strings":          {body: `[` + strings.Replace(body("1"), "u1", `a,]}\"[`, 1) + `]`, code: 202, statuses: []int{202}},
		"nothing":                                 {code: 400, detail: "no order"},
		"an empty array":                          {body: "[ ]", code: 400, detail: "no order"},
		"an array with a hole":                    {body: "[" + body("1") + ",]", code: 400, detail: "element 1"},
		"an array that is not closed":             {body: "[" + body("1"), code: 400, detail: "not closed"},
		"an array with more behind it":            {body: "[" + body("1") + "]x", code: 400, detail: "follows"},
		"an array with an element that is broken": {body: "[" + body("1") + `,{"id":}]`, code: 400, detail: "element 1"},
		"one order as JSON":                       {body: body("1"), headers: []string{"Content-Type", "application/json"}, code: 400, detail: "POST /order"},
		"an array as NDJSON is one bad line":      {body: "[" + body("1") + "]", headers: []string{"Content-Type", "application/x-ndjson"}, code: 400, statuses: []int{400}},
		"a form":                                  {body: body("1"), headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, code: 415, detail: "add -H"},
		"an Idempotency-Key":                      {body: body("1"), headers: []string{"Idempotency-Key", "k"}, code: 400, detail: "POST /order"},
		"ten thousand and one":                    {body: strings.Repeat("{}\n", 10_001), code: 413, detail: "10000"},
		"over 8 MiB":                              {body: strings.Repeat(" ", 8<<20+1), code: 413, detail: "8MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(e.records())
			r := e.postMany(c.body, c.headers...)
			if r.code != c.code || !strings.Contains(r.Detail, c.detail) {
				t.Errorf("%d %q, want %d and %q in it", r.code, r.Detail, c.code, c.detail)
			}
			var statuses []int
			accepted := 0
			for i, one := range r.Results {
				statuses = append(statuses, one.Status)
				if one.Index != i {
					t.Errorf("result %d has index %d", i, one.Index)
				}
				if one.Status == 202 {
					accepted++
				} else if one.Outcome != "not_written" || one.Retryable || len(one.Errors) == 0 {
					t.Errorf("result %d: %+v", i, one)
				}
			}
			if diff := cmp.Diff(c.statuses, statuses); diff != "" {
				t.Errorf("statuses (-want +got):\n%s", diff)
			}
			if r.Accepted != accepted || r.Refused != len(statuses)-accepted {
				t.Errorf("accepted %d, refused %d", r.Accepted, r.Refused)
			}
			if got := len(e.records()) - before; got != accepted {
				t.Errorf("%d records, want %d", got, accepted)
			}
		})
	}
}

func TestOrdersOfOneKeyKeepTheirOrderAndEachHasItsNames(t *testing.T) {
	e := start(t, nil)
	const n = 3000
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `{"id":"k%d","user_id":"s%d","total":1,"status":"pending","timestamp":"2025-10-06T17:00:00Z"}`+"\n", i%7, i)
	}
	r := e.postMany(text.String())
	if r.code != 202 || len(r.Results) != n {
		t.Fatalf("%d with %d results", r.code, len(r.Results))
	}
	last := map[string]int{}
	seen := map[string]bool{}
	for _, rec := range e.records() {
		o, err := client.FromRecord(rec, order.NewDecoder(order.Rules{}))
		if err != nil {
			t.Fatal(err)
		}
		var i int
		if _, err := fmt.Sscanf(o.UserID, "s%d", &i); err != nil {
			t.Fatal(err)
		}
		if before, ok := last[o.ID]; ok && i < before {
			t.Fatalf("%s: order %d stands behind %d", o.ID, i, before)
		}
		last[o.ID] = i
		one := r.Results[i]
		if want := fmt.Sprintf("%s.%d", r.header.Get("X-Request-Id"), i); client.HeaderValue(rec, "request-id") != want {
			t.Fatalf("request-id %q, want %q", client.HeaderValue(rec, "request-id"), want)
		}
		if client.HeaderValue(rec, "event-id") != one.Event || *one.Partition != rec.Partition || *one.Offset != rec.Offset || one.ID != o.ID {
			t.Fatalf("record %s, result %+v", client.Place(rec), one)
		}
		seen[one.Event] = true
	}
	if len(seen) != n {
		t.Errorf("%d event ids of %d", len(seen), n)
	}
}

func TestOrdersThatKafkaDoesNotTakeShareItsCode(t *testing.T) {
	e := start(t, nil)
	e.kafka.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicName, Err: kerr.InvalidRecord, Count: 100})
	r := e.postMany(body("1") + "\n" + body("2"))
	if r.code != 500 || r.Outcome != "unknown" || r.header.Get("Content-Type") != "application/problem+json" || len(r.Results) != 2 {
		t.Errorf("got %+v", r)
	}
	for _, one := range r.Results {
		if one.Status != 500 || one.Outcome != "unknown" || !one.Retryable || one.Event == "" || one.Errors != nil {
			t.Errorf("result %+v", one)
		}
	}
	if r := e.postMany(body("1") + "\n" + noTotal); r.code != 207 || r.Accepted != 0 {
		t.Errorf("two causes: %+v", r)
	}
}

func TestMoreOrdersThanThereIsRoomForAreRefusedWhole(t *testing.T) {
	e := start(t, func(o *ingest.Options) { o.MaxInFlight = 4 })
	if r := e.postMany(strings.Repeat(body("1")+"\n", 5)); r.code != 413 || r.Outcome != "not_written" {
		t.Errorf("more than there will ever be room for: %+v", r)
	}
	silent := make(chan struct{})
	e.kafka.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.Cluster().SleepControl(func() { <-silent })
		return nil, nil, false
	})
	first := make(chan manyReply)
	go func() { first <- e.postMany(body("1") + "\n" + body("1")) }()
	eventually(t, "the first waits", func() bool { return e.metric("ordersctl_produce_buffered_records") == "2" })
	if r := e.postMany(strings.Repeat(body("2")+"\n", 3)); r.code != 503 || r.Outcome != "not_written" || r.header.Get("Retry-After") == "" {
		t.Errorf("more than there is room for now: %+v", r)
	}
	two := e.postMany(strings.Repeat(body("2")+"\n", 3) + noTotal)
	if two.code != 207 || two.header.Get("Retry-After") == "" || len(two.Results) != 4 || two.Results[0].Status != 503 || two.Results[3].Status != 400 {
		t.Errorf("no room, and one with faults: %+v", two)
	}
	close(silent)
	if r := <-first; r.code != 202 {
		t.Errorf("the first: %+v", r)
	}
	if got := e.metric(`ordersctl_http_rejected_total{reason="in_flight"}`); got != "2" || len(e.records()) != 2 {
		t.Errorf("rejected %q, %d records", got, len(e.records()))
	}
}

func TestABodyMayBePackedAndItsLimitHoldsUnpacked(t *testing.T) {
	e := start(t, nil)
	pack := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(text)) // to memory
		_ = w.Close()
		return b.String()
	}
	gzipped := []string{"Content-Encoding", "gzip"}
	if r := e.postMany(pack(body("1")+"\n"+body("2")), gzipped...); r.code != 202 || r.Accepted != 2 {
		t.Errorf("got %+v", r)
	}
	if r := e.postMany(pack(strings.Repeat(" ", 100<<20)), gzipped...); r.code != 413 {
		t.Errorf("a bomb: %d", r.code)
	}
	if r := e.postMany(body("1"), gzipped...); r.code != 400 || !strings.Contains(r.Detail, "not gzip") {
		t.Errorf("not packed: %+v", r)
	}
	if r := e.postMany(pack(body("1"))[:40], gzipped...); r.code != 400 {
		t.Errorf("cut off: %+v", r)
	}
	if r := e.postMany(body("1"), "Content-Encoding", "br"); r.code != 415 {
		t.Errorf("brotli: %+v", r)
	}
	if n := len(e.records()); n != 2 {
		t.Errorf("%d records", n)
	}
}

func TestOrdersAreRefusedAtOnceWhileKafkaIsSilentAndTakenWhenItIsBack(t *testing.T) {
	e := start(t, func(o *ingest.Options) { o.BreakerAfter = 500 * time.Millisecond })
	silent := make(chan struct{})
	e.kafka.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.Cluster().SleepControl(func() { <-silent })
		return nil, nil, false
	})
	first := make(chan reply)
	go func() { first <- e.mustPost(body("first")) }()
	eventually(t, "the first waits", func() bool { return e.metric("ordersctl_produce_buffered_records") == "1" })
	<-time.After(500 * time.Millisecond) // what is tested: so long without any acknowledgement
	begin := time.Now()
	r := e.mustPost(body("a"))
	if took := time.Since(begin); r.code != 500 || took > time.Second {
		t.Errorf("refused after %s: %+v", took, r)
	}
	if r.Outcome != "not_written" || r.header.Get("Retry-After") == "" || !r.Retry {
		t.Errorf("got %+v", r)
	}
	if got := e.metric("ordersctl_breaker_state"); got != "1" {
		t.Errorf("breaker state %q", got)
	}
	close(silent)
	if r := <-first; r.code != 202 {
		t.Errorf("the one that waited: %+v", r)
	}
	if r := e.mustPost(body("b")); r.code != 202 {
		t.Errorf("after it: %+v", r)
	}
	if got := e.metric("ordersctl_breaker_state"); got != "0" {
		t.Errorf("breaker state %q", got)
	}
}

func TestLargeRequestsTakeBoundedMemory(t *testing.T) {
	e := start(t, nil)
	announce := func() net.Conn {
		t.Helper()
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "tcp", e.server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	var held []net.Conn
	for range 32 { // of 8 MiB each: all that there is
		held = append(held, announce())
	}
	eventually(t, "they hold all of it", func() bool { return e.metric("ordersctl_http_large_bytes") == "2.68435456e+08" })
	large := body("1") + strings.Repeat(" ", 128<<10)
	if r := e.postMany(large); r.code != 503 {
		t.Errorf("a large request: %d", r.code)
	}
	// Its header alone is refused, before its body is read.
	late := announce()
	answer, err := http.ReadResponse(bufio.NewReader(late), nil)
	if err != nil || answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %+v, %v", answer, err)
	}
	if r := e.postMany(body("packed"), "Content-Encoding", "gzip"); r.code != 503 {
		t.Errorf("one that could unpack to 8 MiB: %+v", r)
	}
	if r := e.mustPost(body("small")); r.code != 202 {
		t.Errorf("a small one: %+v", r)
	}
	for _, c := range append(held, late) {
		_ = c.Close() // in the middle of the request
	}
	eventually(t, "nothing is held", func() bool { return e.metric("ordersctl_http_large_bytes") == "0" })
	if r := e.postMany(large); r.code != 202 {
		t.Errorf("a large request when there is room again: %d", r.code)
	}
	if got := e.metric(`ordersctl_http_rejected_total{reason="memory"}`); got == "0" {
		t.Error("nothing is counted")
	}
}
