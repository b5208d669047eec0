package bench

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
)

func TestFollowerTellsWhenOrdersCouldBeConsumed(t *testing.T) {
	for topic, config := range map[string]string{"plain": "CreateTime", "stamped": "LogAppendTime"} {
		kafka, cl := kafkaWith(t, 1)
		if _, err := client.Admin(cl).CreateTopic(t.Context(), 1, 1, map[string]*string{"message.timestamp.type": &config}, topic); err != nil {
			t.Fatal(err)
		}
		mark, err := TakeMark(t.Context(), cl, topic, true)
		if err != nil {
			t.Fatal(err)
		}
		reading, err := kgo.NewClient(append(mark.FollowOpts(), kgo.SeedBrokers(kafka.ListenAddrs()...))...)
		if err != nil {
			t.Fatal(err)
		}
		defer reading.Close()
		w := honest(rand.New(rand.NewPCG(1, 2)), 100, 10, 1, false)
		start := time.Now()
		f := Follow(t.Context(), reading, mark, testRun, w.ledger, start, 0)
		var records []*kgo.Record
		for _, r := range w.log[0] {
			w.ledger.Sent(r.seq, time.Since(start))
			records = append(records, &kgo.Record{Topic: topic, Key: r.key, Value: r.value})
		}
		records = append(records, &kgo.Record{Topic: topic, Value: []byte("somebody else's")})
		if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		spans := f.Close(t.Context(), 100)
		took := time.Since(start)
		appended, consumed, committed := spans[0], spans[1], spans[2]
		if consumed.Times == nil || consumed.Times.Count != 100 || consumed.Times.Max > took {
			t.Errorf("%s: consumed %+v", topic, consumed)
		}
		if committed.Times != nil || committed.Absent == "" {
			t.Errorf("%s: committed %+v", topic, committed)
		}
		switch config {
		case "CreateTime":
			if appended.Times != nil || !strings.Contains(appended.Absent, "CreateTime") {
				t.Errorf("%s: appended %+v", topic, appended)
			}
		default:
			if appended.Times == nil || appended.Times.Count != 100 {
				t.Errorf("%s: appended %+v", topic, appended)
			}
		}
	}
}

func TestFollowerDoesNotMeasureWarmup(t *testing.T) {
	l := NewLedger(10)
	f := &Follower{ledger: l, start: time.Now(), warmup: time.Second, consumed: NewHistogram(), appended: NewHistogram()}
	l.Sent(0, 999*time.Millisecond)
	l.Sent(1, time.Second)
	for seq := range uint64(3) { // number 2 was never sent
		f.arrived(seq, 2*time.Second, f.start)
	}
	if got := f.consumed.Count(); got != 1 || f.consumed.Max() != time.Second {
		t.Errorf("%d samples, max %s", got, f.consumed.Max())
	}
}

func TestAClockBehindOursIsSaidAndNotMeasured(t *testing.T) {
	l := NewLedger(100)
	f := &Follower{ledger: l, start: time.Now(), mark: Mark{LogAppendTime: true}, consumed: NewHistogram(), appended: NewHistogram()}
	for seq := range uint64(100) {
		l.Sent(seq, time.Second)
		f.arrived(seq, 2*time.Second, f.start) // a second before it was sent
	}
	if span := f.spans()[0]; span.Times != nil || !strings.Contains(span.Absent, "clock is behind ours") {
		t.Errorf("got %+v", span)
	}
}
