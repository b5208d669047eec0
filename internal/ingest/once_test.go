package ingest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/ingest"
)

type raw struct {
	code     int
	body     string
	replayed bool
}

// postKeyed posts with an Idempotency-Key.
func (e *edge) postKeyed(ctx context.Context, text string, keys ...string) (raw, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, strings.NewReader(text))
	if err != nil {
		return raw{}, err
	}
	req.GetBody = nil // else the client repeats a request with this header by itself
	for _, k := range keys {
		req.Header.Add("Idempotency-Key", k)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return raw{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return raw{resp.StatusCode, string(body), resp.Header.Get("Idempotent-Replayed") == "true"}, err
}

func (e *edge) mustPostKeyed(text string, keys ...string) raw {
	e.t.Helper()
	r, err := e.postKeyed(e.t.Context(), text, keys...)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

func TestARepeatIsAnsweredByteForByteAndWritesNothing(t *testing.T) {
	for _, ack := range []string{ingest.AckDelivered, ingest.AckEnqueued} {
		t.Run(ack, func(t *testing.T) {
			e := start(t, func(o *ingest.Options) { o.Ack = ack })
			first := e.mustPostKeyed(body("a"), "k1")
			if first.code != 202 || first.replayed {
				t.Fatalf("got %+v", first)
			}
			// The same order, written in another way.
			again := e.mustPostKeyed(strings.Replace(body("a"), "10.5", "10.50", 1), "k1")
			if again.code != 202 || !again.replayed || again.body != first.body {
				t.Errorf("got %+v, want %+v again", again, first)
			}
			if other := e.mustPostKeyed(body("b"), "k1"); other.code != 422 || !strings.Contains(other.body, `"outcome":"not_written"`) {
				t.Errorf("another order under the key: %+v", other)
			}
			if r := e.mustPostKeyed(body("a"), "k2"); r.code != 202 || r.replayed {
				t.Errorf("the order under another key: %+v", r)
			}
			for range 2 {
				if r := e.mustPostKeyed(body("a")); r.code != 202 || r.replayed {
					t.Errorf("the order without a key: %+v", r)
				}
			}
			eventually(t, "all are written", func() bool { return len(e.records()) == 4 })
		})
	}
}

func TestARepeatWaitsForTheFirst(t *testing.T) {
	e := start(t, nil)
	e.kafka.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.Cluster().SleepControl(func() { <-time.After(time.Second) })
		return nil, nil, false
	})
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		answers []raw
	)
	for range 10 {
		wg.Go(func() {
			r, err := e.postKeyed(t.Context(), body("a"), "k1")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, r)
		})
	}
	wg.Wait()
	fresh := 0
	for _, r := range answers {
		if !r.replayed {
			fresh++
		}
		if r.code != 202 || r.body != answers[0].body {
			t.Errorf("got %+v", r)
		}
	}
	if fresh != 1 || len(e.records()) != 1 {
		t.Errorf("%d were fresh, %d records", fresh, len(e.records()))
	}
}

func TestAfterUnknownARepeatIsTheSameEventAndNeverNotWritten(t *testing.T) {
	t.Parallel()
	e := start(t, func(o *ingest.Options) { o.Timeout = 3 * time.Second })
	c := e.kafka.Cluster()
	refused := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicName, Err: kerr.InvalidRecord, Count: 1})
	r := e.mustPostKeyed(body("a"), "k1")
	if r.code != 500 || !strings.Contains(r.body, `"outcome":"unknown"`) {
		t.Fatalf("got %+v", r)
	}
	refused.Remove()
	away := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicName, Err: kerr.NotLeaderForPartition, Count: 1000})
	if r := e.mustPostKeyed(body("a"), "k1"); r.code != 500 || !strings.Contains(r.body, `"outcome":"unknown"`) {
		t.Errorf("after unknown: %+v", r)
	}
	// A key of its own tells the difference: nothing of it can be in the log.
	if r := e.mustPostKeyed(body("a"), "k2"); r.code != 500 || !strings.Contains(r.body, `"outcome":"not_written"`) {
		t.Errorf("a fresh key: %+v", r)
	}
	away.Remove()
	for _, key := range []string{"k1", "k2"} {
		if r := e.mustPostKeyed(body("a"), key); r.code != 202 || r.replayed {
			t.Errorf("%s in the end: %+v", key, r)
		}
	}
	for id, n := range eventIDs(e.records()) {
		if n != 1 {
			t.Errorf("event %s is there %d times", id, n)
		}
	}
}

func TestAKeyThatIsNoneIsRefused(t *testing.T) {
	e := start(t, nil)
	for name, keys := range map[string][]string{"empty": {""}, "two": {"a", "b"}, "too long": {strings.Repeat("k", 129)}} {
		if r := e.mustPostKeyed(body("a"), keys...); r.code != 400 || !strings.Contains(r.body, "Idempotency-Key") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
