package process

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ordersctl/ordersctl/internal/telemetry"
)

// Status is how this member stands: GET /status of the admin port.
type Status struct {
	Group      string            `json:"group"`
	Topic      string            `json:"topic"`
	TopicID    string            `json:"topic_id"`
	State      string            `json:"state"`            // running, draining, ended
	Reason     string            `json:"reason,omitempty"` // kafka where it does not answer, error where one ended the run
	Detail     string            `json:"detail,omitempty"`
	Since      *time.Time        `json:"since,omitempty"`
	DLQBreaker string            `json:"dlq_breaker"` // on, off: as it is set
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus is one partition of ours. Offsets are those of the database
// and the log. What is not known yet is -1, lag too.
type PartitionStatus struct {
	Partition  int32      `json:"partition"`
	State      string     `json:"state"`            // claiming, running, paused
	Reason     string     `json:"reason,omitempty"` // of paused: outage, misdeployment, dead_letters, breaker, kafka
	Detail     string     `json:"detail,omitempty"`
	Since      *time.Time `json:"since,omitempty"`
	Next       int64      `json:"next_offset"`
	End        int64      `json:"end_offset"`
	Lag        int64      `json:"lag_records"`
	LagSeconds float64    `json:"lag_seconds"` // age of the oldest record that waits
	Queued     int        `json:"queued_records"`
	In         float64    `json:"in_per_second"`  // appended to the log
	Out        float64    `json:"out_per_second"` // committed to the database
}

// slowAfter is how long a batch may be under way before its partition is shown
// as standing still: the database is locked, or hangs.
const slowAfter = 3 * time.Second

// Status is how this member stands now.
func (w *Worker) Status() Status {
	s := Status{Group: w.opts.Group, Topic: w.opts.Topic, TopicID: w.info.ID, State: "running", DLQBreaker: w.opts.DLQBreaker, Partitions: []PartitionStatus{}}
	w.mu.Lock()
	away, over := w.away, w.over
	w.mu.Unlock()
	if !away.since.IsZero() {
		s.Reason, s.Detail, s.Since = pausedKafka, away.detail, &away.since
	}
	switch {
	case !over.since.IsZero():
		s.State, s.Reason, s.Detail, s.Since = "ended", "", over.detail, &over.since
		if over.detail != "" {
			s.Reason = "error"
		}
	case w.draining.Load():
		s.State = "draining"
	}
	for _, p := range w.all() {
		s.Partitions = append(s.Partitions, p.status(time.Now()))
	}
	return s
}

func (p *partition) status(now time.Time) PartitionStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PartitionStatus{
		Partition: p.number, State: "claiming", Next: -1, End: p.end, Lag: -1, LagSeconds: -1,
		Queued: len(p.queue), In: p.rate.in, Out: p.rate.out,
	}
	if p.placed {
		s.State, s.Next, s.Lag, s.LagSeconds = "running", p.next, max(0, p.end-p.next), 0
		if oldest := p.oldestLocked(); s.Lag > 0 && !oldest.IsZero() {
			s.LagSeconds = max(0, now.Sub(oldest).Seconds())
		}
	}
	pausedFor := func(reason string, info pauseInfo) {
		s.State, s.Reason, s.Detail, s.Since = "paused", reason, info.detail, &info.since
	}
	if !p.blind.since.IsZero() {
		pausedFor(pausedKafka, p.blind)
	}
	if info, ok := p.reasons[pausedLarge]; ok {
		pausedFor(pausedKafka, info)
	}
	for _, reason := range pauseReasons() {
		if info, ok := p.reasons[reason]; ok {
			pausedFor(reason, info)
		}
	}
	if slow := now.Sub(p.asked); s.Reason == "" && p.placed && !p.asked.IsZero() && slow > slowAfter {
		pausedFor(pausedOutage, pauseInfo{p.asked, fmt.Sprintf("no answer for %s", slow.Truncate(time.Second))})
	}
	return s
}

// Readiness is for /readyz: ready from the start until the end begins. A
// database that is away shows in the detail and does not make it unready:
// nothing would be better for taking this instance away.
func (w *Worker) Readiness() telemetry.Readiness {
	s := w.Status()
	r := telemetry.Readiness{Ready: !w.draining.Load(), Detail: map[string]string{
		"topic":      w.opts.Topic,
		"group":      w.opts.Group,
		"partitions": strconv.Itoa(len(s.Partitions)),
	}}
	if s.Reason != "" {
		r.Detail[s.Reason] = s.Detail
	}
	for _, p := range s.Partitions {
		if p.Reason != "" {
			r.Detail["paused_"+strconv.Itoa(int(p.Partition))] = p.Reason
		}
	}
	if !r.Ready {
		r.Reason = s.State
	}
	return r
}

// ServeHTTP answers with the [Status] in JSON.
func (w *Worker) ServeHTTP(to http.ResponseWriter, _ *http.Request) {
	to.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(to).Encode(w.Status()) // who asked has gone: nobody is left to tell
}
