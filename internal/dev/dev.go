// Package dev runs the whole pipeline in one process: the embedded broker, its
// topics, the HTTP edge, the consumer with its database and the admin server.
// Start at [Run].
//
// It is for laptops, tests and demos; production is Apache Kafka.
package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordersctl/ordersctl/internal/broker"
	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/ingest"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/process"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/telemetry"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// Options is what the pipeline is made of.
type Options struct {
	Config
	Ephemeral bool // keep nothing
	Demo      bool // post a trickle of orders
	Topic     string
	DLQTopic  string
	Kafka     client.Config // brokers and security are replaced by the embedded broker's
	NewTopic  topic.Config
	Serve     ingest.Config
	Process   process.Config
	DB        sink.Config // its URL is replaced by Config.DB, or a SQLite file in the data directory
	Admin     telemetry.AdminConfig
	Rules     order.Rules
	Registry  *prometheus.Registry
	Log       *slog.Logger
	Ready     func(Info) // called once, when everything answers
}

// Info is where the pipeline can be reached.
type Info struct {
	DataDir    string // "" where nothing is kept
	Orders     int64  // in the topic at the start
	Brokers    string // host:port
	OrderURL   string
	AdminURL   string
	DB         string // as --db takes it
	Topic      string
	Partitions int
	Took       time.Duration // from the start to ready
}

// Run starts everything, calls Ready, and runs until ctx ends; then it drains:
// the edge first, then the consumer, the broker last.
func Run(ctx context.Context, opts Options) error {
	start := time.Now()
	dir, err := dataDir(opts)
	if err != nil {
		return err
	}
	brokerConfig := broker.DefaultConfig()
	brokerConfig.Listen, brokerConfig.Sync, brokerConfig.HTTPURL = opts.KafkaListen, opts.Sync, orderURL(local(opts.Serve.Listen))
	if dir != "" {
		brokerConfig.DataDir = filepath.Join(dir, "kafka")
	}
	forget, err := placeDB(&opts, dir)
	if err != nil {
		return err
	}
	defer forget()
	kafka, err := broker.Start(ctx, brokerConfig, opts.Log)
	if err != nil {
		return err
	}
	err = runOn(ctx, opts, kafka.Addr(), func(info Info) {
		info.DataDir, info.Took = dir, time.Since(start)
		opts.Ready(info)
	})
	if closeErr := kafka.Close(); err == nil {
		err = closeErr
	}
	return err
}

func dataDir(opts Options) (string, error) {
	if opts.Ephemeral {
		return "", nil
	}
	dir, err := opts.Dir()
	if err != nil {
		return "", err
	}
	// Orders are business data: not for the machine's other users.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the data folder: %w", err)
	}
	return dir, nil
}

// placeDB puts the database into dir, or into a folder that forget removes
// where nothing is kept. A database that is configured for process is not taken:
// orders of an experiment, and the offsets of a broker that nobody else has, do
// not belong there.
func placeDB(opts *Options, dir string) (forget func(), err error) {
	if opts.DB.URL != "" && opts.DB.URL != opts.Config.DB {
		opts.Log.Warn("dev takes no account of db.url: it has a database of its own",
			"hint", "name another one for dev alone with --db (dev.db); the other commands go by db.url unless they are given --db")
	}
	forget = func() {}
	if opts.Config.DB != "" {
		opts.DB.URL = opts.Config.DB
		return forget, nil
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "ordersctl-"); err != nil {
			return nil, fmt.Errorf("make a folder for the database: %w", err)
		}
		forget = func() {
			if err := os.RemoveAll(dir); err != nil {
				opts.Log.Warn("remove the database", "err", err)
			}
		}
	}
	opts.DB.URL = sink.URL("sqlite:" + filepath.Join(dir, DBFile))
	return forget, nil
}

// DBFile is the database's name in the data directory.
const DBFile = "orders.db"

// runOn runs the edge, the consumer and the admin server on the broker at addr.
func runOn(ctx context.Context, opts Options, addr string, ready func(Info)) error {
	opts.Kafka.Brokers = []string{addr}
	opts.Kafka.TLS, opts.Kafka.SASL = client.TLS{}, client.SASL{}
	orders, err := ensureTopics(ctx, opts)
	if err != nil {
		return err
	}
	serve := opts.Serve
	serve.Listen = local(serve.Listen)
	serve.DrainDelay = 0 // no load balancer stands before a laptop
	// What guards production would only keep the laptop's own commands out.
	if serve.TLS != (ingest.TLS{}) || serve.APIKeysFile != "" {
		opts.Log.Warn("dev takes no account of serve.tls and serve.api-keys-file: it speaks plain HTTP and asks for no key", "listen", serve.Listen)
	}
	serve.TLS, serve.APIKeysFile = ingest.TLS{}, ""
	edge, err := ingest.New(ctx, ingest.Options{
		Config: serve, Kafka: opts.Kafka, Topic: opts.Topic, NewTopic: opts.NewTopic,
		Rules: opts.Rules, Registry: opts.Registry, Log: opts.Log,
	})
	if err != nil {
		return err
	}
	opts.Admin.Listen = local(opts.Admin.Listen)
	var consumer atomic.Pointer[process.Worker]
	admin, err := telemetry.NewAdmin(ctx, opts.Admin, opts.Registry, func() telemetry.Readiness {
		return readiness(edge.Readiness(), consumer.Load())
	}, opts.Log)
	if err != nil {
		edge.Close()
		return err
	}
	finish, err := startProcess(ctx, opts, admin, &consumer)
	if err != nil {
		edge.Close()
		return errors.Join(err, admin.Close())
	}
	info := Info{
		Orders: orders, Brokers: addr, Topic: opts.Topic, Partitions: edge.Topic().Partitions,
		OrderURL: orderURL(edge.Addr()), AdminURL: "http://" + shown(admin.Addr()), DB: opts.DB.URL.String(),
	}
	err = edge.Run(ctx, admin, func(ctx context.Context) {
		ready(info)
		if opts.Demo {
			trickle(ctx, info.OrderURL, opts.Log)
		}
	})
	return errors.Join(err, finish())
}

// startProcess runs the consumer until finish is called. One that ends by
// itself, as when the topic was deleted, leaves the rest running: here people
// try things out.
func startProcess(ctx context.Context, opts Options, admin *telemetry.Admin, started *atomic.Pointer[process.Worker]) (finish func() error, err error) {
	store, err := process.OpenStore(ctx, process.MigrateAuto, opts.DB, opts.Log)
	if err != nil {
		return nil, err
	}
	w, err := process.New(ctx, process.Options{
		Config: opts.Process, Kafka: opts.Kafka, Topic: opts.Topic, DLQTopic: opts.DLQTopic, Rules: opts.Rules,
		Store: store, Retention: opts.DB.EventRetention, Registry: opts.Registry, Log: opts.Log,
	})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	admin.Handle("GET /status", w)
	started.Store(w)
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.Run(ctx); err != nil {
			args := []any{"err", err}
			var hinted interface{ Hint() string }
			if errors.As(err, &hinted) {
				args = append(args, "hint", hinted.Hint())
			}
			opts.Log.Error("process has ended, orders stay in the topic", args...)
		}
	}()
	return func() error {
		stop()
		<-ended
		return store.Close()
	}, nil
}

// readiness is the edge's: it takes orders, whatever the consumer does. How that
// one stands is in the detail.
func readiness(r telemetry.Readiness, w *process.Worker) telemetry.Readiness {
	if w == nil {
		return r
	}
	detail := map[string]string{"process": w.Status().State}
	for key, value := range w.Readiness().Detail {
		detail["process_"+key] = value
	}
	maps.Copy(detail, r.Detail)
	r.Detail = detail
	return r
}

// ensureTopics makes the topics where they are missing and counts the orders
// that are there.
func ensureTopics(ctx context.Context, opts Options) (int64, error) {
	cl, err := client.Dial(ctx, opts.Kafka, opts.Log)
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	adm := client.Admin(cl)
	main := topic.Spec{Name: opts.Topic, Partitions: opts.NewTopic.Partitions, Replicas: 1}
	for _, spec := range []topic.Spec{main, topic.DLQSpec(main, opts.DLQTopic)} {
		if _, _, err := topic.Ensure(ctx, adm, spec); err != nil {
			return 0, fmt.Errorf("create topic %s: %w", spec.Name, err)
		}
	}
	starts, err := adm.ListStartOffsets(ctx, opts.Topic)
	if err != nil {
		return 0, fmt.Errorf("count the orders: %w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, opts.Topic)
	if err != nil {
		return 0, fmt.Errorf("count the orders: %w", err)
	}
	var orders int64
	for partition, end := range ends[opts.Topic] {
		orders += end.Offset - starts[opts.Topic][partition].Offset
	}
	return orders, nil
}

// local is listen with localhost where it names no host: a laptop in a café
// should not take the neighbours' orders.
func local(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || host != "" {
		return listen
	}
	return net.JoinHostPort("localhost", port)
}

func orderURL(addr string) string { return "http://" + shown(addr) + "/order" }

// shown writes the addresses that localhost reaches as people type it.
func shown(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch host {
	case "", "127.0.0.1", "::1", "0.0.0.0", "::":
		return net.JoinHostPort("localhost", port)
	}
	return addr // 127.0.0.2 is loopback too, and not localhost
}
