package ingest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
)

// attempt is one record on its way. Its promise and the handler's timer race
// for it: who sets answered first decides what the client hears.
type attempt struct {
	answered atomic.Bool
	done     chan error // buffered: a promise never waits for a handler that has gone
}

// produce hands the record to Kafka and waits for what becomes of it, or in
// enqueued mode does not wait.
func (s *Server) produce(r *kgo.Record) answer {
	size := int64(len(r.Key) + len(r.Value))
	// Counted here and not left to ErrMaxBuffered, which comes by the promise:
	// in enqueued mode the answer would be out before it.
	records, bytes := s.records.Add(1), s.bytes.Add(size)
	if records > maxBufferedRecords || bytes > int64(maxBufferedBytes) {
		s.release(size)
		s.metrics.outcome(client.NotWritten)
		return busy("too many orders are waiting for Kafka")
	}
	wait := s.opts.Ack == AckDelivered
	a := &attempt{done: make(chan error, 1)}
	a.answered.Store(!wait)
	start := time.Now()
	// Never the request's context: one that is cancelled fails every record
	// that is buffered for the same partition.
	ctx := context.Background() //nolint:forbidigo // for the reason above
	s.kafka.TryProduce(ctx, r, func(r *kgo.Record, err error) {
		s.release(size)
		s.settle(a, r, err, wait, time.Since(start))
	})
	if !wait {
		return enqueued(r)
	}
	timer := time.NewTimer(s.opts.Timeout)
	defer timer.Stop()
	select {
	case err := <-a.done:
		return s.delivered(r, err)
	case <-timer.C:
	}
	if !a.answered.CompareAndSwap(false, true) {
		return s.delivered(r, <-a.done) // the promise came together with the timer
	}
	return refuse(fasthttp.StatusInternalServerError, client.Unknown,
		"Kafka did not acknowledge the order in time: it may or may not be written")
}

func (s *Server) release(size int64) {
	s.records.Add(-1)
	s.bytes.Add(-size)
}

// settle is the promise: it comes once for each record, in time or late.
func (s *Server) settle(a *attempt, r *kgo.Record, err error, waited bool, took time.Duration) {
	outcome := client.OutcomeOf(err)
	s.metrics.outcome(outcome)
	if err == nil {
		s.metrics.acked(took)
		s.lastAck.Store(time.Now().UnixNano())
	}
	if a.answered.CompareAndSwap(false, true) {
		a.done <- err
		return
	}
	// Nobody waits: the answer was "enqueued", or "unknown" by the timer.
	if waited {
		s.metrics.late.Inc()
	}
	if err == nil {
		return
	}
	if s.closing.Load() {
		s.left.Add(1)
	}
	s.log.Error("order was not acknowledged after its answer had been given", "outcome", string(outcome),
		"order_id", string(r.Key), "event_id", client.HeaderValue(r, client.HeaderEventID),
		"request_id", client.HeaderValue(r, client.HeaderRequestID), "err", err)
}

// delivered turns the promise's error into the answer.
func (s *Server) delivered(r *kgo.Record, err error) answer {
	if err == nil {
		return receipt(r)
	}
	outcome := client.OutcomeOf(err)
	if errors.Is(err, kgo.ErrMaxBuffered) {
		return busy("too many orders are waiting for Kafka")
	}
	s.log.Warn("produce", "order_id", string(r.Key), "outcome", string(outcome), "err", err)
	return refuse(fasthttp.StatusInternalServerError, outcome, explain(err, outcome))
}

// explain says why in words that tell nothing of the inside but what Kafka
// calls it.
func explain(err error, outcome client.Outcome) string {
	after := ": it may or may not be written"
	if outcome == client.NotWritten {
		after = ": it is not written"
	}
	var code *kerr.Error
	switch {
	case errors.As(err, &code):
		return "Kafka did not acknowledge the order (" + code.Message + ")" + after
	case errors.Is(err, kgo.ErrRecordTimeout):
		return "no broker took the order in time" + after
	}
	return "Kafka did not acknowledge the order" + after
}
