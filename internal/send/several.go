package send

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/ordersctl/ordersctl/internal/client"
)

// mostResult is more than serve's answer has for one order: the longest id and
// topic, a detail and some faults.
const mostResult = 4 << 10

// severalBody is serve's answer to several orders, which is also its problem
// where it took none.
type severalBody struct {
	answerBody
	Results []resultBody `json:"results"`
}

// resultBody is what became of one of them.
type resultBody struct {
	answerBody
	Index  int    `json:"index"`
	Status int    `json:"status"`
	ID     string `json:"id"`
}

// readAnswers reads what a response says of each order. Where it says less than
// it should the outcome of all is unknown.
func readAnswers(resp *http.Response, posts []*job, requestID string) []answered {
	defer func() { _ = resp.Body.Close() }()
	most := maxAnswer + len(posts)*mostResult
	raw, readErr := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if readErr == nil && len(raw) > most {
		readErr = errors.New("it is too long")
	}
	if id := resp.Header.Get(headerRequestID); id != "" {
		requestID = id
	}
	var body severalBody
	if readErr != nil || json.Unmarshal(raw, &body) != nil {
		body = severalBody{}
	}
	unknown := answered{Result: Result{Outcome: client.Unknown, RequestID: requestID}}
	switch {
	case body.Results != nil:
		answers, err := body.each(posts, requestID)
		if err != nil {
			unknown.Err = fmt.Errorf("server answered %d, which is not understood: %w", resp.StatusCode, err)
			return all(posts, unknown)
		}
		return answers
	case resp.StatusCode/100 == 2 && readErr != nil:
		unknown.Err = fmt.Errorf("server answered %d, and the answer broke off: %w", resp.StatusCode, readErr)
		return all(posts, unknown)
	case resp.StatusCode/100 == 2:
		// Whole, and yet it does not say what became of each order.
		unknown.Err = fmt.Errorf("server answered %d without a result for each order: this is no endpoint for several (--batch 1 sends one a request)", resp.StatusCode)
		unknown.Fatal = true
		return all(posts, unknown)
	}
	a := refused(resp, body.answerBody, readErr)
	a.OfOrder = false // it is the request that was refused
	if a.RequestID == "" {
		a.RequestID = requestID
	}
	return all(posts, a)
}

func all(posts []*job, a answered) []answered { return slices.Repeat([]answered{a}, len(posts)) }

// each holds the results against the orders.
func (b *severalBody) each(posts []*job, requestID string) ([]answered, error) {
	if len(b.Results) != len(posts) {
		return nil, fmt.Errorf("%d results for %d orders", len(b.Results), len(posts))
	}
	answers := make([]answered, len(posts))
	for i := range b.Results {
		r := &b.Results[i]
		if r.Index != i || r.ID != "" && r.ID != posts[i].parcel.ID {
			return nil, fmt.Errorf("result %d is of another order", i)
		}
		answers[i] = r.answered()
		answers[i].RequestID = requestID + "." + strconv.Itoa(i)
	}
	return answers, nil
}

func (r *resultBody) answered() answered {
	var a answered
	a.EventID = r.EventID
	switch {
	case r.Status/100 != 2:
		a.Outcome = outcomeOf(r.Status, r.Outcome)
		a.Err = refusal(r.Status, "", r.answerBody)
		a.again = a.Outcome == client.NotWritten && r.Retryable != nil && *r.Retryable
		a.OfOrder = ofOrder(r.Status)
	case r.Outcome == client.Acked || r.Outcome == outcomeEnqueued:
		a.accept(r.answerBody)
	default:
		a.Outcome = client.Unknown
		a.Err = fmt.Errorf("server answered %d with outcome %q", r.Status, r.Outcome)
	}
	return a
}
