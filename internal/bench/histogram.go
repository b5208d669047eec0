package bench

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What a histogram holds: 1 µs to 1 h with three significant digits, in 190 KB
// whatever the number of samples.
const (
	histogramUnit   = time.Microsecond
	histogramMax    = time.Hour
	histogramDigits = 3

	// enoughAbove is how many samples have to stand above a percentile: with
	// fewer it tells the luck of those few.
	enoughAbove = 10
)

// Histogram holds durations. It is not safe for concurrent use.
type Histogram struct {
	hdr *hdrhistogram.Histogram
	max time.Duration // exactly; the buckets know it to three digits
}

// NewHistogram is an empty one.
func NewHistogram() *Histogram {
	return &Histogram{hdr: hdrhistogram.New(1, int64(histogramMax/histogramUnit), histogramDigits)}
}

// Record takes a sample. One beyond an hour counts as an hour.
func (h *Histogram) Record(d time.Duration) { h.RecordN(d, 1) }

// RecordN takes n samples of one size.
func (h *Histogram) RecordN(d time.Duration, n int) {
	d = min(max(d, 0), histogramMax)
	h.max = max(h.max, d)
	_ = h.hdr.RecordValues(int64((d+histogramUnit/2)/histogramUnit), int64(n)) // in range
}

// Merge adds the samples of another.
func (h *Histogram) Merge(from *Histogram) {
	h.max = max(h.max, from.max)
	h.hdr.Merge(from.hdr) // drops nothing: the ranges are equal
}

// Reset empties it.
func (h *Histogram) Reset() {
	h.hdr.Reset()
	h.max = 0
}

// Count is the number of samples.
func (h *Histogram) Count() uint64 { return uint64(h.hdr.TotalCount()) }

// Max is the largest sample.
func (h *Histogram) Max() time.Duration { return h.max }

// Min is the smallest sample, to three digits.
func (h *Histogram) Min() time.Duration { return time.Duration(h.hdr.Min()) * histogramUnit }

// Mean is the mean, to three digits.
func (h *Histogram) Mean() time.Duration {
	return time.Duration(h.hdr.Mean() * float64(histogramUnit))
}

// At is the percentile p of 0 to 100. false: with fewer than ten samples above
// it there is none that could be believed.
func (h *Histogram) At(p float64) (time.Duration, bool) {
	above := float64(h.Count()) * (100 - p) / 100
	if above < enoughAbove-1e-6 { // 100-99.9 is a little less than 0.1
		return 0, false
	}
	return h.quantile(p), true
}

// quantile is the percentile of however few samples there are.
func (h *Histogram) quantile(p float64) time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return min(time.Duration(h.hdr.ValueAtPercentile(p))*histogramUnit, h.max)
}

// Encode is HdrHistogram's compressed V2 form in base64, values in µs: every
// tool of that family reads it.
func (h *Histogram) Encode() (string, error) {
	b, err := h.hdr.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	return string(b), err
}

// DecodeHistogram reads what Encode writes. The maximum is then known to three
// digits only.
func DecodeHistogram(s string) (*Histogram, error) {
	hdr, err := hdrhistogram.Decode([]byte(s))
	if err != nil {
		return nil, err
	}
	h := NewHistogram()
	if h.hdr.Merge(hdr) > 0 {
		return nil, errors.New("histogram holds values beyond an hour")
	}
	h.max = time.Duration(h.hdr.Max()) * histogramUnit
	return h, nil
}

// Distribution calls yield for each distinct value, smallest first, with the
// number of its samples, until it returns false.
func (h *Histogram) Distribution(yield func(d time.Duration, samples uint64) bool) {
	for _, bar := range h.hdr.Distribution() {
		if bar.Count > 0 && !yield(time.Duration(bar.To)*histogramUnit, uint64(bar.Count)) {
			return
		}
	}
}

// Quantiles are the ones that a view shows of a moment, however few samples
// there are.
type Quantiles struct {
	Count                    uint64
	P50, P90, P99, P999, Max time.Duration
}

// MarshalJSON writes nanoseconds with the unit in the names.
func (q Quantiles) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Count uint64        `json:"count"`
		P50   time.Duration `json:"p50_ns"`
		P90   time.Duration `json:"p90_ns"`
		P99   time.Duration `json:"p99_ns"`
		P999  time.Duration `json:"p99_9_ns"`
		Max   time.Duration `json:"max_ns"`
	}{q.Count, q.P50, q.P90, q.P99, q.P999, q.Max})
}

// Quantiles reads them in one pass.
func (h *Histogram) Quantiles() Quantiles {
	q := Quantiles{Count: h.Count(), Max: h.max}
	if q.Count == 0 {
		return q
	}
	v := h.hdr.ValueAtPercentilesSlice([]float64{50, 90, 99, 99.9})
	for i, to := range []*time.Duration{&q.P50, &q.P90, &q.P99, &q.P999} {
		*to = min(time.Duration(v[i])*histogramUnit, h.max)
	}
	return q
}
