package send

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// maxAnswer is more than any answer of serve has; what a proxy's page has
// beyond it is of no use.
const maxAnswer = 64 << 10

// outcomeEnqueued is serve's word where it answers before Kafka has the order.
const outcomeEnqueued client.Outcome = "enqueued"

// answered is a result, and whether to try again.
type answered struct {
	Result
	again      bool
	retryAfter time.Duration
}

// answerBody is serve's receipt or its problem (RFC 9457); of another server
// whatever it shares with them.
type answerBody struct {
	EventID   string         `json:"event_id"`
	Topic     string         `json:"topic"`
	Partition *int32         `json:"partition"`
	Offset    *int64         `json:"offset"`
	Outcome   client.Outcome `json:"outcome"`
	Retryable *bool          `json:"retryable"`
	Title     string         `json:"title"`
	Detail    string         `json:"detail"`
	Errors    order.Faults   `json:"errors"`
	RequestID string         `json:"request_id"`
}

// readAnswer reads what a response says of the order.
func readAnswer(resp *http.Response) answered {
	defer func() { _ = resp.Body.Close() }()
	raw, readErr := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var body answerBody
	if json.Unmarshal(raw, &body) != nil {
		body = answerBody{}
	}
	var a answered
	a.EventID, a.RequestID = body.EventID, body.RequestID
	if a.RequestID == "" {
		a.RequestID = resp.Header.Get(headerRequestID)
	}
	if resp.StatusCode/100 == 2 && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		a.Outcome, a.Fatal = client.Unknown, true
		a.Err = fmt.Errorf("server answered %d with a web page: this is no endpoint for orders", resp.StatusCode)
		return a
	}
	if resp.StatusCode/100 == 2 {
		// The status alone is the promise: a receipt that broke off on its way
		// takes nothing back.
		a.accept(body)
		return a
	}
	return refused(resp, body, readErr)
}

// accept makes it the answer for an order that was taken.
func (a *answered) accept(body answerBody) {
	a.Outcome, a.Enqueued = client.Acked, body.Outcome == outcomeEnqueued
	if body.Topic != "" && body.Partition != nil && body.Offset != nil {
		a.Topic, a.Partition, a.Offset, a.Placed = body.Topic, *body.Partition, *body.Offset, true
	}
}

// refused reads a response that is not 2xx, for the one order or for all.
func refused(resp *http.Response, body answerBody, readErr error) answered {
	var a answered
	a.EventID, a.RequestID = body.EventID, body.RequestID
	if a.RequestID == "" {
		a.RequestID = resp.Header.Get(headerRequestID)
	}
	a.Outcome = outcomeOf(resp.StatusCode, body.Outcome)
	a.Err = refusal(resp.StatusCode, resp.Header.Get("Location"), body)
	if readErr != nil {
		a.Err = fmt.Errorf("%w (the answer broke off: %w)", a.Err, readErr)
	}
	a.retryAfter = retryAfter(resp.Header)
	a.again = a.Outcome == client.NotWritten && retryable(resp, body)
	a.OfOrder = ofOrder(resp.StatusCode)
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		a.Fatal = true
	}
	a.Fatal = a.Fatal || resp.StatusCode/100 == 3
	return a
}

// ofOrder tells whether a status blames the order and not the request.
func ofOrder(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusConflict:
		return true
	}
	return false
}

// outcomeOf is what the server says, or what its status leaves room for: a
// request that was refused for itself (4xx) was not written; of all else only
// the server knows.
func outcomeOf(status int, said client.Outcome) client.Outcome {
	switch {
	case said == client.NotWritten:
		return client.NotWritten
	case said != "":
		return client.Unknown
	case status/100 == 4:
		return client.NotWritten
	}
	return client.Unknown
}

func retryable(resp *http.Response, body answerBody) bool {
	if body.Retryable != nil {
		return *body.Retryable
	}
	return resp.StatusCode == http.StatusTooManyRequests || resp.Header.Get("Retry-After") != ""
}

// refusal words an answer: the faults where there are some, so that they read
// as those of a bad line.
func refusal(status int, location string, body answerBody) error {
	said := ""
	switch {
	case len(body.Errors) > 0:
		return fmt.Errorf("server answered %d: %w", status, body.Errors)
	case body.Detail != "":
		said = ": " + body.Detail
	case body.Title != "":
		said = ": " + body.Title
	case status/100 == 3:
		said = ": it wants to be asked at " + location
	default:
		said = " " + http.StatusText(status)
	}
	return errors.New(strings.TrimSpace(fmt.Sprintf("server answered %d%s", status, said)))
}

// retryAfter reads the seconds; the form with a date is not for programs that
// wait for seconds.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 || n > 3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}
