package process

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordersctl/ordersctl/internal/sink"
)

type metrics struct {
	outcomes   map[sink.Outcome]prometheus.Counter
	duration   prometheus.Histogram
	records    prometheus.Histogram
	bisects    prometheus.Counter
	dbErrors   *prometheus.CounterVec
	endToEnd   prometheus.Histogram
	letters    *prometheus.CounterVec
	rebalances prometheus.Counter
}

func outcomes() []sink.Outcome {
	return []sink.Outcome{sink.Inserted, sink.Updated, sink.Duplicate, sink.Stale, sink.DeadLettered}
}

func refusals() []string {
	return []string{
		sink.RefusedDecode, sink.RefusedValidation, sink.RefusedTombstone, sink.RefusedKey, sink.RefusedEventID,
		sink.RefusedEventConflict, sink.RefusedDatabase,
	}
}

func newMetrics(reg prometheus.Registerer, w *Worker) *metrics {
	processed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ordersctl_process_records_total", Help: "Records committed to the database, by what became of them.",
	}, []string{"outcome"})
	m := &metrics{
		outcomes: map[sink.Outcome]prometheus.Counter{},
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ordersctl_process_batch_duration_seconds", Help: "A batch's transaction, dead letters and COMMIT included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}),
		records: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ordersctl_process_batch_records", Help: "Records of a batch.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000},
		}),
		bisects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ordersctl_process_bisect_total", Help: "Splits of a batch to find what the database refuses.",
		}),
		dbErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordersctl_db_errors_total", Help: "Errors of the database by what is done about them.",
		}, []string{"class"}),
		// From one machine to a backlog of a day.
		endToEnd: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ordersctl_end_to_end_seconds", Help: "From received-at to the COMMIT, by two clocks where they are two machines.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 27),
		}),
		letters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordersctl_dlq_records_total", Help: "Dead letters written, by class of refusal.",
		}, []string{"reason"}),
		rebalances: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ordersctl_rebalances_total", Help: "Times that this member was given an assignment, also an unchanged one.",
		}),
	}
	reg.MustRegister(processed, m.duration, m.records, m.bisects, m.dbErrors, m.endToEnd, m.letters, m.rebalances, &gauges{w})
	for _, o := range outcomes() { // there from the start, so that a rate has its zero
		m.outcomes[o] = processed.WithLabelValues(string(o))
	}
	for _, c := range []sink.Class{sink.ClassData, sink.ClassRetry, sink.ClassOutage, sink.ClassDeploy} {
		m.dbErrors.WithLabelValues(string(c))
	}
	for _, r := range refusals() {
		m.letters.WithLabelValues(r)
	}
	return m
}

func (m *metrics) outcome(o sink.Outcome) prometheus.Counter { return m.outcomes[o] }

// gauges are read from the partitions that are ours at the time.
type gauges struct{ w *Worker }

func pausedDesc() *prometheus.Desc {
	return prometheus.NewDesc("ordersctl_partitions_paused", "Partitions of this member that stand still, or were lost because Kafka does not answer.", []string{"reason"}, nil)
}

func lagDesc() *prometheus.Desc {
	return prometheus.NewDesc("ordersctl_consumer_lag_records", "Offsets between the database and the end of the log.", []string{"partition"}, nil)
}

func lagSecondsDesc() *prometheus.Desc {
	return prometheus.NewDesc("ordersctl_consumer_lag_seconds", "Age of the oldest record that waits, by its timestamp, at the worst partition of this member.", nil, nil)
}

func reachedDesc() *prometheus.Desc {
	return prometheus.NewDesc("ordersctl_process_kafka_up", "1 where Kafka answered when it was asked last, else 0.", nil, nil)
}

// Describe is as of [prometheus.Collector].
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	to <- pausedDesc()
	to <- lagDesc()
	to <- lagSecondsDesc()
	to <- reachedDesc()
}

// Collect is as of [prometheus.Collector]. Of what is not known there is no
// sample: a zero would say that all is well.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	paused := map[string]int{}
	worst := -1.0
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, p := range g.w.Status().Partitions {
		if p.Reason != "" {
			paused[p.Reason]++
		}
		if p.Lag >= 0 {
			gauge(lagDesc(), float64(p.Lag), strconv.Itoa(int(p.Partition)))
		}
		worst = max(worst, p.LagSeconds)
	}
	paused[pausedKafka] += g.w.missing()
	for _, reason := range pauseReasons() {
		gauge(pausedDesc(), float64(paused[reason]), reason)
	}
	if worst >= 0 {
		gauge(lagSecondsDesc(), worst)
	}
	up := 0.0
	if g.w.reachable() {
		up = 1
	}
	gauge(reachedDesc(), up)
}
