package bench

import (
	"bufio"
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
)

// outcomeEnqueued is what serve says of an order that it does not wait for.
const outcomeEnqueued client.Outcome = "enqueued"

// answerReader reads answers, one after another, into memory that it keeps.
type answerReader struct {
	limit     int
	topic     string // empty: receipts may name any
	elsewhere string // the other one that a receipt named
	response  fasthttp.Response
	causes    map[int]string
	replies   []Reply
}

func newAnswerReader(batch int, topic string) *answerReader {
	a := &answerReader{limit: mostBody, topic: topic, causes: map[int]string{}}
	if batch > 1 {
		a.limit += batch * 4 << 10 // a refused order has its faults in the answer
	}
	a.response.Header.DisableNormalizing()
	return a
}

// mostBody is a thousand times what an endpoint answers. Something that sends
// without end has to be given up before it fills the memory: there is one
// reader for each connection.
const mostBody = 1 << 20

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

// single is what the answer says of its one order, whose id is given.
func (a *answerReader) single(id []byte) Reply {
	r := Reply{Cause: a.cause(), Partition: -1, Offset: -1}
	code, body := a.response.StatusCode(), a.response.Body()
	if code/100 == 2 {
		if partition, offset, topic, ok := place(body, id); ok {
			r.Outcome, r.Partition, r.Offset = client.Acked, partition, offset
			if a.topic != "" && a.topic != string(topic) {
				a.elsewhere = string(topic)
				r.isElsewhere()
			}
			return r
		}
	}
	var said told
	if cause := parse(a, &said); cause != "" {
		r.Outcome, r.Cause = client.Unknown, cause
		return r
	}
	a.take(&r, code, said, id)
	return r
}

// take reads an outcome and which topic it is of.
func (a *answerReader) take(r *Reply, code int, said told, id []byte) {
	r.take(code, said, id)
	if r.Outcome != client.Acked || a.topic == "" {
		return
	}
	if topic, ok := text(said.Topic); ok && topic != a.topic {
		a.elsewhere = topic
		r.isElsewhere()
	}
}

// parse reads the body. Where it can't be what an endpoint says cause is why.
func parse[T any](a *answerReader, into *T) (cause string) {
	body := bytes.TrimPrefix(a.response.Body(), []byte("\xef\xbb\xbf")) // RFC 8259, 8.1
	switch {
	case a.response.StatusCode()/100 == 2 && a.webPage(body):
		return "web page"
	case len(body) == 0 || json.Unmarshal(body, into, lenient()) == nil:
		return ""
	}
	var nothing T
	*into = nothing // what stands before an error
	if a.isJSON() && !jsontext.Value(body).IsValid(lenient()) {
		// It may have said that the order is not written, or that nobody knows.
		return causeBroken
	}
	return "" // no JSON, or not of ours: the status is all there is
}

// each is what the answer says of each of several orders, whose ids are given.
func (a *answerReader) each(ids [][]byte) []Reply {
	var said struct {
		told
		Results jsontext.Value `json:"results"`
	}
	var results []result
	all := Reply{Cause: a.cause(), Partition: -1, Offset: -1}
	code := a.response.StatusCode()
	switch cause := parse(a, &said); {
	case cause != "":
		all.Outcome, all.Cause = client.Unknown, cause
	case said.Results != nil && json.Unmarshal(said.Results, &results) != nil:
		all.Outcome, all.Cause, results = client.Unknown, causeBroken, nil
	case code == fasthttp.StatusMultiStatus:
		all.Outcome = client.Unknown // of an order that its results leave out
	default:
		a.take(&all, code, said.told, nil)
		all.Partition, all.Offset = -1, -1 // one place is not that of several orders
	}
	a.replies = a.replies[:0]
	for range ids {
		a.replies = append(a.replies, all)
	}
	told := make([]bool, len(ids))
	for i, one := range results {
		at, ok := one.index(i, len(results) == len(ids))
		if !ok || at >= uint64(len(ids)) {
			continue
		}
		r := Reply{Cause: all.Cause, Partition: -1, Offset: -1}
		status := code
		if s, ok := integer(one.Status, 999); ok && s > 0 && s != uint64(code) {
			status, r.Cause = int(s), strconv.Itoa(int(s))
		}
		if one.Topic == nil {
			one.Topic = said.Topic // said once for all of them
		}
		a.take(&r, status, one.told, ids[at])
		if told[at] {
			r = Reply{Outcome: client.Unknown, Cause: "two results of one order", Partition: -1, Offset: -1}
		}
		a.replies[at], told[at] = r, true
	}
	return a.replies
}

// result is what an answer says of one of several orders.
type result struct {
	told
	Index  jsontext.Value `json:"index"`
	Status jsontext.Value `json:"status"`
}

// index is the number of the order. Results that don't tell it are in the
// orders' sequence where they are as many.
func (r *result) index(position int, complete bool) (uint64, bool) {
	if r.Index == nil {
		return uint64(position), complete
	}
	return integer(r.Index, math.MaxInt32)
}

// lenient lets a text of another encoding pass: it is not in what is read. A
// name that stands twice is not let pass: which of the two holds?
func lenient() jsontext.Options { return jsontext.AllowInvalidUTF8(true) }

// webPage tells whether somebody else answers where the endpoint should be: a
// portal, a login, another site. By its type alone it is none: that is what many
// frameworks call the empty answer of an endpoint, or its "ok".
func (a *answerReader) webPage(body []byte) bool {
	return bytes.HasPrefix(a.response.Header.ContentType(), []byte("text/html")) && bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

func (a *answerReader) isJSON() bool {
	media, _, _ := bytes.Cut(a.response.Header.ContentType(), []byte(";"))
	media = bytes.TrimSpace(media)
	return bytes.Equal(media, []byte("application/json")) || bytes.HasSuffix(media, []byte("+json"))
}

// told is what an answer says of an order, where it says anything. Each member
// is read by itself: one that is odd must not hide what another one says.
type told struct {
	ID        jsontext.Value `json:"id"`
	Outcome   jsontext.Value `json:"outcome"`
	Topic     jsontext.Value `json:"topic"`
	Partition jsontext.Value `json:"partition"`
	Offset    jsontext.Value `json:"offset"`
}

// outcome is "" where nothing is said of it.
func (t told) outcome() client.Outcome {
	if t.Outcome == nil || t.Outcome.Kind() == 'n' {
		return ""
	}
	if word, ok := text(t.Outcome); ok {
		return client.Outcome(word)
	}
	return "?" // something that is none is not "acked" either
}

func (t told) place() (partition int32, offset int64, ok bool) {
	p, known := integer(t.Partition, math.MaxInt32)
	o, also := integer(t.Offset, math.MaxInt64)
	if !known || !also {
		return -1, -1, false
	}
	return int32(p), int64(o), true //nolint:gosec // they are bounded
}

// isOf tells whether the answer can be of the order with this id. Another id is
// another order's where it stands in a receipt, or is one that a run makes; a
// server may call what it has made of the order by a name of its own.
func (t told) isOf(id []byte) bool {
	named, ok := text(t.ID)
	if !ok || id == nil || named == string(id) {
		return true
	}
	_, _, receipt := t.place()
	return !receipt && !strings.HasPrefix(named, "b-")
}

func text(v jsontext.Value) (s string, ok bool) {
	return s, v != nil && v.Kind() == '"' && json.Unmarshal(v, &s) == nil
}

func integer(v jsontext.Value, most uint64) (uint64, bool) {
	if v == nil || v.Kind() != '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	return n, err == nil && n <= most
}

// take reads an outcome: what the server says, or else what its status leaves
// room for. What was refused for itself (4xx) was not written; of all that is
// neither accepted nor refused only the server knows. A proxy says 408 or 499
// when it has given up waiting, and the server behind it may go on. id is the order's, nil
// where the answer is of several.
func (r *Reply) take(code int, said told, id []byte) {
	outcome := said.outcome()
	switch {
	case !said.isOf(id):
		// Nobody has answered this order, it seems: a server or a proxy gave an
		// answer to somebody else.
		r.Outcome, r.Cause = client.Unknown, causeAnother
	case outcome == client.NotWritten:
		r.Outcome = client.NotWritten
	case outcome == outcomeEnqueued && code/100 == 2:
		r.Outcome, r.Cause = client.Acked, causeEnqueued
	case outcome != "" && outcome != client.Acked:
		r.Outcome = client.Unknown
	case code/100 == 2:
		r.Outcome = client.Acked
	case code == fasthttp.StatusRequestTimeout, code == statusClientClosed:
		r.Outcome = client.Unknown
	case code/100 == 4 && outcome == "":
		r.Outcome = client.NotWritten
	default:
		r.Outcome = client.Unknown
	}
	if r.Outcome == client.Acked {
		r.Partition, r.Offset, _ = said.place()
	}
}

// The causes that more than one place knows.
const (
	causeAnother     = "receipt of another order"
	causeUnsolicited = "unsolicited answer"
	causeBroken      = "broken JSON"
	causeEnqueued    = "202 enqueued"
)

// statusClientClosed is nginx's, and what gateways make of a call that was
// cancelled.
const statusClientClosed = 499

// place reads serve's receipt of the order with this id without reading all of
// it as JSON. Anything that is not exactly
// {"id":"ID","event_id":"…","topic":"…","partition":0,"offset":7} is false.
func place(body, id []byte) (partition int32, offset int64, topic []byte, ok bool) {
	body = bytes.TrimRight(body, "\n")
	if len(body) == 0 || body[len(body)-1] != '}' {
		return 0, 0, nil, false
	}
	body = body[:len(body)-1]
	n, body, ok := cutNumber(body, `,"offset":`)
	if !ok {
		return 0, 0, nil, false
	}
	p, body, ok := cutNumber(body, `","partition":`)
	if !ok || p > math.MaxInt32 {
		return 0, 0, nil, false
	}
	rest, ok := bytes.CutPrefix(body, []byte(`{"id":"`))
	if !ok {
		return 0, 0, nil, false
	}
	if rest, ok = bytes.CutPrefix(rest, id); !ok {
		return 0, 0, nil, false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(`","event_id":"`)); !ok {
		return 0, 0, nil, false
	}
	event, topic, ok := bytes.Cut(rest, []byte(`","topic":"`))
	return int32(p), n, topic, ok && plain(event) && plain(topic) //nolint:gosec // p is bounded
}

// plain tells whether JSON writes a text as it is.
func plain(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// cutNumber cuts a name and a number off the end.
func cutNumber(b []byte, name string) (n int64, before []byte, ok bool) {
	end := len(b)
	for end > 0 && b[end-1]-'0' <= 9 {
		end--
	}
	if len(b)-end == 0 || len(b)-end > 18 || b[end] == '0' && len(b)-end > 1 || !bytes.HasSuffix(b[:end], []byte(name)) {
		return 0, nil, false
	}
	for _, c := range b[end:] {
		n = n*10 + int64(c-'0')
	}
	return n, b[:end-len(name)], true
}
