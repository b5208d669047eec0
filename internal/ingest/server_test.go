package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/broker"
	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/ingest"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/telemetry"
	"github.com/ordersctl/ordersctl/internal/topic"
)

const topicName = "orders"

// edge is a running server on an embedded broker.
type edge struct {
	t      testing.TB
	kafka  *broker.Broker
	server *ingest.Server
	url    string
	admin  string
	stop   context.CancelFunc
	done   chan error
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, change func(*ingest.Options)) *edge {
	t.Helper()
	return startWith(t, change, nil)
}

// startOnBroker is start on a broker with options of its own.
func startOnBroker(t *testing.T, change func(*ingest.Options), opts ...kfake.Opt) *edge {
	t.Helper()
	return startWith(t, change, nil, opts...)
}

// startWith lets prepare have the server before it runs, where it is not nil.
func startWith(t testing.TB, change func(*ingest.Options), prepare func(*ingest.Server), kafka ...kfake.Opt) *edge {
	t.Helper()
	e := &edge{t: t, log: &lockedBuffer{}, done: make(chan error, 1)}
	cfg := broker.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	var err error
	if e.kafka, err = broker.Start(t.Context(), cfg, slog.New(slog.DiscardHandler), append(kafka, kfake.SeedTopics(3, topicName))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.kafka.Close(); err != nil {
			t.Error(err)
		}
	})
	opts := ingest.Options{
		Config: ingest.DefaultConfig(), Kafka: client.DefaultConfig(), Topic: topicName,
		NewTopic: topic.DefaultConfig(), Registry: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(e.log, nil)),
	}
	opts.Listen, opts.DrainDelay = "127.0.0.1:0", 0
	opts.Kafka.Brokers = []string{e.kafka.Addr()}
	if change != nil {
		change(&opts)
	}
	if e.server, err = ingest.New(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(e.server)
	}
	e.url = "http://" + e.server.Addr() + "/order"
	admin, err := telemetry.NewAdmin(t.Context(), telemetry.AdminConfig{Listen: "127.0.0.1:0"}, opts.Registry, e.server.Readiness, opts.Log)
	if err != nil {
		t.Fatal(err)
	}
	e.admin = "http://" + admin.Addr()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	e.stop = stop
	go func() { e.done <- e.server.Run(ctx, admin, nil) }()
	t.Cleanup(func() { stop(); <-e.done })
	return e
}

// end stops the server and gives what Run returned.
func (e *edge) end() error {
	e.t.Helper()
	e.stop()
	err := <-e.done
	e.done <- nil // for the clean-up
	return err
}

type reply struct {
	code    int
	header  http.Header
	Event   string `json:"event_id"`
	Offset  *int64 `json:"offset"`
	Outcome string `json:"outcome"`
	Retry   bool   `json:"retryable"`
	Detail  string `json:"detail"`
	Request string `json:"request_id"`
}

func body(id string) string {
	return fmt.Sprintf(`{"id":%q,"user_id":"u1","total":10.5,"status":"pending","timestamp":"2025-10-06T17:00:00Z"}`, id)
}

func (e *edge) post(ctx context.Context, text string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, strings.NewReader(text))
	if err != nil {
		return reply{}, err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{code: resp.StatusCode, header: resp.Header}
	return r, json.Unmarshal(raw, &r)
}

func (e *edge) mustPost(text string) reply {
	e.t.Helper()
	r, err := e.post(e.t.Context(), text)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

// records reads the whole topic.
func (e *edge) records() []*kgo.Record {
	e.t.Helper()
	cfg := client.DefaultConfig()
	cfg.Brokers = []string{e.kafka.Addr()}
	cl, err := client.Dial(e.t.Context(), cfg, slog.New(slog.DiscardHandler), kgo.ConsumeTopics(topicName), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		e.t.Fatal(err)
	}
	defer cl.Close()
	ends, err := client.Admin(cl).ListEndOffsets(e.t.Context(), topicName)
	if err != nil {
		e.t.Fatal(err)
	}
	var want int
	for _, end := range ends[topicName] {
		want += int(end.Offset)
	}
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	var all []*kgo.Record
	for len(all) < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			e.t.Fatalf("%d of %d records: %v", len(all), want, err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

func eventIDs(records []*kgo.Record) map[string]int {
	ids := map[string]int{}
	for _, r := range records {
		ids[client.HeaderValue(r, client.HeaderEventID)]++
	}
	return ids
}

func (e *edge) metric(name string) string {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, e.admin+"/metrics", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		<-tick.C
	}
}

func TestAnAcceptedOrderIsInTheTopicAsItsReceiptSays(t *testing.T) {
	e := start(t, nil)
	r := e.mustPost(`{"timestamp":"2025-10-06T19:00:00.500+02:00","status":"pending","total":1.50e1,"user_id":"u\u0031","id":"a-1"}`)
	if r.code != 202 || r.Offset == nil || *r.Offset != 0 || r.Outcome != "" {
		t.Fatalf("got %+v", r)
	}
	records := e.records()
	if len(records) != 1 {
		t.Fatalf("%d records", len(records))
	}
	got := records[0]
	const want = `{"id":"a-1","user_id":"u1","total":15,"status":"pending","timestamp":"2025-10-06T17:00:00.5Z"}`
	if string(got.Value) != want || string(got.Key) != "a-1" {
		t.Errorf("key %q, value %s, want %s", got.Key, got.Value, want)
	}
	headers := map[string]string{}
	for _, h := range got.Headers {
		headers[h.Key] = string(h.Value)
	}
	if at, err := time.Parse(time.RFC3339Nano, headers["received-at"]); err != nil || time.Since(at) > time.Minute {
		t.Errorf("received-at %q: %v", headers["received-at"], err)
	}
	delete(headers, "received-at")
	wantHeaders := map[string]string{
		"content-type": "application/json", "schema-version": "1", "client": "anonymous",
		"event-id": r.Event, "request-id": r.header.Get("X-Request-Id"),
	}
	if diff := cmp.Diff(wantHeaders, headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestAnAnswerSaysWhatIsKnownAndNoMore(t *testing.T) {
	t.Parallel()
	produce := []kmsg.Key{kmsg.Produce}
	for name, c := range map[string]struct {
		fault func(*kfake.Cluster)
		code  int
		want  string
		took  time.Duration // at most
	}{
		"a broker that stays silent is unknown after the timer": {
			fault: func(c *kfake.Cluster) {
				c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
					c.KeepControl()
					return nil, nil, true
				})
			},
			code: 500, want: "unknown", took: 5 * time.Second,
		},
		"a broker's own refusal is unknown: an earlier try may be in the log": {
			fault: func(c *kfake.Cluster) {
				c.Fault(kfake.Fault{Keys: produce, Topic: topicName, Err: kerr.InvalidRecord, Count: 100})
			},
			code: 500, want: "unknown", took: 3 * time.Second,
		},
		"a record that no leader took in time is not written": {
			fault: func(c *kfake.Cluster) {
				c.Fault(kfake.Fault{Keys: produce, Topic: topicName, Err: kerr.NotLeaderForPartition, Count: 1000})
			},
			code: 500, want: "not_written", took: 5 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, func(o *ingest.Options) { o.Timeout, o.DrainTimeout = 3*time.Second, 100*time.Millisecond })
			c.fault(e.kafka.Cluster())
			begin := time.Now()
			r := e.mustPost(body("a"))
			if took := time.Since(begin); took > c.took {
				t.Errorf("answered after %s", took)
			}
			if r.code != c.code || r.Outcome != c.want || !r.Retry || r.Request == "" || r.Event == "" {
				t.Errorf("got %+v, want %d %s", r, c.code, c.want)
			}
		})
	}
}

func TestAnAcknowledgementAfterTheTimerIsCountedAndTheOrderKept(t *testing.T) {
	t.Parallel()
	e := start(t, func(o *ingest.Options) { o.Timeout = 2 * time.Second })
	e.kafka.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.Cluster().SleepControl(func() { <-time.After(3 * time.Second) })
		return nil, nil, false
	})
	r := e.mustPost(body("a"))
	if r.code != 500 || r.Outcome != "unknown" {
		t.Fatalf("got %+v", r)
	}
	eventually(t, "the late acknowledgement is counted", func() bool { return e.metric("ordersctl_produce_late_total") == "1" })
	if n := eventIDs(e.records())[r.Event]; n != 1 {
		t.Errorf("the order is in the topic %d times", n)
	}
}

func TestAClientThatHangsUpFailsNobodyElse(t *testing.T) {
	e := start(t, nil)
	e.kafka.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.Cluster().SleepControl(func() { <-time.After(500 * time.Millisecond) })
		return nil, nil, false
	})
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			ctx := t.Context()
			if i%2 == 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			r, err := e.post(ctx, body("same")) // one key: one partition
			if i%2 == 1 && (err != nil || r.code != 202) {
				t.Errorf("a client that waited got %+v, %v", r, err)
			}
		})
	}
	wg.Wait()
}

func TestEnqueuedAnswersWithoutWaiting(t *testing.T) {
	e := start(t, func(o *ingest.Options) { o.Ack = ingest.AckEnqueued })
	r := e.mustPost(body("a"))
	if r.code != 202 || r.Outcome != "enqueued" || r.Offset != nil || r.Event == "" {
		t.Fatalf("got %+v", r)
	}
	eventually(t, "the order is in the topic", func() bool { return eventIDs(e.records())[r.Event] == 1 })
}

func TestEveryOrderThatWasAcceptedBeforeTheEndIsInTheTopic(t *testing.T) {
	e := start(t, nil)
	const clients = 64
	var (
		mu       sync.Mutex
		accepted []string
		wg       sync.WaitGroup
	)
	for i := range clients {
		wg.Go(func() {
			cl := &http.Client{Transport: &http.Transport{}}
			defer cl.CloseIdleConnections()
			for n := 0; ; n++ {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url, strings.NewReader(body(fmt.Sprintf("%d-%d", i, n))))
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := cl.Do(req)
				if err != nil {
					return // the listener is closed
				}
				var r reply
				err = json.NewDecoder(resp.Body).Decode(&r)
				_ = resp.Body.Close()
				if err == nil && resp.StatusCode == 202 {
					mu.Lock()
					accepted = append(accepted, r.Event)
					mu.Unlock()
				}
			}
		})
	}
	eventually(t, "the load is on", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(accepted) > 500
	})
	if err := e.end(); err != nil {
		t.Errorf("the end: %v", err)
	}
	wg.Wait()
	found := eventIDs(e.records())
	for _, id := range accepted {
		if found[id] != 1 {
			t.Errorf("event %s was answered 202 and is in the topic %d times", id, found[id])
		}
	}
}

func TestWhatIsLeftAtTheEndIsAnErrorAndLoggedOneByOne(t *testing.T) {
	t.Parallel()
	const orders = 200
	for _, ack := range []string{ingest.AckDelivered, ingest.AckEnqueued} {
		t.Run(ack, func(t *testing.T) {
			e := start(t, func(o *ingest.Options) { o.Ack, o.DrainTimeout = ack, 2*time.Second })
			e.kafka.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				e.kafka.Cluster().KeepControl()
				return nil, nil, true
			})
			replies := make(chan reply, orders)
			for i := range orders {
				go func() {
					r, err := e.post(t.Context(), body(fmt.Sprint(i)))
					if err != nil {
						t.Errorf("a client had no answer: %v", err)
					}
					replies <- r
				}()
			}
			eventually(t, "all are with Kafka", func() bool {
				return e.metric("ordersctl_produce_buffered_records") == fmt.Sprint(orders)
			})
			err := e.end()
			if !errors.Is(err, ingest.ErrLeft) || !strings.HasPrefix(err.Error(), fmt.Sprint(orders)) {
				t.Errorf("the end: %v, want %d left", err, orders)
			}
			log := e.log.String()
			for range orders {
				r := <-replies
				if ack == ingest.AckDelivered && r.Outcome != "unknown" || ack == ingest.AckEnqueued && r.code != 202 {
					t.Errorf("got %+v", r)
				}
				if !strings.Contains(log, "event_id="+r.Event) {
					t.Errorf("event %s is not in the log", r.Event)
				}
			}
		})
	}
}

func TestAClientThatStallsDoesNotHoldTheOthersUp(t *testing.T) {
	e := start(t, func(o *ingest.Options) { o.DrainTimeout = 2 * time.Second })
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", e.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /order HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	e.mustPost(body("a")) // the one before it was accepted before this one
	begin := time.Now()
	if err := e.end(); err != nil {
		t.Errorf("the end: %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the end took %s", took)
	}
	if strings.Contains(e.log.String(), "level=ERROR") {
		t.Errorf("an error where nothing was left:\n%s", e.log.String())
	}
}

func TestATopicMadeAnewIsNoticedAndUsed(t *testing.T) {
	e := start(t, nil)
	e.mustPost(body("before"))
	cfg := client.DefaultConfig()
	cfg.Brokers = []string{e.kafka.Addr()}
	cl, err := client.Dial(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := client.Admin(cl)
	if _, err := adm.DeleteTopics(t.Context(), topicName); err != nil {
		t.Fatal(err)
	}
	if r := e.mustPost(body("between")); r.code != 500 || r.Outcome != "unknown" {
		t.Errorf("without a topic: %+v", r)
	}
	if err := topic.Create(t.Context(), adm, topic.Spec{Name: topicName, Partitions: 2, Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	var r reply
	eventually(t, "orders are taken again", func() bool {
		r = e.mustPost(body("after"))
		return r.code == 202
	})
	if n := eventIDs(e.records())[r.Event]; n != 1 {
		t.Errorf("the order is in the new topic %d times", n)
	}
	eventually(t, "it is told", func() bool {
		return strings.Contains(e.log.String(), "level=ERROR") && strings.Contains(e.log.String(), "topic_id=")
	})
}

func TestOnlyThePathAsItIsWritten(t *testing.T) {
	e := start(t, nil)
	for _, path := range []string{"//order", "/x/../order", "/%2forder", "/ORDER", "/order/", "/order%20"} {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", e.server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		text := body("a")
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(text), text)
		buf := make([]byte, 64)
		n, _ := io.ReadAtLeast(conn, buf, 12)
		if got := string(buf[:n]); !strings.HasPrefix(got, "HTTP/1.1 404") {
			t.Errorf("POST %s: %s", path, got)
		}
		conn.Close()
	}
	resp, err := http.Post(e.url+"?x=1", "application/json; charset=UTF-8; profile=x", strings.NewReader(body("a")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 202 {
		t.Errorf("with a query: %s", resp.Status)
	}
}

func TestNotReadyWhileDraining(t *testing.T) {
	t.Parallel()
	e := start(t, func(o *ingest.Options) { o.DrainDelay = 2 * time.Second })
	if r := e.server.Readiness(); !r.Ready {
		t.Fatalf("got %+v", r)
	}
	e.stop()
	eventually(t, "it is not ready", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.admin+"/readyz", nil)
		if err != nil {
			return false
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == 503
	})
	if r := e.mustPost(body("a")); r.code != 202 {
		t.Errorf("an order during the delay got %+v", r)
	}
}

func TestWhatIsNoRequestIsRefusedInTheSameForm(t *testing.T) {
	e := start(t, nil)
	for name, c := range map[string]struct {
		send string
		code string
	}{
		"a header that is too large":    {"POST /order HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n", "431"},
		"a chunked body that is":        {"POST /order HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + strings.Repeat("x", 0x20000) + "\r\n0\r\n\r\n", "413"},
		"a declared body that is":       {"POST /order HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", "413"},
		"a length that is no number":    {"POST /order HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\n", "400"},
		"what is not HTTP":              {"\x16\x03\x01 hello\r\n\r\n", "400"},
		"a request without a body":      {"POST /order HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		"a method nobody has heard of":  {"BREW /order HTTP/1.1\r\nHost: a\r\n\r\n", "405"},
		"an order in another character": {"POST /order HTTP/1.1\r\nHost: a\r\nContent-Type: application/json; charset=latin1\r\nContent-Length: 2\r\n\r\n{}", "415"},
	} {
		t.Run(name, func(t *testing.T) {
			var d net.Dialer
			conn, err := d.DialContext(t.Context(), "tcp", e.server.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			// The server may close before it has read everything.
			_, _ = io.WriteString(conn, c.send)
			buf := make([]byte, 4096)
			n, _ := io.ReadAtLeast(conn, buf, 12)
			got := string(buf[:n])
			if !strings.HasPrefix(got, "HTTP/1.1 "+c.code) || !strings.Contains(got, "application/problem+json") || !strings.Contains(got, `"outcome":"not_written"`) {
				t.Errorf("got %s", got)
			}
			if strings.Contains(strings.ToLower(got), "fasthttp") {
				t.Errorf("the answer names what it runs on: %s", got)
			}
		})
	}
}

func TestAClientThatSendsFarTooMuchStillGetsItsAnswer(t *testing.T) {
	e := start(t, nil)
	for range 20 {
		if r := e.mustPost(strings.Repeat("x", 4<<20)); r.code != 413 || r.Outcome != "not_written" {
			t.Fatalf("got %+v", r)
		}
	}
}

func TestRefusalsAreTracedWithinBounds(t *testing.T) {
	e := start(t, nil)
	for range 400 {
		e.mustPost(`{"id":"bad-one"}`)
	}
	if err := e.end(); err != nil {
		t.Error(err)
	}
	log := e.log.String()
	n := strings.Count(log, "order_id=bad-one")
	if n < 100 || n > 300 {
		t.Errorf("%d of 400 refusals are in the log", n)
	}
	// Each line tells how many were left out before it, the server's end of the last ones.
	for _, skipped := range regexp.MustCompile(`skipped=(\d+)`).FindAllStringSubmatch(log, -1) {
		more, err := strconv.Atoi(skipped[1])
		if err != nil {
			t.Fatal(err)
		}
		n += more
	}
	if n != 400 {
		t.Errorf("%d of 400 refusals are in the log or counted there", n)
	}
}

func TestRulesReachTheEdge(t *testing.T) {
	e := start(t, func(o *ingest.Options) { o.Rules = order.Rules{Statuses: []string{"paid"}} })
	if r := e.mustPost(body("a")); r.code != 400 {
		t.Errorf("got %+v", r)
	}
}
