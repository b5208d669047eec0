package ingest

import (
	"testing"
	"time"
)

func TestWatchWakesThoseWhoseTimeIsOver(t *testing.T) {
	var w watch
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	flights := make([]*flight, 100)
	for i := range flights {
		flights[i] = &flight{done: make(chan bool, 2), start: start.Add(time.Duration(i) * time.Second)}
		w.add(flights[i])
	}
	for i := 0; i < len(flights); i += 3 { // from anywhere in its list
		w.remove(flights[i])
	}
	w.expire(start.Add(50 * time.Second))
	w.expire(start.Add(50 * time.Second)) // a flight is woken once
	for i, f := range flights {
		want := 0
		if i < 50 && i%3 != 0 {
			want = 1
		}
		if len(f.done) != want {
			t.Errorf("flight %d: woken %d times, want %d", i, len(f.done), want)
		}
	}
	w.end()
	late := &flight{done: make(chan bool, 2), start: start}
	w.add(late)
	for i, f := range append(flights, late) {
		if removed := i < len(flights) && i%3 == 0; !removed && len(f.done) != 1 {
			t.Errorf("flight %d: woken %d times by the end", i, len(f.done))
		}
	}
}
