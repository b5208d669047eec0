//go:build linux

// Command openloop sends orders to POST /order at a rate that does not depend on the answers, as many clients that
// know nothing of each other do. Each order has an intended time, and its latency counts from there: what waits for a
// connection because the server is slow is the server's wait.
//
// It prints one line: RESULT and then requests, of them not answered 202, microseconds until the last answer, p50, p90,
// p99 and the largest latency, and the p99 of the generator's own lag, all in microseconds.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) } //nolint:forbidigo // a program of its own

type options struct {
	url         *url.URL
	rate        int
	connections int
	duration    time.Duration
	timeout     time.Duration
	run         string
}

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("openloop", flag.ContinueOnError)
	flags.SetOutput(stderr)
	to := flags.String("to", "http://127.0.0.1:29000/order", "address of POST /order")
	flags.IntVar(&o.rate, "rate", 5000, "orders a second")
	flags.IntVar(&o.connections, "connections", 64, "connections, each with one request at a time")
	flags.DurationVar(&o.duration, "duration", 5*time.Second, "how long orders are sent")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Second, "how long an answer may take")
	flags.StringVar(&o.run, "run", "run", "what the orders' ids begin with")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	var err error
	if o.url, err = url.Parse(*to); err != nil || o.connections < 1 || o.rate < 1 {
		fmt.Fprintf(stderr, "error: %v, or -connections or -rate is not positive\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // as above
	defer stop()
	line, err := measure(ctx, o)
	if err == nil {
		_, err = fmt.Fprintln(stdout, line)
	}
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}

func measure(ctx context.Context, o options) (string, error) {
	senders := make([]*sender, o.connections)
	for i := range senders {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", o.url.Host)
		if err != nil {
			return "", err
		}
		defer conn.Close() //nolint:errcheck // all that is to be had of it was read
		senders[i] = &sender{conn: conn, answers: bufio.NewReader(conn), opts: o}
	}
	n := int(o.duration.Seconds() * float64(o.rate))
	due := make(chan arrival, n) // all of them: the schedule never waits for a connection
	start := time.Now().Add(50 * time.Millisecond)
	var all sync.WaitGroup
	for _, s := range senders {
		all.Go(func() { s.run(due) })
	}
	lags, err := release(ctx, start, o.rate, n, due)
	all.Wait()
	took := time.Since(start)
	if err != nil {
		return "", err
	}
	var latencies []time.Duration
	refused := 0
	for _, s := range senders {
		if s.err != nil {
			return "", s.err
		}
		latencies, refused = append(latencies, s.latencies...), refused+s.refused
	}
	slices.Sort(latencies)
	slices.Sort(lags)
	us := func(sorted []time.Duration, q float64) int64 {
		return sorted[int(q*float64(len(sorted)-1))].Microseconds()
	}
	return fmt.Sprintf("RESULT %d %d %d %d %d %d %d %d", len(latencies), refused, took.Microseconds(),
		us(latencies, 0.5), us(latencies, 0.9), us(latencies, 0.99), us(latencies, 1), us(lags, 0.99)), nil
}

// arrival is one order that is to be sent.
type arrival struct {
	number   int
	intended time.Time
}

// sender is one connection.
type sender struct {
	conn      net.Conn
	answers   *bufio.Reader
	opts      options
	request   []byte
	latencies []time.Duration
	refused   int
	err       error // of the connection; what is due after it goes to the others
}

func (s *sender) run(due <-chan arrival) {
	for a := range due {
		status, err := s.send(a)
		if err != nil {
			s.err = fmt.Errorf("order %d: %w", a.number, err)
			return
		}
		s.latencies = append(s.latencies, time.Since(a.intended))
		if status != http.StatusAccepted {
			s.refused++
		}
	}
}

func (s *sender) send(a arrival) (int, error) {
	n := a.number
	body := fmt.Sprintf(`{"id":"%s-%010d","user_id":"user-%06d","total":%d.%02d,"status":"pending","timestamp":"2024-10-01T12:34:56.%03dZ"}`,
		s.opts.run, n, n%10_007, n%997, n%100, n%1000)
	s.request = fmt.Appendf(s.request[:0], "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		s.opts.url.RequestURI(), s.opts.url.Host, len(body), body)
	if err := s.conn.SetDeadline(time.Now().Add(s.opts.timeout)); err != nil {
		return 0, err
	}
	if _, err := s.conn.Write(s.request); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(s.answers, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
