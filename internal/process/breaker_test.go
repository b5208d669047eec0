package process

import (
	"log/slog"
	"testing"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestTheBreakerJudgesBeforeAnythingIsWritten(t *testing.T) {
	fill := func(n int, bad func(i int) bool) *breaker {
		b := new(breaker)
		for i := range n {
			b.add(bad(i))
		}
		return b
	}
	none := func(int) bool { return false }
	all := func(int) bool { return true }
	for _, test := range []struct {
		name string
		was  *breaker
		n    int
		bad  func(i int) bool
		cut  int // -1: it stays closed
	}{
		{"a clean batch", fill(1000, none), 1000, none, -1},
		{"49 in a row", new(breaker), 49, all, -1},
		{"50 in a row are cut off whole", new(breaker), 100, func(i int) bool { return i >= 20 && i < 70 }, 20},
		{"a row that began before is cut off where the batch begins", fill(30, all), 20, all, 0},
		{"a row that was broken counts anew", fill(30, all), 49, func(i int) bool { return i > 0 }, -1},
		{"a share is not judged before 1,000", new(breaker), 999, func(i int) bool { return i%2 == 0 }, -1},
		{"5 % is not more than 5 %", new(breaker), 1000, func(i int) bool { return i%20 == 0 }, -1},
		{"51 of 1,000", new(breaker), 1000, func(i int) bool { return i%20 == 0 || i == 999 }, 999},
		{"what is old does not count", fill(1000, func(i int) bool { return i < 490 && i%10 == 0 }), 900, func(i int) bool { return i >= 500 && i%500 == 0 }, -1},
		{"a good record never opens it", fill(1000, all), 500, none, -1},
		{"the last 1,000 go over batches", fill(1000, func(i int) bool { return i >= 500 && i%10 == 0 }), 500, func(i int) bool { return i == 3 }, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := *test.was
			trip := test.was.judge(test.n, test.bad)
			switch {
			case trip == nil && test.cut >= 0:
				t.Errorf("it stays closed, want a cut at %d", test.cut)
			case trip != nil && trip.cut != test.cut:
				t.Errorf("cut at %d (%s), want %d", trip.cut, trip.why, test.cut)
			}
			if *test.was != before {
				t.Error("judging changed it")
			}
		})
	}
}
