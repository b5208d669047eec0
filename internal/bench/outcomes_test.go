package bench

import (
	"strings"
	"testing"
	"time"
)

// Whatever thresholds say, a run that lost most of its orders is no pass unless
// somebody allowed that many, and a pass names those that it lost.
func TestThresholdsDoNotHideOrdersThatWereNotAcked(t *testing.T) {
	dropped := Orders{Scheduled: 10_000, Acked: 100, Dropped: 9900}
	refused := Orders{Scheduled: 10_000, Acked: 100, NotWritten: 9900}
	for _, tt := range []struct {
		name       string
		orders     Orders
		thresholds string
		want       string
	}{
		{"dropped, which is an error", dropped, "error_rate<0.1%", "FAIL     error_rate 99.0 %, wanted < 0.1 % (exit 3)"},
		{"dropped, at any rate", dropped, "rate>=1", "FAIL     only 100 of 10,000 orders were acknowledged (exit 1)"},
		{"dropped, as many as may be", dropped, "dropped<=9900", "FAIL     only 100 of 10,000 orders were acknowledged (exit 1)"},
		{"refused, and none dropped", refused, "dropped==0", "FAIL     only 100 of 10,000 orders were acknowledged (exit 1)"},
		{"refused, at any rate", refused, "rate>=1 dropped==0", "FAIL     only 100 of 10,000 orders were acknowledged (exit 1)"},
		{"refused, at least so many", refused, "error_rate>50%", "FAIL     only 100 of 10,000 orders were acknowledged (exit 1)"},
		{"refused, as was allowed", refused, "error_rate<=99%", "PASS     valid, intact, 1 of 1 thresholds, 9,900 not acked"},
		{"dropped, as was allowed", dropped, "error_rate<=100%", "PASS     valid, intact, 1 of 1 thresholds, 9,900 dropped"},
		{"all were, though any number was allowed", Orders{Scheduled: 5, Unknown: 5}, "error_rate<=100%", "FAIL     no order was acknowledged (exit 1)"},
		{"one of three", Orders{Scheduled: 3, Acked: 1, Unknown: 2}, "", "FAIL     only 1 of 3 orders were acknowledged (exit 1)"},
		{"half", Orders{Scheduled: 4, Acked: 2, Dropped: 1, Unknown: 1}, "rate>=1", "PASS     valid, intact, 1 of 1 thresholds, 1 not acked, 1 dropped"},
	} {
		r := &Result{Orders: tt.orders, Took: 10 * time.Millisecond, Generator: Generator{Valid: true}, Integrity: &Integrity{}}
		var list []Threshold
		for text := range strings.FieldsSeq(tt.thresholds) {
			list = append(list, mustThreshold(t, text))
		}
		r.Check(list)
		r.Judge()
		if got := r.line(); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func mustThreshold(t *testing.T, text string) Threshold {
	t.Helper()
	th, err := ParseThreshold(text)
	if err != nil {
		t.Fatal(err)
	}
	return th
}

// What a run in progress judges by is what its end does, and it ends one too.
func TestDroppedOrdersEndARunThatMayNotDropThem(t *testing.T) {
	for _, text := range []string{"dropped==0", "error_rate<1%"} {
		c := newCollector(0)
		for at := time.Duration(0); at < 12*time.Second; at += 10 * ms {
			drop := start{at: at, due: at, orders: 1, lag: 0, dropped: at%(100*ms) == 0}
			c.absorb([]start{drop}, []sample{answer(uint64(at/ms), at, at+ms, "acked", "")})
		}
		c.tick(12 * time.Second)
		if err := c.failing([]Threshold{mustThreshold(t, text)}, 0, 0); err == nil {
			t.Errorf("%s: nothing ended", text)
		}
		var s Snapshot
		c.show(&s, []Threshold{mustThreshold(t, text)})
		if th := s.Thresholds[0]; !th.Known || th.OK {
			t.Errorf("%s is shown as %+v", text, th)
		}
	}
}

// Orders that have been open for the whole window won't have a latency below it.
// Whether they are errors nobody knows yet.
func TestSilenceEndsARunThatWantsAnswers(t *testing.T) {
	for _, tt := range []struct {
		text   string
		silent time.Duration
		want   bool
	}{
		{"p99<50ms", Window, true},
		{"p99<50ms", Window - 1, false}, // as after a pause of the schedule
		{"max<=9s", 12 * time.Second, true},
		{"p99<15s", 12 * time.Second, false},
		{"p99>50ms", Window, false},
		{"error_rate<1%", Window, false},
		{"dropped==0", Window, false},
		{"lost==0", Window, false},
	} {
		c := newCollector(0)
		c.tick(12 * time.Second)
		if err := c.failing([]Threshold{mustThreshold(t, tt.text)}, 0, tt.silent); (err != nil) != tt.want {
			t.Errorf("%s after %s: %v", tt.text, tt.silent, err)
		}
	}
}

// Silence begins with an order that is open, not with a pause before it.
func TestSilenceIsThatOfOpenOrders(t *testing.T) {
	f := newFlow()
	w := &watcher{run: &run{flow: f}}
	look := func(at, want time.Duration) {
		t.Helper()
		if got := w.silent(at); got != want {
			t.Errorf("at %s: silent for %s, want %s", at, got, want)
		}
	}
	look(20*time.Second, 0) // nothing was due
	f.released.Add(2)
	look(21*time.Second, time.Second)
	f.settled("acked")
	look(22*time.Second, 0)
	look(30*time.Second, 8*time.Second) // the other one is still open
	f.settled("acked")
	look(31*time.Second, 0)
	look(60*time.Second, 0)
}
