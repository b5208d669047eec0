package bench

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseStage(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Stage
		err  string
	}{
		{in: "30s@1k", want: Stage{30 * time.Second, 1000, 1000}},
		{in: "1m@1k..10k", want: Stage{time.Minute, 1000, 10000}},
		{in: "10s@0..500/s", want: Stage{10 * time.Second, 0, 500}},
		{in: "10s@0", want: Stage{10 * time.Second, 0, 0}},
		{in: "1d@1.5k/s", want: Stage{24 * time.Hour, 1500, 1500}},
		{in: "1k", err: "is not a stage"},
		{in: "0s@1k", err: "is not a stage"},
		{in: "-1s@1k", err: "is not a stage"},
		{in: "30s@max", err: `"max" is no rate of a stage`},
		{in: "30s@1k..", err: `"" is not a rate`},
		{in: "30s@-5", err: `"-5" is not a rate`},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseStage(tt.in)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Fatalf("got %+v, %v, want %+v", got, err, tt.want)
			}
			if again, err := ParseStage(got.String()); err != nil || again != got {
				t.Errorf("%q reads back as %+v, %v", got.String(), again, err)
			}
		})
	}
}

func stages(t *testing.T, texts ...string) []Stage {
	t.Helper()
	var list []Stage
	for _, s := range texts {
		st, err := ParseStage(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, st)
	}
	return list
}

func TestScheduleAt(t *testing.T) {
	const never = time.Duration(-1)
	for _, tt := range []struct {
		name   string
		stages []string
		warmup time.Duration
		n      float64
		want   time.Duration
	}{
		{"the first order is due at once", []string{"1s@10"}, 0, 0, 0},
		{"the others follow evenly", []string{"1s@10"}, 0, 7, 700 * time.Millisecond},
		{"the last is a gap before the end", []string{"1s@10"}, 0, 9, 900 * time.Millisecond},
		{"none is due at the end", []string{"1s@10"}, 0, 10, never},
		{"rounding makes none at the end", []string{"300ms@10"}, 0, 3, never},
		{"a second stage begins where the first ends", []string{"1s@10", "1s@100"}, 0, 10, time.Second},
		{"and goes on at its own rate", []string{"1s@10", "1s@100"}, 0, 12, 1020 * time.Millisecond},
		{"a ramp from 0 has a quarter in its first half", []string{"10s@0..10"}, 0, 12.5, 5 * time.Second},
		{"a ramp to 0 has three quarters there", []string{"10s@10..0"}, 0, 37.5, 5 * time.Second},
		{"a ramp ends where its area does", []string{"10s@0..10"}, 0, 50, never},
		{"a flat ramp is a steady rate", []string{"10s@10..10"}, 0, 50, 5 * time.Second},
		{"a pause is waited out", []string{"1s@10", "5s@0", "1s@10"}, 0, 10, 6 * time.Second},
		{"warm-up comes before", []string{"1s@10"}, 2 * time.Second, 20, 2 * time.Second},
		{"warm-up has the first rate", []string{"1s@10..100"}, 2 * time.Second, 10, time.Second},
		{"warm-up of a ramp from 0 has its end's", []string{"1s@0..100"}, 2 * time.Second, 100, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSchedule(Plan{Stages: stages(t, tt.stages...), Warmup: tt.warmup})
			got, ok := s.At(tt.n)
			if !ok {
				got = never
			}
			if got != tt.want {
				t.Errorf("order %g is due at %s, want %s", tt.n, got, tt.want)
			}
			if ok && math.Abs(s.Asked(got)-tt.n) > 1e-3 {
				t.Errorf("%g orders are due before %s, want %g", s.Asked(got), got, tt.n)
			}
		})
	}
}

func TestScheduleWithoutEnd(t *testing.T) {
	s := NewSchedule(Plan{Stages: []Stage{{From: 50_000, To: 50_000}}})
	const day = 24 * 3600 * 50_000
	if got, ok := s.At(100 * day); !ok || got != 100*24*time.Hour {
		t.Errorf("after a hundred days: %s, %t", got, ok)
	}
}

func TestScheduleNeverGoesBack(t *testing.T) {
	s := NewSchedule(Plan{Stages: stages(t, "1s@7", "2s@7..900", "1s@0", "1s@900..3", "1s@3"), Warmup: time.Second})
	last := time.Duration(0)
	n := 0
	for {
		at, ok := s.At(float64(n))
		if !ok {
			break
		}
		if at < last {
			t.Fatalf("order %d is due at %s, the one before it at %s", n, at, last)
		}
		last = at
		n++
	}
	if want := 7 + 7 + 907 + 451 + 3; n < want || n > want+1 {
		t.Errorf("%d orders, want %d", n, want)
	}
}

func TestPlanValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		plan Plan
		want string
	}{
		{"a schedule", Plan{Stages: stages(t, "1s@1")}, ""},
		{"a closed loop", Plan{Concurrency: 1}, ""},
		{"as fast as it goes", Plan{Max: true}, ""},
		{"nothing", Plan{}, "neither stages nor a closed loop"},
		{"both", Plan{Stages: stages(t, "1s@1"), Concurrency: 1}, "stages and a closed loop"},
		{"pauses only", Plan{Stages: stages(t, "1s@0")}, "all stages are pauses"},
		{"warm-up at no rate", Plan{Stages: stages(t, "1s@0", "1s@1"), Warmup: 1}, "warm-up has no rate"},
		{"an endless stage before another", Plan{Stages: []Stage{{0, 1, 1}, {1, 1, 1}}}, "stage 1 of 2 has no end"},
		{"an endless ramp", Plan{Stages: []Stage{{0, 1, 2}}}, "a ramp has no end"},
		{"a negative rate", Plan{Stages: []Stage{{1, -1, 2}}}, "has no rate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.plan.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// step is one question to the pacer.
type step struct {
	now  time.Duration
	job  Job           // it gives, or
	wait time.Duration // it says, or
	end  bool
}

func TestPacer(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name  string
		plan  Plan
		steps []step
	}{
		{"what is due goes, what is not waits", Plan{Stages: stages(t, "300ms@10")}, []step{
			{now: 0, job: Job{0, 1, 0}},
			{now: 0, wait: 100 * ms},
			{now: 40 * ms, wait: 60 * ms},
			{now: 100 * ms, job: Job{1, 1, 100 * ms}},
			{now: 100 * ms, wait: 100 * ms},
			{now: 201 * ms, job: Job{2, 1, 200 * ms}},
			{now: 201 * ms, end: true},
		}},
		{"a pacer that was held up loses nothing and keeps the intended times", Plan{Stages: stages(t, "1s@10")}, []step{
			{now: 250 * ms, job: Job{0, 1, 0}},
			{now: 250 * ms, job: Job{1, 1, 100 * ms}},
			{now: 250 * ms, job: Job{2, 1, 200 * ms}},
			{now: 250 * ms, wait: 50 * ms},
		}},
		{"a batch is due with its first order", Plan{Stages: stages(t, "500ms@10"), Batch: 3}, []step{
			{now: 0, job: Job{0, 3, 0}},
			{now: 0, wait: 300 * ms},
			{now: 300 * ms, job: Job{3, 2, 300 * ms}},
			{now: 300 * ms, end: true},
		}},
		{"a count ends it", Plan{Stages: stages(t, "1s@10"), Count: 1}, []step{
			{now: 0, job: Job{0, 1, 0}},
			{now: 0, end: true},
		}},
		{"warm-up does not count", Plan{Stages: stages(t, "1s@10"), Warmup: 100 * ms, Count: 1}, []step{
			{now: 0, job: Job{0, 1, 0}},
			{now: 100 * ms, job: Job{1, 1, 100 * ms}},
			{now: 100 * ms, end: true},
		}},
		{"a full ledger ends it", Plan{Stages: stages(t, "1s@10"), Limit: 2, Batch: 5}, []step{
			{now: 0, job: Job{0, 2, 0}},
			{now: 0, end: true},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPacer(tt.plan)
			for i, s := range tt.steps {
				got := step{now: s.now}
				got.job, got.wait, got.end = p.pace(s.now)
				if diff := cmp.Diff(s, got, cmp.AllowUnexported(step{})); diff != "" {
					t.Fatalf("step %d (-want +got):\n%s", i, diff)
				}
			}
			if want := tt.plan.Limit > 0; p.full != want {
				t.Errorf("full %t, want %t", p.full, want)
			}
		})
	}
}

func TestPoissonArrivals(t *testing.T) {
	const rate, length = 2000, 50
	arrive := func(seed uint64) []time.Duration {
		p := newPacer(Plan{Stages: []Stage{{length * time.Second, rate, rate}}, Arrivals: Poisson, Seed: seed})
		var at []time.Duration
		for {
			j, _, end := p.pace(time.Hour)
			if end {
				return at
			}
			at = append(at, j.Due)
		}
	}
	at := arrive(1)
	if diff := cmp.Diff(at, arrive(1)); diff != "" {
		t.Error("one seed gave two schedules")
	}
	if cmp.Equal(at[:10], arrive(2)[:10]) {
		t.Error("two seeds gave one schedule")
	}
	// The count of a Poisson process has its mean as variance; so have the counts
	// of parts of it, which is what tells it from evenly spread chance.
	if n := float64(len(at)); math.Abs(n-rate*length) > 5*math.Sqrt(rate*length) {
		t.Errorf("%g orders, want about %d", n, rate*length)
	}
	perGrain := make([]float64, length*100)
	for _, d := range at {
		perGrain[int(d/(10*time.Millisecond))]++
	}
	mean, variance := 0.0, 0.0
	for _, n := range perGrain {
		mean += n / float64(len(perGrain))
	}
	for _, n := range perGrain {
		variance += (n - mean) * (n - mean) / float64(len(perGrain))
	}
	if ratio := variance / mean; ratio < 0.9 || ratio > 1.1 {
		t.Errorf("variance is %.2f of the mean, want 1", ratio)
	}
}

// A pause behind the last of a number of orders is none of their time.
func TestANumberOfOrdersEndsBeforeAPause(t *testing.T) {
	p := newPacer(Plan{Stages: stages(t, "10s@100", "1h@0", "10s@100"), Count: 1000})
	for n := 0; ; n++ {
		if _, _, ended := p.pace(time.Hour); ended {
			if n != 1000 || p.over.Round(ms) != 10*time.Second {
				t.Errorf("%d orders, over at %s", n, p.over)
			}
			return
		}
	}
}
