package process

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/sink"
)

func (r *running) lagSeconds() float64 {
	r.t.Helper()
	n, err := strconv.ParseFloat(r.metric("ordersctl_consumer_lag_seconds"), 64)
	if err != nil {
		r.t.Fatalf("lag in seconds: %v", err)
	}
	return n
}

// One order comes after an idle hour while the database is away: it is as old
// as it is, and not as old as the one before.
func TestLagIsTheAgeOfTheOldestRecordThatWaits(t *testing.T) {
	k := startKafka(t, 1)
	k.cl = k.dial(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(0)) // it counts from the timestamp
	var away atomic.Bool
	f := newFold()
	f.hook = func(context.Context, *sink.Batch) error {
		if away.Load() {
			return outage()
		}
		return nil
	}
	w := k.start(f)
	aged := func(id string, age time.Duration) *kgo.Record {
		r := good(0, id, "paid")
		r.Timestamp = time.Now().Add(-age)
		return r
	}
	k.send(aged("a", time.Hour))
	until(t, "it runs", func() bool { return f.at(0) == 1 })
	if got := w.lagSeconds(); got != 0 {
		t.Errorf("nothing waits, for %v s", got)
	}
	away.Store(true)
	k.send(aged("b", 0))
	until(t, "it waits", func() bool { return w.paused(0) == pausedOutage })
	if got := w.lagSeconds(); got > 30 {
		t.Errorf("a new order waits, it is told to be %v s old", got)
	}
	away.Store(false)
	until(t, "it is applied", func() bool { return f.at(0) == 2 && w.paused(0) == "" })

	away.Store(true)
	k.send(aged("c", 2*time.Hour), aged("d", 0))
	until(t, "they wait", func() bool { return w.paused(0) == pausedOutage })
	if got := w.lagSeconds(); got < 7200 || got > 7230 {
		t.Errorf("an order of two hours ago waits, it is told to be %v s old", got)
	}
}

// While nobody knows where a partition stands no lag is told: a zero would say
// that all is well.
func TestLagThatIsNotKnownHasNoSample(t *testing.T) {
	k := startKafka(t, 1)
	k.send(many(50, func(i int) *kgo.Record { return good(0, fmt.Sprint("o", i), "paid") })...)
	var away atomic.Bool
	away.Store(true)
	f := newFold()
	f.hook = func(context.Context, *sink.Batch) error {
		if away.Load() {
			return outage()
		}
		return nil
	}
	w := k.start(f)
	until(t, "it waits", func() bool { return w.paused(0) == pausedOutage })
	for _, name := range []string{`ordersctl_consumer_lag_records{partition="0"}`, "ordersctl_consumer_lag_seconds"} {
		if got := w.metric(name); got != "" {
			t.Errorf("%s is %s", name, got)
		}
	}
	if p := w.Status().Partitions[0]; p.Lag != -1 || p.LagSeconds != -1 || p.Next != -1 {
		t.Errorf("status %+v", p)
	}
	away.Store(false)
	until(t, "it is applied", func() bool { return w.metric(`ordersctl_consumer_lag_records{partition="0"}`) == "0" && f.at(0) == 50 })
	if got := w.lagSeconds(); got != 0 {
		t.Errorf("nothing waits, for %v s", got)
	}
}

// What an open breaker leaves in the log waits, and gets older.
func TestWhatTheBreakerLeavesInTheLogIsLag(t *testing.T) {
	k := startKafka(t, 1)
	k.cl = k.dial(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(0))
	f := newFold()
	records := []*kgo.Record{good(0, "a", "paid")}
	records = append(records, many(breakerRow, func(int) *kgo.Record {
		r := bad(0)
		r.Timestamp = time.Now().Add(-time.Hour)
		return r
	})...)
	k.send(records...)
	w := k.start(f)
	until(t, "the breaker is open", func() bool { return w.paused(0) == pausedBreaker })
	if got := w.lagSeconds(); got < 3600 || got > 3630 {
		t.Errorf("lag is %v s", got)
	}
}
