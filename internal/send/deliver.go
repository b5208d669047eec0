package send

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

func (h *HTTP) work() {
	for group := h.queue.take(); group != nil; group = h.queue.take() {
		h.deliver(group)
	}
}

// deliver posts a group until the outcome of each of its orders is final.
func (h *HTTP) deliver(group []*job) {
	if h.isHalted() {
		for _, j := range group {
			if j.result.Outcome == "" {
				j.result = Result{Outcome: client.NotWritten, Halted: true, Err: errors.New("not sent, the run was ended")}
			}
		}
		h.settle(finish(group))
		return
	}
	giveUp := time.Now().Add(h.cfg.RetryFor)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		wait, smaller := h.attempt(group)
		if smaller > 0 {
			h.queue.back(group, smaller)
			return
		}
		keepOrder(group)
		wait = max(wait, pause)
		if time.Now().Add(wait).After(giveUp) {
			finish(group)
		}
		if group = h.settle(group); len(group) == 0 {
			return
		}
		select {
		case <-time.After(wait):
		case <-h.halted:
			h.settle(finish(group))
			return
		}
	}
}

func (h *HTTP) isHalted() bool {
	select {
	case <-h.halted:
		return true
	default:
		return false
	}
}

// attempt posts once those of a group whose outcome is not final. Where smaller
// is not 0 nothing was looked at, and they have to go in groups of so many.
func (h *HTTP) attempt(group []*job) (wait time.Duration, smaller int) {
	posts := make([]*job, 0, len(group))
	for _, j := range group {
		if !j.final {
			posts = append(posts, j)
		}
	}
	var answers []answered
	switch len(posts) {
	case 0: // all were tried before the group was made smaller
	case 1:
		answers = []answered{h.postOne(posts[0])}
	default:
		answers, smaller = h.postSeveral(posts)
	}
	if smaller > 0 {
		return 0, smaller
	}
	for i, j := range posts {
		j.result, j.final = answers[i].Result, !answers[i].again
		wait = max(wait, answers[i].retryAfter)
	}
	return wait, 0
}

// keepOrder spares an order its second attempt where a later one of its id was
// taken, or may have been: it would arrive behind that.
func keepOrder(group []*job) {
	taken := false
	for i := len(group) - 1; i >= 0; i-- {
		j := group[i]
		if i+1 < len(group) && group[i+1].lane != j.lane {
			taken = false
		}
		if !j.final && taken {
			j.final = true
			j.result.Err = fmt.Errorf("%w (not tried again: it would come behind a later order of this id)", j.result.Err)
		}
		taken = taken || j.result.Outcome != client.NotWritten
	}
}

func finish(group []*job) []*job {
	for _, j := range group {
		j.final = true
	}
	return group
}

// settle tells what is final, and gives what is left: orders to try again, and
// those behind them in their lane, whose turn to be told has not come.
func (h *HTTP) settle(group []*job) (left []*job) {
	for len(group) > 0 {
		lane, n := group[0].lane, sameLane(group)
		told := 0
		for told < n && group[told].final {
			group[told].parcel.Settle(group[told].result)
			told++
		}
		left = append(left, group[told:n]...)
		if told == n { // all told before the next of the id, whose answer comes after theirs
			h.queue.release(group[0].parcel.ID, lane)
		}
		group = group[n:]
	}
	return left
}

// postOne posts an order by itself.
func (h *HTTP) postOne(j *job) answered {
	resp, a := h.exchange(h.cfg.URL, "application/json", j.body) //nolint:bodyclose // readAnswer closes it
	if resp == nil {
		return a
	}
	requestID := a.RequestID
	if a = readAnswer(resp); a.RequestID == "" {
		a.RequestID = requestID
	}
	return a
}

// postSeveral posts orders in one request. Where smaller is not 0 the server
// does not take them so: none of them was looked at.
func (h *HTTP) postSeveral(posts []*job) (answers []answered, smaller int) {
	size := 0
	for _, j := range posts {
		size += len(j.body) + 1
	}
	body := make([]byte, 0, size)
	for _, j := range posts {
		body = append(append(body, j.body...), '\n')
	}
	resp, a := h.exchange(h.cfg.Several, "application/x-ndjson", body)
	if resp == nil {
		return all(posts, a), 0
	}
	answers = readAnswers(resp, posts, a.RequestID)
	if slices.ContainsFunc(answers, func(a answered) bool { return a.Outcome != client.NotWritten }) {
		return answers, 0
	}
	switch resp.StatusCode {
	case http.StatusRequestEntityTooLarge:
		return nil, (len(posts) + 1) / 2
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		h.oneOnly.Do(func() {
			h.notice(fmt.Sprintf("the server does not take several orders at once (%d at %s), sending one a request", resp.StatusCode, h.cfg.Several))
		})
		return nil, 1
	}
	if answers[0].Fatal { // the request as a whole: told of its first order, and that the run ends of the others
		for i := range answers[1:] {
			answers[i+1].Halted = true
		}
	}
	return answers, 0
}

// exchange makes one attempt. Without a response the result says what that
// means for every order in it.
func (h *HTTP) exchange(url, contentType string, body []byte) (*http.Response, answered) {
	// The transport repeats a POST by itself only where it has not written a
	// byte of it. With an Idempotency-Key it would repeat the others too.
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(h.ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, answered{Result: Result{Outcome: client.NotWritten, Err: err, Fatal: true}}
	}
	requestID := client.NewID()
	req.Header.Set("Content-Type", contentType)
	req.Header.Set(headerRequestID, requestID)
	if h.cfg.APIKey != "" {
		req.Header.Set("Authorization", "Bearer "+h.cfg.APIKey)
	}
	resp, err := h.http.Do(req)
	if err != nil {
		a := answered{Result: Result{Outcome: client.Unknown, RequestID: requestID, Err: plainError(err)}}
		switch {
		case !connected.Load():
			// Not a byte was on its way to the server.
			a.Outcome, a.again = client.NotWritten, true
		case refusesOurCertificate(err):
			a.Outcome, a.Fatal = client.NotWritten, true
			a.Err = &certificateRefusedError{a.Err}
		}
		return nil, a
	}
	return resp, answered{Result: Result{RequestID: requestID}}
}
