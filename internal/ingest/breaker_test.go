package ingest

import (
	"log/slog"
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	type step struct {
		at    time.Duration
		event string // "ask", "ack", or "idle": nobody waits any more
		want  bool   // of an ask: may go through
	}
	ask := func(at time.Duration, want bool) step { return step{at, "ask", want} }
	idle := func(at time.Duration) step { return step{at, "idle", false} }
	ack := func(at time.Duration) step { return step{at, "ack", false} }
	for name, steps := range map[string][]step{
		"opens when orders wait 5 s without any acknowledgement": {
			ask(0, true), ask(time.Second, true), ask(4999*time.Millisecond, true), ask(5*time.Second, false),
		},
		"stays closed while anything is acknowledged": {
			ask(0, true), ack(4 * time.Second), ask(8*time.Second, true), ack(8500 * time.Millisecond), ask(13*time.Second, true),
		},
		"a quiet night is no outage": {
			ask(0, true), ack(time.Second), idle(time.Second), ask(time.Hour, true), ask(time.Hour, true), ask(time.Hour+time.Second, true),
		},
		"lets one through after 250 ms, then ever more seldom, up to 2 s": {
			ask(0, true), ask(5*time.Second, false), ask(5249*time.Millisecond, false), ask(5250*time.Millisecond, true),
			ask(5251*time.Millisecond, false), ask(5749*time.Millisecond, false), ask(5750*time.Millisecond, true),
			ask(6749*time.Millisecond, false), ask(6750*time.Millisecond, true), ask(8749*time.Millisecond, false),
			ask(8750*time.Millisecond, true), ask(10749*time.Millisecond, false), ask(10750*time.Millisecond, true),
		},
		"also where nobody waits any more": {
			ask(0, true), ask(5*time.Second, false), idle(5 * time.Second), ask(5100*time.Millisecond, false), ask(time.Minute, true), ask(time.Minute+1, false),
		},
		"closes at the first acknowledgement": {
			ask(0, true), ask(5*time.Second, false), ack(5100 * time.Millisecond), ask(5101*time.Millisecond, true), ask(10*time.Second, true), ask(10100*time.Millisecond, false),
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := breaker{after: 5 * time.Second, log: slog.New(slog.DiscardHandler)}
			for i, s := range steps {
				now := start.Add(s.at)
				switch s.event {
				case "ack":
					b.acked(now)
				case "idle":
					b.idle()
				default:
					if got := b.allow(now); got != s.want {
						t.Fatalf("step %d, %s at %s: %t, want %t", i, s.event, s.at, got, s.want)
					}
				}
			}
		})
	}
}

func TestBreakerState(t *testing.T) {
	b := breaker{after: time.Second, log: slog.New(slog.DiscardHandler)}
	now := time.Now()
	b.allow(now)
	if got := b.state(1); got != breakerClosed {
		t.Errorf("state %v at the start, want closed", got)
	}
	b.allow(now.Add(time.Second))
	if b.state(1) != breakerProbing || b.state(0) != breakerOpen {
		t.Errorf("states %v and %v, want probing with orders on their way and open without", b.state(1), b.state(0))
	}
}
