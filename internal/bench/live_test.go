package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func halfway() (Setup, Snapshot) {
	s := fiveMinutes().Setup
	s.Keys, s.KeyDist, s.Zipf = 100_000, "zipf", 1.1
	us := func(n int) time.Duration { return time.Duration(n) * time.Microsecond }
	now := Snapshot{
		Now: 134 * time.Second, Length: 5 * time.Minute, Asked: 5000,
		Last: Rates{5000, 5000, 4998}, Run: Rates{5000, 5000, 4999.7},
		Due: 670_000, Sent: 669_984, Acked: 669_949, NotWritten: 30, Unknown: 5,
		Flying: 16, MaxFlying: 64, MaxWaiting: 1148,
		Recent:  Quantiles{50_000, us(3090), us(4380), us(8710), us(28_400), us(61_000)},
		Latency: Quantiles{669_984, us(3120), us(4400), us(8930), us(106_000), us(2_003_000)},
		Lag:     Quantiles{669_984, us(50), us(110), us(210), us(730), us(2310)}, LagLimit: time.Millisecond, CPU: 0.38,
		Causes: []CauseCount{{"acked", "202", 669_949}, {"not_written", "503", 30}, {"unknown", "timeout", 5}},
		Gaps:   []Gap{{At: 102 * time.Second, For: 239 * ms, Partition: 2}},
		Leaders: []LeaderChange{
			{Partition: 2, From: 1, To: 3, After: 101 * time.Second, Until: 102 * time.Second},
			{Partition: 0, From: 1, To: 3, After: 101 * time.Second, Until: 102 * time.Second},
		},
		Thresholds: []ThresholdState{
			{Threshold: Threshold{Text: "p99<50ms"}, Known: true, Value: "8.93 ms", OK: true},
			{Threshold: Threshold{Text: "lost==0"}, Value: "-"},
		},
	}
	for i := range 12 {
		p := Second{At: time.Duration(122+i) * time.Second, P99: us(8000), Max: us(20_000)}
		switch i {
		case 4:
			p.P99, p.Max, p.NotWritten = us(230_000), us(239_000), 30
		case 5:
			p.P99 = us(30_000)
		case 6:
			p.P99 = us(14_000)
		}
		now.Seconds = append(now.Seconds, p)
	}
	return s, now
}

func TestLiveViewLooks(t *testing.T) {
	want := `bench 7f3a91c2   http://edge.stage:8080/order   context stage                           2:14 of 5:00
5,000/s open loop, 64 connections, seed 42, keys zipf(1.1) of 100,000  [#########.............] 45 %

                   last 1 s          run so far
asked               5,000/s             5,000/s      scheduled         670,000
sent                5,000/s             5,000/s      acked             669,949
acked               4,998/s             5,000/s      not_written            30   503 30
in flight                16      max         64      unknown                 5   timeout 5
waiting for conn          0      max      1,148      dropped                 0

latency ms         p50     p90     p99   p99.9     max      p99 per second, last 12 s
last 10 s         3.09    4.38    8.71    28.4    61.0      ....@=:.....
run so far        3.12    4.40    8.93     106   2,003      ^ 2:06  max 239 ms, 30 not acked
generator lag     0.05    0.11    0.21    0.73    2.31      ok (limit p99 1.00), cpu 38 %

p99<50ms  ok  8.93 ms      lost==0  after the run
gap 1:42   no acknowledgement of partition 2 for 239 ms (leader of partition 2: 1 -> 3)   1 so far
Ctrl-C ends early with a valid, shorter result; twice aborts`
	s, now := halfway()
	if diff := cmp.Diff(want, strings.Join(Frame("7f3a91c2", s, now, 120), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestLiveViewFitsTheTerminal(t *testing.T) {
	s, now := halfway()
	for _, width := range []int{1, 20, 40, 80, 100, 200} {
		for _, line := range Frame("7f3a91c2", s, now, width) {
			if len(line) > width {
				t.Errorf("%d columns: %q has %d", width, line, len(line))
			}
		}
	}
}

func TestLiveViewOfTheFirstMoment(t *testing.T) {
	s, _ := halfway()
	lines := Frame("7f3a91c2", s, Snapshot{Warming: true, CPU: -1}, 100)
	text := strings.Join(lines, "\n")
	for _, want := range []string{"warming up   0:00", "last 10 s            -       -"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	for _, absent := range []string{"NaN", "Inf", "cpu", "%!"} {
		if strings.Contains(text, absent) {
			t.Errorf("%q in\n%s", absent, text)
		}
	}
}
