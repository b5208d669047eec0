package sink

import (
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The part of the suite that is about places: what is read again, what comes
// late, and a log that is not what it was.

// testLogChanged reads other records at places that are booked.
func testLogChanged(t *testing.T, k kit) {
	for _, c := range []struct {
		name  string
		other Entry
		says  string // "" where it may be the same record
	}{
		{"another event at an applied place", entry(5, "x", "other", 7), `was booked as event "e5", now event "other" is there`},
		{"the event with other content", entry(5, "x", "e5", 7), `was booked as event "e5", now it is there with other content`},
		{"what is refused at an applied place", refused(5), `now event "e-refused-5" is there`},
		{"an applied event that is refused by now", Entry{Offset: 5, EventID: "e5", Refusal: &Refusal{Class: RefusedValidation}}, ""},
		{"another event at a dead letter's place", entry(6, "x", "other", 7), `was booked as event "e-refused-6"`},
		{"a dead letter's place without an event id", Entry{Offset: 6, Refusal: &Refusal{Class: RefusedEventID}}, ""},
		{"another event at a duplicate's place", entry(7, "x", "other", 7), `was booked as event "e5"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, k.fresh(t))
			same := entry(7, "a", "e5", 1)
			mustWrite(t, s, batchOf(t, s, 5, entry(5, "a", "e5", 1), refused(6), same))
			seek(t, s, c.other.Offset)
			before := dump(t, s)
			w, err := s.Write(t.Context(), batchOf(t, s, c.other.Offset, c.other, entry(8, "y", "e8", 1)))
			if c.says == "" {
				if err != nil || w.Outcomes[0] != Booked {
					t.Errorf("written %v, %v", w.Outcomes, err)
				}
				return
			}
			var hinted *Error
			if !errors.Is(err, ErrLogChanged) || !strings.Contains(err.Error(), c.says) || !errors.As(err, &hinted) || hinted.Hint() == "" {
				t.Errorf("written %v, %v", w.Outcomes, err)
			}
			if ClassOf(err) != ClassDeploy {
				t.Errorf("the class is %s", ClassOf(err))
			}
			if d := cmp.Diff(before.events, dump(t, s).events); d != "" {
				t.Errorf("order_events changed:\n%s", d)
			}
		})
	}
}

// testSetApart does as docs/database.md says about such a log.
func testSetApart(t *testing.T, k kit) {
	text, err := os.ReadFile("../../docs/database.md")
	if err != nil {
		t.Fatal(err)
	}
	updates := regexp.MustCompile(`(?m)^UPDATE .* SET topic_id = .*;$`).FindAllString(string(text), -1)
	if len(updates) != 3 {
		t.Fatalf("docs/database.md has %d updates, want 3", len(updates))
	}
	s := open(t, k.fresh(t))
	mustWrite(t, s, batchOf(t, s, 0, entry(0, "a", "e0", 1), entry(1, "a", "lost1", 2), refused(2), entry(3, "a", "lost3", 3)))
	for _, text := range updates {
		text = strings.NewReplacer("7ZqW3nK1Rf2yAAAAAAAAAA", testID(1), "partition = 1", "partition = 0", "177630", "1").Replace(text)
		mustExec(t, s, text)
	}
	seek(t, s, 0)
	again := entry(2, "a", "lost3", 3)
	w := mustWrite(t, s, batchOf(t, s, 0, entry(0, "a", "e0", 1), entry(1, "a", "new1", 4), again))
	if d := cmp.Diff([]Outcome{Booked, Updated, Duplicate}, w.Outcomes); d != "" {
		t.Errorf("outcomes (-want +got):\n%s", d)
	}
}

// testFarOrigin has an order's row at a place behind which no other can be.
func testFarOrigin(t *testing.T, k kit) {
	s := open(t, k.fresh(t))
	a, b := entry(0, "x", "e0", 1), entry(1, "x", "e1", 2)
	a.Origin = &Place{testID(1), 0, math.MaxInt64}
	b.Origin = a.Origin
	mustWrite(t, s, batchOf(t, s, 0, a))
	w := mustWrite(t, s, batchOf(t, s, 1, b, entry(2, "x", "e2", 3)))
	if d := cmp.Diff([]Outcome{Updated, Stale}, w.Outcomes); d != "" {
		t.Errorf("outcomes (-want +got):\n%s", d)
	}
}

// testReplayedLetter reads a dead-lettered record again that would pass now: its
// letter was edited and replayed meanwhile, and that is what counts.
func testReplayedLetter(t *testing.T, k kit) {
	for _, where := range []int32{0, 1} {
		t.Run(fmt.Sprint("replayed in partition ", where), func(t *testing.T) {
			s := open(t, k.fresh(t))
			raw := entry(0, "x", "raw", 13)
			refusedFirst := raw
			refusedFirst.Refusal = &Refusal{Class: RefusedValidation, Reason: "a status that was not listed"}
			mustWrite(t, s, batchOf(t, s, 0, refusedFirst, entry(1, "y", "e1", 1)))
			edited := entry(2, "x", "edited", 12)
			edited.Origin = &Place{testID(1), 0, 0}
			b := batchOf(t, s, 2, edited)
			mustClaim(t, s, b, 2, where)
			b.Partition = where
			mustWrite(t, s, b)
			seek(t, s, 0)
			w := mustWrite(t, s, batchOf(t, s, 0, raw))
			rows, err := s.Rows(t.Context(), []string{"x"})
			if err != nil || w.Outcomes[0] != Booked || rows["x"].Event != "edited" || rows["x"].Version != 1 {
				t.Errorf("the letter's place was %v, the row is %+v, %v", w.Outcomes, rows["x"], err)
			}
		})
	}
}

// testLate has an order move to another partition, and its first event come
// after all others: it must not have the row, whatever partition that is of.
func testLate(t *testing.T, k kit) {
	first := func() (Store, *Batch, Entry) {
		s := open(t, k.fresh(t))
		raw := entry(0, "x", "oldest", 1)
		raw.Refusal = &Refusal{Class: RefusedValidation, Reason: "a status that was not listed"}
		mustWrite(t, s, batchOf(t, s, 0, raw, entry(1, "x", "newer", 2)))
		b := batchOf(t, s, 2)
		mustClaim(t, s, b, 0, 2)
		b.Partition, b.First, b.Next, b.Entries = 2, 0, 1, []Entry{entry(0, "x", "newest", 3)}
		mustWrite(t, s, b)
		raw.Refusal = nil
		return s, b, raw
	}
	wants := func(t *testing.T, s Store, b *Batch, want ...Outcome) {
		t.Helper()
		w := mustWrite(t, s, b)
		if d := cmp.Diff(want, w.Outcomes); d != "" {
			t.Errorf("outcomes (-want +got):\n%s", d)
		}
		if rows, err := s.Rows(t.Context(), []string{"x"}); err != nil || rows["x"].Event != "newest" {
			t.Errorf("the row is of event %q, %v", rows["x"].Event, err)
		}
	}
	t.Run("replayed", func(t *testing.T) {
		s, b, _ := first()
		replay := entry(1, "x", "oldest", 1)
		replay.Origin = &Place{testID(1), 0, 0}
		b.First, b.Next, b.Entries = 1, 2, []Entry{replay}
		wants(t, s, b, Stale)
	})
	t.Run("read again", func(t *testing.T) {
		s, _, raw := first()
		seek(t, s, 0)
		wants(t, s, batchOf(t, s, 0, raw, entry(1, "x", "newer", 2)), Stale, Booked)
	})
	t.Run("two letters, in their order", func(t *testing.T) {
		s := open(t, k.fresh(t))
		mustWrite(t, s, batchOf(t, s, 0, refused(0), refused(1)))
		one, two := entry(2, "x", "one", 1), entry(3, "x", "newest", 2)
		one.Origin, two.Origin = &Place{testID(1), 0, 0}, &Place{testID(1), 0, 1}
		wants(t, s, batchOf(t, s, 2, one, two), Inserted, Updated)
	})
	t.Run("two letters, the later one first", func(t *testing.T) {
		s := open(t, k.fresh(t))
		mustWrite(t, s, batchOf(t, s, 0, refused(0), refused(1)))
		two, elsewhere, one := entry(2, "x", "two", 2), entry(3, "x", "newest", 2), entry(4, "x", "one", 1)
		two.Origin, elsewhere.Origin, one.Origin = &Place{testID(1), 0, 1}, &Place{testID(1), 7, 0}, &Place{testID(1), 0, 0}
		wants(t, s, batchOf(t, s, 2, two, elsewhere, one), Inserted, Updated, Stale)
	})
}
