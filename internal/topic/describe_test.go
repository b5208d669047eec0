package topic

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestDescribe(t *testing.T) {
	_, cl, adm := newKafka(t, 1)
	mustCreate(t, adm, Spec{"orders", 2, 1, []ConfigEntry{{"retention.ms", "-1"}}})
	produce(t, cl, "orders", noon, 10, 4)
	plan, err := PlanPurge(t.Context(), adm, "orders", []Before{{Partition: ptr(int32(0)), Offset: 3, set: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Apply(t.Context(), adm); err != nil {
		t.Fatal(err)
	}
	commit(t, adm, "orders-process", "orders", map[int32]int64{0: 8, 1: 4})

	got, err := Describe(t.Context(), adm, "orders", DescribeOptions{Partitioner: "murmur2", Group: "orders-process", Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	leader, zero := int32(0), 0.0
	want := &Description{
		Name: "orders", ID: got.ID, PartitionCount: 2, Replication: "1", MinInsyncReplicas: ptr(int64(1)),
		Partitioner: "murmur2", CleanupPolicy: "delete", RetentionMS: ptr(int64(-1)), RetentionBytes: ptr(int64(-1)),
		Configs: []ConfigEntry{{"retention.ms", "-1"}},
		Partitions: []Partition{
			{
				Leader: &leader, Replicas: []int32{0}, ISR: []int32{0}, Offline: []int32{},
				StartOffset: ptr(int64(3)), EndOffset: ptr(int64(10)), Records: ptr(int64(7)), WritePerSecond: &zero, Lag: ptr(int64(2)),
			},
			{
				Partition: 1, Leader: &leader, Replicas: []int32{0}, ISR: []int32{0}, Offline: []int32{},
				StartOffset: ptr(int64(0)), EndOffset: ptr(int64(4)), Records: ptr(int64(4)), WritePerSecond: &zero, Lag: ptr(int64(0)),
			},
		},
		Records: ptr(int64(11)), WritePerSecond: &zero, LagGroup: "orders-process", Lag: ptr(int64(2)), LagBy: "kafka", Problems: []string{},
	}
	ignored := cmp.Options{
		cmpopts.IgnoreFields(Description{}, "SizeBytes", "RateSeconds"), cmpopts.IgnoreFields(Partition{}, "SizeBytes"),
	}
	if diff := cmp.Diff(want, got, ignored); diff != "" {
		t.Error(diff)
	}
	if got.SizeBytes == nil || *got.SizeBytes <= 0 || len(got.ID) != 22 {
		t.Errorf("size %v, id %q", got.SizeBytes, got.ID)
	}
}

// Kafka's offsets only follow the database's.
func TestLagGoesByTheDatabase(t *testing.T) {
	_, cl, adm := newKafka(t, 1)
	mustCreate(t, adm, Spec{Name: "orders", Partitions: 2, Replicas: 1})
	produce(t, cl, "orders", noon, 10, 4)
	commit(t, adm, "orders-process", "orders", map[int32]int64{0: 8, 1: 4})
	for _, test := range []struct {
		name     string
		database map[int32]int64
		by       string
		lag      int64
	}{
		{"it has offsets", map[int32]int64{0: 9, 1: 4}, "database", 1},
		{"it knows nothing of the topic", nil, "kafka", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, err := Describe(t.Context(), adm, "orders", DescribeOptions{
				Group: "orders-process",
				Database: func(_ context.Context, id string) map[int32]int64 {
					if len(id) != 22 {
						t.Errorf("topic id %q", id)
					}
					return test.database
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if d.LagBy != test.by || d.Lag == nil || *d.Lag != test.lag || (d.Agreement != nil) != (test.by == "database") {
				t.Errorf("by %q, lag %v, agreement %v", d.LagBy, d.Lag, d.Agreement)
			}
		})
	}
}

// What can't be had is not known; it is no error, and it is not 0.
func TestDescribeWithoutWhatIsRefused(t *testing.T) {
	c, cl, adm := newKafka(t, 1)
	mustCreate(t, adm, Spec{Name: "orders", Partitions: 2, Replicas: 1})
	produce(t, cl, "orders", noon, 3, 1)
	c.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeLogDirs}, Err: kerr.ClusterAuthorizationFailed, Count: -1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.GroupAuthorizationFailed, Count: -1},
	)
	d, err := Describe(t.Context(), adm, "orders", DescribeOptions{Group: "orders-process"})
	if err != nil {
		t.Fatal(err)
	}
	if d.SizeBytes != nil || d.Lag != nil || d.WritePerSecond != nil || d.LagGroup != "" {
		t.Errorf("size %v, lag %v, rate %v, want all of them unknown", d.SizeBytes, d.Lag, d.WritePerSecond)
	}
	if d.Records == nil || *d.Records != 4 {
		t.Errorf("records %v, want 4", d.Records)
	}
	list, err := List(t.Context(), adm, false)
	if err != nil || len(list) != 1 || list[0].SizeBytes != nil || *list[0].Records != 4 {
		t.Errorf("list %+v, %v", list, err)
	}
}

// A leader that was just elected does not know its end yet, and says so.
func TestOffsetsAreAskedForAgainAfterAnElection(t *testing.T) {
	c, cl, adm := newKafka(t, 1)
	mustCreate(t, adm, Spec{Name: "orders", Partitions: 2, Replicas: 1})
	produce(t, cl, "orders", noon, 3, 1)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "orders", Partitions: []int32{1}, Err: kerr.OffsetNotAvailable, Count: 4})
	d, err := Describe(t.Context(), adm, "orders", DescribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Records == nil || *d.Records != 4 || len(d.Problems) > 0 {
		t.Errorf("records %v, problems %q", d.Records, d.Problems)
	}
}

// The only broker that leads is gone: describe is the very thing to look with.
func TestDescribeWhenNoLeaderAnswers(t *testing.T) {
	c, _, adm := newKafka(t, 1)
	mustCreate(t, adm, Spec{Name: "orders", Partitions: 2, Replicas: 1})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "orders", Err: kerr.OffsetNotAvailable, Count: -1})
	d, err := Describe(t.Context(), adm, "orders", DescribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"no answer: the leader of partitions 0,1, broker 0, can't be reached or did not answer in time"}
	if diff := cmp.Diff(want, d.Problems); diff != "" || d.Records != nil {
		t.Errorf("records %v, problems\n%s", d.Records, diff)
	}
	// What deletes or moves has to know.
	if _, err := PlanPurge(t.Context(), adm, "orders", nil); err == nil || !strings.Contains(err.Error(), "no answer for partition 0,1 of 2") {
		t.Errorf("purge: %v", err)
	}
}

func TestListHidesWhatIsKafkasOwn(t *testing.T) {
	_, _, adm := newKafka(t, 1)
	if list, err := List(t.Context(), adm, false); err != nil || list == nil || len(list) > 0 {
		t.Errorf("an empty cluster: %v, %v", list, err)
	}
	for _, name := range []string{"orders", "audit", "__share_group_state"} {
		mustCreate(t, adm, Spec{Name: name, Partitions: 1, Replicas: 1})
	}
	for internal, want := range map[bool][]string{false: {"audit", "orders"}, true: {"__share_group_state", "audit", "orders"}} {
		list, err := List(t.Context(), adm, internal)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range list {
			got = append(got, s.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("internal %v:\n%s", internal, diff)
		}
	}
}

func TestProblems(t *testing.T) {
	part := func(n int32, leader *int32, replicas, isr []int32) Partition {
		return Partition{Partition: n, Leader: leader, Replicas: replicas, ISR: isr, EndOffset: ptr(int64(0))}
	}
	all, one := []int32{1, 2, 3}, ptr(int32(1))
	for _, test := range []struct {
		name  string
		minIn *int64
		parts []Partition
		want  []string
	}{
		{"all in sync", ptr(int64(2)), []Partition{part(0, one, all, all)}, []string{}},
		{
			"as many as needed", ptr(int64(2)), []Partition{part(0, one, all, all), part(2, one, all, []int32{3, 1})},
			[]string{"under-replicated: broker 2 is missing from partition 2; 2 in sync, 2 needed: no reserve"},
		},
		{
			"one to spare", ptr(int64(1)), []Partition{part(0, one, all, []int32{3, 1})},
			[]string{"under-replicated: broker 2 is missing from partition 0; 2 in sync, 1 needed: reserve 1"},
		},
		{
			"too few, and the worst comes first", ptr(int64(2)),
			[]Partition{part(0, one, all, []int32{1, 3}), part(1, one, all, []int32{1}), part(3, one, all, []int32{1}), part(4, nil, []int32{2}, nil)},
			[]string{
				"offline: partition 4 without a leader, nothing can be written or read there; replicas on broker 2",
				"below min.insync.replicas: brokers 2,3 are missing from partitions 1,3; 1 in sync, 2 needed: writes with acks=all are refused",
				"under-replicated: broker 2 is missing from partition 0; 2 in sync, 2 needed: no reserve",
			},
		},
		{"one replica where two are asked for: Kafka asks for one", ptr(int64(2)), []Partition{part(0, one, []int32{1}, []int32{1})}, []string{}},
		{
			"a leader that does not answer", nil, []Partition{{Leader: one, Replicas: all, ISR: all}},
			[]string{"no answer: the leader of partition 0, broker 1, can't be reached or did not answer in time"},
		},
		{
			"nothing known of what is needed", nil, []Partition{part(0, one, all, []int32{1})},
			[]string{"under-replicated: brokers 2,3 are missing from partition 0; 1 in sync"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := problems(&Description{Partitions: test.parts, MinInsyncReplicas: test.minIn})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRateIsOfTheTimeBetween(t *testing.T) {
	d := &Description{Partitions: []Partition{{Partition: 0}, {Partition: 1}, {Partition: 2}}}
	d.setRates(map[int32]span{0: {0, 100}, 1: {0, 100}, 2: {0, 7}}, map[int32]int64{0: 350, 1: 90}, 2*time.Second)
	got := []*float64{d.Partitions[0].WritePerSecond, d.Partitions[1].WritePerSecond, d.Partitions[2].WritePerSecond, d.WritePerSecond}
	// A log that was cut back was not written to; of the third, and so of the sum, nothing is known.
	if diff := cmp.Diff([]*float64{ptr(125.0), ptr(0.0), nil, nil}, got); diff != "" {
		t.Error(diff)
	}
}
