//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// post sends requests over the connections until the time is over and waits for the last answers, which are part of
// the time.
func post(ctx context.Context, o options) (result, error) {
	var next atomic.Int64
	results, errs := make([]result, o.connections), make([]error, o.connections)
	senders := make([]*sender, o.connections)
	for i := range senders {
		s, err := dial(ctx, o, &next)
		if err != nil {
			return result{}, err
		}
		defer s.conn.Close() //nolint:errcheck // all that is to be had of it was read
		senders[i] = s
	}
	start := time.Now()
	var all sync.WaitGroup
	for i, s := range senders {
		all.Go(func() {
			for time.Since(start) < o.duration && ctx.Err() == nil && errs[i] == nil {
				errs[i] = s.send(&results[i], o.timeout)
			}
		})
	}
	all.Wait()
	total := result{took: time.Since(start)}
	for i, r := range results {
		if errs[i] != nil {
			return total, errs[i]
		}
		total.acked += r.acked
		total.lost += r.lost
		total.latencies = append(total.latencies, r.latencies...)
	}
	return total, nil
}

// sender is one connection with its request, in which only the ids' numbers change.
type sender struct {
	conn    net.Conn
	answers *bufio.Reader
	request []byte
	ids     []int         // where each order's id ends
	next    *atomic.Int64 // the next order's number
}

func dial(ctx context.Context, o options, next *atomic.Int64) (*sender, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", o.url.Host)
	if err != nil {
		return nil, err
	}
	orders, size := templates(o.run, o.size), 0
	for _, t := range orders {
		size += len(t.value) + 1
	}
	s := &sender{conn: conn, answers: bufio.NewReaderSize(conn, 64<<10), next: next}
	s.request = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n",
		o.url.RequestURI(), o.url.Host, size)
	for _, t := range orders {
		s.ids = append(s.ids, len(s.request)+t.key+t.keyLen)
		s.request = append(append(s.request, t.value...), '\n')
	}
	return s, nil
}

// send sends one request and reads its answer. An error is one of the connection.
func (s *sender) send(r *result, timeout time.Duration) error {
	n := s.next.Add(int64(len(s.ids))) - int64(len(s.ids))
	for i, end := range s.ids {
		number(s.request, end, n+int64(i))
	}
	start := time.Now()
	if err := s.conn.SetDeadline(start.Add(timeout)); err != nil {
		return err
	}
	if _, err := s.conn.Write(s.request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(s.answers, nil)
	if err != nil {
		return err
	}
	accepted, err := accepted(resp, len(s.ids))
	if err != nil {
		return err
	}
	r.latencies = append(r.latencies, time.Since(start))
	r.acked += accepted
	r.lost += int64(len(s.ids)) - accepted
	return nil
}

// accepted reads the answer to the end. A 202 is believed by its first bytes: to take the whole apart would cost the
// server on the same processors more than it costs us.
func accepted(resp *http.Response, size int) (int64, error) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusAccepted {
		begin := make([]byte, len(fmt.Sprintf(`{"accepted":%d,`, size)))
		if _, err := io.ReadFull(resp.Body, begin); err != nil {
			return 0, err
		}
		if string(begin) != fmt.Sprintf(`{"accepted":%d,`, size) {
			return 0, fmt.Errorf("a 202 begins with %q, not with %d accepted", begin, size)
		}
		_, err := io.Copy(io.Discard, resp.Body)
		return int64(size), err
	}
	var answer struct {
		Accepted int64 `json:"accepted"`
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, fmt.Errorf("%s: %w", resp.Status, err)
	}
	return answer.Accepted, nil
}
