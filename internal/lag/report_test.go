package lag_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

func TestTheDatabasesOffsetsCount(t *testing.T) {
	k := newKafka(t, 2)
	k.produce(0, 10, noon)
	k.produce(1, 4, noon)
	k.commit("orders-process", map[int32]int64{0: 5, 1: 4})
	id := k.topicID()
	for _, test := range []struct {
		name     string
		database lag.Database
		by       string
		lags     [2]int64
		agree    *topic.Agreement
		problems int
	}{
		{"there is no database", nil, lag.ByKafka, [2]int64{5, 0}, nil, 0},
		{"it agrees", rows("orders-process", id, 5, 4), lag.ByDatabase, [2]int64{5, 0}, &topic.Agreement{}, 0},
		{"it is further", rows("orders-process", id, 8, 4), lag.ByDatabase, [2]int64{2, 0}, &topic.Agreement{Behind: 3}, 0},
		{"it went back", rows("orders-process", id, 1, 4), lag.ByDatabase, [2]int64{9, 0}, &topic.Agreement{Ahead: 4}, 0},
		{"it knows other groups", rows("others", id, 9, 4), lag.ByKafka, [2]int64{5, 0}, nil, 0},
		{"the topic was made anew", rows("orders-process", "AAAAAAAAAAAAAAAAAAAAAA", 9, 4), lag.ByKafka, [2]int64{5, 0}, nil, 1},
		{"it stands behind the end", rows("orders-process", id, 12, 4), lag.ByDatabase, [2]int64{0, 0}, &topic.Agreement{Behind: 7}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			look, err := lag.Take(t.Context(), k.adm, lag.Options{Group: "orders-process", Topic: "orders", Database: test.database})
			if err != nil {
				t.Fatal(err)
			}
			r := lag.Between(nil, look)
			if r.By != test.by || *r.Partitions[0].Lag != test.lags[0] || *r.Partitions[1].Lag != test.lags[1] || len(r.Problems) != test.problems {
				t.Errorf("by %q, lags %d, %d, problems %q", r.By, *r.Partitions[0].Lag, *r.Partitions[1].Lag, r.Problems)
			}
			if diff := cmp.Diff(test.agree, r.Agreement); diff != "" {
				t.Error(diff)
			}
			if r.Partitions[0].In != nil || r.Partitions[0].Member != nil || r.Partitions[0].State != "" {
				t.Errorf("one look knows of no rate, member or state: %+v", r.Partitions[0])
			}
		})
	}
	t.Run("it does not answer", func(t *testing.T) {
		look, err := lag.Take(t.Context(), k.adm, lag.Options{Group: "orders-process", Topic: "orders", Database: &database{err: errGone}})
		if err != nil || look.DatabaseErr == nil || look.By() != lag.ByKafka {
			t.Errorf("error %v, of the database %v, by %q", err, look.DatabaseErr, look.By())
		}
	})
}

func TestOffsetsThatWereDeletedUnreadAreNamed(t *testing.T) {
	k := newKafka(t, 1)
	k.produce(0, 10, noon)
	plan, err := topic.PlanPurge(t.Context(), k.adm, "orders", []topic.Before{mustBefore(t, "0@6")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Apply(t.Context(), k.adm); err != nil {
		t.Fatal(err)
	}
	look, err := lag.Take(t.Context(), k.adm, lag.Options{Group: "g", Topic: "orders", Database: rows("g", k.topicID(), 2)})
	if err != nil {
		t.Fatal(err)
	}
	r := lag.Between(nil, look)
	want := []string{"partition 0 begins at 6, after the group's offset 2: 4 offsets are gone unread"}
	if diff := cmp.Diff(want, r.Problems); diff != "" || *r.All.Lag != 4 {
		t.Errorf("lag %d, %s", *r.All.Lag, diff)
	}
}

func mustBefore(t *testing.T, s string) topic.Before {
	t.Helper()
	b, err := topic.ParseBefore(s, "orders", noon)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMembersHaveTheirPartitions(t *testing.T) {
	k := newKafka(t, 2)
	g, err := lag.DescribeGroup(t.Context(), k.adm, "orders-process")
	if err != nil || g.Exists() || len(g.Members) > 0 {
		t.Fatalf("nobody was in it yet: %+v, %v", g, err)
	}
	k.join("orders-process")
	look, err := lag.Take(t.Context(), k.adm, lag.Options{Group: "orders-process", Topic: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	m, ok := look.Group.Reader("orders", 1)
	if !ok || m.ClientID != "ordersctl" || m.Host == "" || len(m.Short()) != len("ordersctl-12345678") || look.Group.State != "stable" {
		t.Errorf("group %+v, member %+v, %q", look.Group, m, m.Short())
	}
	if _, ok := look.Group.Reader("orders", 2); ok {
		t.Error("there is no partition 2")
	}
}

// A cluster in which no group has been yet has no coordinator at first.
func TestTheFirstQuestionIsAskedAgain(t *testing.T) {
	k := newKafka(t, 1)
	fault := k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.FindCoordinator}, Err: kerr.CoordinatorNotAvailable, Count: 8})
	defer fault.Remove()
	if _, err := lag.Take(t.Context(), k.adm, lag.Options{Group: "g", Topic: "orders"}); err != nil {
		t.Error(err)
	}
}

func look(at time.Time, id string, database []int64, ends ...int64) *lag.Look {
	l := &lag.Look{At: at, Topic: "orders", Logs: topic.Logs{ID: id, Of: map[int32]topic.Log{}}, Kafka: map[int32]int64{}}
	for p, end := range ends {
		l.Logs.Partitions = append(l.Logs.Partitions, int32(p))
		l.Logs.Of[int32(p)] = topic.Log{End: end}
	}
	for p, next := range database {
		if l.Database == nil {
			l.Database = map[int32]int64{}
		}
		l.Database[int32(p)] = next
	}
	return l
}

func TestRatesAreOfTwoLooks(t *testing.T) {
	before := look(noon, "id", []int64{1000, 0, 90}, 2000, 500, 100)
	now := look(noon.Add(2*time.Second), "id", []int64{2000, 0, 290}, 2200, 600, 300)
	r := lag.Between(before, now)
	flow := func(n int64, in, out float64, d lag.Drain) lag.Flow {
		return lag.Flow{Lag: &n, In: &in, Out: &out, Drain: d}
	}
	want := []lag.Flow{
		flow(200, 100, 500, lag.Drain{State: lag.DrainSteady, Seconds: ptr(0.4)}),
		flow(600, 50, 0, lag.Drain{State: lag.DrainNever}),
		flow(10, 100, 100, lag.Drain{State: lag.DrainSteady, Seconds: ptr(0.1)}),
	}
	for i, p := range r.Partitions {
		if diff := cmp.Diff(want[i], p.Flow); diff != "" {
			t.Errorf("partition %d: %s", i, diff)
		}
	}
	if diff := cmp.Diff(flow(810, 250, 600, lag.Drain{State: lag.DrainNever}), r.All); diff != "" {
		t.Errorf("all: %s", diff)
	}
	if r.RateSeconds != 2 {
		t.Errorf("over %g s", r.RateSeconds)
	}
	for name, other := range map[string]*lag.Look{
		"another topic of that name": look(noon, "other", []int64{1000, 0, 90}, 2000, 500, 100),
		"Kafka's offsets":            look(noon, "id", nil, 2000, 500, 100),
	} {
		if r := lag.Between(other, now); r.All.In != nil || r.All.Out != nil || r.RateSeconds != 0 {
			t.Errorf("%s can't be compared: %+v", name, r.All)
		}
	}
}

func TestWhatIsNotKnownOfAPartIsNotKnownOfAll(t *testing.T) {
	now := look(noon, "id", []int64{1000}, 2000, 500)
	r := lag.Between(nil, now)
	if r.Partitions[1].Lag != nil || r.All.Lag != nil || r.All.Drain.State != lag.DrainUnknown {
		t.Errorf("lag %v, of all %v, %v", r.Partitions[1].Lag, r.All.Lag, r.All.Drain)
	}
}

func TestDrain(t *testing.T) {
	for _, test := range []struct {
		name                     string
		next0, next1, end0, end1 int64
		want                     lag.Drain
	}{
		{"nothing waits", 10, 20, 10, 20, lag.Drain{State: lag.DrainIdle, Seconds: ptr(0.0)}},
		{"what waits is done within a second", 0, 100, 50, 160, lag.Drain{State: lag.DrainSteady, Seconds: ptr(0.6)}},
		{"it catches up", 0, 100, 1000, 1050, lag.Drain{State: lag.DrainSome, Seconds: ptr(19.0)}},
		{"it stands still", 10, 10, 1000, 1000, lag.Drain{State: lag.DrainNever}},
		{"it falls behind", 0, 100, 1000, 1200, lag.Drain{State: lag.DrainNever}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := lag.Between(look(noon, "id", []int64{test.next0}, test.end0), look(noon.Add(time.Second), "id", []int64{test.next1}, test.end1))
			if diff := cmp.Diff(test.want, r.All.Drain, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Partitions that were added have no offset yet, and no member before the group
// has seen them.
func TestPartitionsThatNoMemberHas(t *testing.T) {
	member := lag.Member{ID: "a", Partitions: map[string][]int32{"orders": {0}}}
	for _, test := range []struct {
		name    string
		group   lag.Group
		ends    []int64
		want    []int32
		records int64
	}{
		{"they hold records", lag.Group{State: "stable", Members: []lag.Member{member}}, []int64{10, 10, 4, 3}, []int32{1, 2, 3}, 15},
		{"they are empty, or read to the end", lag.Group{State: "stable", Members: []lag.Member{member}}, []int64{10, 2, 0}, nil, 0},
		{"they are being dealt out", lag.Group{State: "preparingrebalance", Members: []lag.Member{member}}, []int64{10, 10, 4}, nil, 0},
		{"there is no member at all", lag.Group{State: "empty"}, []int64{10, 10, 4}, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := look(noon, "id", []int64{1, 2}, test.ends...)
			l.Group = test.group
			got, records := lag.Between(nil, l).Unread()
			if diff := cmp.Diff(test.want, got); diff != "" || records != test.records {
				t.Errorf("%d records, want %d; %s", records, test.records, diff)
			}
		})
	}
}

func TestProcessesTellOfTheirOwnPartitions(t *testing.T) {
	r := lag.Between(nil, look(noon, "id", []int64{1, 2, 3}, 10, 10, 10))
	r.Group.Name = "orders-process"
	since := noon
	answer := func(group, id string, ps ...lag.Standing) lag.Answer {
		return lag.Answer{Process: &lag.Process{Group: group, TopicID: id, Partitions: ps}}
	}
	r.Tell([]lag.Answer{
		{Err: errGone},
		answer("orders-process", "id", lag.Standing{Partition: 0, State: "running"}, lag.Standing{Partition: 9, State: "running"}),
		answer("orders-process", "id", lag.Standing{Partition: 1, State: "paused", Reason: "breaker", Detail: "50 in a row", Since: &since}),
		answer("others", "id", lag.Standing{Partition: 2, State: "running"}),
		answer("orders-process", "other", lag.Standing{Partition: 2, State: "running"}),
	})
	var states []string
	for _, p := range r.Partitions {
		states = append(states, p.State+" "+p.Reason+" "+p.Detail)
	}
	if diff := cmp.Diff([]string{"running  ", "paused breaker 50 in a row", "  "}, states); diff != "" {
		t.Error(diff)
	}
	if by, known := r.Paused(); known || by["breaker"] != 1 || len(by) != 1 {
		t.Errorf("paused %v, known %v", by, known)
	}
}

func TestWaitingForTheDatabase(t *testing.T) {
	var places lag.Places
	for _, o := range []int64{5, 6, 7, 20, 9, 8} {
		places.Add(0, o)
	}
	places.Add(3, 0)
	for _, step := range []struct {
		next map[int32]int64
		left int64
	}{
		{nil, 7}, {map[int32]int64{0: 5}, 7}, {map[int32]int64{0: 7}, 5}, {map[int32]int64{0: 9, 3: 1}, 2}, {map[int32]int64{0: 20, 3: 1}, 1}, {map[int32]int64{0: 21, 3: 1}, 0},
	} {
		if got := places.Left(step.next); got != step.left {
			t.Errorf("next %v: %d left, want %d", step.next, got, step.left)
		}
	}
	db := &database{rows: []sink.Committed{
		{Group: "g", Topic: "orders", TopicID: "old", Partition: 1, Next: 99, At: noon},
		{Group: "g", Topic: "orders", TopicID: "new", Partition: 1, Next: 3, At: noon.Add(time.Hour)},
	}}
	got, err := lag.Committed(t.Context(), db, "g", "orders", "")
	if diff := cmp.Diff(map[int32]int64{1: 3}, got); err != nil || diff != "" {
		t.Errorf("without the topic's id the ones that moved last count: %v %s", err, diff)
	}
}
