package topic

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestPlanDeleteTellsWhatGoesWithIt(t *testing.T) {
	c, cl, adm := newKafka(t, 1)
	mustCreate(t, adm, Spec{Name: "orders", Partitions: 2, Replicas: 1})
	mustCreate(t, adm, Spec{Name: "other", Partitions: 1, Replicas: 1})
	produce(t, cl, "orders", noon, 5, 2)
	commit(t, adm, "behind", "orders", map[int32]int64{0: 1, 1: 2})
	commit(t, adm, "elsewhere", "other", map[int32]int64{0: 0})
	// One that has joined and not committed yet reads it too.
	member, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumerGroup("live"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit())
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	if _, err := c.WaitGroupStable(t.Context(), "live", 1); err != nil {
		t.Fatal(err)
	}
	got, err := PlanDelete(t.Context(), adm, "orders")
	if err != nil {
		t.Fatal(err)
	}
	want := &Doomed{Name: "orders", Partitions: 2, Records: ptr(int64(7)), Readers: []Reader{{"behind", "Empty", 4}, {"live", "Stable", 7}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDeleteGoesOnAfterAFailure(t *testing.T) {
	c, _, adm := newKafka(t, 1)
	for _, name := range []string{"a", "b", "c"} {
		mustCreate(t, adm, Spec{Name: name, Partitions: 1, Replicas: 1})
	}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteTopics}, Topic: "b", Err: kerr.TopicDeletionDisabled, Count: 1})
	failed := Delete(t.Context(), adm, "a", "b", "c")
	if len(failed) != 1 || !errors.Is(failed["b"], kerr.TopicDeletionDisabled) {
		t.Errorf("failed %v, want b alone", failed)
	}
	list, err := List(t.Context(), adm, false)
	if err != nil || len(list) != 1 || list[0].Name != "b" {
		t.Errorf("left: %+v, %v", list, err)
	}
}

func TestValidateName(t *testing.T) {
	for name, ok := range map[string]bool{
		"orders": true, "orders.dlq": true, "A_b-1": true,
		"": false, ".": false, "..": false, "a b": false, "ä": false, "a/b": false, string(make([]byte, 250)): false,
	} {
		if err := ValidateName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
