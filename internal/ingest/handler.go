package ingest

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

const (
	routeOrder  = "/order"
	routeOrders = "/orders"
	routeNone   = "other"

	headerRequestID = "X-Request-Id"
	retryAfter      = "1" // seconds
	nosniff         = "nosniff"
	noStore         = "no-store" // receipts and refusals are nobody else's
)

// handle answers one request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	s.handling.Add(1)
	defer s.handling.Add(-1)
	s.guard.memory.settle(&ctx.Request.Header, under(ctx.Conn()))
	start := time.Now()
	// Ours, also where the caller sends one: it names this attempt, and two
	// attempts must never share a name.
	requestID := s.newID(start)
	route := routeOf(ctx)
	a := s.answerTo(ctx, route, requestID, start)
	a.write(ctx, requestID)

	s.metrics.request(route, ctx.Method(), a.code, time.Since(start))
	if a.problem != nil && a.problem.tally == nil && ctx.IsPost() {
		s.refusals.log(refusal{requestID: requestID, orderID: a.orderID, code: a.code, outcome: a.problem.Outcome, reason: a.problem.reason(), err: a.cause})
	}
	if s.opts.AccessLog {
		s.log.Info("request", "method", string(ctx.Method()), "path", string(ctx.Path()), "code", a.code,
			"duration", time.Since(start).String(), "remote", ctx.RemoteAddr().String(), "request_id", requestID, "order_id", a.orderID)
	}
}

// newID is a UUIDv7, of randomness that was read ahead.
func (s *Server) newID(now time.Time) string {
	rec := s.recorders.Get().(*client.Recorder)
	defer s.recorders.Put(rec)
	return rec.NewID(now)
}

// record makes the record of an order. It shares memory with the ones before
// and after it, which is freed when the last of them is settled.
func (s *Server) record(o *order.Order, m client.Meta) *kgo.Record {
	if s.breaker.open.Load() {
		// Of those to come one in a while is tried and then waits for as long as
		// Kafka is away: it must not hold a block that thousands of refused ones
		// were made in.
		return client.ToRecord(s.opts.Topic, o, m)
	}
	rec := s.recorders.Get().(*client.Recorder)
	defer s.recorders.Put(rec)
	return rec.Record(o, m)
}

// routeOf compares the path as it was sent: one that only means the same after
// decoding or cleaning would go around the rules of a proxy before us.
func routeOf(ctx *fasthttp.RequestCtx) string {
	uri := ctx.Request.Header.RequestURI()
	if string(uri) == routeOrder { // as nearly always: a URI is not worth its parsing then
		return routeOrder
	}
	switch string(ctx.URI().PathOriginal()) {
	case routeOrder:
		return routeOrder
	case routeOrders:
		return routeOrders
	case routeOpenAPI:
		return routeOpenAPI
	}
	return routeNone
}

// answerTo finds the answer; a panic is one too, since a process that dies
// takes every other client's request with it.
func (s *Server) answerTo(ctx *fasthttp.RequestCtx, route, requestID string, start time.Time) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic while answering", "request_id", requestID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			a = refuse(fasthttp.StatusInternalServerError, client.Unknown, "the server failed on this request")
		}
	}()
	if a, refused := s.abandoned(ctx, requestID); refused {
		return a
	}
	switch {
	case route == routeNone:
		return refuse(fasthttp.StatusNotFound, client.NotWritten, "there is nothing at this path, orders go to POST /order or POST /orders")
	case route == routeOpenAPI:
		return s.openapi(ctx)
	case !ctx.IsPost():
		a := refuse(fasthttp.StatusMethodNotAllowed, client.NotWritten, "this path takes POST only")
		a.allow = fasthttp.MethodPost
		return a
	case s.refusing.Load():
		return s.busy(rejectedDraining, "this instance is shutting down")
	}
	caller, refusal := s.caller(&ctx.Request.Header)
	if refusal != nil {
		return *refusal
	}
	meta := client.Meta{
		EventID:     requestID, // unless a key says otherwise
		RequestID:   requestID,
		ReceivedAt:  start,
		Client:      caller,
		Traceparent: traceparent(ctx.Request.Header.Peek(client.HeaderTraceparent)),
	}
	if route == routeOrders {
		return s.takeMany(ctx, meta)
	}
	return s.take(ctx, meta)
}

// take is one order's way: decode, hand to Kafka, wait, say what became of it.
func (s *Server) take(ctx *fasthttp.RequestCtx, meta client.Meta) answer {
	if detail := checkType(ctx); detail != "" {
		a := refuse(fasthttp.StatusUnsupportedMediaType, client.NotWritten, detail)
		a.orderID = s.decoder.ID(ctx.PostBody())
		return a
	}
	body, refusal, ok := readBody(ctx, int64(s.opts.MaxBody))
	if !ok {
		return refusal
	}
	o, err := s.decoder.Decode(body)
	if err != nil {
		return s.refuseBody(body, err)
	}
	var a answer
	switch keys := ctx.Request.Header.PeekAll(headerIdempotencyKey); {
	case len(keys) == 0:
		a = s.produce(s.record(&o, meta), meta, nil)
	case len(keys) > 1 || !validKey(string(keys[0])):
		a = refuse(fasthttp.StatusBadRequest, client.NotWritten,
			fmt.Sprintf("the Idempotency-Key has to be one, of 1 to %d printable ASCII characters", maxIdempotencyKey))
		meta.EventID = ""
	default:
		meta.EventID = eventID(meta.Client, o.ID, string(keys[0]))
		a = s.once(&o, meta, string(keys[0]))
	}
	a.orderID, a.eventID = o.ID, meta.EventID
	return a
}

// produce is the way of one record from launch to answer. booked is what the
// order's Idempotency-Key stands for, nil without one.
func (s *Server) produce(r *kgo.Record, meta client.Meta, booked *reply) answer {
	f := s.newFlight(1, meta.ReceivedAt)
	f.add(r, meta.EventID, booked)
	if refusal, ok := s.launch(f); !ok {
		return refusal
	}
	landed := s.opts.Ack == AckDelivered && s.await(f)
	res := s.resultOf(&f.attempts[0])
	if landed {
		s.land(f)
	}
	switch {
	case res.code != fasthttp.StatusAccepted:
		a := refuse(res.code, res.outcome, res.detail)
		a.cause = res.cause
		return a
	case res.outcome == outcomeEnqueued:
		return enqueued(string(r.Key), meta.EventID, r.Topic)
	}
	return receipt(string(r.Key), meta.EventID, r.Topic, r.Partition, r.Offset)
}

func (s *Server) refuseBody(body []byte, err error) answer {
	detail := "the body is not an order"
	if len(body) == 0 {
		detail = "the body is empty, it has to be one order in JSON"
	}
	a := refuse(fasthttp.StatusBadRequest, client.NotWritten, detail)
	a.orderID = s.decoder.ID(body)
	var faults order.Faults
	if errors.As(err, &faults) {
		a.problem.Errors = faults
	} else {
		a.problem.Detail = err.Error()
	}
	return a
}

// handleBroken answers what was not readable as a request. fasthttp closes the
// connection afterwards.
func (s *Server) handleBroken(ctx *fasthttp.RequestCtx, err error) {
	if s.handshakeFailed(ctx, err) {
		return
	}
	s.guard.memory.settle(&ctx.Request.Header, nil)
	requestID := s.newID(time.Now())
	var (
		small   *fasthttp.ErrSmallBuffer
		timeout net.Error
		a       answer
	)
	why := rejectedTooLarge
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		a = refuse(fasthttp.StatusRequestEntityTooLarge, client.NotWritten, "the body is over "+s.maxBodyOf(&ctx.Request.Header).String())
	case errors.As(err, &small):
		a = refuse(fasthttp.StatusRequestHeaderFieldsTooLarge, client.NotWritten, fmt.Sprintf("the request's header is over %d bytes", maxHeaderBytes))
	case errors.As(err, &timeout) && timeout.Timeout():
		why = rejectedTooSlow
		a = refuse(fasthttp.StatusRequestTimeout, client.NotWritten, fmt.Sprintf("the request did not arrive in time: its header within %s, its body within %s after that", s.opts.HeaderTimeout, s.opts.BodyTimeout))
	default:
		why = rejectedMalformed
		a = refuse(fasthttp.StatusBadRequest, client.NotWritten, "this is not an HTTP/1.1 request that can be read")
	}
	linger(ctx.Conn())
	a.write(ctx, requestID)
	s.metrics.reject(why)
	s.metrics.request(routeNone, nil, a.code, 0) // its method is a guess
	if a.code != fasthttp.StatusRequestTimeout { // mostly connections that were kept and never used
		s.refusals.log(refusal{requestID: requestID, code: a.code, outcome: a.problem.Outcome, reason: a.problem.Detail})
	}
}

// traceparent takes a W3C trace context that has its form and drops what has
// not (https://www.w3.org/TR/trace-context/#traceparent-header).
func traceparent(h []byte) string {
	if len(h) < 55 || len(h) > 128 || h[2] != '-' || h[35] != '-' || h[52] != '-' {
		return ""
	}
	for i, c := range h {
		digit := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		if dash := i == 2 || i == 35 || i == 52 || i >= 55; !digit && !(dash && c == '-') {
			return ""
		}
	}
	const zeros = "00000000000000000000000000000000"
	if string(h[:2]) == "ff" || string(h[3:35]) == zeros || string(h[36:52]) == zeros[:16] {
		return ""
	}
	return string(h)
}

// ascii makes a stranger's text fit to be shown back.
func ascii(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
