package bench

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
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

// A row of dashes would leave open whether nothing was there or nobody looked.
func TestFollowerThatSawNothingSaysWhy(t *testing.T) {
	for _, test := range []struct {
		name     string
		follower *Follower
		want     string
	}{
		{"nothing was written", &Follower{}, "no record was read along"},
		{"the broker refuses", &Follower{failed: kerr.TopicAuthorizationFailed}, "nothing could be read along: TOPIC_AUTHORIZATION_FAILED"},
		{"orders in another form", &Follower{records: 1200}, "none of the 1,200 records read along is an order as it was sent"},
		{"only the warm-up's", &Follower{records: 12, ours: 10}, "no order that was sent after the warm-up"},
	} {
		f := test.follower
		f.consumed, f.appended, f.mark.LogAppendTime = NewHistogram(), NewHistogram(), true
		for _, span := range f.spans()[:2] {
			if span.Times != nil || span.Clock != "" || !strings.HasPrefix(span.Absent, test.want) {
				t.Errorf("%s: %+v", test.name, span)
			}
		}
	}
}

// The reader notes what becomes of its fetches.
func TestFollowerCountsWhatItCannotRecognize(t *testing.T) {
	kafka, cl := kafkaWith(t, 1)
	if _, err := client.Admin(cl).CreateTopic(t.Context(), 1, 1, nil, "plain"); err != nil {
		t.Fatal(err)
	}
	mark, err := TakeMark(t.Context(), cl, "plain", true)
	if err != nil {
		t.Fatal(err)
	}
	reading, err := kgo.NewClient(append(mark.FollowOpts(), kgo.SeedBrokers(kafka.ListenAddrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	f := Follow(t.Context(), reading, mark, testRun, NewLedger(1), time.Now(), 0)
	record := &kgo.Record{Topic: "plain", Value: []byte(`{"user_id":"b-` + testRun + `-0000000"}`)}
	if err := cl.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if consumed := f.Close(t.Context(), 1)[1]; !strings.HasPrefix(consumed.Absent, "none of the 1 records") {
		t.Errorf("got %+v", consumed)
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
