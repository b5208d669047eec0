package topic

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The formula against counting every residue of the common multiple.
func TestMovedShareIsExact(t *testing.T) {
	for from := 1; from <= 24; from++ {
		for to := from; to <= 48; to++ {
			lcm := from / gcd(from, to) * to
			moved := 0
			for r := range lcm {
				if r%from != r%to {
					moved++
				}
			}
			if want := float64(moved) / float64(lcm); math.Abs(MovedShare(from, to)-want) > 1e-12 {
				t.Fatalf("from %d to %d: got %v, want %v", from, to, MovedShare(from, to), want)
			}
		}
	}
}

func TestMovedShareIsWhatThePartitionerDoes(t *testing.T) {
	p := kgo.StickyKeyPartitioner(nil).ForTopic("orders")
	const keys = 50_000
	for _, test := range []struct{ from, to int }{{3, 6}, {3, 4}, {3, 5}, {4, 6}, {12, 13}} {
		moved := 0
		for i := range keys {
			r := &kgo.Record{Key: fmt.Append(nil, "order-", i)}
			if p.Partition(r, test.from) != p.Partition(r, test.to) {
				moved++
			}
		}
		if got, want := float64(moved)/keys, MovedShare(test.from, test.to); math.Abs(got-want) > 0.01 {
			t.Errorf("from %d to %d: %v of the keys moved, want %v", test.from, test.to, got, want)
		}
	}
}

func TestAlterConfigs(t *testing.T) {
	_, _, adm := newKafka(t, 1)
	mustCreate(t, adm, Spec{"orders", 1, 1, []ConfigEntry{{"retention.ms", "1000"}, {"max.message.bytes", "2000000"}}})
	plan, err := PlanAlter(t.Context(), adm, Alteration{
		Name: "orders", Set: []ConfigEntry{{"retention.ms", "01000"}, {"min.insync.replicas", "2"}}, Reset: []string{"max.message.bytes", "retention.bytes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var changed []string
	for _, c := range plan.Changes {
		changed = append(changed, c.What)
	}
	if diff := cmp.Diff([]string{"min.insync.replicas", "max.message.bytes"}, changed); diff != "" {
		t.Errorf("what is so already does not change:\n%s", diff)
	}
	if _, err := plan.Apply(t.Context(), adm); err != nil {
		t.Fatal(err)
	}
	d, err := Describe(t.Context(), adm, "orders", DescribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]ConfigEntry{{"min.insync.replicas", "2"}, {"retention.ms", "1000"}}, d.Configs); diff != "" {
		t.Error(diff)
	}
}

func TestAddPartitions(t *testing.T) {
	_, cl, adm := newKafka(t, 1)
	mustCreate(t, adm, Spec{Name: "orders", Partitions: 3, Replicas: 1})
	produce(t, cl, "orders", time.Now(), 4, 0, 2)
	commit(t, adm, "at-the-end", "orders", map[int32]int64{0: 4, 2: 2})
	plan, err := PlanAlter(t.Context(), adm, Alteration{Name: "orders", Partitions: 6})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Moved != 0.5 {
		t.Errorf("moved %v, want half", plan.Moved)
	}
	// The barrier is measured when it is done, not when it was planned.
	produce(t, cl, "orders", time.Now(), 0, 1)
	barriers, err := plan.Apply(t.Context(), adm)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Barrier{{0, 4}, {1, 1}, {2, 2}}, barriers); diff != "" {
		t.Error(diff)
	}
	if _, n, err := Exists(t.Context(), adm, "orders"); n != 6 || err != nil {
		t.Errorf("%d partitions, %v", n, err)
	}
}

func TestAddPartitionsIsRefused(t *testing.T) {
	for _, test := range []struct {
		name       string
		partitions int
		prepare    func(*testing.T, *kfake.Cluster, func(group string, at map[int32]int64))
		force      bool
		want       string // "" where it goes on
	}{
		{name: "fewer than there are", partitions: 2, want: "never taken away"},
		{
			name: "while a group is behind", partitions: 4, want: "group slow is 2 records behind",
			prepare: func(_ *testing.T, _ *kfake.Cluster, commit func(string, map[int32]int64)) {
				commit("slow", map[int32]int64{0: 2, 1: 0, 2: 1})
			},
		},
		{
			name: "where a group committed in some partitions only, the others count whole", partitions: 4, want: "group slow is 1 records behind",
			prepare: func(_ *testing.T, _ *kfake.Cluster, commit func(string, map[int32]int64)) {
				commit("slow", map[int32]int64{0: 4})
			},
		},
		{
			name: "but not with --force", partitions: 4, force: true,
			prepare: func(_ *testing.T, _ *kfake.Cluster, commit func(string, map[int32]int64)) {
				commit("slow", map[int32]int64{0: 2})
			},
		},
		{
			name: "when the groups can't be seen", partitions: 4, want: "is not known",
			prepare: func(_ *testing.T, c *kfake.Cluster, _ func(string, map[int32]int64)) {
				c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListGroups}, Err: kerr.ClusterAuthorizationFailed, Count: -1})
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, cl, adm := newKafka(t, 1)
			mustCreate(t, adm, Spec{Name: "orders", Partitions: 3, Replicas: 1})
			produce(t, cl, "orders", time.Now(), 4, 0, 1)
			if test.prepare != nil {
				test.prepare(t, c, func(group string, at map[int32]int64) { commit(t, adm, group, "orders", at) })
			}
			_, err := PlanAlter(t.Context(), adm, Alteration{Name: "orders", Partitions: test.partitions, Force: test.force})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if _, n, _ := Exists(t.Context(), adm, "orders"); n != 3 {
				t.Errorf("%d partitions after a plan", n)
			}
		})
	}
}

func TestAMisspeltTopicIsNamedWithTheNearestOne(t *testing.T) {
	_, _, adm := newKafka(t, 1)
	mustCreate(t, adm, Spec{Name: "orders", Partitions: 1, Replicas: 1})
	actions := map[string]func(string) error{
		"describe": func(name string) error {
			_, err := Describe(t.Context(), adm, name, DescribeOptions{})
			return err
		},
		"alter": func(name string) error {
			_, err := PlanAlter(t.Context(), adm, Alteration{Name: name, Partitions: 2})
			return err
		},
		"purge":  func(name string) error { _, err := PlanPurge(t.Context(), adm, name, nil); return err },
		"delete": func(name string) error { _, err := PlanDelete(t.Context(), adm, name); return err },
	}
	for action, do := range actions {
		for name, want := range map[string]string{
			"ordesr":  `did you mean "orders"? "ordersctl topic list" shows what is there`,
			"billing": `"ordersctl topic list" shows what is there`,
		} {
			var missing *MissingError
			if err := do(name); !errors.As(err, &missing) || missing.Hint() != want || missing.Name != name {
				t.Errorf("%s %s: got %v, %+v", action, name, err, missing)
			}
		}
	}
}
