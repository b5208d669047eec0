package process

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// Status is how this member stands: GET /status of the admin port.
type Status struct {
	Group      string            `json:"group"`
	Topic      string            `json:"topic"`
	TopicID    string            `json:"topic_id"`
	State      string            `json:"state"` // running, draining
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus is one partition of ours. Offsets are those of the database
// and the log; -1 where they are not known yet.
type PartitionStatus struct {
	Partition  int32      `json:"partition"`
	State      string     `json:"state"`            // claiming, running, paused
	Reason     string     `json:"reason,omitempty"` // of paused: outage, misdeployment, dead_letters, breaker, kafka
	Detail     string     `json:"detail,omitempty"`
	Since      *time.Time `json:"since,omitempty"`
	Next       int64      `json:"next_offset"`
	End        int64      `json:"end_offset"`
	Lag        int64      `json:"lag_records"`
	LagSeconds float64    `json:"lag_seconds"`
	Queued     int        `json:"queued_records"`
	In         float64    `json:"in_per_second"`  // appended to the log
	Out        float64    `json:"out_per_second"` // committed to the database
}

// lookEvery is how often the log's ends are asked for, and rates are made.
const lookEvery = 5 * time.Second

// slowAfter is how long a batch may be under way before its partition is shown
// as standing still: the database is locked, or hangs.
const slowAfter = 3 * time.Second

// rates are of the last two looks.
type rates struct {
	at        time.Time
	next, end int64
	in, out   float64
}

func (r *rates) look(now time.Time, next, end int64) {
	if took := now.Sub(r.at).Seconds(); !r.at.IsZero() && took > 0 {
		r.in, r.out = max(0, float64(end-r.end)/took), max(0, float64(next-r.next)/took)
	}
	r.at, r.next, r.end = now, next, end
}

// Status is how this member stands now.
func (w *Worker) Status() Status {
	s := Status{Group: w.opts.Group, Topic: w.opts.Topic, TopicID: w.info.ID, State: "running", Partitions: []PartitionStatus{}}
	if w.draining.Load() {
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
	s := PartitionStatus{Partition: p.number, State: "running", Next: -1, End: p.end, Queued: len(p.queue), In: p.rate.in, Out: p.rate.out}
	if p.started {
		s.Next = p.next
		s.Lag = max(0, p.end-p.next)
	} else {
		s.State = "claiming"
	}
	for _, reason := range pauseReasons() {
		if info, ok := p.reasons[reason]; ok {
			s.State, s.Reason, s.Detail, s.Since = "paused", reason, info.detail, &info.since
		}
	}
	if slow := now.Sub(p.asked); s.State == "running" && !p.asked.IsZero() && slow > slowAfter {
		since := p.asked
		s.State, s.Reason, s.Since = "paused", pausedOutage, &since
		s.Detail = fmt.Sprintf("no answer for %s", slow.Truncate(time.Second))
	}
	if s.Lag > 0 {
		switch oldest := p.applied; {
		case len(p.queue) > 0:
			s.LagSeconds = max(0, now.Sub(p.queue[0].Timestamp).Seconds())
		case !oldest.IsZero(): // what waits is younger than that
			s.LagSeconds = max(0, now.Sub(oldest).Seconds())
		}
	}
	return s
}

// ServeHTTP answers with the [Status] in JSON.
func (w *Worker) ServeHTTP(to http.ResponseWriter, _ *http.Request) {
	to.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(to).Encode(w.Status()) // who asked has gone: nobody is left to tell
}

// lookLoop asks now and then where the log ends, also of partitions that are
// not fetched, and has old events removed where they are not kept for ever.
func (w *Worker) lookLoop(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var retained time.Time
	for {
		w.lookAtDLQ(ctx)
		floors := w.look(ctx)
		if w.opts.Retention > 0 && len(floors) > 0 && time.Since(retained) > retainEvery {
			retained = time.Now()
			w.retain(ctx, floors)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// retainEvery is how often events are removed that are not kept for ever: one
// scan of a table.
const retainEvery = time.Hour

// retain removes old events of our partitions, never one that is still in the
// log: read again it would be taken for a new one.
func (w *Worker) retain(ctx context.Context, floors []sink.Place) {
	n, err := w.store.Retain(ctx, floors, time.Now().Add(-w.opts.Retention))
	if err != nil {
		w.say(w.blame(err), err)
		return
	}
	w.log.Info("old events were removed", "rows", n, "older_than", w.opts.Retention.String())
}

// look gives where the log of our partitions begins, nothing where Kafka does
// not say.
func (w *Worker) look(ctx context.Context) (floors []sink.Place) {
	err := w.sameTopic(ctx)
	if err == nil {
		var starts, ends map[int32]int64
		if starts, ends, err = w.bounds(ctx); err == nil {
			for _, p := range w.all() {
				if end, ok := ends[p.number]; ok {
					p.saw(end)
					floors = append(floors, sink.Place{TopicID: w.info.ID, Partition: p.number, Offset: starts[p.number]})
				}
				p.mu.Lock()
				p.rate.look(time.Now(), p.next, p.end)
				p.mu.Unlock()
			}
			return floors
		}
		err = &kafkaError{client.Explain(err, w.opts.Kafka)}
	}
	if !w.fatal(ctx, err) {
		w.say(pausedKafka, err)
	}
	return nil
}

// commitEvery is how often offsets are committed to Kafka, for tools that show
// lag. Nothing is read from there.
const commitEvery = time.Second

func (w *Worker) commitLoop(ctx context.Context) {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.commit(ctx, w.all())
		}
	}
}

func (w *Worker) commit(ctx context.Context, partitions []*partition) {
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	offsets := map[int32]kgo.EpochOffset{}
	for _, p := range partitions {
		p.mu.Lock()
		if p.started && p.next != p.sent {
			offsets[p.number] = kgo.EpochOffset{Epoch: -1, Offset: p.next}
			p.sent = p.next
		}
		p.mu.Unlock()
	}
	if len(offsets) == 0 {
		return
	}
	w.kafka.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{w.opts.Topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				w.log.Debug("offsets were not committed to Kafka", "err", err)
			}
		})
}
