package bench

import (
	"cmp"
	"context"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	second := func(at int, p50, p99 time.Duration) Second {
		return Second{At: time.Duration(at) * time.Second, LagP50: p50, LagP99: p99}
	}
	hist := func(n int, d time.Duration, late int, by time.Duration) *Histogram {
		h := NewHistogram()
		h.RecordN(d, n)
		h.RecordN(by, late)
		return h
	}
	at := time.Now()
	idle := usage{at: at, cpus: cpus(), hasCPU: true, hasWait: true}
	waiting := func(ran, waited time.Duration) usage {
		return usage{at: at.Add(10 * time.Second), hasCPU: true, process: ran, hasWait: true, waited: waited}
	}
	times := func(n int64, u usage) usage { u.times = n; return u }
	used := usage{at: at.Add(10 * time.Second), hasCPU: true, process: time.Second}
	waited := used
	waited.process = 5 * time.Second
	idle.hasWait, waited.hasWait, waited.waited = true, true, 12*time.Second
	full := usage{at: at.Add(10 * time.Second), hasCPU: true, process: time.Duration(cpus()) * 10 * time.Second}
	for _, tt := range []struct {
		name   string
		open   bool
		limit  time.Duration
		batch  int
		lag    *Histogram
		felt   time.Duration // p99 of the latency; of the service time it is 5 ms
		points []Second
		ours   *Slow
		after  usage
		want   string // its reason; empty: valid
		since  time.Duration
		note   string
	}{
		{
			name: "in time", open: true, lag: hist(1000, 100*time.Microsecond, 5, 5*ms),
			points: []Second{second(0, ms/10, 5*ms)}, after: used,
		},
		{name: "in time with all but a few", open: true, lag: hist(100_000, ms/10, 50, 5*ms), after: used},
		{
			name: "stopped for a moment of a long run", open: true, lag: hist(1_000_000, ms/10, 200, 800*ms), after: used,
			points: []Second{{At: 0, LagMax: ms}, {At: 65 * time.Second, LagMax: 800 * ms}}, note: "the generator itself was up to 800 ms late at 1:05",
		},
		{
			name: "late with a tenth of few orders", open: true, lag: hist(95, ms/10, 10, 14*ms), after: used,
			points: []Second{second(0, ms/10, 14*ms)}, want: "generator lag p99 14 ms of 105 orders > 1 ms from 0:00 on",
		},
		{
			name: "late with one of few requests", open: true, batch: 10, lag: hist(190, ms/10, 10, 14*ms), after: used,
			points: []Second{{LagP99: 14 * ms, LagMax: 14 * ms}}, note: "the generator itself was up to 14 ms late at 0:00: latencies of the slowest hold that",
		},
		{
			name: "late with ten of few requests", open: true, batch: 10, lag: hist(190, ms/10, 100, 14*ms), after: used,
			points: []Second{second(0, ms/10, 14*ms)}, want: "generator lag p99 14 ms of 290 orders > 1 ms from 0:00 on",
		},
		{
			name: "late with some of few orders", open: true, lag: hist(96, ms/10, 9, 14*ms), after: used,
			points: []Second{{LagP99: 14 * ms, LagMax: 14 * ms}}, note: "the generator itself was up to 14 ms late at 0:00: latencies of the slowest hold that",
		},
		{
			name: "late with one of twenty orders, and hardly", open: true, lag: hist(19, ms/10, 1, 1004*time.Microsecond), after: used,
			points: []Second{{LagP99: 1004 * time.Microsecond, LagMax: 1004 * time.Microsecond}}, note: "the generator itself was up to 1.004 ms late at 0:00",
		},
		{
			name: "hardly late with half of very few orders", open: true, lag: hist(2, ms/10, 2, 1004*time.Microsecond), after: used,
			points: []Second{second(0, 0, 1004*time.Microsecond)}, want: "generator lag p99 1.004 ms of 4 orders > 1 ms from 0:00 on",
		},
		{name: "in time with few orders", open: true, lag: hist(20, ms/10, 0, 0), after: used},
		{
			name: "late as a whole", open: true, lag: hist(1000, 100*time.Microsecond, 20, 14*ms), after: full,
			points: []Second{second(0, ms/10, ms/2), second(190, ms/10, 14*ms), second(191, ms/10, 14*ms)},
			want:   "generator lag p99 14 ms > 1 ms from 3:10 on: CPU 100 %", since: 190 * time.Second,
		},
		{
			name: "late for a while in a long run", open: true, lag: hist(100_000, ms/10, 300, 20*ms), after: used,
			points: []Second{second(0, 0, 0), second(1, 2*ms, 3*ms), second(2, 0, 0), second(3, 2*ms, 3*ms), second(4, 2*ms, 3*ms), second(5, 2*ms, 3*ms)},
			want:   "generator lag p50 > 1 ms for 3 s and longer from 0:03 on", since: 3 * time.Second,
		},
		{
			name: "a limit of its own", open: true, limit: 20 * ms, lag: hist(1000, 100*time.Microsecond, 20, 14*ms), after: used,
			points: []Second{second(0, ms, 14*ms)}, note: "the generator was allowed to be 20 ms late, and to want for CPU",
		},
		{
			name: "no files left", open: true, lag: hist(1000, 0, 0, 0), after: used,
			ours: &Slow{At: 5 * time.Second, Cause: "out of files"}, want: "out of files on this machine", since: 5 * time.Second,
		},
		{
			name: "in time, but too poor in CPU to read answers", open: true, lag: hist(1000, 0, 0, 0), after: waiting(2*time.Second, 7*time.Second),
			want: "generator waited 7 s for a CPU in 10 s from 0:00 on, over 3 times as long as it ran: answers were read late",
		},
		{name: "a server on the same machine takes its part", open: true, lag: hist(1000, 0, 0, 0), after: waiting(3*time.Second, 8*time.Second)},
		{name: "little to do, and little to wait for", open: true, lag: hist(1000, 0, 0, 0), after: waiting(100*ms, 500*ms)},
		{name: "a closed loop that is poor in CPU", lag: NewHistogram(), after: waiting(2*time.Second, 7*time.Second), note: "the generator's threads waited 7 s for a CPU"},
		{name: "a closed loop beside its server", lag: NewHistogram(), after: times(50_000, waiting(2*time.Second, 7*time.Second)), note: "the generator's threads waited 7 s for a CPU"},
		{
			name: "a closed loop that is starved", lag: NewHistogram(), after: times(5000, waiting(time.Second, 7*time.Second)),
			want: "generator waited 7 s for a CPU in 10 s from 0:00 on, 1.4 ms > 700 µs each time: answers were read late",
		},
		{name: "a closed loop that is starved, as it may", limit: 20 * ms, lag: NewHistogram(), after: times(5000, waiting(time.Second, 7*time.Second)), note: "the generator was allowed to be 20 ms late, and to want for CPU"},
		{name: "a closed loop that was stopped for a moment", lag: NewHistogram(), after: times(10, waiting(100*ms, time.Second))},
		{
			name: "never late, for want of a CPU", open: true, lag: hist(1000, 0, 0, 0), after: waited, felt: 2 * time.Second,
			points: []Second{{P99: 5 * ms}, {At: time.Second, P99: 2 * time.Second}},
			want:   "generator waited 12 s for a CPU in 10 s, and orders for connections from 0:01 on", since: time.Second,
		},
		{name: "a server that stalls", open: true, lag: hist(1000, 0, 0, 0), after: used, felt: 2 * time.Second},
		{name: "a busy machine that keeps up", open: true, lag: hist(1000, 0, 0, 0), after: waited, felt: 8 * ms},
		{name: "a closed loop is never late", lag: NewHistogram(), after: full, note: "the generator used 100 % of its CPUs"},
		{name: "a closed loop at ease", lag: NewHistogram(), after: used},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector(0)
			c.lag, c.ours, c.perJob = tt.lag, tt.ours, tt.batch
			c.late.limit = cmp.Or(tt.limit, DefaultLagLimit)
			for _, p := range tt.points {
				c.late.add(p)
			}
			c.latency.Record(max(tt.felt, 5*ms))
			c.service.Record(5 * ms)
			j := judge(tt.limit, tt.open, c, tt.points, idle, tt.after)
			if j.Valid != (tt.want == "") || !strings.HasPrefix(j.Reason, tt.want) || j.At != tt.since {
				t.Errorf("valid %t, %q at %s, want %q at %s", j.Valid, j.Reason, j.At, tt.want, tt.since)
			}
			if short := strings.HasPrefix(tt.note, "the generator's threads waited"); j.ShortOfCPU != short {
				t.Errorf("short of CPU: %t", j.ShortOfCPU)
			}
			if notes := strings.Join(j.Notes, "; "); !strings.HasPrefix(notes, tt.note) || tt.note == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
		})
	}
}

func TestUsageIsMeasured(t *testing.T) {
	before := takeUsage(cpus())
	deadline := time.Now().Add(50 * ms)
	for x := 0; time.Now().Before(deadline); x++ {
		_ = x
	}
	after := takeUsage(cpus())
	process, machine, waited := after.since(before)
	if before.hasCPU && (process <= 0 || process > 1.5) {
		t.Errorf("process used %g of its CPUs", process)
	}
	if before.hasAll && after.total > before.total && (machine < 0 || machine > 1) {
		t.Errorf("machine used %g", machine)
	}
	if before.hasWait && waited < 0 {
		t.Errorf("waited %s", waited)
	}
}

// A run of days puts neighbours of its series together, by their largest
// figures: stray late seconds, far from each other, are then neighbours.
func TestLateSecondsCountInARowHoweverLongTheRun(t *testing.T) {
	const day = 24 * 60 * 60
	for _, tt := range []struct {
		name string
		late func(second int) bool
		from time.Duration
		want bool
	}{
		{"seven strays", func(s int) bool { return s%30 == 0 && s >= 50_000 && s < 50_200 }, 50_010 * time.Second, false},
		{"three in a row", func(s int) bool { return s == 40_000 || s >= 50_001 && s < 50_004 }, 50_001 * time.Second, true},
	} {
		var points series
		late := lateness{limit: DefaultLagLimit}
		for s := range day {
			p := Second{At: time.Duration(s) * time.Second, Width: time.Second, LagP50: ms / 10, LagP99: ms / 10}
			if tt.late(s) {
				p.LagP50, p.LagP99 = 2*ms, 2*ms
			}
			points.add(p)
			late.add(p)
		}
		if late.spoiled != tt.want || late.since() != tt.from || len(points.points) > seriesMost {
			t.Errorf("%s: spoiled %t since %s, %d points", tt.name, late.spoiled, late.since(), len(points.points))
		}
	}
}

// Warm-up is not judged, what comes after it is, second by second.
func TestLateSecondsAreCountedAsTheyEnd(t *testing.T) {
	for warmup, want := range map[time.Duration]bool{0: true, 2 * time.Second: true, 3 * time.Second: false} {
		c := newCollector(warmup)
		c.late.limit = DefaultLagLimit
		for at := time.Duration(0); at < 5*time.Second; at += 100 * ms {
			c.absorb([]start{{at: at, due: at, orders: 1, lag: 2 * ms}}, nil)
		}
		c.finish(5*time.Second - 1)
		if c.late.spoiled != want || c.late.since() != warmup {
			t.Errorf("after %s of warm-up: spoiled %t since %s", warmup, c.late.spoiled, c.late.since())
		}
	}
}

// A run adds a thread for its pacer, and takes it away again: it is none of the
// CPUs that the program may use.
func TestRunCountsItsCPUsWithoutThePacers(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	m, err := Run(context.Background(), Options{Plan: Plan{Stages: stages(t, "20ms@200")}, Target: &holding{from: 4}, Ledger: NewLedger(100)})
	if err != nil || m.Generator.CPUs != 1 {
		t.Errorf("%d CPUs, %v", m.Generator.CPUs, err)
	}
}

func TestShort(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"14 ms": 14_123_456, "1 ms": time.Millisecond, "1.5 ms": 1_500_000, "230 µs": 230_400, "3.2 s": 3_212 * ms, "0 s": 0, "2m30s": 150 * time.Second,
	} {
		if got := short(d); got != want {
			t.Errorf("%d is %q, want %q", d, got, want)
		}
	}
}

func TestARunShortOfCPUIsNeverPlainlyValid(t *testing.T) {
	r := &Result{Generator: Generator{Valid: true, ShortOfCPU: true}}
	r.Orders.Scheduled, r.Orders.Acked = 10, 10
	r.Judge()
	if want := "PASS     valid, but short of CPU, not verified"; r.line() != want {
		t.Errorf("got %q, want %q", r.line(), want)
	}
}

// An invalid run says how it can be made a valid one.
func TestHint(t *testing.T) {
	for _, tt := range []struct {
		name string
		j    Judgement
		want string
	}{
		{"late", Judgement{LagP99: 2 * ms, LagLimit: ms}, "--lag-limit 5ms "},
		{"later than was allowed", Judgement{LagP99: 12 * ms, LagLimit: 10 * ms}, "--lag-limit 20ms "},
		{"a closed loop without CPU", Judgement{LagLimit: ms}, "--lag-limit 2ms "},
		{"so late that it measures nothing but itself", Judgement{LagP99: 900 * ms, LagLimit: ms}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.j.invalid(0, "late")
			if strings.Contains(tt.j.Hint, "--lag-limit") {
				t.Errorf("%q, and nobody knows whether that would be enough", tt.j.Hint)
			}
			tt.j.allow()
			if !strings.Contains(tt.j.Hint, "--rate") || !strings.Contains(tt.j.Hint, tt.want) || tt.want == "" && strings.Contains(tt.j.Hint, "--lag-limit") {
				t.Errorf("%q, want %q in it", tt.j.Hint, tt.want)
			}
		})
	}
}

// A program that stood still sends all that was due at once, within one second:
// its orders were late all the same.
func TestAGeneratorThatStoodStillIsInvalid(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit time.Duration
		still time.Duration
		want  string
	}{
		{"for a moment", ms, 2 * time.Second, ""},
		{"for seconds", ms, 6 * time.Second, "generator up to 6 s late with what was due from 5:00 on"},
		{"for as long as it was allowed", 10 * time.Second, 6 * time.Second, ""},
	} {
		c := newCollector(0)
		c.late.limit = tt.limit
		for due := time.Duration(0); due < 15*time.Minute; due += 10 * ms {
			at := due
			if since := due - 5*time.Minute; since >= 0 && since < tt.still {
				at = 5*time.Minute + tt.still
			}
			c.absorb([]start{{at: at, due: due, orders: 1, lag: at - due}}, nil)
			c.tick(at)
		}
		c.finish(15 * time.Minute)
		if j := judge(tt.limit, true, c, c.series.points, usage{}, usage{}); j.Valid != (tt.want == "") || !strings.HasPrefix(j.Reason, tt.want) {
			t.Errorf("%s: valid %t, %q", tt.name, j.Valid, j.Reason)
		}
	}
}

// Nothing is due in a closed loop, but somebody looks at it four times a second.
func TestAClosedLoopThatStoodStillSaysSo(t *testing.T) {
	for _, tt := range []struct {
		still        time.Duration
		reason, note string
	}{
		{300 * ms, "", ""},
		{2 * time.Second, "", "the generator itself stood still for 2 s at 0:10"},
		{5 * time.Second, "generator stood still for 5 s from 0:10 on", ""},
	} {
		c := newCollector(0)
		for now := time.Duration(0); now <= 10*time.Second; now += tick {
			c.tick(now)
		}
		c.tick(10*time.Second + tick + tt.still)
		j := judge(ms, false, c, nil, usage{}, usage{})
		if j.Valid != (tt.reason == "") || !strings.HasPrefix(j.Reason, tt.reason) || !strings.Contains(strings.Join(j.Notes, ";"), tt.note) || tt.note == "" && len(j.Notes) > 0 {
			t.Errorf("%s: %+v", tt.still, j)
		}
	}
}

// The share of the machine that others have is told for all of its CPUs, of
// which this program may have been given one.
func TestTheOthersShareOfTheMachine(t *testing.T) {
	j := Judgement{CPUs: 1, CPU: 0.5, MachineCPU: 0.99, machineCPUs: 2}
	if got, want := j.cause(time.Second), "CPU 99 %, of it 74 % others'"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A stop that lasts to the end is seen by nobody but the end; what the watcher
// does when it is there is no stop, and what of one is warm-up does not count.
func TestWhatIsAStopOfTheProgram(t *testing.T) {
	for _, tt := range []struct {
		name   string
		warmup time.Duration
		do     func(c *collector)
		want   time.Duration
	}{
		{"to the end", 0, func(c *collector) { c.finish(15 * time.Second) }, 10*time.Second - tick},
		{"drawing", 0, func(c *collector) { c.left(14 * time.Second); c.tick(14*time.Second + tick) }, 0},
		{"in warm-up", 20 * time.Second, func(c *collector) { c.tick(15 * time.Second) }, 0},
		{"from warm-up on", 7 * time.Second, func(c *collector) { c.tick(15 * time.Second) }, 8*time.Second - tick},
	} {
		c := newCollector(tt.warmup)
		for now := time.Duration(0); now <= 5*time.Second; now += tick {
			c.tick(now)
		}
		if tt.do(c); c.stood != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, c.stood, tt.want)
		}
	}
}
