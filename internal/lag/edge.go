package lag

import (
	"math"
	"slices"
)

// Edge is how the HTTP edges do, all of them together. What is not known is nil.
type Edge struct {
	Instances int      `json:"instances"`
	Accepted  *float64 `json:"accepted_per_second"` // orders that Kafka acknowledged
	// AckBelow is the upper bound of the histogram's bucket in which the 99th
	// percentile of the acknowledgements between the two looks lies: a histogram
	// knows no more. It is nil where nothing was acknowledged, +Inf is AckAbove.
	AckBelow *float64 `json:"ack_p99_below_seconds"`
	AckAbove *float64 `json:"ack_p99_above_seconds"`
	InFlight *int64   `json:"in_flight_orders"`
	Breaker  string   `json:"breaker"` // closed, trying, open: of the worst one; "" where unknown
}

// The metrics of an edge, as internal/ingest names them.
const (
	metricProduced = "ordersctl_produce_records_total"
	metricAcks     = "ordersctl_produce_ack_duration_seconds"
	metricBuffered = "ordersctl_produce_buffered_records"
	metricBreaker  = "ordersctl_breaker_state"
)

// EdgeBetween is the edges' doing from one round of answers to the next; before
// is nil in the first. It is nil where no edge answers.
func EdgeBetween(before, now []Answer) *Edge {
	e := &Edge{}
	var accepted, seconds float64
	counts := map[float64]uint64{}
	worst, inFlight := 0.0, 0.0
	for _, a := range now {
		breaker, ok := a.Metrics.Sum(metricBreaker, "", "")
		if !ok {
			continue // not an edge
		}
		e.Instances++
		worst = max(worst, breaker)
		buffered, _ := a.Metrics.Sum(metricBuffered, "", "")
		inFlight += buffered
		i := slices.IndexFunc(before, func(b Answer) bool { return b.Addr == a.Addr && b.Metrics[metricBreaker] != nil })
		if i < 0 {
			continue
		}
		was, _ := before[i].Metrics.Sum(metricProduced, "outcome", "acked")
		is, _ := a.Metrics.Sum(metricProduced, "outcome", "acked")
		took := a.At.Sub(before[i].At).Seconds()
		if took <= 0 || is < was { // it was started again
			continue
		}
		accepted += (is - was) / took
		seconds = took
		past := before[i].Metrics.Histogram(metricAcks)
		for bound, n := range a.Metrics.Histogram(metricAcks) {
			counts[bound] += n - past[bound]
		}
	}
	if e.Instances == 0 {
		return nil
	}
	flying := int64(inFlight)
	e.InFlight, e.Breaker = &flying, [...]string{"closed", "trying", "open"}[min(int(worst), 2)]
	if seconds > 0 {
		e.Accepted = &accepted
		e.AckBelow, e.AckAbove = quantile(counts, 0.99)
	}
	return e
}

// quantile finds the bucket of a cumulative histogram: its upper bound, or for
// the last one the bound below it.
func quantile(counts map[float64]uint64, q float64) (below, above *float64) {
	bounds := make([]float64, 0, len(counts))
	for b := range counts {
		bounds = append(bounds, b)
	}
	slices.Sort(bounds)
	if len(bounds) == 0 || counts[bounds[len(bounds)-1]] == 0 {
		return nil, nil
	}
	rank := q * float64(counts[bounds[len(bounds)-1]])
	for i, b := range bounds {
		switch {
		case float64(counts[b]) < rank:
		case !math.IsInf(b, 1):
			return &b, nil
		case i > 0:
			return nil, &bounds[i-1]
		}
	}
	return nil, nil
}
