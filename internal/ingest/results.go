package ingest

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// maxFaultBytes bounds what one answer says of faults, in bytes: a line of a few
// bytes can have twenty.
const maxFaultBytes = 1 << 20

// answerSize is what the answer of so many orders takes at the most: ids come
// back, escaped at worst.
func answerSize(orders, body int) int64 {
	return int64(256*orders + 2*body + min(maxFaultBytes, 4<<10*orders))
}

// answerMany tells what became of each order. 202 where all were accepted;
// where none was and all for one cause, that cause's code; else 207.
func (s *Server) answerMany(m batch, requestID string) answer {
	list := append(make([]byte, 0, 64+192*len(m.entries)), '[')
	accepted, unknown := 0, 0
	faults := maxFaultBytes // bytes left for them
	code := 0               // of those that were refused, while they agree; then 207
	for i := range m.entries {
		if i > 0 {
			list = append(list, ',')
		}
		e := &m.entries[i]
		res := s.entryResult(&m, e)
		list = s.appendEntry(list, i, e, res, &faults)
		if res.code == fasthttp.StatusAccepted {
			accepted++
			continue
		}
		if res.outcome == client.Unknown {
			unknown++
		}
		if code == 0 {
			code = res.code
		} else if code != res.code {
			code = fasthttp.StatusMultiStatus
		}
		s.refusals.log(refusal{requestID: requestID + "." + strconv.Itoa(i), orderID: s.idOf(e), code: res.code, outcome: res.outcome, reason: res.reason(e), err: res.cause})
	}
	list = append(list, ']')
	t := &tally{accepted: accepted, refused: len(m.entries) - accepted, results: list}
	switch {
	case accepted == len(m.entries):
		return answer{code: fasthttp.StatusAccepted, body: append(t.append([]byte{'{'}), '\n')}
	case accepted > 0 || code == fasthttp.StatusMultiStatus:
		a := answer{code: fasthttp.StatusMultiStatus, body: append(t.append([]byte{'{'}), '\n')}
		if m.refusal != nil {
			a.retry = m.refusal.retry
		}
		return a
	}
	outcome := client.NotWritten
	if unknown > 0 {
		outcome = client.Unknown
	}
	a := refuse(code, outcome, "none of the orders was accepted, see results")
	a.problem.tally = t
	return a
}

// append adds the members, and the brace behind them.
func (t *tally) append(b []byte) []byte {
	b = slices.Grow(b, len(t.results)+64)
	b = append(b, `"accepted":`...)
	b = strconv.AppendInt(b, int64(t.accepted), 10)
	b = append(b, `,"refused":`...)
	b = strconv.AppendInt(b, int64(t.refused), 10)
	b = append(b, `,"results":`...)
	return append(append(b, t.results...), '}')
}

func (s *Server) entryResult(m *batch, e *entry) result {
	if e.faults != nil {
		return result{code: fasthttp.StatusBadRequest, outcome: client.NotWritten, detail: "this is not an order"}
	}
	if m.refusal != nil {
		return result{code: m.refusal.code, outcome: client.NotWritten, detail: m.refusal.problem.Detail}
	}
	return s.resultOf(e.attempt)
}

func (r result) reason(e *entry) string {
	if e.faults != nil {
		return e.faults.Error()
	}
	return r.detail
}

func (s *Server) idOf(e *entry) string {
	if e.attempt != nil {
		return string(e.attempt.record.Key)
	}
	return s.decoder.ID(e.text)
}

// appendEntry is one order's result in JSON. The accepted ones are written by
// hand: there can be ten thousand.
func (s *Server) appendEntry(b []byte, i int, e *entry, res result, faults *int) []byte {
	if res.code != fasthttp.StatusAccepted {
		return s.appendRefused(b, i, e, res, faults)
	}
	r := e.attempt.record
	b = append(b, `{"index":`...)
	b = strconv.AppendInt(b, int64(i), 10)
	b = append(b, `,"status":202,"outcome":"`...)
	b = append(b, res.outcome...)
	b = append(b, `",`...)
	b = appendPlace(b, string(r.Key), e.attempt.eventID, r.Topic)
	if res.outcome == client.Acked {
		b = appendOffset(b, r.Partition, r.Offset)
	}
	return append(b, '}')
}

func (s *Server) appendRefused(b []byte, i int, e *entry, res result, faults *int) []byte {
	view := struct {
		Index     int            `json:"index"`
		Status    int            `json:"status"`
		Outcome   client.Outcome `json:"outcome"`
		Retryable bool           `json:"retryable"`
		ID        string         `json:"id,omitempty"`
		EventID   string         `json:"event_id,omitempty"`
		Detail    string         `json:"detail"`
		Errors    order.Faults   `json:"errors,omitempty"`
	}{Index: i, Status: res.code, Outcome: res.outcome, Retryable: retryable(res.code), ID: s.idOf(e), Detail: res.detail}
	if e.attempt != nil {
		view.EventID = e.attempt.eventID
	}
	if errors.As(e.faults, &view.Errors) {
		for _, f := range view.Errors {
			*faults -= len(f.Pointer) + len(f.Detail) + 64 // and names, quotes, escapes
		}
		if *faults < 0 {
			view.Errors = order.Faults{{Detail: "has faults that are left out: there are too many in this request"}}
		}
	}
	text, err := json.Marshal(view)
	if err != nil {
		text = []byte(`{}`) // strings and numbers: this can't happen
	}
	return append(b, text...)
}
