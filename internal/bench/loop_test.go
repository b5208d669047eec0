package bench

import (
	"testing"
	"time"
)

func TestTheWindowOfRateMaxFitsTheWay(t *testing.T) {
	for _, tt := range []struct {
		name     string
		plan     Plan
		most     int
		acked    float64
		quickest time.Duration
		want     uint64
	}{
		{"a broker near by: orders wait in line", Plan{Max: true}, 100_000, 800_000, 3 * ms, fewest},
		{"a cluster far away: all are on their way", Plan{Max: true}, 100_000, 160_000, 50 * ms, 2 * fewest},
		{"no more than may be in flight", Plan{Max: true}, 10_000, 160_000, 50 * ms, 10_000},
		{"fewer may be in flight", Plan{Max: true}, 500, 160_000, 50 * ms, 500},
		{"nothing is answered yet", Plan{Max: true}, 100_000, 0, 0, fewest},
		{"so many and no more", Plan{Concurrency: 100}, 100_000, 2_000, 50 * ms, 100},
	} {
		r := &run{Options: Options{Plan: tt.plan, Target: &Kafka{}, MaxInFlight: tt.most}, loop: newLoop(tt.plan)}
		r.loop.inBlocks(r.firstWindow())
		r.window.Store(r.firstWindow())
		r.widen(tt.acked, tt.quickest)
		if got := r.window.Load(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
		if r.loop.batch > 1 && r.window.Load() < 100*r.loop.batch {
			t.Errorf("%s: blocks of %d in a window of %d", tt.name, r.loop.batch, r.window.Load())
		}
	}
}
