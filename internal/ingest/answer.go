package ingest

import (
	"encoding/json"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// answer is what goes back to the client, and what is logged of it.
type answer struct {
	code    int
	body    []byte   // of a 202
	problem *problem // of everything else
	allow   string
	retry   string
	// WWW-Authenticate of a 401.
	authenticate string
	replay       bool // of an earlier request's answer
	orderID      string
	eventID      string
	cause        error // of a refusal by Kafka, for the log
}

// problem is a refusal (RFC 9457) with what became of the order.
type problem struct {
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail"`
	Outcome   client.Outcome `json:"outcome"`
	Retryable bool           `json:"retryable"`
	RequestID string         `json:"request_id"`
	EventID   string         `json:"event_id,omitempty"`
	Errors    order.Faults   `json:"errors,omitempty"`

	tally *tally // of POST /orders; its members come last
}

// tally is what became of the orders of one POST /orders.
type tally struct {
	accepted, refused int
	results           []byte // a JSON array: one an order, in the request's order
}

func (p *problem) reason() string {
	if len(p.Errors) > 0 {
		return p.Errors.Error()
	}
	return p.Detail
}

// refuse is an answer that is not a 202. What the server or Kafka is to blame
// for may be tried again; what is wrong with the request is wrong again.
func refuse(code int, outcome client.Outcome, detail string) answer {
	return answer{code: code, problem: &problem{
		Title:     fasthttp.StatusMessage(code),
		Status:    code,
		Detail:    detail,
		Outcome:   outcome,
		Retryable: retryable(code),
	}}
}

func retryable(code int) bool { return code >= 500 || code == fasthttp.StatusRequestTimeout }

// busy is the refusal that is ours alone: nothing was handed to Kafka.
func (s *Server) busy(why rejection, detail string) answer {
	s.metrics.reject(why)
	a := refuse(fasthttp.StatusServiceUnavailable, client.NotWritten, detail)
	a.retry = retryAfter
	return a
}

// receipt is the 202 of a record that is in the log.
func receipt(orderID, eventID, topic string, partition int32, offset int64) answer {
	b := appendPlace(append(make([]byte, 0, 192), '{'), orderID, eventID, topic)
	return answer{code: fasthttp.StatusAccepted, body: append(appendOffset(b, partition, offset), "}\n"...)}
}

// outcomeEnqueued stands in the answer of an order that nobody waits for.
const outcomeEnqueued client.Outcome = "enqueued"

// enqueued is the 202 of a record that is in this process's memory.
func enqueued(orderID, eventID, topic string) answer {
	b := appendPlace(append(make([]byte, 0, 192), '{'), orderID, eventID, topic)
	return answer{code: fasthttp.StatusAccepted, body: append(b, `,"outcome":"enqueued"}`+"\n"...)}
}

func appendPlace(b []byte, orderID, eventID, topic string) []byte {
	b = append(b, `"id":`...)
	b = order.AppendString(b, orderID)
	b = append(b, `,"event_id":"`...)
	b = append(b, eventID...)
	b = append(b, `","topic":"`...)
	b = append(b, topic...)
	return append(b, '"')
}

func appendOffset(b []byte, partition int32, offset int64) []byte {
	b = append(b, `,"partition":`...)
	b = strconv.AppendInt(b, int64(partition), 10)
	b = append(b, `,"offset":`...)
	return strconv.AppendInt(b, offset, 10)
}

func (a *answer) write(ctx *fasthttp.RequestCtx, requestID string) {
	h := &ctx.Response.Header
	// Their names are canonical as they stand; Set would work on each byte of them.
	h.SetCanonical([]byte(headerRequestID), []byte(requestID))
	h.SetCanonical([]byte(fasthttp.HeaderXContentTypeOptions), []byte(nosniff))
	h.SetCanonical([]byte(fasthttp.HeaderCacheControl), []byte(noStore))
	ctx.SetStatusCode(a.code)
	if a.allow != "" {
		h.Set(fasthttp.HeaderAllow, a.allow)
	}
	if a.replay {
		h.Set(headerReplayed, "true")
	}
	if a.authenticate != "" {
		h.Set(fasthttp.HeaderWWWAuthenticate, a.authenticate)
	}
	if a.retry != "" {
		h.Set(fasthttp.HeaderRetryAfter, a.retry)
	}
	if a.problem == nil {
		ctx.SetContentType("application/json")
		ctx.Response.SetBodyRaw(a.body) // nobody else has it
		return
	}
	a.problem.RequestID, a.problem.EventID = requestID, a.eventID
	body, err := json.Marshal(a.problem)
	if err != nil {
		// Strings and numbers only: this can't happen, and if it does the code
		// still tells the client.
		body = []byte(`{}`)
	}
	if t := a.problem.tally; t != nil && err == nil {
		body = t.append(append(body[:len(body)-1], ','))
	}
	ctx.SetContentType("application/problem+json")
	ctx.Response.SetBodyRaw(append(body, '\n'))
}
