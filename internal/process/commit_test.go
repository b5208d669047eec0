package process

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refuseCommits has the first n commits of offsets refused.
func (k *kafka) refuseCommits(n int32, code int16) *atomic.Int32 {
	asked := new(atomic.Int32)
	k.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.cluster.KeepControl()
		if asked.Add(1) > n {
			return nil, nil, false
		}
		r := req.(*kmsg.OffsetCommitRequest)
		resp := r.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	return asked
}

func (k *kafka) committedTo() int64 {
	k.t.Helper()
	got, err := k.adm().FetchOffsets(k.t.Context(), "orders-process")
	if err != nil {
		k.t.Fatal(err)
	}
	o, ok := got.Lookup("orders", 0)
	if !ok {
		return -1
	}
	return o.At
}

func TestACommitToKafkaThatFailsIsDoneAgain(t *testing.T) {
	k := startKafka(t, 1)
	asked := k.refuseCommits(1, kerr.RebalanceInProgress.Code)
	f := newFold()
	k.start(f)
	k.send(many(100, func(i int) *kgo.Record { return good(0, fmt.Sprint("o", i), "paid") })...)
	until(t, "it was refused once", func() bool { return asked.Load() > 0 && f.at(0) == 100 })
	until(t, "Kafka has the offset", func() bool { return k.committedTo() == 100 })
}

func TestTheLastCommitIsTriedAgain(t *testing.T) {
	k := startKafka(t, 1)
	k.refuseCommits(1, kerr.CoordinatorLoadInProgress.Code)
	f := newFold()
	w := k.start(f)
	k.send(good(0, "a", "paid"))
	until(t, "it is applied", func() bool { return f.at(0) == 1 })
	w.end()
	if got := k.committedTo(); got != 1 {
		t.Errorf("Kafka has the offset %d", got)
	}
}

// Kafka hangs, and then we are to end: the last commit takes lastWords and
// no more.
func TestTheLastCommitDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 1)
	hangs := make(chan struct{})
	defer close(hangs)
	k.cluster.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.cluster.KeepControl()
		<-hangs
		return nil, nil, false
	})
	f := newFold()
	w := k.start(f)
	k.send(good(0, "a", "paid"))
	until(t, "it is applied", func() bool { return f.at(0) == 1 })
	start := time.Now()
	w.commitLast(t.Context(), w.all())
	if took := time.Since(start); took > lastWords+2*time.Second {
		t.Errorf("it took %s", took)
	}
}
