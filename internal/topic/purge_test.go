package topic

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestPurge(t *testing.T) {
	for _, test := range []struct {
		name    string
		before  []string
		want    []PurgeOf
		records int64
	}{
		{"all that is there", nil, []PurgeOf{{0, 0, 10, 10}, {1, 0, 4, 4}, {2, 0, 0, 0}}, 14},
		{"before an offset, in each partition as far as it goes", []string{"6"}, []PurgeOf{{0, 0, 6, 10}, {1, 0, 4, 4}, {2, 0, 0, 0}}, 10},
		{"before a place, in that partition alone", []string{"orders/0@3"}, []PurgeOf{{0, 0, 3, 10}}, 3},
		{"before several places", []string{"0@3", "1@1"}, []PurgeOf{{0, 0, 3, 10}, {1, 0, 1, 4}}, 4},
		{"before a time: older records go", []string{"@2026-11-22T12:00:02Z"}, []PurgeOf{{0, 0, 2, 10}, {1, 0, 2, 4}, {2, 0, 0, 0}}, 4},
		{"before a time that is still to come", []string{"@2027-01-01"}, []PurgeOf{{0, 0, 10, 10}, {1, 0, 4, 4}, {2, 0, 0, 0}}, 14},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, cl, adm := newKafka(t, 1)
			mustCreate(t, adm, Spec{Name: "orders", Partitions: 3, Replicas: 1})
			produce(t, cl, "orders", noon, 10, 4, 0)
			var befores []Before
			for _, s := range test.before {
				b, err := ParseBefore(s, "orders", noon)
				if err != nil {
					t.Fatal(err)
				}
				befores = append(befores, b)
			}
			plan, err := PlanPurge(t.Context(), adm, "orders", befores)
			if err != nil {
				t.Fatal(err)
			}
			want := &Purge{Topic: "orders", Parts: test.want, Records: test.records}
			if diff := cmp.Diff(want, plan, cmpopts.IgnoreUnexported(Purge{})); diff != "" {
				t.Fatal(diff)
			}
			// What comes after the plan stays.
			produce(t, cl, "orders", noon.Add(time.Hour), 1)
			if gone, err := plan.Apply(t.Context(), adm); gone != test.records || err != nil {
				t.Fatalf("deleted %d, %v", gone, err)
			}
			d, err := Describe(t.Context(), adm, "orders", DescribeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if want := 15 - test.records; *d.Records != want {
				t.Errorf("%d records are left, want %d", *d.Records, want)
			}
		})
	}
}

func TestPurgeRefusesWhatIsNotThere(t *testing.T) {
	_, cl, adm := newKafka(t, 1)
	mustCreate(t, adm, Spec{Name: "orders", Partitions: 2, Replicas: 1})
	produce(t, cl, "orders", noon, 3)
	for before, want := range map[string]string{"7@1": "partitions 0 to 1", "0@4": "beyond the end"} {
		b, err := ParseBefore(before, "orders", noon)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := PlanPurge(t.Context(), adm, "orders", []Before{b}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--before %s: got %v, want %q", before, err, want)
		}
	}
}

func TestPurgeTellsWhatFailedAndWhatWent(t *testing.T) {
	c, cl, adm := newKafka(t, 1)
	mustCreate(t, adm, Spec{Name: "orders", Partitions: 2, Replicas: 1})
	produce(t, cl, "orders", noon, 3, 5)
	plan, err := PlanPurge(t.Context(), adm, "orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteRecords}, Topic: "orders", Partitions: []int32{1}, Err: kerr.PolicyViolation, Count: 1})
	gone, err := plan.Apply(t.Context(), adm)
	var failed *PurgeError
	if gone != 3 || !errors.As(err, &failed) || !errors.Is(err, kerr.PolicyViolation) {
		t.Fatalf("deleted %d, %v", gone, err)
	}
	if !strings.Contains(err.Error(), "partition 1 of 2") || !strings.Contains(failed.Hint(), "cleanup.policy") {
		t.Errorf("%v, hint %q", err, failed.Hint())
	}
}

func TestParseBefore(t *testing.T) {
	at := func(s string) time.Time {
		ts, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}
	for _, test := range []struct {
		in      string
		want    Before
		wantErr string
	}{
		{"5000", Before{Offset: 5000, set: true}, ""},
		{"0", Before{set: true}, ""},
		{"1@884", Before{Partition: ptr(int32(1)), Offset: 884, set: true}, ""},
		{"orders/1@884", Before{Partition: ptr(int32(1)), Offset: 884, set: true}, ""},
		{"@2026-11-01", Before{Time: at("2026-11-01T00:00:00Z"), set: true}, ""},
		{"@2026-11-01T10:00:00+02:00", Before{Time: at("2026-11-01T08:00:00Z"), set: true}, ""},
		{"@-36h", Before{Time: noon.Add(-36 * time.Hour), set: true}, ""},
		{"@36h", Before{Time: noon.Add(-36 * time.Hour), set: true}, ""},
		{"@2d", Before{Time: noon.Add(-48 * time.Hour), set: true}, ""},
		{"@1d12h", Before{Time: noon.Add(-36 * time.Hour), set: true}, ""},
		{"@2026-11-01T10:00", Before{Time: at("2026-11-01T10:00:00Z"), set: true}, ""},
		{"@1700000000", Before{Time: at("2023-11-14T22:13:20Z"), set: true}, ""},
		{"@1700000000000", Before{Time: at("2023-11-14T22:13:20Z"), set: true}, ""},
		{"other/1@884", Before{}, `in topic "other"`},
		{"-5", Before{}, "none of an offset"},
		{"1@-5", Before{}, "none of an offset"},
		{"x@5", Before{}, "not a partition"},
		{"99999999999@5", Before{}, "not a partition"},
		{"@", Before{}, "not a time"},
		{"@yesterday", Before{}, "not a time"},
		{"@17000000000", Before{}, "not a time"},
		{"@1969-12-31", Before{}, "the year 1969"},
		{"@60000d", Before{}, "the year 18"},
		{"@-9999999d", Before{}, "not a time"},
		{"", Before{}, "none of an offset"},
	} {
		got, err := ParseBefore(test.in, "orders", noon)
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(Before{})); diff != "" {
			t.Errorf("%q:\n%s", test.in, diff)
		}
		if (err != nil) != (test.wantErr != "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
			t.Errorf("%q: err %v, want %q", test.in, err, test.wantErr)
		}
	}
}

func FuzzParseBefore(f *testing.F) {
	for _, s := range []string{"5000", "1@884", "orders/1@884", "@2026-11-01", "@-36h", "@2d", "@1700000000000", "@", "a@b@c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBefore(s, "orders", noon)
		if err != nil {
			if b != (Before{}) {
				t.Fatalf("%q is refused with %+v", s, b)
			}
			return
		}
		// A mistake must never come out as "everything".
		if b.All() || b.Offset < 0 || b.Partition != nil && *b.Partition < 0 || !b.Time.IsZero() && b.Time.UnixMilli() < 0 {
			t.Fatalf("%q is taken as %+v", s, b)
		}
	})
}

func FuzzParseConfigEntry(f *testing.F) {
	for _, s := range []string{"retention.ms=1", "a=", "=b", "a=b=c", " a = b "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseConfigEntry(s)
		if err != nil {
			return
		}
		if again, err := ParseConfigEntry(e.Key + "=" + e.Value); err != nil || again != e {
			t.Fatalf("%q gives %+v, and that %+v, %v", s, e, again, err)
		}
	})
}
