package bench

import (
	"testing"
	"time"
)

func TestHistogramTellsNoPercentileOfTooFew(t *testing.T) {
	for _, tt := range []struct {
		samples int
		p       float64
		ok      bool
	}{
		{1000, 99, true},
		{999, 99, false},
		{10_000, 99.9, true},
		{9_999, 99.9, false},
		{1_000_000, 99.999, true},
		{20, 50, true},
		{19, 50, false},
		{0, 50, false},
	} {
		h := NewHistogram()
		h.RecordN(time.Millisecond, tt.samples)
		if d, ok := h.At(tt.p); ok != tt.ok || ok && d != time.Millisecond {
			t.Errorf("p%g of %d samples: %s, %t, want %t", tt.p, tt.samples, d, ok, tt.ok)
		}
	}
}

func TestHistogramIsExactToThreeDigits(t *testing.T) {
	for _, d := range []time.Duration{
		time.Microsecond, 999 * time.Microsecond, 12_345 * time.Microsecond, 2003 * time.Millisecond,
		59 * time.Minute, time.Hour,
	} {
		h := NewHistogram()
		h.RecordN(d, 100)
		h.RecordN(d/2, 100)
		got, _ := h.At(75)
		if off := (got - d).Abs(); off > d/1000 {
			t.Errorf("%s comes back as %s", d, got)
		}
		if h.Max() != d {
			t.Errorf("max of %s is %s", d, h.Max())
		}
	}
	h := NewHistogram()
	h.Record(5 * time.Hour)
	h.Record(-time.Second)
	if h.Max() != time.Hour || h.Count() != 2 {
		t.Errorf("beyond the ends: max %s, count %d", h.Max(), h.Count())
	}
}

func TestHistogramMergesAndReadsBack(t *testing.T) {
	a, b, both := NewHistogram(), NewHistogram(), NewHistogram()
	for i := range 5000 {
		d := time.Duration(mix(1, uint64(i))%uint64(time.Second)) + time.Microsecond
		both.Record(d)
		if i%3 == 0 {
			a.Record(d)
		} else {
			b.Record(d)
		}
	}
	a.Merge(b)
	text, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := DecodeHistogram(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []float64{50, 90, 99, 99.5} {
		want, _ := both.At(p)
		for name, h := range map[string]*Histogram{"merged": a, "read back": read} {
			if got, ok := h.At(p); !ok || got != want {
				t.Errorf("p%g %s is %s, want %s", p, name, got, want)
			}
		}
	}
	if a.Quantiles() != both.Quantiles() || read.Count() != both.Count() {
		t.Errorf("merged %+v, want %+v", a.Quantiles(), both.Quantiles())
	}
	samples := uint64(0)
	last := time.Duration(-1)
	for d, n := range a.Distribution {
		if d <= last {
			t.Fatalf("%s comes after %s", d, last)
		}
		last, samples = d, samples+n
	}
	if samples != a.Count() {
		t.Errorf("distribution has %d samples of %d", samples, a.Count())
	}
	if _, err := DecodeHistogram("nonsense"); err == nil {
		t.Error("nonsense was read")
	}
}

func BenchmarkHistogram(b *testing.B) {
	h := NewHistogram()
	i := uint64(0)
	for b.Loop() {
		h.Record(time.Duration(i * 7919 & (1<<24 - 1)))
		i++
	}
}
