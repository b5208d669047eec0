package process

import (
	"context"
	"errors"
	"time"

	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// lookEvery is how often the log's ends are asked for, and rates are made.
const lookEvery = 5 * time.Second

// lookLoop asks now and then where the log ends, also of partitions that are
// not fetched, and has old events removed where they are not kept for ever.
func (w *Worker) lookLoop(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var retained time.Time
	for {
		floors := w.look(ctx)
		if w.opts.Retention > 0 && len(floors) > 0 && time.Since(retained) > retainEvery {
			retained = time.Now()
			w.retain(ctx, floors)
		}
		if w.reachable() {
			w.lookAtDLQ(ctx)
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

// look gives where the log of our partitions begins, as far as Kafka says so.
// What it does not say shows: in the partition, and where nobody answers at all
// in the whole.
func (w *Worker) look(ctx context.Context) (floors []sink.Place) {
	partitions, err := w.countPartitions(ctx)
	if err != nil && w.fatal(ctx, err) {
		return nil
	}
	if err == nil {
		w.grown(partitions)
	}
	var missing *topic.MissingError
	if errors.As(err, &missing) { // that is an answer
		w.answers(nil)
	} else {
		w.answers(err)
	}
	ours := w.all()
	if err != nil {
		w.say(pausedKafka, err)
		for _, p := range ours {
			p.unseen(err)
		}
		return nil
	}
	numbers := make([]int32, len(ours))
	for i, p := range ours {
		numbers[i] = p.number
	}
	if len(numbers) == 0 {
		return nil
	}
	bounds, silent := w.bounds(ctx, numbers), w.unpack.untold()
	for _, p := range ours {
		if b := bounds[p.number]; b.err != nil {
			p.unseen(b.err)
			w.say(pausedKafka, b.err)
		} else {
			p.saw(b.end)
			if silent {
				p.nudge()
			}
			floors = append(floors, sink.Place{TopicID: w.info.ID, Partition: p.number, Offset: b.start})
		}
		p.mu.Lock()
		if p.placed {
			p.rate.look(time.Now(), p.next, p.end)
		}
		p.mu.Unlock()
	}
	return floors
}

// grown has the group's client look for partitions that were added: nobody
// reads them before it has seen them.
func (w *Worker) grown(partitions int) {
	now := int32(partitions)                //nolint:gosec // Kafka's own number is an int32
	if had := w.counted.Load(); now > had { // a broker that knows less is behind
		w.counted.Store(now)
		w.log.Info("the topic has more partitions now", "topic", w.opts.Topic, "had", had, "partitions", now)
		w.kafka.ForceMetadataRefresh()
	}
}

// answers notes whether Kafka does, nil where it does.
func (w *Worker) answers(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.away = pauseInfo{}
		clear(w.missed)
	case w.away.since.IsZero():
		w.away = pauseInfo{time.Now(), err.Error()}
	default:
		w.away.detail = err.Error()
	}
}

// miss notes a partition that was lost: where that was because Kafka does not
// answer, it stands still, whosever it is.
func (w *Worker) miss(number int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missed[number] = true
}

// missing is how many partitions stand still that were lost with Kafka.
func (w *Worker) missing() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away.since.IsZero() {
		return 0
	}
	n := 0
	for number := range w.missed {
		if w.partitions[number] == nil {
			n++
		}
	}
	return n
}

func (w *Worker) reachable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.away.since.IsZero()
}

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
