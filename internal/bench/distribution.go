package bench

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"
)

// Distribution is a histogram as results hold it: the figures that are read,
// and all of it as a blob that every HdrHistogram tool reads (values in µs).
type Distribution struct {
	Count       uint64        `json:"count"`
	Mean        time.Duration `json:"mean_ns"`
	Max         time.Duration `json:"max_ns"`
	Percentiles []Percentile  `json:"percentiles"` // those with ten samples above them
	HDR         string        `json:"hdr"`         // base64, V2 compressed

	// Dropped orders are in none of it. Where there are more of them than stand
	// above a percentile, that one is not known.
	Dropped uint64 `json:"dropped,omitempty"`
}

// hidden tells whether so many dropped orders, of which each would have been as
// slow as any, hide a percentile.
func hidden(p float64, count, dropped uint64) bool {
	return float64(dropped) > float64(count+dropped)*(100-p)/100
}

// leaveOut notes that orders were dropped.
func (d *Distribution) leaveOut(dropped uint64) {
	if d == nil {
		return
	}
	d.Dropped = dropped
	d.Percentiles = slices.DeleteFunc(d.Percentiles, func(x Percentile) bool { return hidden(x.P, d.Count, dropped) })
}

// Percentile is one of a distribution.
type Percentile struct {
	P     float64       `json:"p"`
	Value time.Duration `json:"ns"`
}

// percentiles are those that results list.
func percentiles() []float64 { return []float64{50, 75, 90, 95, 99, 99.9, 99.99, 99.999} }

// NewDistribution is what a histogram holds.
func NewDistribution(h *Histogram) (*Distribution, error) {
	blob, err := h.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode histogram: %w", err)
	}
	d := &Distribution{Count: h.Count(), Mean: h.Mean(), Max: h.Max(), Percentiles: []Percentile{}, HDR: blob}
	for _, p := range percentiles() {
		if v, ok := h.At(p); ok {
			d.Percentiles = append(d.Percentiles, Percentile{p, v})
		}
	}
	return d, nil
}

// At is a percentile, also one that is not listed; false where too few samples
// stand above it.
func (d *Distribution) At(p float64) (time.Duration, bool) {
	if d == nil || hidden(p, d.Count, d.Dropped) {
		return 0, false
	}
	for _, x := range d.Percentiles {
		if x.P == p {
			return x.Value, true
		}
	}
	h, err := DecodeHistogram(d.HDR)
	if err != nil {
		return 0, false
	}
	return h.At(p)
}

// WriteHGRM writes a histogram in the form that HdrHistogram's plotters read:
// values in ms, five lines to each halving of what is above.
func WriteHGRM(w io.Writer, h *Histogram) error {
	const linesToHalf, microsToMillis = 5, 1000
	var text bytes.Buffer
	if _, err := h.hdr.PercentilesPrint(&text, linesToHalf, microsToMillis); err != nil {
		return fmt.Errorf("write histogram: %w", err)
	}
	// The library's heading has tabs, that of all others blanks.
	_, lines, _ := bytes.Cut(text.Bytes(), []byte("\n"))
	_, err := fmt.Fprintf(w, "%12s %14s %10s %14s\n%s", "Value", "Percentile", "TotalCount", "1/(1-Percentile)", lines)
	if err != nil {
		return fmt.Errorf("write histogram: %w", err)
	}
	return nil
}
