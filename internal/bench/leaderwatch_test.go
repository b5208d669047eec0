package bench

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestAChangeOfLeaderIsSeen(t *testing.T) {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(1, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	from := kafka.LeaderFor("orders", 0)
	to := 1 - from
	w := WatchLeaders(t.Context(), cl, "orders", time.Now())
	w.end() // from here on it looks when it is told to
	<-w.ended
	w.look(t.Context())
	if err := kafka.MoveTopicPartition("orders", 0, to); err != nil {
		t.Fatal(err)
	}
	want := []LeaderChange{{Partition: 0, From: from, To: to}}
	if diff := cmp.Diff(want, w.Close(t.Context()), cmpopts.IgnoreFields(LeaderChange{}, "After", "Until")); diff != "" {
		t.Error(diff)
	}
}

func TestAGapTellsTheChangeThatFellIntoIt(t *testing.T) {
	const s = time.Second
	a := Account{
		Measured: Measured{Gaps: []Gap{{At: 10 * s, For: s, Partition: -1}, {At: 10 * s, For: s, Partition: 2}, {At: 20 * s, For: s, Partition: -1}}},
		Leaders:  []LeaderChange{{Partition: 1, From: 1, To: 3, After: 10 * s, Until: 11 * s}, {Partition: 2, From: 1, To: -1, After: 9 * s, Until: 10 * s}, {Partition: 2, From: -1, To: 3, After: 12 * s, Until: 13 * s}},
	}
	two := int32(2)
	want := []Silence{
		{At: 10 * s, For: s, What: "leader of partition 1: 1 -> 3, leader of partition 2: 1 -> none"},
		{At: 10 * s, For: s, Partition: &two, What: "leader of partition 2: 1 -> none"},
		{At: 20 * s, For: s},
	}
	if diff := cmp.Diff(want, a.gaps()); diff != "" {
		t.Error(diff)
	}
}
