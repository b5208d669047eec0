package process

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/sink"
)

// offline has partition 0 answer nothing of where its log begins and ends, as
// one without a leader, as long as gone is set.
func (k *kafka) offline(gone *atomic.Bool) {
	k.cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.cluster.KeepControl()
		asked := req.(*kmsg.ListOffsetsRequest)
		if !gone.Load() {
			return nil, nil, false
		}
		resp := asked.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, t := range asked.Topics {
			rt := kmsg.NewListOffsetsResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewListOffsetsResponseTopicPartition()
				rp.Partition = p.Partition
				if p.Partition == 0 {
					rp.ErrorCode = kerr.LeaderNotAvailable.Code
				} else if rp.Offset = 0; p.Timestamp == -1 {
					rp.Offset = k.cluster.PartitionInfo(t.Topic, p.Partition).HighWatermark
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
}

// impatient does not wait 10 s for a leader.
func impatient(o *Options) { o.Kafka.ConnectTimeout, o.Kafka.RequestTimeout = 500e6, 500e6 }

func TestAPartitionWithoutALeaderStandsStillAlone(t *testing.T) {
	k := startKafka(t, 3)
	var gone atomic.Bool
	gone.Store(true)
	k.offline(&gone)
	k.send(good(0, "a", "paid"), good(1, "b", "paid"), good(2, "c", "paid"), good(2, "c", "shipped"))
	f := newFold()
	w := k.start(f, impatient)
	until(t, "the others go on", func() bool { return f.at(1) == 1 && f.at(2) == 2 })
	until(t, "it says why", func() bool { return w.paused(0) == pausedKafka })
	if got := w.metric(`ordersctl_partitions_paused{reason="kafka"}`); got != "1" {
		t.Errorf("%s partitions are paused for Kafka, want 1", got)
	}
	if got := w.metric(`ordersctl_consumer_lag_records{partition="0"}`); got != "" {
		t.Errorf("a lag of %s is told of a partition that nobody knows", got)
	}
	f.mu.Lock()
	if _, claimed := f.next[0]; claimed {
		t.Error("an offset was made up for the partition that is away")
	}
	f.mu.Unlock()

	gone.Store(false)
	until(t, "it goes on", func() bool { return f.at(0) == 1 && w.paused(0) == "" })
	k.send(good(0, "a", "shipped"))
	until(t, "and on", func() bool { return f.at(0) == 2 })
	k.agrees(w.Worker, f)
}

// The database hiccups while a partition is away: each is located again by
// itself.
func TestAHiccupWhileAPartitionIsAwayHoldsNobodyUp(t *testing.T) {
	k := startKafka(t, 2)
	var gone atomic.Bool
	k.offline(&gone)
	f := newFold()
	var once atomic.Bool
	f.after = func(b *sink.Batch) error {
		if gone.Load() && b.Partition == 1 && once.CompareAndSwap(false, true) {
			return outage() // after the COMMIT
		}
		return nil
	}
	w := k.start(f, impatient)
	k.send(good(0, "a", "paid"), good(1, "b", "paid"))
	until(t, "both run", func() bool { return f.at(0) == 1 && f.at(1) == 1 })
	gone.Store(true)
	k.send(good(1, "b", "shipped"))
	until(t, "it went on from the database's offset", func() bool { return once.Load() && f.at(1) == 2 && w.paused(1) == "" })
	k.send(good(1, "b", "closed"))
	until(t, "it goes on", func() bool { return f.at(1) == 3 })
	gone.Store(false)
	k.agrees(w.Worker, f)
}

// A replayed letter whose origin is in a partition that is away waits where it
// is not known whether that place is there, and nowhere else.
func TestAnOriginInAPartitionThatIsAwayIsWaitedFor(t *testing.T) {
	k := startKafka(t, 2)
	id := k.topicID("orders")
	from := func(r *kgo.Record, place string) *kgo.Record {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "ordersctl.origin", Value: []byte(id + place)})
		return r
	}
	var gone atomic.Bool
	k.offline(&gone)
	f := newFold()
	w := k.start(f, impatient)
	k.send(good(0, "a", "paid"))
	until(t, "it runs", func() bool { return f.at(0) == 1 })
	gone.Store(true)
	k.send(from(good(1, "b", "paid"), "/0@0"))
	until(t, "a place that was seen is known to stand", func() bool { return f.at(1) == 1 })
	k.send(from(good(1, "c", "paid"), "/0@7"))
	until(t, "one that was not is asked for", func() bool { return w.paused(1) == pausedKafka })
	if f.at(1) != 1 {
		t.Error("it was applied without an answer")
	}
	gone.Store(false)
	until(t, "it goes on", func() bool { return f.at(1) == 2 })
}

// A partition that is let go before it was known where it stands ends at once.
func TestTheEndDoesNotWaitForAPartitionWithoutALeader(t *testing.T) {
	k := startKafka(t, 1)
	var gone atomic.Bool
	gone.Store(true)
	k.offline(&gone)
	f := newFold()
	w := k.start(f, func(o *Options) { o.Kafka.RequestTimeout = 500e6 })
	until(t, "it stands still", func() bool { return w.paused(0) == pausedKafka })
	w.end()
	if _, ok := f.next[0]; ok {
		t.Error("an offset was made up")
	}
}
