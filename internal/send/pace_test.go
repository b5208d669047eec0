package send

import (
	"testing"
	"time"
)

func TestPacer(t *testing.T) {
	type ask struct{ elapsed, want time.Duration }
	const ms = time.Millisecond
	for _, test := range []struct {
		name string
		rate float64
		asks []ask
	}{
		{"no limit never waits", 0, []ask{{0, 0}, {0, 0}, {0, 0}}},
		{"the first goes at once, the others one after another", 100, []ask{{0, 0}, {0, 10 * ms}, {10 * ms, 10 * ms}, {25 * ms, 5 * ms}}},
		{"a little late is caught up", 100, []ask{{0, 0}, {50 * ms, 0}, {50 * ms, 0}, {50 * ms, 0}, {50 * ms, 0}, {50 * ms, 0}, {50 * ms, 10 * ms}}},
		{"a long stall is not", 100, []ask{{0, 0}, {5000 * ms, 0}, {5000 * ms, 10 * ms}}},
		{"what a timer can't tell apart goes together", 10_000, []ask{{0, 0}, {0, 0}, {0, 0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &pacer{rate: test.rate}
			for i, a := range test.asks {
				if got := p.wait(a.elapsed); got != a.want {
					t.Errorf("order %d, %s after the start: waits %s, want %s", i+1, a.elapsed, got, a.want)
				}
			}
		})
	}
}
