package process

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerOffsets has offsets of the partitions that are asked for answered by
// of; where it gives nothing Kafka does.
func (k *kafka) answerOffsets(of func(req *kmsg.ListOffsetsRequest, p kmsg.ListOffsetsRequestTopicPartition) (offset int64, code int16, ok bool)) {
	k.cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.cluster.KeepControl()
		asked, changed := req.(*kmsg.ListOffsetsRequest), false
		resp := asked.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, t := range asked.Topics {
			rt := kmsg.NewListOffsetsResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewListOffsetsResponseTopicPartition()
				rp.Partition = p.Partition
				offset, code, ok := of(asked, p)
				switch {
				case ok:
					rp.Offset, rp.ErrorCode, changed = offset, code, true
				case p.Timestamp == -1:
					rp.Offset = k.cluster.PartitionInfo(t.Topic, p.Partition).HighWatermark
				default:
					rp.Offset = k.cluster.PartitionInfo(t.Topic, p.Partition).LogStartOffset
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, changed
	})
}

// Partitions that were just added: another member leads the group and gives
// them to us before our client has heard of them, and they have no leader for
// a while. Nothing of them is passed over.
func TestNewPartitionsAreReadFromTheirStart(t *testing.T) {
	for _, c := range []struct{ window, more time.Duration }{{window: 700e6}, {window: 4e9}, {window: 1e9, more: 1500e6}} {
		t.Run(fmt.Sprint(c.window, "+", c.more), func(t *testing.T) {
			t.Parallel()
			newPartitions(t, c.window, c.more)
		})
	}
}

// window is how long nobody is told of the new partitions' logs, more how much
// longer the consuming client is not.
func newPartitions(t *testing.T, window, more time.Duration) {
	const before, after, each = 2, 8, 10
	k := startKafka(t, before)
	lead := k.dial(kgo.ConsumerGroup("orders-process"), kgo.ConsumeTopics("orders"), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(), kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond))
	go func() {
		for t.Context().Err() == nil {
			lead.PollFetches(t.Context())
		}
	}()
	until(t, "another leads the group", func() bool { _, generation := lead.GroupMetadata(); return generation > 0 })
	var opens atomic.Int64
	k.answerOffsets(func(req *kmsg.ListOffsetsRequest, p kmsg.ListOffsetsRequestTopicPartition) (int64, int16, bool) {
		end := opens.Load()
		if req.IsolationLevel == 1 {
			end += int64(more)
		}
		return -1, kerr.LeaderNotAvailable.Code, p.Partition >= before && time.Now().UnixNano() < end
	})
	f := newFold()
	w := k.start(f, impatient)
	until(t, "we have a partition", func() bool { return len(w.Status().Partitions) == 1 })
	opens.Store(time.Now().Add(window).UnixNano())
	if _, err := k.adm().UpdatePartitions(t.Context(), after, "orders"); err != nil {
		t.Fatal(err)
	}
	producer := k.dial(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for p := int32(before); p < after; p++ {
		for range each {
			r := good(p, fmt.Sprint("o", p), "paid")
			r.Topic = "orders"
			if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	ours := func() (numbers []int32) {
		for _, s := range w.Status().Partitions {
			if s.Partition >= before {
				numbers = append(numbers, s.Partition)
			}
		}
		return numbers
	}
	until(t, "we have new ones", func() bool { return len(ours()) > 0 })
	until(t, "all of them are read", func() bool {
		return !slices.ContainsFunc(ours(), func(p int32) bool { return f.at(p) != each })
	})
	if booked := f.booked(ours()); booked != each*len(ours()) {
		t.Errorf("%d records are booked of the %d in %d partitions", booked, each*len(ours()), len(ours()))
	}
}

// The client has moved its first offset: what comes first is not taken for what
// follows, but looked at again. A gap that the log has does not hold anybody up.
func TestTheFirstRecordIsNotBehindAGapUnseen(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	w := k.start(f)
	until(t, "it is placed", func() bool { return len(w.Status().Partitions) == 1 && w.Status().Partitions[0].Next == 0 })
	p := w.ours(0)
	early := good(0, "o", "paid")
	early.Topic, early.Offset = "orders", 5
	p.push([]*kgo.Record{early})
	until(t, "it was looked at", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.met && !p.astray && len(p.reasons) == 0
	})
	k.send(many(10, func(int) *kgo.Record { return good(0, "o", "paid") })...)
	until(t, "all of it is read", func() bool { return f.at(0) == 10 })
	if n := f.booked([]int32{0}); n != 10 {
		t.Errorf("%d of 10 records are booked", n)
	}
	late := good(0, "o", "paid")
	late.Topic, late.Offset = "orders", 15
	p.push([]*kgo.Record{late})
	until(t, "a gap of the log is passed", func() bool { return f.at(0) == 16 })
}

func (f *fold) booked(numbers []int32) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for place := range f.places {
		if slices.Contains(numbers, place.Partition) {
			n++
		}
	}
	return n
}
