package lag_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/lag"
)

func TestTargets(t *testing.T) {
	now := noon
	for _, test := range []struct {
		text string
		want lag.Target
		err  string
	}{
		{"start", lag.Target{Start: true}, ""},
		{"end", lag.Target{End: true}, ""},
		{"2h", lag.Target{Time: now.Add(-2 * time.Hour)}, ""},
		{"@-2h", lag.Target{Time: now.Add(-2 * time.Hour)}, ""},
		{"2026-11-01T12:00", lag.Target{Time: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}, ""},
		{"orders/1@884", lag.Target{Partition: ptr(int32(1)), Offset: 884}, ""},
		{"1@884", lag.Target{Partition: ptr(int32(1)), Offset: 884}, ""},
		{"others/1@884", lag.Target{}, `"others/1@884" is in topic "others", not in "orders"`},
		{"884", lag.Target{}, `"884" is none of start, end, a time`},
		{"1@-5", lag.Target{}, `is none of`},
		{"middle", lag.Target{}, `is none of`},
	} {
		got, err := lag.ParseTarget(test.text, "orders", now)
		if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: error %v, want %q; %s", test.text, err, test.err, diff)
		}
	}
}

// seek plans and applies, and gives the plan.
func seek(t *testing.T, k *kafka, db *database, owner lag.Owner, targets ...string) (*lag.Seek, error) {
	t.Helper()
	l, err := lag.Take(t.Context(), k.adm, lag.Options{Group: "orders-process", Topic: "orders", Database: db})
	if err != nil {
		t.Fatal(err)
	}
	var parsed []lag.Target
	for _, s := range targets {
		target, err := lag.ParseTarget(s, "orders", noon.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, target)
	}
	s, err := lag.PlanSeek(t.Context(), k.adm, l, parsed, owner)
	if err != nil {
		return nil, err
	}
	return s, s.Apply(t.Context(), k.adm, db)
}

func (k *kafka) committed() map[int32]int64 {
	k.t.Helper()
	all, err := lag.Commits(k.t.Context(), k.adm, "orders-process")
	if err != nil {
		k.t.Fatal(err)
	}
	return all["orders"]
}

func (d *database) next() map[int32]int64 {
	at := map[int32]int64{}
	for _, r := range d.rows {
		at[r.Partition] = r.Next
	}
	return at
}

func TestSeek(t *testing.T) {
	type offsets = map[int32]int64
	for _, test := range []struct {
		name            string
		to              []string
		owner           lag.Owner
		database, kafka offsets
		again, skipped  int64
	}{
		{"to the start", []string{"start"}, lag.OfDatabase, offsets{0: 0, 1: 0}, offsets{0: 0, 1: 0}, 12, 0},
		{"to the end", []string{"end"}, lag.OfDatabase, offsets{0: 10, 1: 4}, offsets{0: 10, 1: 4}, 0, 2},
		{"to a time", []string{"2026-11-22T12:00:02"}, lag.OfDatabase, offsets{0: 2, 1: 2}, offsets{0: 2, 1: 2}, 8, 0},
		{"of one partition", []string{"orders/1@1"}, lag.OfDatabase, offsets{0: 8, 1: 1}, offsets{0: 7, 1: 1}, 3, 0},
		{"the last word counts", []string{"end", "1@1"}, lag.OfDatabase, offsets{0: 10, 1: 1}, offsets{0: 10, 1: 1}, 3, 2},
		{"of a group that is Kafka's alone", []string{"start"}, lag.OfKafka, offsets{0: 8, 1: 4}, offsets{0: 0, 1: 0}, 12, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newKafka(t, 2)
			k.produce(0, 10, noon)
			k.produce(1, 4, noon)
			k.commit("orders-process", offsets{0: 7, 1: 4})
			db := rows("orders-process", k.topicID(), 8, 4)
			s, err := seek(t, k, db, test.owner, test.to...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.database, db.next()); diff != "" {
				t.Errorf("database: %s", diff)
			}
			if diff := cmp.Diff(test.kafka, k.committed()); diff != "" {
				t.Errorf("Kafka: %s", diff)
			}
			if s.Again != test.again || s.Skipped != test.skipped {
				t.Errorf("%d again, %d skipped; want %d, %d", s.Again, s.Skipped, test.again, test.skipped)
			}
		})
	}
}

func TestSeekIsRefused(t *testing.T) {
	k := newKafka(t, 2)
	k.produce(0, 10, noon)
	db := rows("orders-process", k.topicID(), 8, 0)
	for to, want := range map[string]string{
		"0@11": "orders/0@11 is not in the log, which has the offsets 0 to 10 there",
		"7@0":  "topic orders has no partition 7",
	} {
		if _, err := seek(t, k, db, lag.OfDatabase, to); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", to, err, want)
		}
	}
	anew := rows("orders-process", "AAAAAAAAAAAAAAAAAAAAAA", 8, 0)
	var other *lag.AnewError
	if _, err := seek(t, k, anew, lag.OfDatabase, "start"); !errors.As(err, &other) || len(k.committed()) > 0 {
		t.Errorf("a database of another topic of that name: %v, Kafka has %v", err, k.committed())
	}

	k.join("orders-process")
	_, err := seek(t, k, db, lag.OfDatabase, "start")
	var active *lag.ActiveError
	if !errors.As(err, &active) || !strings.Contains(err.Error(), "group orders-process is stable with 1 member, which would go on from where they are: ordersctl-") {
		t.Errorf("an active group: %v", err)
	}
	if diff := cmp.Diff(map[int32]int64{0: 8, 1: 0}, db.next()); diff != "" || len(k.committed()) > 0 {
		t.Errorf("nothing was to change: %s, %v", diff, k.committed())
	}
}

// The group has been through the topic, and its offsets are in another database:
// set here they would have no effect, or begin the topic anew.
func TestSeekRefusesADatabaseThatTheTopicIsNotReadInto(t *testing.T) {
	k := newKafka(t, 1)
	k.produce(0, 10, noon)
	k.commit("orders-process", map[int32]int64{0: 7})
	db := rows("orders-process", k.topicID())
	var strange *lag.StrangeError
	if _, err := seek(t, k, db, lag.OfDatabase, "start"); !errors.As(err, &strange) || k.committed()[0] != 7 || len(db.next()) > 0 {
		t.Errorf("got %v, Kafka has %v, the database %v", err, k.committed(), db.next())
	}
	// A new one is another thing, and so is a group that has been nowhere.
	if _, err := seek(t, k, db, lag.OfNewDatabase, "end"); err != nil || db.next()[0] != 10 || k.committed()[0] != 10 {
		t.Errorf("got %v, Kafka has %v, the database %v", err, k.committed(), db.next())
	}
	fresh := newKafka(t, 1)
	fresh.produce(0, 10, noon)
	if _, err := seek(t, fresh, rows("orders-process", fresh.topicID()), lag.OfDatabase, "start"); err != nil {
		t.Error(err)
	}
}

// Kafka refuses what comes between plan and execution, before the database has
// changed.
func TestSeekMeetsAMemberThatHasJustJoined(t *testing.T) {
	k := newKafka(t, 1)
	k.produce(0, 10, noon)
	db := rows("orders-process", k.topicID(), 8)
	l, err := lag.Take(t.Context(), k.adm, lag.Options{Group: "orders-process", Topic: "orders", Database: db})
	if err != nil {
		t.Fatal(err)
	}
	s, err := lag.PlanSeek(t.Context(), k.adm, l, []lag.Target{{Start: true}}, lag.OfDatabase)
	if err != nil {
		t.Fatal(err)
	}
	k.join("orders-process")
	var active *lag.ActiveError
	if err := s.Apply(t.Context(), k.adm, db); !errors.As(err, &active) {
		t.Errorf("got %v, want that it is active", err)
	}
	if db.next()[0] != 8 {
		t.Errorf("the database was set to %d", db.next()[0])
	}
}

func TestSeekSaysWhatIsHalfDone(t *testing.T) {
	k := newKafka(t, 1)
	k.produce(0, 10, noon)
	db := rows("orders-process", k.topicID(), 8)
	l, err := lag.Take(t.Context(), k.adm, lag.Options{Group: "orders-process", Topic: "orders", Database: db})
	if err != nil {
		t.Fatal(err)
	}
	s, err := lag.PlanSeek(t.Context(), k.adm, l, []lag.Target{{Start: true}}, lag.OfDatabase)
	if err != nil {
		t.Fatal(err)
	}
	db.err = errGone
	var half *lag.HalfError
	if err := s.Apply(t.Context(), k.adm, db); !errors.As(err, &half) || !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
}
