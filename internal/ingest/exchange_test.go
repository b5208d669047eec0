package ingest_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// request is net/http's reading of one request. It is the second opinion: the server reads with another library.
type request struct {
	*http.Request
	body []byte
}

// readRequests are those that are there as a whole.
func readRequests(input []byte) []request {
	var all []request
	for {
		// Empty lines before a request are nothing (RFC 9112 2.2); net/http's server drops them itself.
		input = withTarget(bytes.TrimLeft(input, "\r\n"))
		rest := bytes.NewReader(input)
		r := bufio.NewReader(rest)
		req, err := http.ReadRequest(r)
		if err != nil {
			return all
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return all
		}
		all = append(all, request{req, body})
		input = input[len(input)-rest.Len()-r.Buffered():]
	}
}

// withTarget replaces a target that is no URL: net/http would read no further, where a server may as well say 404.
func withTarget(input []byte) []byte {
	line, rest, ended := bytes.Cut(input, []byte("\n"))
	method, target, spaced := bytes.Cut(line, []byte(" "))
	end := bytes.LastIndexByte(target, ' ')
	if !ended || !spaced || end < 0 {
		return input
	}
	if _, err := url.ParseRequestURI(string(target[:end])); err == nil {
		return input
	}
	return slices.Concat(method, []byte(" /no-url"), target[end:], []byte("\n"), rest)
}

// response is one answer, read as its client would.
type response struct {
	*http.Response
	body []byte
	head bool // it stops after the header, as an answer to HEAD does
}

func readResponses(t *testing.T, output []byte) []response {
	t.Helper()
	var all []response
	for r := bufio.NewReader(bytes.NewReader(output)); ; {
		if _, err := r.Peek(1); err == io.EOF {
			return all
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("after %d answers: %v in\n%s", len(all), err, output)
		}
		if next, err := r.Peek(len("HTTP/1.1 ")); resp.ContentLength > 0 && (err == io.EOF && len(next) == 0 || string(next) == "HTTP/1.1 ") {
			all = append(all, response{resp, nil, true})
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("body of answer %d: %v in\n%s", len(all), err, output)
		}
		all = append(all, response{resp, body, false})
	}
}

// checkExchange holds all that came back against all that was sent.
func checkExchange(t *testing.T, input, output []byte) {
	t.Helper()
	asked, answers := readRequests(input), readResponses(t, output)
	final, closed := 0, false
	for i, a := range answers {
		if closed {
			t.Fatalf("answer %d comes after the connection was said to close\n%s", i, output)
		}
		if a.StatusCode == http.StatusContinue {
			if !bytes.Contains(bytes.ToLower(input), []byte("100-continue")) {
				t.Errorf("100 that nobody asked for")
			}
			continue
		}
		var q *request
		if final < len(asked) {
			q = &asked[final]
		}
		if a.head && !bytes.Contains(input, []byte("HEAD ")) {
			t.Errorf("answer %d has no body", i)
		}
		checkAnswer(t, q, a)
		closed = a.Close
		final++
	}
	if !closed && final < len(asked) {
		t.Errorf("%d requests, %d answers, and the connection was not said to close\n%s", len(asked), final, output)
	}
}

type answerBody struct {
	ID        string  `json:"id"`
	EventID   string  `json:"event_id"`
	Status    int     `json:"status"`
	Outcome   string  `json:"outcome"`
	RequestID string  `json:"request_id"`
	Retryable bool    `json:"retryable"`
	Detail    string  `json:"detail"`
	Errors    []any   `json:"errors"`
	Results   []entry `json:"results"`
	Accepted  int     `json:"accepted"`
	Refused   int     `json:"refused"`
}

type entry struct {
	Index  int    `json:"index"`
	Status int    `json:"status"`
	ID     string `json:"id"`
}

// checkAnswer: q is nil where net/http does not read what was asked as a request.
func checkAnswer(t *testing.T, q *request, a response) {
	t.Helper()
	known := []int{200, 202, 207, 400, 404, 405, 408, 413, 415, 422, 431, 503}
	if !slices.Contains(known, a.StatusCode) {
		t.Errorf("status %d: %s", a.StatusCode, a.body)
	}
	id := a.Header.Get("X-Request-Id")
	if len(id) != 36 || a.Header.Get("Server") != "" || a.TransferEncoding != nil {
		t.Errorf("header %v", a.Header)
	}
	wantType := "application/problem+json"
	if a.StatusCode < 300 {
		wantType = "application/json"
	}
	if got := a.Header.Get("Content-Type"); got != wantType {
		t.Errorf("%d has content type %q", a.StatusCode, got)
	}
	if a.head {
		return
	}
	var b answerBody
	if err := json.Unmarshal(a.body, &b); err != nil { // v2: no key twice, valid UTF-8
		t.Fatalf("%d %q: %v", a.StatusCode, a.body, err)
	}
	switch {
	case a.StatusCode == http.StatusOK:
		if q == nil || q.Method != http.MethodGet || q.URL.Path != "/openapi.json" {
			t.Errorf("200 for %v: %s", q, a.body)
		}
		return
	case a.StatusCode < 300:
		checkAccepted(t, q, b, a)
		return
	case b.Status != a.StatusCode || b.RequestID != id:
		t.Errorf("%d, request %s: %s", a.StatusCode, id, a.body)
	case b.Outcome != "not_written":
		t.Errorf("nothing is wrong with Kafka, but %s", a.body)
	case b.Retryable != (a.StatusCode == 503 || a.StatusCode == 408):
		t.Errorf("retryable is %t: %s", b.Retryable, a.body)
	}
	if q == nil {
		return
	}
	if q.URL.Path == "/order" && len(b.Errors) > 0 {
		if _, ok := oracleID(plain(q)); ok {
			t.Errorf("the oracle finds nothing wrong in %q: %s", q.body, a.body)
		}
	}
	if b.Results != nil {
		checkResults(t, q, b, a)
	}
}

func checkAccepted(t *testing.T, q *request, b answerBody, a response) {
	t.Helper()
	if q == nil {
		t.Fatalf("accepted, although net/http reads no request there: %s", a.body)
	}
	if q.Method != http.MethodPost || q.URL.Path != "/order" && q.URL.Path != "/orders" {
		t.Fatalf("%s %s is answered %d", q.Method, q.URL.Path, a.StatusCode)
	}
	if q.URL.Path == "/order" {
		id, ok := oracleID(plain(q))
		if !ok || id != b.ID || len(b.EventID) < 32 || a.StatusCode != 202 {
			t.Errorf("the oracle says %q, %t of %q: %d %s", id, ok, q.body, a.StatusCode, a.body)
		}
		return
	}
	checkResults(t, q, b, a)
}

// checkResults holds the answer of POST /orders against the oracle, order by order.
func checkResults(t *testing.T, q *request, b answerBody, a response) {
	t.Helper()
	orders := split(plain(q), q.Header.Get("Content-Type"))
	if len(orders) != len(b.Results) || b.Accepted+b.Refused != len(orders) {
		t.Fatalf("%d orders in %q: %d %s", len(orders), q.body, a.StatusCode, a.body)
	}
	accepted := 0
	for i, r := range b.Results {
		id, ok := oracleID(orders[i])
		if r.Index != i || ok != (r.Status == 202) || ok && r.ID != id {
			t.Errorf("the oracle says %q, %t of order %d in %q: %s", id, ok, i, q.body, a.body)
		}
		if ok {
			accepted++
		}
	}
	want := map[bool]int{true: 202, false: 207}[accepted == len(orders)]
	if accepted == 0 {
		want = 400
	}
	if accepted != b.Accepted || a.StatusCode != want {
		t.Errorf("the oracle takes %d of %d orders in %q: %d %s", accepted, len(orders), q.body, a.StatusCode, a.body)
	}
}

// plain is the body without its encoding.
func plain(q *request) []byte {
	if !strings.EqualFold(q.Header.Get("Content-Encoding"), "gzip") {
		return q.body
	}
	z, err := gzip.NewReader(bytes.NewReader(q.body))
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(z)
	if err != nil {
		return nil
	}
	return body
}

// split cuts a body with many orders: an array, or lines of which blank ones do not count.
func split(body []byte, contentType string) [][]byte {
	mediaType, _, _ := mime.ParseMediaType(contentType)
	var values []jsontext.Value
	if (mediaType == "" || mediaType == "application/json") &&
		// What is wrong inside one order is that order's fault.
		json.Unmarshal(body, &values, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) == nil {
		all := make([][]byte, len(values))
		for i, v := range values {
			all[i] = v
		}
		return all
	}
	var all [][]byte
	for line := range bytes.Lines(body) {
		if line = bytes.Trim(line, " \t\r\n"); len(line) > 0 {
			all = append(all, line)
		}
	}
	return all
}

func gzipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}
