package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
)

// maxOrders is how many orders one POST /orders may hold.
const maxOrders = 10_000

const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
)

// takeMany is the way of the orders of POST /orders: read whole, then handed
// to Kafka together, in their order; answered when each one's outcome is known
// or the time is over.
func (s *Server) takeMany(ctx *fasthttp.RequestCtx, meta client.Meta) answer {
	if len(ctx.Request.Header.PeekAll(headerIdempotencyKey)) > 0 {
		return refuse(fasthttp.StatusBadRequest, client.NotWritten,
			"an Idempotency-Key can't name many orders: it is for POST /order")
	}
	mediaType, detail := "", ""
	if contentType := string(ctx.Request.Header.ContentType()); contentType != "" {
		mediaType, detail = mediaTypeOf(contentType, typeNDJSON, typeJSON, "application/ndjson", "application/jsonl")
	}
	if detail != "" {
		return refuse(fasthttp.StatusUnsupportedMediaType, client.NotWritten, detail)
	}
	// A request of many faults costs more than one order by thousands: they take
	// turns, so that single orders are not held up.
	if !s.turn() {
		return s.busy(rejectedInFlight, "too many orders are being read")
	}
	m, refusal, ok := s.readMany(ctx, meta, mediaType)
	if !ok {
		return refusal
	}
	if len(m.flight.attempts) > 0 {
		refusal, ok := s.launch(m.flight)
		switch {
		case !ok && len(m.flight.attempts) == len(m.entries):
			return refusal
		case !ok: // some had faults: two causes
			m.refusal = &refusal
		case s.opts.Ack == AckDelivered:
			s.await(m.flight)
		}
	}
	s.reading <- struct{}{}
	defer func() { <-s.reading }()
	return s.answerMany(m, meta.RequestID)
}

// turn waits for one to read orders; not for long, since the request's time
// passes.
func (s *Server) turn() bool {
	timeout := time.NewTimer(maxTurn)
	defer timeout.Stop()
	select {
	case s.reading <- struct{}{}:
		return true
	case <-timeout.C:
		return false
	}
}

const maxTurn = time.Second

// readMany decodes the body of a POST /orders and makes the records, with room
// for the answer. It ends the turn.
func (s *Server) readMany(ctx *fasthttp.RequestCtx, meta client.Meta, mediaType string) (batch, answer, bool) {
	defer func() { <-s.reading }()
	crowded := func() (batch, answer, bool) {
		return batch{}, s.busy(rejectedMemory, "too many large requests are being read and answered"), false
	}
	refused := func(code int, detail string) (batch, answer, bool) {
		return batch{}, refuse(code, client.NotWritten, detail), false
	}
	conn := under(ctx.Conn())
	packed := len(ctx.Request.Header.ContentEncoding()) > 0
	if packed && conn != nil && !conn.hold(int64(maxOrdersBody)) {
		return crowded()
	}
	body, refusal, ok := readBody(ctx, int64(maxOrdersBody))
	if packed && conn != nil { // now it is known
		conn.hold(int64(len(body)) - int64(maxOrdersBody))
	}
	if !ok {
		return batch{}, refusal, false
	}
	texts, array, err := split(body, mediaType)
	switch {
	case errors.Is(err, errTooMany):
		return refused(fasthttp.StatusRequestEntityTooLarge, fmt.Sprintf("these are more than %d orders", maxOrders))
	case err != nil:
		return refused(fasthttp.StatusBadRequest, err.Error())
	case len(texts) > s.opts.MaxInFlight: // 503 would say that there will be room
		return refused(fasthttp.StatusRequestEntityTooLarge, fmt.Sprintf("these are more orders than may wait for Kafka: at most %d", s.opts.MaxInFlight))
	case conn != nil && !conn.hold(answerSize(len(texts), len(body))):
		return crowded()
	}
	m := s.read(texts, meta)
	if i := m.notJSON(); array && i >= 0 {
		return refused(fasthttp.StatusBadRequest, fmt.Sprintf("the body is not JSON: element %d of the array is not", i))
	}
	return m, answer{}, true
}

// batch is the orders of one request: each is in the flight, or has faults.
type batch struct {
	entries []entry
	flight  *flight
	refusal *answer // of the whole flight, where it was not launched
}

type entry struct {
	text    []byte // of the request
	faults  error
	attempt *attempt
}

// read decodes the orders and makes their records.
func (s *Server) read(texts [][]byte, meta client.Meta) batch {
	m := batch{entries: make([]entry, len(texts)), flight: s.newFlight(len(texts), meta.ReceivedAt)}
	rec := s.recorders.Get().(*client.Recorder)
	defer s.recorders.Put(rec)
	request := append(append(make([]byte, 0, len(meta.RequestID)+6), meta.RequestID...), '.')
	for i, text := range texts {
		e := &m.entries[i]
		e.text = text
		o, err := s.decoder.Decode(text)
		if err != nil {
			e.faults = err
			continue
		}
		own := meta
		own.EventID = rec.NewID(meta.ReceivedAt)
		own.RequestID = string(strconv.AppendInt(request, int64(i), 10))
		e.attempt = m.flight.add(rec.Record(&o, own), own.EventID, nil)
	}
	return m
}

// notJSON is the first entry that is not even JSON, -1 where all are. One line
// of NDJSON stands for itself; an array that holds such an element is none.
func (m *batch) notJSON() int {
	return slices.IndexFunc(m.entries, func(e entry) bool { return e.faults != nil && !json.Valid(e.text) })
}

var (
	errTooMany = errors.New("too many orders")
	errNone    = errors.New("there is no order in the body")
)

// split finds the orders of a body: the elements of an array, or one a line.
// Where the media type does not say which, the first character does.
func split(body []byte, mediaType string) (texts [][]byte, array bool, err error) {
	body = bytes.TrimLeft(body, " \t\r\n")
	array = len(body) > 0 && body[0] == '['
	switch {
	case len(body) == 0:
		return nil, false, errNone
	case array && (mediaType == typeJSON || mediaType == ""):
		texts, err = splitArray(body[1:])
		return texts, true, err
	case mediaType == typeJSON:
		return nil, false, errors.New("the body is not a JSON array: one order goes to POST /order, one order a line is " + typeNDJSON)
	}
	texts, err = splitLines(body)
	return texts, false, err
}

func splitLines(body []byte) ([][]byte, error) {
	texts := make([][]byte, 0, min(maxOrders, len(body)/100+1))
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		if line = bytes.Trim(line, " \t\r"); len(line) == 0 { // not TrimSpace: JSON knows no other space
			continue
		}
		if len(texts) == maxOrders {
			return nil, errTooMany
		}
		texts = append(texts, line)
	}
	return texts, nil
}

// splitArray looks at strings and brackets only; whether an element is JSON is
// asked where it is no order.
func splitArray(body []byte) ([][]byte, error) {
	texts := make([][]byte, 0, min(maxOrders, len(body)/100+1))
	for {
		n, end := elementEnd(body)
		if end == 0 {
			return nil, errors.New("the body is not JSON: the array is not closed")
		}
		text := bytes.Trim(body[:n], " \t\r\n")
		body = body[n+1:]
		empty := end == ']' && len(texts) == 0 && len(text) == 0
		if !empty {
			if len(texts) == maxOrders {
				return nil, errTooMany
			}
			texts = append(texts, text)
		}
		if end != ']' {
			continue
		}
		if len(bytes.Trim(body, " \t\r\n")) > 0 {
			return nil, errors.New("the body is not JSON: something follows the array")
		}
		if empty {
			return nil, errNone
		}
		return texts, nil
	}
}

// elementEnd is where an element of an array ends and by what: ',' or ']', 0
// where the body ends before it.
func elementEnd(body []byte) (n int, end byte) {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted:
			if c == '\\' {
				i++
			}
			quoted = c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case depth == 0 && (c == ',' || c == ']'):
			return i, c
		case c == '}' || c == ']':
			depth--
		}
	}
	return len(body), 0
}
