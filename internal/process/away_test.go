package process

import (
	"strings"
	"testing"
)

func TestKafkaThatIsAwayShows(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 1)
	f := newFold()
	w := k.start(f, func(o *Options) { o.Kafka.ConnectTimeout = 500e6 })
	k.send(good(0, "a", "paid"))
	until(t, "it runs", func() bool { return f.at(0) == 1 && w.metric("ordersctl_process_kafka_up") == "1" })
	k.cluster.Close()
	until(t, "the partition stands still for Kafka", func() bool { return w.metric(`ordersctl_partitions_paused{reason="kafka"}`) == "1" })
	until(t, "the whole does", func() bool {
		s := w.Status()
		return s.Reason == pausedKafka && s.Detail != "" && s.Since != nil && w.metric("ordersctl_process_kafka_up") == "0"
	})
	if r := w.Readiness(); !r.Ready || r.Detail["kafka"] == "" {
		t.Errorf("readiness %+v", r)
	}
}

// The run has ended by itself: that shows as long as somebody can ask.
func TestTheEndShows(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	f.topicID = "another"
	w := k.start(f)
	if err := w.wait(); err == nil {
		t.Fatal("it went on")
	}
	s := w.Status()
	if s.State != "ended" || s.Reason != "error" || !strings.Contains(s.Detail, "made anew") || len(s.Partitions) != 0 {
		t.Errorf("status %+v", s)
	}
	if r := w.Readiness(); r.Ready || r.Reason != "ended" || r.Detail["error"] != s.Detail {
		t.Errorf("readiness %+v", r)
	}
}

// A topic that is deleted is something that Kafka says: its partitions stand
// still, Kafka is not away.
func TestATopicThatIsDeletedIsAnAnswer(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 1)
	f := newFold()
	w := k.start(f, func(o *Options) { o.Kafka.ConnectTimeout = 2e9 })
	k.send(good(0, "a", "paid"))
	until(t, "it runs", func() bool { return f.at(0) == 1 })
	if _, err := k.adm().DeleteTopics(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	w.look(t.Context())
	if s := w.Status(); s.Reason != "" || w.metric("ordersctl_process_kafka_up") != "1" {
		t.Errorf("it says that Kafka is away: %q, %s", s.Reason, s.Detail)
	}
	if w.paused(0) != pausedKafka {
		t.Errorf("the partition is paused for %q", w.paused(0))
	}
}
