package bench

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

// holding is a target that takes orders and answers all but the last ones,
// which it gives up when it is closed.
type holding struct {
	from uint64 // the first that is not answered

	mu   sync.Mutex
	held []func() // guarded by mu
}

func (h *holding) Lanes() int               { return 1 }
func (h *holding) Lane(_ int, p *Port) Lane { return &holdingLane{h, p} }
func (h *holding) Answers() bool            { return false }

func (h *holding) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, giveUp := range h.held {
		giveUp()
	}
	h.held = nil
	return nil
}

type holdingLane struct {
	*holding
	port *Port
}

func (l *holdingLane) Send(j Job, now time.Duration) {
	l.port.Sent(j.Seq, now)
	settle := func(o client.Outcome) {
		l.port.Settle(j, j.Seq, Reply{Outcome: o, Cause: "held", Sent: now, Answered: l.port.Now(), Partition: -1, Offset: -1})
	}
	if j.Seq < l.from {
		settle(client.Acked)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = append(l.held, func() { settle(client.Unknown) })
}

func (l *holdingLane) Close() {}

// Ctrl-C while the last answers are waited for makes them unknown: that is a run
// cut short, though all of its orders were sent.
func TestRunIsCutShortWhileItWaitsForTheLastAnswers(t *testing.T) {
	for name, plan := range map[string]Plan{
		"open":   {Stages: stages(t, "100ms@200")},
		"closed": {Concurrency: 20, Count: 20},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		m, err := Run(ctx, Options{
			Plan: plan, Target: &holding{from: 17}, Ledger: NewLedger(100), Timeout: time.Minute, LagLimit: anyLag,
			Observe: func(s Snapshot) {
				if s.Sent == 20 && s.Acked == 17 {
					cancel()
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if !m.CutShort || m.Acked != 17 || m.Unknown != 3 {
			t.Errorf("%s: cut %t, %d acked, %d unknown", name, m.CutShort, m.Acked, m.Unknown)
		}
		r, err := NewResult(Account{Run: testRun, Source: newTestSource(t, SourceOptions{Seed: 1}), Measured: m, Unverified: "--verify none"})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict.ExitCode != ExitInterrupted {
			t.Errorf("%s: %s", name, r.line())
		}
	}
}

// When it has all its answers nobody cut it short, whenever Ctrl-C comes.
func TestRunThatHasAllItsAnswersIsComplete(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := newFlow()
	r := &run{Options: Options{Timeout: time.Minute, Target: &holding{}}, flow: f}
	f.released.Add(1)
	f.settled(client.Acked)
	if r.drain(ctx) {
		t.Error("a run is cut short that has all its answers")
	}
}

// The window holds ever more seconds in which nothing was due when a schedule
// has ended: a slow last answer must not end a run that was as it should be.
func TestThresholdsEndNoRunWhoseScheduleHasEnded(t *testing.T) {
	for _, ended := range []bool{false, true} {
		r := &run{
			Options: Options{Thresholds: []Threshold{mustThreshold(t, "rate>=60")}, AbortOnFail: true},
			flow:    newFlow(), collect: newCollector(0), clock: clock{time.Now().Add(-18 * time.Second)},
		}
		for at := time.Duration(0); at < 12*time.Second; at += 10 * ms {
			r.collect.absorb(nil, []sample{answer(uint64(at/ms), at, at+ms, "acked", "")})
		}
		r.ended.Store(ended)
		aborted := false
		w := watcher{run: r, past: []counts{{}}}
		w.look(context.Background(), func(error) { aborted = true })
		if aborted == ended {
			t.Errorf("ended %t, aborted %t", ended, aborted)
		}
	}
}

func TestRunKnowsThatNothingMoreIsDue(t *testing.T) {
	for name, plan := range map[string]Plan{
		"open":   {Stages: stages(t, "20ms@200")},
		"closed": {Concurrency: 20, Count: 4},
	} {
		r := &run{
			Options: Options{Plan: plan, Target: &holding{from: 4}, Ledger: NewLedger(100), MaxInFlight: 100, Timeout: time.Second},
			flow:    newFlow(), collect: newCollector(0),
		}
		if m, err := r.run(context.Background()); err != nil || m.Acked != 4 || !r.ended.Load() {
			t.Errorf("%s: %d acked, ended %t, %v", name, m.Acked, r.ended.Load(), err)
		}
	}
}
