// Package ingest is the HTTP edge: it turns POST /order into a record of the
// topic and answers when Kafka has acknowledged it. Start at [New] and
// [Server.Run].
//
// An answer always says what became of the order (see client.Outcome). The
// edge does not retry on the client's behalf beyond what the Kafka client does
// below the acknowledgement, and never drops an order because it looks like
// another.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/telemetry"
	"github.com/ordersctl/ordersctl/internal/topic"
	"github.com/ordersctl/ordersctl/internal/unit"
)

const (
	// What may be waiting for Kafka at one time besides serve.max-in-flight: of
	// the largest orders that are valid, 2 KiB each, this limit comes first.
	maxBufferedBytes = 64 * unit.MiB
	// A header that is larger is answered 431.
	maxHeaderBytes = 16 << 10
	// How long a client may take to read its answer.
	writeTimeout = 30 * time.Second
	idleTimeout  = 2 * time.Minute
)

// Options is what a Server is made of.
type Options struct {
	Config
	Kafka    client.Config
	Topic    string
	NewTopic topic.Config // for CreateTopic
	Rules    order.Rules
	Registry *prometheus.Registry
	Log      *slog.Logger
}

// Server is the HTTP edge.
type Server struct {
	opts     Options
	kafka    *kgo.Client
	decoder  *order.Decoder
	log      *slog.Logger
	metrics  *metrics
	refusals *refusals
	replies  *replies
	guard    *guard
	listener net.Listener
	http     *fasthttp.Server
	info     TopicInfo

	stopping atomic.Bool   // SIGTERM came: not ready
	refusing atomic.Bool   // nothing new is handed to Kafka
	closing  atomic.Bool   // the client is being closed: what comes back now is left over
	expired  chan struct{} // closed when the time to drain is over: handlers answer unknown
	handling atomic.Int64  // requests in a handler
	topic    [16]byte      // its id; changed by the one that heals
	healing  atomic.Bool   // a topic that was made again is being forgotten
	healers  sync.WaitGroup
	left     atomic.Int64 // records that were open when the client was closed
	records  atomic.Int64 // handed to Kafka, promise outstanding
	bytes    atomic.Int64

	breaker   breaker
	prompter  *prompter
	watch     watch
	reading   chan struct{} // one for each POST /orders that is being read or answered, not while it waits
	flights   sync.Pool     // *flight
	recorders sync.Pool     // *client.Recorder
}

// TopicInfo is what was found of the topic at the start.
type TopicInfo struct {
	Name       string
	Partitions int
	Replicas   int
	Created    bool
}

// New reaches Kafka, finds (or, with CreateTopic, makes) the topic and
// listens; [Server.Run] serves. Errors carry their next step.
func New(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{
		opts:     opts,
		decoder:  order.NewDecoder(opts.Rules),
		log:      opts.Log,
		metrics:  newMetrics(opts.Registry),
		refusals: newRefusals(opts.Log),
		replies:  newReplies(replyWindow, maxReplies),
		expired:  make(chan struct{}),
		reading:  make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		breaker:  breaker{after: opts.BreakerAfter, log: opts.Log},
	}
	s.recorders.New = func() any { return client.NewRecorder(opts.Topic) }
	var err error
	if s.guard, err = newGuard(&s.opts, s.metrics); err != nil {
		return nil, err
	}
	kafkaMetrics := kprom.NewMetrics("ordersctl_kafka", kprom.Registry(opts.Registry))
	s.kafka, err = client.Dial(ctx, opts.Kafka, opts.Log,
		kgo.DefaultProduceTopic(opts.Topic),
		// Never met: ours comes first, and takes a request whole or not at all. The
		// client lets go of a record a little later than we do.
		kgo.MaxBufferedRecords(2*opts.MaxInFlight),
		kgo.RecordDeliveryTimeout(deliveryTimeout(opts)),
		kgo.WithHooks(kafkaMetrics),
	)
	if err != nil {
		return nil, err
	}
	s.prompter = newPrompter(s.kafka)
	if s.info, err = s.findTopic(ctx); err != nil {
		s.kafka.Close()
		return nil, err
	}
	var lc net.ListenConfig
	s.listener, err = lc.Listen(ctx, "tcp", opts.Listen)
	if err != nil {
		s.kafka.Close()
		return nil, &telemetry.ListenError{Addr: opts.Listen, Setting: "serve.listen (--listen)", Err: err}
	}
	s.http = &fasthttp.Server{
		Handler:                      s.handle,
		ErrorHandler:                 s.handleBroken,
		SecureErrorLogMessage:        true,
		Logger:                       quiet{s.log},
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		DisablePreParseMultipartForm: true,
		CloseOnShutdown:              true,
		MaxRequestBodySize:           int(opts.MaxBody),
		HeaderReceived:               s.headerReceived,
		ReadBufferSize:               maxHeaderBytes,
		ReadTimeout:                  opts.HeaderTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
	}
	return s, nil
}

// deliveryTimeout ends a record's wait before the handler's own timer does: a
// record that no request can have carried to a log comes back as not written,
// where the timer could only say unknown.
func deliveryTimeout(opts Options) time.Duration {
	return max(time.Second, min(opts.Kafka.DeliveryTimeout, opts.Timeout*4/5))
}

func (s *Server) findTopic(ctx context.Context) (TopicInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Kafka.ConnectTimeout)
	defer cancel()
	adm := client.Admin(s.kafka)
	info := TopicInfo{Name: s.opts.Topic}
	if s.opts.CreateTopic {
		created, drift, err := topic.Ensure(ctx, adm, topic.Spec{
			Name: s.opts.Topic, Partitions: s.opts.NewTopic.Partitions, Replicas: s.opts.NewTopic.Replicas,
		})
		if err != nil {
			return info, client.Explain(err, s.opts.Kafka)
		}
		for _, d := range drift {
			s.log.Warn("topic differs from the configuration", "topic", s.opts.Topic, "setting", d.What, "want", d.Want, "have", d.Have)
		}
		info.Created = created
	}
	var err error
	if s.topic, _, err = topic.Exists(ctx, adm, s.opts.Topic); err != nil {
		return info, client.Explain(err, s.opts.Kafka)
	}
	topics, err := adm.ListTopics(ctx, s.opts.Topic)
	if err != nil {
		return info, client.Explain(err, s.opts.Kafka)
	}
	info.Partitions = len(topics[s.opts.Topic].Partitions)
	info.Replicas = topics[s.opts.Topic].Partitions.NumReplicas()
	return info, nil
}

// Addr is where it listens, the port resolved.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Topic is what was found of the topic at the start.
func (s *Server) Topic() TopicInfo { return s.info }

// Readiness is for /readyz: ready from the first metadata (New made sure of
// it) until the end begins. That Kafka is away shows in the detail and does
// not make it unready: a shared outage would take every instance out of
// service at once, and clients would get nothing where now they get an answer.
func (s *Server) Readiness() telemetry.Readiness {
	r := telemetry.Readiness{Ready: !s.stopping.Load(), Detail: map[string]string{
		"topic":            s.opts.Topic,
		"buffered_records": fmt.Sprint(s.records.Load()),
		"last_ack":         "none yet",
	}}
	if at := s.breaker.lastAck.Load(); at != 0 {
		r.Detail["last_ack"] = time.Unix(0, at).UTC().Format(time.RFC3339)
	}
	if s.breaker.open.Load() {
		r.Detail["kafka"] = "acknowledges nothing, orders are refused"
	}
	if !r.Ready {
		r.Reason = "draining"
	}
	return r
}

// ErrLeft says that records were open when the time to drain had passed.
var ErrLeft = errors.New("orders were left without an acknowledgement")

// Close gives up a server that was never run.
func (s *Server) Close() {
	_ = s.listener.Close() // nothing was accepted on it
	s.kafka.Close()
}

// Run serves until ctx ends and then drains: not ready, a moment for load
// balancers to notice, no new connections, the requests that are being
// answered, flush, close. admin answers until the very end. beside, where it
// is not nil, runs along until ctx ends. The error wraps [ErrLeft] where
// records were left; each is logged by its event id. Run closes what New
// opened.
func (s *Server) Run(ctx context.Context, admin *telemetry.Admin, beside func(context.Context)) error {
	adminCtx, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	ctx, stop := context.WithCancel(ctx)
	var along sync.WaitGroup
	adminErr := make(chan error, 1)
	along.Go(func() {
		err := admin.Run(adminCtx)
		adminErr <- err
		stop() // without probes and metrics nobody knows how it stands
	})
	if beside != nil {
		along.Go(func() { beside(ctx) })
	}
	err := s.run(ctx)
	stop()
	stopAdmin()
	along.Wait()
	return errors.Join(err, <-adminErr)
}

func (s *Server) run(ctx context.Context) error {
	s.metrics.watch(s)
	endWatch := s.watch.start(s.opts.Timeout)
	defer endWatch()
	looking, stopLooking := context.WithCancel(ctx)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		s.guard.look(looking)
	}()
	var serveErr, err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serveErr = s.http.Serve(s.guard.listen(s.listener))
	}()
	select {
	case <-ended:
		err = fmt.Errorf("serve HTTP: %w", serveErr)
	case <-ctx.Done():
	}
	s.drain(context.WithoutCancel(ctx), ended)
	_ = s.listener.Close() // a stop that comes before Serve has begun finds no listener to close
	<-ended
	stopLooking()
	select {
	case <-looked:
	case <-time.After(lastAnswers): // on a file system that hangs a look never ends
	}
	s.guard.limiter.leaving.Wait()
	s.closeKafka()
	s.healers.Wait()
	s.refusals.flush()
	if left := s.left.Load(); left > 0 {
		err = errors.Join(err, fmt.Errorf("%d %w", left, ErrLeft))
	}
	return err
}

const (
	// What handlers get, after everything else, to write their last answer.
	lastAnswers = time.Second
	// The client fails what is open when it is closed; it does so on goroutines
	// of its own and does not wait for them.
	lastPromises = 5 * time.Second
)

// drain ends what is under way. Connections get half of the time at most, so
// that one client that stalls in its request does not take the time that the
// records of all others need.
func (s *Server) drain(ctx context.Context, ended <-chan struct{}) {
	s.stopping.Store(true)
	s.log.Info("draining", "open_records", s.records.Load(), "delay", s.opts.DrainDelay.String())
	select {
	case <-time.After(s.opts.DrainDelay):
	case <-ended:
	}
	requests, cancel := context.WithTimeout(ctx, s.opts.DrainTimeout/2)
	defer cancel()
	if err := s.http.ShutdownWithContext(requests); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("stop the HTTP server", "err", err)
	}
	s.refusing.Store(true)
	flush, cancel := context.WithTimeout(ctx, s.opts.DrainTimeout/2)
	defer cancel()
	// An error is told by what is left, below.
	_ = s.kafka.Flush(flush)
	close(s.expired)
	s.watch.end()
	s.until(lastAnswers, func() bool { return s.handling.Load() == 0 })
	s.log.Info("drained", "open_records", s.records.Load())
}

// closeKafka closes the client and waits for the promises that this ends: each
// is a record that was left, and is logged.
func (s *Server) closeKafka() {
	s.closing.Store(true)
	s.kafka.Close()
	s.until(lastPromises, func() bool { return s.records.Load() == 0 })
	// What has still no promise has no log line either; it is counted.
	s.left.Add(s.records.Load())
}

// until looks until met is true or the time is over.
func (s *Server) until(timeout time.Duration, met func() bool) {
	over := time.After(timeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-over:
			return
		case <-tick.C:
		}
	}
}

// quiet keeps fasthttp's own lines, which are about single connections that
// went away, out of the log unless one looks for them.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	for i, arg := range args {
		// It quotes what it could not read, which may hold somebody's credentials.
		if err, ok := arg.(error); ok {
			args[i], _, _ = strings.Cut(err.Error(), `"`)
		}
	}
	q.log.Debug("http server", "detail", fmt.Sprintf(format, args...))
}
