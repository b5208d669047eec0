package ingest

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
)

type metrics struct {
	reg      prometheus.Registerer
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	outcomes *prometheus.CounterVec
	acks     prometheus.Histogram
	late     prometheus.Counter
	rejected *prometheus.CounterVec

	idempotency *prometheus.CounterVec

	// Of the usual request, found once: to look them up costs more than to count.
	usual struct {
		requests prometheus.Counter
		duration prometheus.Observer
		acked    prometheus.Counter
	}
}

// rejection is why a request, or a connection before it, was turned away
// without a look at its orders.
type rejection string

const (
	rejectedInFlight    rejection = "in_flight"               // too many orders wait for Kafka
	rejectedIdempotency rejection = "idempotency"             // no room to remember one more key
	rejectedDraining    rejection = "draining"                // shutting down
	rejectedBreaker     rejection = "breaker"                 // Kafka has acknowledged nothing for a while
	rejectedMemory      rejection = "memory"                  // too much of large requests is held
	rejectedTooLarge    rejection = "too_large"               // body, or header
	rejectedTooSlow     rejection = "too_slow"                // not read whole in time
	rejectedMalformed   rejection = "malformed"               // no HTTP request
	rejectedKey         rejection = "unauthorized"            // no API key, or none that is known
	rejectedConnections rejection = "connections"             // too many in all
	rejectedAddress     rejection = "connections_per_address" // too many from one address
	rejectedTLS         rejection = "tls_handshake"           // no TLS, or no client certificate that is believed
)

func rejections() []rejection {
	return []rejection{
		rejectedInFlight, rejectedIdempotency, rejectedDraining, rejectedBreaker, rejectedMemory, rejectedTooLarge,
		rejectedTooSlow, rejectedMalformed, rejectedKey, rejectedConnections, rejectedAddress, rejectedTLS,
	}
}

func newMetrics(reg prometheus.Registerer) *metrics {
	// 0.5 ms to 16 s: an acknowledgement on one machine up to past the
	// handler's timer.
	buckets := prometheus.ExponentialBuckets(0.0005, 2, 16)
	m := &metrics{
		reg: reg,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordersctl_http_requests_total", Help: "Requests answered.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ordersctl_http_request_duration_seconds", Help: "From the request's last byte to its answer.", Buckets: buckets,
		}, []string{"route"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordersctl_produce_records_total", Help: "Records by what became of them.",
		}, []string{"outcome"}),
		acks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ordersctl_produce_ack_duration_seconds", Help: "From the request's last byte to Kafka's acknowledgement.", Buckets: buckets,
		}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ordersctl_produce_late_total", Help: "Outcomes that came after the answer had said unknown.",
		}),
	}
	m.rejected = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ordersctl_http_rejected_total", Help: "Requests and connections turned away by a limit.",
	}, []string{"reason"})
	m.idempotency = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ordersctl_idempotency_total", Help: "Requests with an Idempotency-Key by what was done.",
	}, []string{"result"})
	reg.MustRegister(m.requests, m.duration, m.outcomes, m.acks, m.late, m.rejected, m.idempotency)
	for _, r := range rejections() {
		m.rejected.WithLabelValues(string(r))
	}
	for _, v := range verdicts() {
		m.idempotency.WithLabelValues(string(v))
	}
	for _, o := range []client.Outcome{client.Acked, client.NotWritten, client.Unknown} {
		m.outcomes.WithLabelValues(string(o)) // there from the start, so that a rate has its zero
	}
	m.usual.requests = m.requests.WithLabelValues(routeOrder, fasthttp.MethodPost, strconv.Itoa(fasthttp.StatusAccepted))
	m.usual.duration = m.duration.WithLabelValues(routeOrder)
	m.usual.acked = m.outcomes.WithLabelValues(string(client.Acked))
	return m
}

// watch adds the gauges that are read from the server.
func (m *metrics) watch(s *Server) {
	m.reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ordersctl_produce_buffered_records", Help: "Records handed to the Kafka client, outcome outstanding.",
		}, func() float64 { return float64(s.records.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ordersctl_produce_buffered_bytes", Help: "Their keys and values.",
		}, func() float64 { return float64(s.bytes.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ordersctl_http_in_flight", Help: "Requests that are being answered.",
		}, func() float64 { return float64(s.handling.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ordersctl_http_large_bytes", Help: "What large requests and their answers take; at most 256 MiB.",
		}, func() float64 { return float64(s.guard.memory.used.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ordersctl_breaker_state", Help: "0 closed; 1 open, and an order is being tried; 2 open.",
		}, func() float64 { return s.breaker.state(s.records.Load()) }),
	)
}

func (m *metrics) request(route string, method []byte, code int, took time.Duration) {
	if route == routeOrder && code == fasthttp.StatusAccepted {
		m.usual.requests.Inc()
		m.usual.duration.Observe(took.Seconds())
		return
	}
	m.requests.WithLabelValues(route, methodLabel(method), strconv.Itoa(code)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

func (m *metrics) reject(why rejection) { m.rejected.WithLabelValues(string(why)).Inc() }

func (m *metrics) outcome(o client.Outcome) {
	if o == client.Acked {
		m.usual.acked.Inc()
		return
	}
	m.outcomes.WithLabelValues(string(o)).Inc()
}

func (m *metrics) acked(took time.Duration) { m.acks.Observe(took.Seconds()) }

// methodLabel keeps a stranger's words out of the labels.
func methodLabel(method []byte) string {
	switch m := string(method); m {
	case fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodPost, fasthttp.MethodPut, fasthttp.MethodPatch,
		fasthttp.MethodDelete, fasthttp.MethodOptions:
		return m
	}
	return "other"
}
