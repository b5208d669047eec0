package ingest

import (
	"errors"
	"fmt"
	"mime"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

const (
	routeOrder = "/order"
	routeNone  = "other"

	headerRequestID = "X-Request-Id"
	retryAfter      = "1" // seconds
	nosniff         = "nosniff"
	noStore         = "no-store" // receipts and refusals are nobody else's
)

// handle answers one request.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	s.handling.Add(1)
	defer s.handling.Add(-1)
	start := time.Now()
	// Ours, also where the caller sends one: it names this attempt, and two
	// attempts must never share a name.
	requestID := client.NewID()
	a := s.answerTo(ctx, requestID, start)
	a.write(ctx, requestID)

	route := routeNone
	if isOrder(ctx) {
		route = routeOrder
	}
	s.metrics.request(route, ctx.Method(), a.code, time.Since(start))
	if a.problem != nil && ctx.IsPost() {
		s.refusals.log(refusal{requestID: requestID, orderID: a.orderID, code: a.code, outcome: a.problem.Outcome, reason: a.problem.reason(), err: a.cause})
	}
	if s.opts.AccessLog {
		s.log.Info("request", "method", string(ctx.Method()), "path", string(ctx.Path()), "code", a.code,
			"duration", time.Since(start).String(), "remote", ctx.RemoteAddr().String(), "request_id", requestID, "order_id", a.orderID)
	}
}

// answerTo finds the answer; a panic is one too, since a process that dies
// takes every other client's request with it.
func (s *Server) answerTo(ctx *fasthttp.RequestCtx, requestID string, start time.Time) (a answer) {
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
	case !isOrder(ctx):
		return refuse(fasthttp.StatusNotFound, client.NotWritten, "there is nothing at this path, orders go to POST /order")
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
	if detail := checkEncoding(ctx); detail != "" {
		a := refuse(fasthttp.StatusUnsupportedMediaType, client.NotWritten, detail)
		a.orderID = s.decoder.ID(ctx.PostBody())
		return a
	}
	return s.take(ctx, requestID, caller, start)
}

// isOrder compares the path as it was sent: one that only means the same after
// decoding or cleaning would go around the rules of a proxy before us.
func isOrder(ctx *fasthttp.RequestCtx) bool { return string(ctx.URI().PathOriginal()) == routeOrder }

// take is one order's way: decode, hand to Kafka, wait, say what became of it.
func (s *Server) take(ctx *fasthttp.RequestCtx, requestID, caller string, start time.Time) answer {
	body := ctx.PostBody()
	o, err := s.decoder.Decode(body)
	if err != nil {
		return s.refuseBody(body, err)
	}
	meta := client.Meta{
		EventID:     client.NewID(),
		RequestID:   requestID,
		ReceivedAt:  start,
		Client:      caller,
		Traceparent: traceparent(ctx.Request.Header.Peek(client.HeaderTraceparent)),
	}
	var a answer
	switch keys := ctx.Request.Header.PeekAll(headerIdempotencyKey); {
	case len(keys) == 0:
		a = s.produce(client.ToRecord(s.opts.Topic, &o, meta), nil)
	case len(keys) > 1 || !validKey(string(keys[0])):
		a = refuse(fasthttp.StatusBadRequest, client.NotWritten,
			fmt.Sprintf("the Idempotency-Key has to be one, of 1 to %d printable ASCII characters", maxIdempotencyKey))
	default:
		meta.EventID = eventID(meta.Client, o.ID, string(keys[0]))
		a = s.once(&o, meta, string(keys[0]))
	}
	a.orderID, a.eventID = o.ID, meta.EventID
	return a
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

// checkEncoding says why the body can't be read as JSON, "" where it can. A
// request without a content type is taken at its word; curl -d, which names a
// form, is told what to add: to guess would hide a client's mistake that the
// next server punishes.
func checkEncoding(ctx *fasthttp.RequestCtx) string {
	if enc := string(ctx.Request.Header.ContentEncoding()); enc != "" && !strings.EqualFold(enc, "identity") {
		return fmt.Sprintf("content-encoding %q is not taken, send the order uncompressed", ascii(enc))
	}
	contentType := string(ctx.Request.Header.ContentType())
	if contentType == "" || contentType == "application/json" {
		return ""
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	charset, given := params["charset"]
	switch {
	case mediaType == "application/x-www-form-urlencoded":
		return "content-type is application/x-www-form-urlencoded, as curl -d sends it by itself: add -H 'Content-Type: application/json'"
	case err != nil || mediaType != "application/json":
		return fmt.Sprintf("content-type %q is not taken: send application/json", ascii(contentType))
	case given && !strings.EqualFold(charset, "utf-8"):
		return fmt.Sprintf("charset %q is not taken, JSON is UTF-8 (RFC 8259)", ascii(charset))
	}
	return ""
}

// handleBroken answers what was not readable as a request. fasthttp closes the
// connection afterwards.
func (s *Server) handleBroken(ctx *fasthttp.RequestCtx, err error) {
	if s.handshakeFailed(ctx, err) {
		return
	}
	requestID := client.NewID()
	var (
		small   *fasthttp.ErrSmallBuffer
		timeout net.Error
		a       answer
	)
	why := rejectedTooLarge
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		a = refuse(fasthttp.StatusRequestEntityTooLarge, client.NotWritten, fmt.Sprintf("the body is over %s", s.opts.MaxBody))
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
	for _, c := range h {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c == '-') {
			return ""
		}
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
