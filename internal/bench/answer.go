package bench

import (
	"bufio"
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
)

// outcomeEnqueued is what serve says of an order that it does not wait for.
const outcomeEnqueued client.Outcome = "enqueued"

// answerReader reads answers, one after another, into memory that it keeps.
type answerReader struct {
	limit    int
	response fasthttp.Response
	causes   map[int]string
	replies  []Reply
}

func newAnswerReader(batch int) *answerReader {
	a := &answerReader{limit: 64 << 10, causes: map[int]string{}}
	if batch > 1 {
		a.limit += batch * 4 << 10 // a refused order has its faults in the answer
	}
	a.response.Header.DisableNormalizing()
	return a
}

func (a *answerReader) read(in *bufio.Reader) error { return a.response.ReadLimitBody(in, a.limit) }

// last tells whether the server ends the connection with this answer.
func (a *answerReader) last() bool { return a.response.Header.ConnectionClose() }

func (a *answerReader) cause() string {
	code := a.response.StatusCode()
	c, ok := a.causes[code]
	if !ok {
		c = strconv.Itoa(code)
		a.causes[code] = c
	}
	return c
}

// single is what the answer says of its one order.
func (a *answerReader) single() Reply {
	r := Reply{Cause: a.cause(), Partition: -1, Offset: -1}
	code, body := a.response.StatusCode(), a.response.Body()
	if code/100 == 2 {
		if partition, offset, ok := place(body); ok {
			r.Outcome, r.Partition, r.Offset = client.Acked, partition, offset
			return r
		}
	}
	var said told
	if len(body) > 0 && json.Unmarshal(body, &said) != nil {
		said = told{} // no JSON, or not of ours: the status is all there is
	}
	if code/100 == 2 && a.webPage() {
		r.Outcome, r.Cause = client.Unknown, "web page"
		return r
	}
	r.take(code, said)
	return r
}

// each is what the answer says of each of n orders.
func (a *answerReader) each(n int) []Reply {
	code, body := a.response.StatusCode(), a.response.Body()
	var said struct {
		told
		Results []struct {
			told
			Index  int `json:"index"`
			Status int `json:"status"`
		} `json:"results"`
	}
	if len(body) > 0 && json.Unmarshal(body, &said) != nil {
		said.told, said.Results = told{}, nil
	}
	all := Reply{Cause: a.cause(), Partition: -1, Offset: -1}
	switch {
	case code/100 == 2 && a.webPage():
		all.Outcome, all.Cause = client.Unknown, "web page"
	case code == fasthttp.StatusMultiStatus:
		all.Outcome = client.Unknown // of an order that its results leave out
	default:
		all.take(code, said.told)
	}
	a.replies = a.replies[:0]
	for range n {
		a.replies = append(a.replies, all)
	}
	for _, one := range said.Results {
		if one.Index < 0 || one.Index >= n {
			continue
		}
		r := Reply{Cause: all.Cause, Partition: -1, Offset: -1}
		status := code
		if one.Status != 0 {
			status = one.Status
			if status != code {
				r.Cause = strconv.Itoa(status)
			}
		}
		r.take(status, one.told)
		a.replies[one.Index] = r
	}
	return a.replies
}

func (a *answerReader) webPage() bool {
	return bytes.HasPrefix(a.response.Header.ContentType(), []byte("text/html"))
}

// told is what an answer says of an order, where it says anything.
type told struct {
	Outcome   client.Outcome `json:"outcome"`
	Partition *int32         `json:"partition"`
	Offset    *int64         `json:"offset"`
}

// take reads an outcome: what the server says, or else what its status leaves
// room for. What was refused for itself (4xx) was not written; of all that is
// neither accepted nor refused only the server knows.
func (r *Reply) take(code int, said told) {
	switch {
	case said.Outcome == client.NotWritten:
		r.Outcome = client.NotWritten
	case said.Outcome == outcomeEnqueued && code/100 == 2:
		r.Outcome, r.Cause = client.Acked, "202 enqueued"
	case said.Outcome != "" && said.Outcome != client.Acked:
		r.Outcome = client.Unknown
	case code/100 == 2:
		r.Outcome = client.Acked
	case code/100 == 4 && said.Outcome == "":
		r.Outcome = client.NotWritten
	default:
		r.Outcome = client.Unknown
	}
	if r.Outcome == client.Acked && said.Partition != nil && said.Offset != nil {
		r.Partition, r.Offset = *said.Partition, *said.Offset
	}
}

// place reads serve's receipt without reading all of it: its end is
// ,"partition":0,"offset":7}. Anything else is false, and read properly: also
// what may say "outcome" in another writing.
func place(body []byte) (partition int32, offset int64, ok bool) {
	body = bytes.TrimRight(body, "\n")
	if len(body) == 0 || body[len(body)-1] != '}' {
		return 0, 0, false
	}
	body = body[:len(body)-1]
	n, body, ok := cutNumber(body, `,"offset":`)
	if !ok {
		return 0, 0, false
	}
	p, body, ok := cutNumber(body, `,"partition":`)
	if !ok || p > 1<<31-1 || !bytes.HasPrefix(body, []byte(`{"id":"`)) || bytes.Contains(body, []byte(`"outcome"`)) || bytes.IndexByte(body, '\\') >= 0 {
		return 0, 0, false
	}
	return int32(p), n, true
}

// cutNumber cuts a name and a number off the end.
func cutNumber(b []byte, name string) (n int64, before []byte, ok bool) {
	end := len(b)
	for end > 0 && b[end-1]-'0' <= 9 {
		end--
	}
	if len(b)-end == 0 || len(b)-end > 18 || !bytes.HasSuffix(b[:end], []byte(name)) {
		return 0, nil, false
	}
	for _, c := range b[end:] {
		n = n*10 + int64(c-'0')
	}
	return n, b[:end-len(name)], true
}
