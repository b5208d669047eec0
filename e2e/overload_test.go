//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestGoodputUnderOverload lowers the capacity by a broker that takes 50 ms to
// acknowledge and a limit of what may wait for it, and then offers more.
func TestGoodputUnderOverload(t *testing.T) {
	const (
		capacity = 2000 // orders a second, about
		lasting  = 5 * time.Second
	)
	k, p := kafkaBehindProxy(t)
	run(t, p.addr(), "topic", "create", "orders")
	p.delay.Store(int64(50 * time.Millisecond))
	s := serve(t, p.addr(), "--max-in-flight", "150", "--config", settings(t, "admin:\n  pprof: true\n"))
	warm := s.offer(capacity, 500)
	pause(t, 2*time.Second)
	warm()
	watch := s.watchMemory()
	begin := time.Now()
	liveBefore := s.live(t)

	var (
		all  []sample
		peak float64
		last float64
	)
	var curve strings.Builder
	curve.WriteString("| offered, of capacity | offered/s | 202/s | 503/s | p50 of a 202 ms | p99 of a 202 ms | p99 of a 503 ms | skipped by the generator | memory MiB |\n|---|---|---|---|---|---|---|---|---|")
	for _, times := range []float64{0.5, 1, 2, 5} {
		from := time.Now()
		stop := s.offer(times*capacity, 1500)
		pause(t, lasting)
		took := time.Since(from)
		load := stop()
		samples := load.samples
		var taken, refused []sample
		for _, one := range samples {
			switch {
			case one.err == nil && one.code == 202:
				taken = append(taken, one)
			case one.err == nil && one.code == 503 && one.retryAfter != "" && one.Outcome == "not_written":
				refused = append(refused, one)
			}
		}
		if other := len(samples) - len(taken) - len(refused); other > 0 {
			t.Errorf("at %g times the capacity: %d answers are neither 202 nor 503 not_written with Retry-After: %v", times, other, answersBy(samples))
		}
		last = float64(len(taken)) / took.Seconds()
		peak = max(peak, last)
		quick := quantile(refused, 0.99, sample.answerTime)
		fmt.Fprintf(&curve, "\n| %g | %.0f | %.0f | %.0f | %.0f | %.0f | %.1f | %d | %.0f |", times, float64(len(samples)+load.skipped)/took.Seconds(),
			last, float64(len(refused))/took.Seconds(), ms(quantile(taken, 0.5, sample.answerTime)), ms(quantile(taken, 0.99, sample.answerTime)),
			ms(quick), load.skipped, watch.peak(from, time.Now()))
		if quick > 250*time.Millisecond { // far above what it takes, far below a queue's wait on two busy cores
			t.Errorf("at %g times the capacity p99 of a refusal is %s", times, quick)
		}
		if load.skipped > len(samples)/10 {
			t.Errorf("at %g times the capacity %d orders were not offered, %d were: the generator could not keep up", times, load.skipped, len(samples))
		}
		all = append(all, samples...)
	}
	liveAfter := s.live(t)
	watch.end()
	t.Logf("live before %.1f MiB, after %.1f; the curve:\n%s", liveBefore, liveAfter, curve.String())
	if peak < capacity/2 || peak > 2*capacity {
		t.Errorf("the peak is %.0f orders a second: the capacity is not the one that this test means", peak)
	}
	if last < 0.9*peak {
		t.Errorf("at 5 times the capacity %.0f orders a second are accepted, %.0f at the peak", last, peak)
	}
	if most := watch.peak(begin, time.Now()); most > 200 || liveAfter > liveBefore+16 {
		t.Errorf("memory: resident at most %.0f MiB, live %.1f MiB before and %.1f after", most, liveBefore, liveAfter)
	}
	judge(t, attemptsOf(all), readAll(t, k.Bootstrap(), "orders"))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
