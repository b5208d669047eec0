//go:build unix

// Command bare is what bench/ingest holds "ordersctl serve" against: the least that decodes an order, hands it to Kafka
// and answers 202 after the acknowledgement, with the same libraries, decoder and client settings. It has no ids,
// headers, metrics, limits or timer, so the difference is what those cost; with -same it writes the same records with
// their ids and headers and gives the same receipt, so that only the handler is left. Without -topic it does nothing but answer
// 202, which is the limit of the HTTP server and the load generator.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fasthttp" //nolint:depguard // what internal/ingest is held against

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) } //nolint:forbidigo // a program of its own

func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("bare", flag.ContinueOnError)
	flags.SetOutput(stderr)
	cfg := client.DefaultConfig()
	listen := flags.String("listen", "127.0.0.1:29000", "address of the HTTP endpoint")
	brokers := flags.String("brokers", "localhost:9092", "Kafka brokers, comma separated")
	topic := flags.String("topic", "", "topic; empty: answer 202 and do nothing")
	same := flags.Bool("same", false, "write the records that serve writes, with their headers, and answer with its receipt")
	flags.DurationVar(&cfg.Linger, "linger", cfg.Linger, "how long a record waits for company in its batch")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	cfg.Brokers = strings.Split(*brokers, ",")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // as above
	defer stop()
	if err := serve(ctx, cfg, *listen, *topic, *same, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, cfg client.Config, listen, topic string, same bool, log *slog.Logger) error {
	handler := noop
	if topic != "" {
		kafka, err := client.Dial(ctx, cfg, log)
		if err != nil {
			return err
		}
		defer kafka.Close()
		handler = acknowledged(context.WithoutCancel(ctx), kafka, topic, same)
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", listen, err)
	}
	server := fasthttp.Server{Handler: handler, NoDefaultServerHeader: true, CloseOnShutdown: true}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
		return server.Shutdown()
	}
}

func noop(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusAccepted) }

func acknowledged(ctx context.Context, kafka *kgo.Client, topic string, same bool) fasthttp.RequestHandler {
	decoder := order.NewDecoder(order.Rules{})
	return func(req *fasthttp.RequestCtx) {
		o, err := decoder.Decode(req.PostBody())
		if err != nil {
			req.Error(err.Error(), fasthttp.StatusBadRequest)
			return
		}
		done := make(chan error, 1)
		var record *kgo.Record
		meta := client.Meta{}
		if same {
			meta = client.NewMeta(client.ClientAnonymous, time.Now())
			record = client.ToRecord(topic, &o, meta)
		} else {
			record = &kgo.Record{Topic: topic, Key: []byte(o.ID), Value: order.Append(nil, &o)}
		}
		kafka.TryProduce(ctx, record, func(_ *kgo.Record, err error) { done <- err })
		if err := <-done; err != nil {
			req.Error(err.Error(), fasthttp.StatusInternalServerError)
			return
		}
		req.SetStatusCode(fasthttp.StatusAccepted)
		if same {
			req.SetContentType("application/json")
			req.SetBodyString(fmt.Sprintf(`{"id":%q,"event_id":"%s","topic":"%s","partition":%d,"offset":%d}`,
				o.ID, meta.EventID, topic, record.Partition, record.Offset))
		}
	}
}
