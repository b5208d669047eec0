package lag_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/lag"
)

// admin is a port that answers with what it is given; "" is 404.
func admin(t *testing.T, status, metrics string) string {
	t.Helper()
	mux := http.NewServeMux()
	for path, body := range map[string]string{"/status": status, "/metrics": metrics} {
		if body != "" {
			mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		}
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func edgeMetrics(acked, below8, below16, all, buffered, breaker int) string {
	return fmt.Sprintf(`# TYPE ordersctl_produce_records_total counter
ordersctl_produce_records_total{outcome="acked"} %d
ordersctl_produce_records_total{outcome="unknown"} 7
# TYPE ordersctl_produce_ack_duration_seconds histogram
ordersctl_produce_ack_duration_seconds_bucket{le="0.008"} %d
ordersctl_produce_ack_duration_seconds_bucket{le="0.016"} %d
ordersctl_produce_ack_duration_seconds_bucket{le="+Inf"} %d
ordersctl_produce_ack_duration_seconds_sum 1
ordersctl_produce_ack_duration_seconds_count %d
# TYPE ordersctl_produce_buffered_records gauge
ordersctl_produce_buffered_records %d
# TYPE ordersctl_breaker_state gauge
ordersctl_breaker_state %d
`, acked, below8, below16, all, all, buffered, breaker)
}

func TestAdminPortsAreAsked(t *testing.T) {
	const status = `{"group":"orders-process","topic":"orders","topic_id":"id","state":"running","partitions":[
		{"partition":1,"state":"paused","reason":"outage","detail":"connection refused","since":"2026-11-22T12:00:00Z","next_offset":5,"lag_records":9}]}`
	process := admin(t, status, "# TYPE x counter\nx 1\n")
	edge := admin(t, "", edgeMetrics(1, 1, 1, 1, 0, 0))
	gone := admin(t, "", "")
	answers := lag.Ask(t.Context(), []string{process, edge, "127.0.0.1:1", gone}, 5*time.Second)
	if p := answers[0].Process; p == nil || p.Group != "orders-process" || p.Partitions[0].Reason != "outage" || !p.Partitions[0].Since.Equal(noon) {
		t.Errorf("a process: %+v", answers[0])
	}
	if answers[1].Process != nil || answers[1].Metrics == nil || answers[1].Err != nil {
		t.Errorf("an edge: %+v", answers[1])
	}
	if answers[2].Err == nil || !strings.Contains(answers[2].Err.Error(), "refused") {
		t.Errorf("nobody: %v", answers[2].Err)
	}
	if answers[3].Err != nil || answers[3].Process != nil || answers[3].Metrics != nil {
		t.Errorf("something else: %+v", answers[3])
	}
}

func TestEdges(t *testing.T) {
	parse := func(at time.Time, texts ...string) []lag.Answer {
		var addrs []string
		for _, text := range texts {
			addrs = append(addrs, admin(t, "", text))
		}
		answers := lag.Ask(t.Context(), addrs, 5*time.Second)
		for i := range answers {
			answers[i].Addr, answers[i].At = fmt.Sprint(i), at
		}
		return answers
	}
	before := parse(noon, edgeMetrics(1000, 900, 990, 1000, 5, 0), edgeMetrics(50, 50, 50, 50, 0, 0))
	now := parse(noon.Add(2*time.Second), edgeMetrics(3000, 2880, 2985, 3000, 16, 0), edgeMetrics(250, 250, 250, 250, 4, 2))
	got := lag.EdgeBetween(before, now)
	want := &lag.Edge{Instances: 2, Accepted: ptr(1100.0), AckBelow: ptr(0.016), InFlight: ptr(int64(20)), Breaker: "open"}
	// 2,200 acknowledgements, 2,180 of them below 8 ms: the 99th percentile is the 2,178th.
	want.AckBelow = ptr(0.008)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	t.Run("slower than the last bound", func(t *testing.T) {
		later := parse(noon.Add(4*time.Second), edgeMetrics(3100, 2880, 2985, 3100, 0, 0))
		got := lag.EdgeBetween(now, later)
		if got.AckBelow != nil || got.AckAbove == nil || *got.AckAbove != 0.016 {
			t.Errorf("below %v, above %v", got.AckBelow, got.AckAbove)
		}
	})
	t.Run("nothing was acknowledged", func(t *testing.T) {
		got := lag.EdgeBetween(now, parse(noon.Add(4*time.Second), edgeMetrics(3000, 2880, 2985, 3000, 16, 0)))
		if *got.Accepted != 0 || got.AckBelow != nil || got.AckAbove != nil {
			t.Errorf("%+v", got)
		}
	})
	t.Run("the first look and a new start have no rate", func(t *testing.T) {
		for _, past := range [][]lag.Answer{nil, now} {
			got := lag.EdgeBetween(past, parse(noon.Add(4*time.Second), edgeMetrics(10, 10, 10, 10, 3, 1)))
			if got.Accepted != nil || got.AckBelow != nil || *got.InFlight != 3 || got.Breaker != "trying" {
				t.Errorf("%+v", got)
			}
		}
	})
	if got := lag.EdgeBetween(nil, []lag.Answer{{Err: errGone}}); got != nil {
		t.Errorf("no edge answers: %+v", got)
	}
}
