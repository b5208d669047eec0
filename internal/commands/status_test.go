package commands

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/process"
)

func looks(t *testing.T, v *statusView, want string) {
	t.Helper()
	v.judge()
	var got bytes.Buffer
	if err := printStatus(&got, v); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	for _, line := range strings.Split(got.String(), "\n") {
		if len(line) > statusWidth {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

func TestStatusLooks(t *testing.T) {
	ptr := func(n int64) *int64 { return &n }
	rate := func(f float64) *float64 { return &f }
	v := &statusView{
		At: time.Date(2026, 11, 22, 14, 5, 31, 0, time.UTC), Context: "stage", RateSeconds: 2,
		Edge: statusEdge{Addrs: []string{"edge-1:9180", "edge-2:9180"}, Edge: &lag.Edge{
			Instances: 2, Accepted: rate(4998), AckBelow: rate(0.008), InFlight: ptr(16), Breaker: "closed",
		}},
		Topic: statusTopic{Name: "orders", Partitions: ptr(3), Records: ptr(12376888), In: rate(5000)},
		Process: statusProcess{
			Group: "orders-process", State: "stable", Members: ptr(2), Lag: ptr(144310), Out: rate(3320.4),
			Drain: lag.Drain{State: lag.DrainNever}, OffsetsBy: lag.ByDatabase, Paused: map[string]int{"outage": 2, "breaker": 1},
		},
		Database: statusDB{Name: "postgres://orders@db.stage/orders", Totals: &dbTotals{Orders: 12000004, Events: 12232578, Stale: 3, Duplicates: 41, DeadLettered: 12}},
		DLQ:      statusDLQ{Topic: "orders.dlq", Letters: ptr(4012), Open: ptr(3998)},
	}
	looks(t, v, `status   context stage   2026-11-22 14:05:31Z   rates over the last 2 s

edge     edge-1:9180, edge-2:9180
              4,998 accepted/s         <8 ms ack p99               16 in flight
             closed breaker                2 instances
topic    orders
              5,000 in/s          12,376,888 records                3 partitions
process  orders-process, by the database's offsets
              3,320 committed/s      144,310 lag                never to drain
                  2 members       breaker 1, outage 2 paused
database postgres://orders@db.stage/orders
         12,000,004 orders        12,232,578 events                 3 stale
                 41 duplicates            12 dead-lettered          0 skipped
dlq      orders.dlq
              3,998 open               4,012 letters

! process: 1 partition paused (breaker)
! process: 2 partitions paused (outage)
! dlq: 3,998 open letters
FAIL  3 findings
`)
}

func TestStatusSaysWhatItCannotSee(t *testing.T) {
	long := errors.New("open postgres://orders@db.stage/orders: " + strings.Repeat("failed to connect ", 8))
	v := &statusView{
		At:   time.Date(2026, 11, 22, 14, 5, 31, 0, time.UTC),
		Edge: statusEdge{Addrs: []string{":9180"}, Unreachable: "connect: connection refused"}, Topic: statusTopic{Name: "orders"},
		Process:  statusProcess{Group: "orders-process", Drain: lag.Drain{State: lag.DrainUnknown}},
		Database: statusDB{Name: "postgres://orders@db.stage/orders", Unreachable: long.Error()}, DLQ: statusDLQ{Topic: "orders.dlq"},
	}
	looks(t, v, `status   2026-11-22 14:05:31Z

edge     :9180
         -  connect: connection refused
topic    orders
                  - in/s                   - records                - partitions
process  orders-process
                  - committed/s            - lag                    - to drain
                  - members                - paused
database postgres://orders@db.stage/orders
         -  open postgres://orders@db.stage/orders: failed to connect failed to connect failed to
         connect failed to connect failed to connect failed to connect failed to connect failed to
         connect
dlq      orders.dlq
                  - open                   - letters

ok    not seen from here: edge, database
`)
}

func TestVerdictOfStatus(t *testing.T) {
	ptr := func(n int64) *int64 { return &n }
	for _, test := range []struct {
		name    string
		change  func(*statusView)
		verdict string
		finding string
	}{
		{"all is well", func(*statusView) {}, "ok", ""},
		{"nobody reads, and nothing waits", func(v *statusView) { v.Process.Members = ptr(0) }, "ok", ""},
		{"nobody reads what waits", func(v *statusView) { v.Process.Members, v.Process.Lag = ptr(0), ptr(1) }, "warn", "process: nobody reads what waits: 1 record"},
		{"nobody reads a part of it", func(v *statusView) { v.Process.Lag, v.Process.unread, v.Process.waiting = nil, []int32{3, 4}, 27 }, "warn", "process: nobody reads what waits in partition 3,4: 27 records"},
		{"it falls behind", func(v *statusView) { v.Process.Drain.State = lag.DrainNever }, "warn", "process: at this speed the backlog does not end"},
		{"offsets are odd", func(v *statusView) { v.Process.Problems = []string{"x"} }, "warn", "process: x"},
		{"letters are open", func(v *statusView) { v.DLQ.Open = ptr(1) }, "warn", "dlq: 1 open letter"},
		{"the breaker is open", func(v *statusView) { v.Edge.Edge = &lag.Edge{Breaker: "open"} }, "FAIL", "edge: the breaker is open, Kafka acknowledges nothing"},
		{"nobody has ever read what is there", func(v *statusView) { v.Process.Members, v.Process.Lag, v.Topic.Records = ptr(0), nil, ptr(30) }, "warn", "process: nobody has ever read this topic: 30 records wait"},
		{"nobody has read, and nothing is there", func(v *statusView) { v.Process.Members, v.Process.Lag, v.Topic.Records = ptr(0), nil, ptr(0) }, "ok", ""},
		{"somebody has just begun", func(v *statusView) { v.Process.Lag, v.Topic.Records = nil, ptr(30) }, "ok", ""},
		{"no dead letter topic", func(v *statusView) { v.DLQ.Unreachable, v.DLQ.missing = "x", true }, "FAIL", "dlq: x: the next record that can't be applied stops its partition"},
		{"a dead letter topic that is not seen", func(v *statusView) { v.DLQ.Unreachable = "x" }, "ok", ""},
		{"no topic", func(v *statusView) { v.Topic.Unreachable = "x" }, "FAIL", "topic: x"},
		{"a part that is not seen may be well", func(v *statusView) { v.Database.Unreachable = "x" }, "ok", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := &statusView{Process: statusProcess{Members: ptr(1), Lag: ptr(0), Drain: lag.Drain{State: lag.DrainIdle}}}
			test.change(v)
			v.judge()
			if v.Verdict != test.verdict || strings.Join(v.Findings, "; ") != test.finding {
				t.Errorf("%s %q, want %s %q", v.Verdict, v.Findings, test.verdict, test.finding)
			}
		})
	}
}

func TestFiguresAreReadByPeople(t *testing.T) {
	for f, want := range map[float64]string{
		28301.9: "28,300", 4000: "4,000", 999.4: "999", 999.6: "1,000", 99.95: "100", 2.104: "2.1", 0.5: "0.5", 0.00005: "0.00005", 0.000313: "0.000313", 0: "0", 1234567: "1,230,000",
	} {
		if got := figure(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

// Who reads status -w -o json finds each key in each line.
func TestStatusHasTheSameKeysWithoutAnEdge(t *testing.T) {
	keys := func(e statusEdge) []string {
		b, err := json.Marshal(statusView{Edge: e})
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			Edge map[string]any `json:"edge"`
		}
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(maps.Keys(v.Edge))
	}
	if diff := cmp.Diff(keys(statusEdge{Edge: &lag.Edge{Instances: 1}}), keys(statusEdge{Unreachable: "refused"})); diff != "" {
		t.Error(diff)
	}
}

// What counts is how the process runs that answers, not how this command is
// configured.
func TestBreakerAsDLQListTellsIt(t *testing.T) {
	answer := func(group, setting, reason string) lag.Answer {
		return lag.Answer{Process: &lag.Process{Group: group, Topic: "orders", DLQBreaker: setting, Partitions: []lag.Standing{{Reason: reason}}}}
	}
	const ours = "orders-process"
	for name, test := range map[string]struct {
		answers []lag.Answer
		want    string
	}{
		"no process":               {nil, ""},
		"another group's process":  {[]lag.Answer{answer("others", "on", "breaker")}, ""},
		"all is well":              {[]lag.Answer{answer(ours, "on", "")}, "breaker closed (opens at 5 %, or 50 in a row)"},
		"paused for another cause": {[]lag.Answer{answer(ours, "on", "outage")}, "breaker closed (opens at 5 %, or 50 in a row)"},
		"open":                     {[]lag.Answer{answer(ours, "on", "breaker")}, "breaker open: 1 partition paused (ordersctl lag)"},
		"off":                      {[]lag.Answer{answer(ours, "off", "")}, "breaker off"},
		"off at one of two":        {[]lag.Answer{answer(ours, "off", ""), answer(ours, "on", "")}, "breaker closed, off at 1 of 2 processes"},
		"off at one, open at one":  {[]lag.Answer{answer(ours, "off", ""), answer(ours, "on", "breaker")}, "breaker open: 1 partition paused (ordersctl lag)"},
		"one that does not tell":   {[]lag.Answer{answer(ours, "", "")}, "breaker closed"},
	} {
		for _, configured := range []string{process.BreakerOn, process.BreakerOff} {
			l := &config.Loaded{Config: config.Default()}
			l.Process.DLQBreaker = configured
			answers := append([]lag.Answer{{Err: errors.New("refused")}}, test.answers...)
			if got := breakerText(answers, l); got != test.want {
				t.Errorf("%s, %s here: %q, want %q", name, configured, got, test.want)
			}
		}
	}
}

// What is dear is asked for seldom; an error is asked for again at once.
func TestSlowly(t *testing.T) {
	var s slowly[int]
	asked := 0
	ask := func() (int, error) {
		asked++
		if asked == 1 {
			return 0, errors.New("away")
		}
		<-time.After(100 * time.Millisecond)
		return asked, nil
	}
	if _, err := s.get(ask); err == nil {
		t.Error("want the error")
	}
	for range 3 {
		if n, err := s.get(ask); n != 2 || err != nil {
			t.Errorf("got %d, %v; want the second answer, kept", n, err)
		}
	}
}

// The two packages don't know each other, but one reads what the other writes.
func TestLagReadsWhatProcessSaysOfItself(t *testing.T) {
	since := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	b, err := json.Marshal(process.Status{
		Group: "orders-process", Topic: "orders", TopicID: "id", State: "draining", DLQBreaker: "off",
		Partitions: []process.PartitionStatus{{Partition: 2, State: "paused", Reason: "breaker", Detail: "50 dead letters in a row", Since: &since}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got lag.Process
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := lag.Process{
		Group: "orders-process", Topic: "orders", TopicID: "id", State: "draining", DLQBreaker: "off",
		Partitions: []lag.Standing{{Partition: 2, State: "paused", Reason: "breaker", Detail: "50 dead letters in a row", Since: &since}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
