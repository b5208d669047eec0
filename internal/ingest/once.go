package ingest

import (
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// once takes an order that came with an Idempotency-Key: the first request
// under the key produces, the others hear what became of it.
func (s *Server) once(o *order.Order, meta client.Meta, key string) answer {
	record := s.record(o, meta)
	at, what := s.replies.begin(digestOf(meta.Client, key), digestOf(string(record.Value)), time.Now())
	s.metrics.idempotency.WithLabelValues(string(what)).Inc()
	switch what {
	case verdictFull:
		return s.busy(rejectedIdempotency, "too many orders with an Idempotency-Key are waiting for Kafka")
	case verdictConflict:
		return refuse(fasthttp.StatusUnprocessableEntity, client.NotWritten, "this Idempotency-Key came with another order before")
	case verdictReplay:
		return s.replayed(o, meta, at)
	case verdictWait:
		return s.awaitFirst(o, meta, at)
	}
	tainted := at.tainted() // as it is settled it is forgotten
	a := s.produce(record, meta, at)
	if tainted && a.problem != nil && a.problem.Outcome == client.NotWritten {
		// This attempt is not written; the one before it, under the same key, may be.
		a.problem.Outcome = client.Unknown
	}
	return a
}

// replayed is the first one's 202 again, byte for byte: all of it follows from
// the order, the key and the place.
func (s *Server) replayed(o *order.Order, meta client.Meta, at *reply) answer {
	a := receipt(o.ID, meta.EventID, s.opts.Topic, at.partition, at.offset)
	if s.opts.Ack == AckEnqueued {
		a = enqueued(o.ID, meta.EventID, s.opts.Topic)
	}
	a.replay = true
	return a
}

// awaitFirst waits for the promise of the request that came first, which is
// still with Kafka, and produces nothing.
func (s *Server) awaitFirst(o *order.Order, meta client.Meta, first *reply) answer {
	if s.opts.Ack == AckEnqueued {
		return s.replayed(o, meta, first) // answered so before its promise too
	}
	timer := time.NewTimer(s.opts.Timeout)
	defer timer.Stop()
	select {
	case <-first.done:
	case <-timer.C:
		return refuse(fasthttp.StatusInternalServerError, client.Unknown,
			"an earlier request with this Idempotency-Key is still with Kafka: it may or may not be written")
	case <-s.expired:
		return refuse(fasthttp.StatusInternalServerError, client.Unknown,
			"an earlier request with this Idempotency-Key is still with Kafka, and this instance is shutting down")
	}
	switch first.outcome {
	case client.Acked:
		return s.replayed(o, meta, first)
	case client.NotWritten:
		return refuse(fasthttp.StatusInternalServerError, client.NotWritten, "an earlier request with this Idempotency-Key was not written")
	}
	return refuse(fasthttp.StatusInternalServerError, client.Unknown,
		"an earlier request with this Idempotency-Key was not acknowledged: it may or may not be written")
}
