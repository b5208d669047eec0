package bench

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/unit"
)

func newTestSource(t testing.TB, o SourceOptions) Source {
	t.Helper()
	if o.Run == "" {
		o.Run = "7f3a91c2"
	}
	if o.Dist == "" {
		o.Dist = Unique
	}
	s, err := NewSource(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSourceGivesValidOrdersInTheirCanonicalForm(t *testing.T) {
	for name, o := range map[string]SourceOptions{
		"unique":              {Seed: 1},
		"uniform":             {Seed: 2, Dist: Uniform, Keys: 100},
		"zipf":                {Seed: 3, Dist: Zipf, Keys: 1000},
		"one key":             {Dist: Zipf, Keys: 1},
		"statuses of a kind":  {Statuses: []Status{{"on_hold", 1}, {"x", 9}}},
		"150 bytes":           {Size: 150},
		"as large as it gets": {Size: 320},
		"large, few keys":     {Size: 300, Dist: Uniform, Keys: 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestSource(t, o)
			decoder := order.NewDecoder(order.Rules{})
			for _, seq := range []uint64{0, 1, 2, 99, 12345, 9_999_999, 10_000_000, 9_999_999_999} {
				got := s.Append(nil, seq)
				decoded, err := decoder.Decode(got)
				if err != nil {
					t.Fatalf("order %d, %s: %s", seq, got, err)
				}
				o := s.Order(seq)
				if diff := cmp.Diff(o, decoded); diff != "" {
					t.Fatalf("order %d, made (-) and read (+):\n%s", seq, diff)
				}
				if want := string(order.Append(nil, &o)); want != string(got) {
					t.Fatalf("order %d is\n%s, canonical is\n%s", seq, got, want)
				}
				run, n, ok := ParseUserID(o.UserID)
				if !ok || run != "7f3a91c2" || n != seq {
					t.Errorf("user id %q reads as %q, %d, %t", o.UserID, run, n, ok)
				}
			}
		})
	}
}

func TestSourceSizeIsExact(t *testing.T) {
	for _, o := range []SourceOptions{{Dist: Unique}, {Dist: Zipf, Keys: 100_000}, {Dist: Uniform, Keys: 1}} {
		for _, size := range []unit.Size{150, 200, 256, 320} {
			o.Size = size
			s := newTestSource(t, o)
			for seq := range uint64(5000) {
				if got := s.Append(nil, seq); len(got) != int(size) {
					t.Fatalf("%s keys: order %d has %d bytes, want %d: %s", o.Dist, seq, len(got), size, got)
				}
			}
		}
	}
}

func TestSourceEventsOfAKeyShareIDAndTime(t *testing.T) {
	s := newTestSource(t, SourceOptions{Dist: Uniform, Keys: 20, Size: 280})
	first := map[uint64]order.Order{}
	users := map[string]bool{}
	for seq := range uint64(2000) {
		o := s.Order(seq)
		if users[o.UserID] {
			t.Fatalf("user id %q stands in two orders", o.UserID)
		}
		users[o.UserID] = true
		key := s.Key(seq)
		if key >= 20 {
			t.Fatalf("key %d of 20", key)
		}
		was, ok := first[key]
		if !ok {
			first[key] = o
			continue
		}
		if o.ID != was.ID || !o.Timestamp.Equal(was.Timestamp) {
			t.Fatalf("key %d is %q %s and %q %s", key, was.ID, was.Timestamp, o.ID, o.Timestamp)
		}
	}
	if len(first) != 20 {
		t.Errorf("%d keys of 20 were used", len(first))
	}
}

func TestSourceDependsOnSeedAndRunAlone(t *testing.T) {
	text := func(o SourceOptions) string {
		s := newTestSource(t, o)
		var b []byte
		for seq := range uint64(50) {
			b = s.Append(b, seq)
		}
		return string(b)
	}
	base := SourceOptions{Seed: 42, Dist: Zipf, Keys: 100, Run: "aa"}
	if again := text(base); text(base) != again {
		t.Error("equal options gave different orders")
	}
	seed, run := base, base
	seed.Seed, run.Run = 43, "bb"
	if text(base) == text(seed) || strings.ReplaceAll(text(base), "b-aa-", "b-bb-") != text(run) {
		t.Error("seed or run did not do what they should")
	}
}

func TestZipfFollowsItsLaw(t *testing.T) {
	const keys, exponent, n = 1000, 1.1, 400_000
	s := newTestSource(t, SourceOptions{Seed: 7, Dist: Zipf, Keys: keys, Exponent: exponent})
	count := make([]float64, keys)
	for seq := range uint64(n) {
		count[s.Key(seq)]++
	}
	sum := 0.0
	for k := range keys {
		sum += math.Pow(float64(k+1), -exponent)
	}
	for _, k := range []int{0, 1, 2, 9, 99, 500, 999} {
		want := math.Pow(float64(k+1), -exponent) / sum * n
		if math.Abs(count[k]-want) > 5*math.Sqrt(want) {
			t.Errorf("key %d came %g times, want about %.0f", k, count[k], want)
		}
	}
}

func TestZipfRanksAtTheEdges(t *testing.T) {
	z := newZipf(3, 0) // a third each
	for _, tt := range []struct {
		draw uint64
		want uint64
	}{{0, 0}, {1 << 62, 0}, {1 << 63, 1}, {math.MaxUint64 - 1, 2}, {math.MaxUint64, 2}} {
		if got := z.rank(tt.draw); got != tt.want {
			t.Errorf("draw %x is rank %d, want %d", tt.draw, got, tt.want)
		}
	}
}

func TestSourceRefuses(t *testing.T) {
	for _, tt := range []struct {
		o    SourceOptions
		want string
	}{
		{SourceOptions{Run: "", Dist: Unique}, `run "" is not`},
		{SourceOptions{Run: "a-b", Dist: Unique}, `run "a-b" is not`},
		{SourceOptions{Run: "a", Dist: Uniform}, "keys of a uniform distribution are 0"},
		{SourceOptions{Run: "a", Dist: "normal"}, `"normal" is none of uniform, zipf, unique`},
		{SourceOptions{Run: "a", Dist: Zipf, Keys: 1e9}, "at most 10000000 keys"},
		{SourceOptions{Run: "a", Dist: Unique, Size: 50}, "size 50 is not between"},
		{SourceOptions{Run: "a", Dist: Unique, Size: 400}, "size 400 is not between"},
	} {
		if _, err := NewSource(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.o, err, tt.want)
		}
	}
}

func TestParseUserID(t *testing.T) {
	for _, s := range []string{"", "b-", "b-7f", "b-7f-", "b-7f-x", "b--1", "u-7f-1", "b-7f-1-2", "b-7F-1", "b-7f--1", "b-7f-+1", "b-7f-99999999999999999999"} {
		if run, seq, ok := ParseUserID(s); ok {
			t.Errorf("%q reads as %q, %d", s, run, seq)
		}
	}
	if run, seq, ok := ParseUserID("b-7f-0000012"); !ok || run != "7f" || seq != 12 {
		t.Errorf("got %q, %d, %t", run, seq, ok)
	}
}

func TestParseStatuses(t *testing.T) {
	got, err := ParseStatuses("pending=5, paid=3,shipped")
	if diff := cmp.Diff([]Status{{"pending", 5}, {"paid", 3}, {"shipped", 1}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, s := range []string{"", "PAID", "paid=0", "paid=x", "a,,b"} {
		if _, err := ParseStatuses(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func BenchmarkSourceAppend(b *testing.B) {
	for name, o := range map[string]SourceOptions{"unique": {}, "zipf": {Dist: Zipf, Keys: 100_000}, "150 bytes": {Size: 150}} {
		b.Run(name, func(b *testing.B) {
			s := newTestSource(b, o)
			var buf []byte
			seq := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				buf = s.Append(buf[:0], seq)
				seq++
			}
		})
	}
}
