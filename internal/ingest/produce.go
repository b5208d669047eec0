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
	"github.com/ordersctl/ordersctl/internal/topic"
)

// attempt is one record on its way. Its promise and the handler's timer race
// for it: who sets answered first decides what the client hears.
type attempt struct {
	answered atomic.Bool
	done     chan error // buffered: a promise never waits for a handler that has gone
	reply    *reply     // what its Idempotency-Key stands for, nil without one
}

// produce hands the record to Kafka and waits for what becomes of it, or in
// enqueued mode does not wait. booked is what the order's Idempotency-Key stands
// for, nil without one; it is settled in every case.
func (s *Server) produce(r *kgo.Record, booked *reply) answer {
	size := int64(len(r.Key) + len(r.Value))
	// Counted here and not left to ErrMaxBuffered, which comes by the promise:
	// in enqueued mode the answer would be out before it.
	records, bytes := s.records.Add(1), s.bytes.Add(size)
	if records > maxBufferedRecords || bytes > int64(maxBufferedBytes) {
		s.release(size)
		s.metrics.outcome(client.NotWritten)
		if booked != nil {
			s.replies.settle(booked, client.NotWritten, 0, 0, time.Now())
		}
		return s.busy(rejectedInFlight, "too many orders are waiting for Kafka")
	}
	wait := s.opts.Ack == AckDelivered
	a := &attempt{done: make(chan error, 1), reply: booked}
	a.answered.Store(!wait)
	start := time.Now()
	// Never the request's context: one that is cancelled fails every record
	// that is buffered for the same partition.
	ctx := context.Background() //nolint:forbidigo // for the reason above
	s.kafka.TryProduce(ctx, r, func(r *kgo.Record, err error) {
		s.settle(a, r, err, wait, time.Since(start))
		s.release(size) // last: at zero everything is settled
	})
	if !wait {
		return enqueued(string(r.Key), client.HeaderValue(r, client.HeaderEventID), r.Topic)
	}
	timer := time.NewTimer(s.opts.Timeout)
	defer timer.Stop()
	select {
	case err := <-a.done:
		return s.delivered(r, err)
	case <-timer.C:
	case <-s.expired:
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
	if errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition) {
		s.heal()
	}
	if a.reply != nil { // before anyone is answered, who may ask again at once
		s.replies.settle(a.reply, outcome, r.Partition, r.Offset, time.Now())
	}
	heard := a.answered.CompareAndSwap(false, true)
	if heard {
		a.done <- err
	} else if waited {
		s.metrics.late.Inc() // the answer was "unknown", by the timer
	}
	closing := s.closing.Load()
	switch {
	case err == nil:
		return
	case closing:
		s.left.Add(1)
	case heard:
		return // its answer says so
	case waited && !s.refusals.allow():
		return // the client was told "unknown", and that was logged
	}
	s.log.Error("order was not acknowledged", "outcome", string(outcome), "order_id", string(r.Key),
		"event_id", client.HeaderValue(r, client.HeaderEventID), "request_id", client.HeaderValue(r, client.HeaderRequestID),
		"draining", closing, "err", err)
}

// heal forgets a topic that was deleted, so that it is found again when it is
// made anew: the client goes on asking for the old topic's id by itself.
func (s *Server) heal() {
	if s.closing.Load() || !s.healing.CompareAndSwap(false, true) {
		return
	}
	// Not in the promise: to forget takes locks that it holds.
	s.healers.Go(func() {
		defer s.healing.Store(false)
		for told := false; !s.closing.Load(); {
			s.kafka.PurgeTopicsFromClient(s.opts.Topic)
			id, err := s.topicID()
			if err == nil {
				s.log.Error("the topic was deleted and made again, going on with the new one", "topic", s.opts.Topic, "topic_id", topic.FormatID(id))
				return
			}
			if !told {
				s.log.Error("the topic is gone, looking for it again", "topic", s.opts.Topic, "err", err)
				told = true
			}
			s.await(healEvery, s.closing.Load)
		}
	})
}

// healEvery is how often a topic that is gone is looked for.
const healEvery = 500 * time.Millisecond

func (s *Server) topicID() ([16]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Kafka.ConnectTimeout) //nolint:forbidigo // a promise has none
	defer cancel()
	id, _, err := topic.Exists(ctx, client.Admin(s.kafka), s.opts.Topic)
	return id, err
}

// delivered turns the promise's error into the answer.
func (s *Server) delivered(r *kgo.Record, err error) answer {
	if err == nil {
		return receipt(string(r.Key), client.HeaderValue(r, client.HeaderEventID), r.Topic, r.Partition, r.Offset)
	}
	outcome := client.OutcomeOf(err)
	if errors.Is(err, kgo.ErrMaxBuffered) {
		return s.busy(rejectedInFlight, "too many orders are waiting for Kafka")
	}
	refusal := refuse(fasthttp.StatusInternalServerError, outcome, explain(err, outcome))
	refusal.cause = err
	return refusal
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
