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

// flight is what one request hands to Kafka: one order, or those of a batch.
type flight struct {
	attempts []attempt
	single   [1]attempt // where attempts lives when there is one
	start    time.Time
	open     atomic.Int32 // promises outstanding
	// True by the last promise, false by watch when the time is over. It has room
	// for both: neither waits for a handler that has gone.
	done chan bool

	watched struct { // by watch, under its shard's lock
		shard      *watchShard
		prev, next *flight
		woken      bool
	}
}

// attempt is one order on its way. Its promise and the end of the request's
// time race for it: who sets claimed first decides what the client hears.
type attempt struct {
	record  *kgo.Record
	eventID string
	reply   *reply // what its Idempotency-Key stands for, nil without one
	claimed atomic.Bool
	// The promise's; read only by who found it claimed.
	err     error
	outcome client.Outcome
}

// newFlight has room for n attempts.
func (s *Server) newFlight(n int, start time.Time) *flight {
	f, _ := s.flights.Get().(*flight)
	if f == nil {
		f = &flight{done: make(chan bool, 2)}
	}
	f.start, f.attempts = start, f.single[:0]
	if n > 1 {
		f.attempts = make([]attempt, 0, n)
	}
	return f
}

// land gives a flight of one back, after await said that nobody will touch it
// any more.
func (s *Server) land(f *flight) {
	f.attempts, f.single[0] = nil, attempt{}
	s.flights.Put(f)
}

// add takes one more record along. No more than newFlight was told.
func (f *flight) add(r *kgo.Record, eventID string, booked *reply) *attempt {
	f.attempts = f.attempts[:len(f.attempts)+1]
	a := &f.attempts[len(f.attempts)-1]
	a.record, a.eventID, a.reply = r, eventID, booked
	return a
}

// launch hands all of the flight to Kafka, or nothing: of one key's orders a
// later one must not get in where an earlier one did not. Where it says why
// not, nothing is written and the replies that were booked are settled.
func (s *Server) launch(f *flight) (answer, bool) {
	refusal, ok := s.admit(f)
	if !ok {
		for i := range f.attempts {
			s.metrics.outcome(client.NotWritten)
			if at := f.attempts[i].reply; at != nil {
				s.replies.settle(at, client.NotWritten, 0, 0, f.start)
			}
		}
		return refusal, false
	}
	wait := s.opts.Ack == AckDelivered
	f.open.Store(int32(len(f.attempts)))
	// Never the request's context: one that is cancelled fails every record
	// that is buffered for the same partition.
	ctx := context.Background() //nolint:forbidigo // for the reason above
	for i := range f.attempts {
		a := &f.attempts[i]
		a.claimed.Store(!wait)
		s.kafka.TryProduce(ctx, a.record, func(_ *kgo.Record, err error) { s.settle(f, a, err) })
	}
	s.prompter.added(len(f.attempts))
	return answer{}, true
}

// admit finds room for all records of the flight.
func (s *Server) admit(f *flight) (answer, bool) {
	n, size := int64(len(f.attempts)), int64(0)
	for i := range f.attempts {
		size += sizeOf(f.attempts[i].record)
	}
	records, bytes := s.records.Add(n), s.bytes.Add(size)
	if records > int64(s.opts.MaxInFlight) || bytes > int64(maxBufferedBytes) {
		s.release(n, size)
		return s.busy(rejectedInFlight, "too many orders are waiting for Kafka"), false
	}
	if !s.breaker.allow(f.start) {
		s.release(n, size)
		s.metrics.reject(rejectedBreaker)
		a := refuse(fasthttp.StatusInternalServerError, client.NotWritten, "Kafka has acknowledged nothing for a while: the order was not tried")
		a.retry = retryAfter
		return a, false
	}
	return answer{}, true
}

// sizeOf is what counts towards maxBufferedBytes.
func sizeOf(r *kgo.Record) int64 { return int64(len(r.Key) + len(r.Value)) }

func (s *Server) release(n, size int64) {
	if s.records.Add(-n) == 0 {
		s.breaker.idle()
	}
	s.bytes.Add(-size)
}

// await waits until every promise has come, the request's time is over, or the
// time to drain. landed says that it was the first.
func (s *Server) await(f *flight) (landed bool) {
	s.watch.add(f)
	landed = <-f.done
	s.watch.remove(f)
	if landed {
		select {
		case <-f.done: // the time was over as well
		default:
		}
	}
	return landed
}

// settle is the promise: it comes once for each record, in time or late.
func (s *Server) settle(f *flight, a *attempt, err error) {
	now := time.Now()
	outcome := client.OutcomeOf(s.kafka, a.record, err)
	s.metrics.outcome(outcome)
	if err == nil {
		s.metrics.acked(now.Sub(f.start))
		s.breaker.acked(now)
	} else if errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition) {
		s.heal()
	}
	r := a.record
	if a.reply != nil { // before anyone is answered, who may ask again at once
		s.replies.settle(a.reply, outcome, r.Partition, r.Offset, now)
	}
	a.err, a.outcome = err, outcome
	heard := a.claimed.CompareAndSwap(false, true)
	if !heard && s.opts.Ack == AckDelivered {
		s.metrics.late.Inc() // the answer was "unknown", by the timer
	}
	if err != nil {
		s.logLost(a, outcome, heard)
	}
	s.prompter.settled()
	s.release(1, sizeOf(r))
	// Last: with the last promise the flight may be used for another request.
	if f.open.Add(-1) == 0 {
		f.done <- true
	}
}

// logLost leaves a line of a record that was not acknowledged, where no answer
// has said so.
func (s *Server) logLost(a *attempt, outcome client.Outcome, heard bool) {
	closing := s.closing.Load()
	switch {
	case closing:
		s.left.Add(1)
	case heard:
		return // its answer says so
	case s.opts.Ack == AckDelivered && !s.refusals.allow():
		return // the client was told "unknown", and that was logged
	}
	r := a.record
	s.log.Error("order was not acknowledged", "outcome", string(outcome), "order_id", string(r.Key),
		"event_id", a.eventID, "request_id", client.HeaderValue(r, client.HeaderRequestID),
		"draining", closing, "err", a.err)
}

// result is what became of one order, in the words of an answer.
type result struct {
	code    int
	outcome client.Outcome
	detail  string // of a refusal
	cause   error  // of a refusal by Kafka, for the log
}

// resultOf reads an attempt after await.
func (s *Server) resultOf(a *attempt) result {
	if a.claimed.CompareAndSwap(false, true) {
		return result{code: fasthttp.StatusInternalServerError, outcome: client.Unknown, detail: "Kafka did not acknowledge the order in time: it may or may not be written"}
	}
	if s.opts.Ack == AckEnqueued {
		return result{code: fasthttp.StatusAccepted, outcome: outcomeEnqueued}
	}
	err, outcome := a.err, a.outcome
	if err == nil {
		return result{code: fasthttp.StatusAccepted, outcome: client.Acked}
	}
	if errors.Is(err, kgo.ErrMaxBuffered) {
		return result{code: fasthttp.StatusServiceUnavailable, outcome: outcome, detail: "too many orders are waiting for Kafka"}
	}
	return result{code: fasthttp.StatusInternalServerError, outcome: outcome, detail: explain(err, outcome), cause: err}
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
