//go:build unix

// Command batch measures how many orders a second get into Kafka, many at a time: over HTTP, as NDJSON to the POST
// /orders of -to, or, with -topic, by a bare produce loop, which is what the HTTP way is held against. The records of
// both are alike: key, value, the same headers of the same lengths, ids as random as serve's. The orders are made
// beforehand, only what names each is written anew, so that nearly all the processor's time is left for what is
// measured.
//
// It prints one line: RESULT and then orders acknowledged, orders that were not, requests, microseconds, and the
// requests' p50 and p99 in microseconds (0 for the loop).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) } //nolint:forbidigo // a program of its own

type options struct {
	kafka       client.Config
	topic       string
	buffered    int
	url         *url.URL
	connections int
	size        int
	duration    time.Duration
	timeout     time.Duration
	run         string
}

func run(args []string, stdout, stderr io.Writer) int {
	o := options{kafka: client.DefaultConfig()}
	flags := flag.NewFlagSet("batch", flag.ContinueOnError)
	flags.SetOutput(stderr)
	to := flags.String("to", "http://127.0.0.1:29000/orders", "address of POST /orders")
	brokers := flags.String("brokers", "localhost:9092", "Kafka brokers, comma separated")
	flags.StringVar(&o.topic, "topic", "", "topic of the produce loop; empty: send to -to")
	flags.DurationVar(&o.kafka.Linger, "linger", o.kafka.Linger, "how long a record of the loop waits for company in its batch")
	flags.IntVar(&o.buffered, "buffered", 50_000, "records that the loop has waiting at most")
	flags.IntVar(&o.connections, "connections", 16, "connections, each with one request at a time")
	flags.IntVar(&o.size, "size", 1000, "orders a request")
	flags.DurationVar(&o.duration, "duration", 5*time.Second, "how long orders are sent")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Second, "how long an answer may take")
	flags.StringVar(&o.run, "run", "run", "what the orders' ids begin with")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	var err error
	o.kafka.Brokers = strings.Split(*brokers, ",")
	if o.url, err = url.Parse(*to); err != nil || o.connections < 1 || o.size < 1 {
		fmt.Fprintf(stderr, "error: %v, or -connections or -size is not positive\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // as above
	defer stop()
	measure := post
	if o.topic != "" {
		measure = loop
	}
	r, err := measure(ctx, o)
	if err == nil {
		_, err = fmt.Fprintln(stdout, r)
	}
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}

// result is what came of one measurement.
type result struct {
	acked, lost int64
	took        time.Duration
	latencies   []time.Duration // of requests
}

func (r result) String() string {
	slices.Sort(r.latencies)
	quantile := func(q float64) int64 {
		if len(r.latencies) == 0 {
			return 0
		}
		return r.latencies[int(q*float64(len(r.latencies)-1))].Microseconds()
	}
	return fmt.Sprintf("RESULT %d %d %d %d %d %d", r.acked, r.lost, len(r.latencies), r.took.Microseconds(), quantile(0.5), quantile(0.99))
}
