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

func TestWatchKeepsTheOrderOfTheStarts(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var w watch
	var flights []*flight
	for i := range 300 { // in no order at all
		f := &flight{done: make(chan bool, 2), start: start.Add(time.Duration(i*7919%300) * time.Second)}
		flights = append(flights, f)
		w.add(f)
	}
	w.expire(start.Add(100 * time.Second))
	for _, f := range flights {
		if want := f.start.Before(start.Add(100 * time.Second)); (len(f.done) == 1) != want {
			t.Errorf("a flight of %s: woken %d times", f.start, len(f.done))
		}
		w.remove(f)
	}
	for i := range w.shards {
		if s := &w.shards[i]; s.first != nil || s.last != nil {
			t.Errorf("shard %d is not empty", i)
		}
	}
}
