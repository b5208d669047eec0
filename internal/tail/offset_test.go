package tail

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestParseRange(t *testing.T) {
	now := at("2026-11-22T14:00:00Z")
	timed := func(s string) Bound { return Bound{Kind: AtTime, At: at(s)} }
	start, end := Bound{Kind: Start}, Bound{Kind: End}
	for _, tt := range []struct {
		in   string
		want Range
	}{
		{"start", Range{From: start}},
		{"beginning", Range{From: start}},
		{"earliest", Range{From: start}},
		{"oldest", Range{From: start}},
		{"end", Range{From: end}},
		{"newest", Range{From: end}},
		{"latest", Range{From: end}},
		{":end", Range{From: start, To: end}},
		{"start:end", Range{From: start, To: end}},
		{"+10", Range{From: Bound{Kind: Relative, N: 10}}},
		{"-10", Range{From: Bound{Kind: Relative, N: -10}}},
		{"+0", Range{From: start}},
		{"-0", Range{From: end}},
		{"-10:end", Range{From: Bound{Kind: Relative, N: -10}, To: end}},
		{"884", Range{From: Bound{Kind: Exact, N: 884}}},
		{"884:", Range{From: Bound{Kind: Exact, N: 884}}},
		{":900", Range{From: start, To: Bound{Kind: Exact, N: 900}}},
		{"884:900", Range{From: Bound{Kind: Exact, N: 884}, To: Bound{Kind: Exact, N: 900}}},
		{"884:end", Range{From: Bound{Kind: Exact, N: 884}, To: end}},
		{"@2024-10-01", Range{From: timed("2024-10-01T00:00:00Z")}},
		{"@2024-10-01:", Range{From: timed("2024-10-01T00:00:00Z")}},
		{"@2024-10-01T12:34:56.5+02:00", Range{From: timed("2024-10-01T10:34:56.5Z")}},
		{"@2024-10-01T12:00:00Z:1h", Range{From: timed("2024-10-01T12:00:00Z"), To: timed("2024-10-01T13:00:00Z")}},
		{"@2024-10-01T12:00:00+00:00:2024-10-02T12:00:00+00:00", Range{From: timed("2024-10-01T12:00:00Z"), To: timed("2024-10-02T12:00:00Z")}},
		{"@2024-10-01T12:34", Range{From: timed("2024-10-01T12:34:00Z")}},
		{"@2024-10-01T12:34:56", Range{From: timed("2024-10-01T12:34:56Z")}},
		{"@2024-10-01T12:34Z", Range{From: timed("2024-10-01T12:34:00Z")}},
		{"@2024-10-01T12:34:1h", Range{From: timed("2024-10-01T12:34:00Z"), To: timed("2024-10-01T13:34:00Z")}},
		{"@2024-10-01T12:00:2024-10-02T12:30", Range{From: timed("2024-10-01T12:00:00Z"), To: timed("2024-10-02T12:30:00Z")}},
		{"@1727786096", Range{From: timed("2024-10-01T12:34:56Z")}},
		{"@1727786096500", Range{From: timed("2024-10-01T12:34:56.5Z")}},
		{"@-10m", Range{From: timed("2026-11-22T13:50:00Z")}},
		{"@10m", Range{From: timed("2026-11-22T13:50:00Z")}},
		{"@-2h:-1h", Range{From: timed("2026-11-22T12:00:00Z"), To: timed("2026-11-22T13:00:00Z")}},
		{"@2d:1d12h", Range{From: timed("2026-11-20T14:00:00Z"), To: timed("2026-11-21T02:00:00Z")}},
		{"@-1m:end", Range{From: timed("2026-11-22T13:59:00Z"), To: end}},
		{"@:end", Range{From: start, To: end}},
		{"@:-1h", Range{From: start, To: timed("2026-11-22T13:00:00Z")}},
	} {
		got, err := ParseRange(tt.in, now)
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("ParseRange(%q): %v (-want +got):\n%s", tt.in, err, diff)
		}
	}
	for _, in := range []string{
		"", ":", "+", "-", "x", "json", "1.5", "10:5", "5:5", "end:start", ":-5", "1:2:3", "@", "@:", "@end",
		"@end:end", "@yesterday", "@2024-13-01", "@-1h:-2h", "@123", "@-d", "99999999999999999999",
	} {
		if got, err := ParseRange(in, now); err == nil {
			t.Errorf("ParseRange(%q) is %+v, wants an error", in, got)
		}
	}
}

func TestParsePlace(t *testing.T) {
	type place struct {
		Topic     string
		Partition int32
		Offset    int64
	}
	for _, tt := range []struct {
		in   string
		want place
	}{
		{"orders/1@884", place{"orders", 1, 884}},
		{"orders.dlq/0@0", place{"orders.dlq", 0, 0}},
		{"1@884", place{"", 1, 884}},
	} {
		topic, partition, offset, err := ParsePlace(tt.in)
		if diff := cmp.Diff(tt.want, place{topic, partition, offset}); err != nil || diff != "" {
			t.Errorf("ParsePlace(%q): %v (-want +got):\n%s", tt.in, err, diff)
		}
	}
	for _, in := range []string{"", "orders", "orders/1", "/1@2", "orders@5", "orders/x@5", "orders/1@", "orders/1@-5", "orders/1@5:9", "orders/99999999999@1"} {
		if _, _, _, err := ParsePlace(in); err == nil {
			t.Errorf("ParsePlace(%q) passes, wants an error", in)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"start", "-5:end", "@2024-10-01T12:00:00Z:1h", "@:-1h", "884:900", "@1d", "+0"} {
		f.Add(s)
	}
	now := at("2026-11-22T14:00:00Z")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s, now)
		if err != nil {
			return
		}
		if r.From.Kind == Unset {
			t.Errorf("%q has no beginning", s)
		}
		if r.From.Kind == AtTime && r.To.Kind == AtTime && !r.To.At.After(r.From.At) {
			t.Errorf("%q ends before it begins", s)
		}
		if r.To.Kind == Relative || r.From.Kind == Exact && r.From.N < 0 || r.To.Kind == Exact && r.To.N < 0 {
			t.Errorf("%q is %+v", s, r)
		}
	})
}

func FuzzParsePlace(f *testing.F) {
	f.Add("orders/1@884")
	f.Add("1@2")
	f.Fuzz(func(t *testing.T, s string) {
		if _, partition, offset, err := ParsePlace(s); err == nil && (partition < 0 || offset < 0) {
			t.Errorf("%q is partition %d, offset %d", s, partition, offset)
		}
	})
}
