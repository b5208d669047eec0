package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ordersctl/ordersctl/internal/unit"
)

// Threshold is what a figure of a run has to be, as in "p99<50ms".
type Threshold struct {
	Text   string
	Metric string
	Op     string
	Bound  float64 // as a metric's value
}

// metricErrorRate is the share of the scheduled orders that were not acked,
// whether they were refused, not answered, or dropped before they were sent.
const (
	metricErrorRate = "error_rate"
	metricDropped   = "dropped"
)

// Metrics are a run's figures by name: latencies in nanoseconds, error_rate as
// a share of 1, rate per second, the rest counted.
type Metrics interface {
	// Metric is false for what the run can't tell, or not yet.
	Metric(name string) (float64, bool)
}

type metricKind int

const (
	latencyMetric metricKind = iota + 1
	shareMetric
	rateMetric
	countMetric
)

// MetricNames lists what a threshold may name, beside any percentile from p1 up.
func MetricNames() []string {
	return []string{
		"p50", "p90", "p99", "p99.9", "p99.99", "p99.999", "max", "mean", metricErrorRate, "rate", metricDropped,
		"lost", "duplicated", "reordered", "scattered", "corrupted", "not_written_found",
	}
}

func kindOf(metric string) metricKind {
	switch metric {
	case "max", "mean":
		return latencyMetric
	case metricErrorRate:
		return shareMetric
	case "rate":
		return rateMetric
	case metricDropped, "lost", "duplicated", "reordered", "scattered", "corrupted", "not_written_found":
		return countMetric
	}
	if _, ok := percentileOf(metric); ok {
		return latencyMetric
	}
	return 0
}

// percentileOf reads "p99.9".
func percentileOf(metric string) (float64, bool) {
	digits, ok := strings.CutPrefix(metric, "p")
	if !ok || digits == "" || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	p, err := strconv.ParseFloat(digits, 64)
	return p, err == nil && p >= 1 && p < 100
}

// ParseThreshold reads "p99<50ms", "error_rate<0.1%", "lost==0", "rate>=4900".
func ParseThreshold(s string) (Threshold, error) {
	bad := func(why string) (Threshold, error) {
		return Threshold{}, fmt.Errorf("threshold %q %s, wants one like p99<50ms, error_rate<0.1%%, lost==0, rate>=4900", s, why)
	}
	text := strings.ReplaceAll(s, " ", "")
	at := strings.IndexAny(text, "<>=!")
	if at < 0 {
		return bad("compares nothing")
	}
	op := text[at : at+1]
	if at+1 < len(text) && text[at+1] == '=' {
		op = text[at : at+2]
	}
	if op == "=" || op == "!" {
		return bad(fmt.Sprintf("has no operator %q", op))
	}
	t := Threshold{Text: text, Metric: text[:at], Op: op}
	bound := text[at+len(op):]
	var err error
	switch kindOf(t.Metric) {
	case latencyMetric:
		d, parseErr := unit.ParseDuration(bound)
		t.Bound, err = float64(d), parseErr
	case shareMetric:
		if t.Bound, err = parseShare(bound); err == nil && t.Bound > 1 {
			return bad(fmt.Sprintf("has a bound %q above 100 %% (of five in a hundred it is 5%% or 0.05)", bound))
		}
	case rateMetric:
		r, parseErr := unit.ParseRate(bound)
		if parseErr == nil && r == 0 {
			return bad("has no bound")
		}
		t.Bound, err = float64(r), parseErr
	case countMetric:
		n, parseErr := strconv.ParseUint(bound, 10, 53)
		t.Bound, err = float64(n), parseErr
	default:
		return bad(fmt.Sprintf("names no figure %q (%s)", t.Metric, strings.Join(MetricNames(), ", ")))
	}
	if err != nil || t.Bound < 0 {
		return bad(fmt.Sprintf("has a bound %q that does not fit %s", bound, t.Metric))
	}
	return t, nil
}

func parseShare(s string) (float64, error) {
	text, percent := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = strconv.ErrRange
	}
	if percent {
		f /= 100
	}
	return f, err
}

// Known tells whether the figure can be had.
func (t Threshold) Known(m Metrics) bool {
	_, ok := m.Metric(t.Metric)
	return ok
}

// Eval gives the figure as people write it, and whether the threshold is met.
// A figure that can't be had meets none.
func (t Threshold) Eval(m Metrics) (value string, ok bool) {
	v, known := m.Metric(t.Metric)
	if !known {
		return "-", false
	}
	return t.format(v), t.holds(v)
}

func (t Threshold) holds(v float64) bool {
	switch t.Op {
	case "<":
		return v < t.Bound
	case "<=":
		return v <= t.Bound
	case ">":
		return v > t.Bound
	case ">=":
		return v >= t.Bound
	case "==":
		return v == t.Bound
	default:
		return v != t.Bound
	}
}

func (t Threshold) format(v float64) string {
	switch kindOf(t.Metric) {
	case latencyMetric:
		return threeDigits(v/1e6) + " ms"
	case shareMetric:
		return threeDigits(v*100) + " %"
	case rateMetric:
		return thousands(uint64(v+0.5)) + "/s"
	default:
		return thousands(uint64(v))
	}
}

// threeDigits writes 8.93, 61.2, 2,003, 0.0052.
func threeDigits(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 999.5:
		return thousands(uint64(v + 0.5))
	}
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', min(max(decimals, 0), 6), 64)
}
