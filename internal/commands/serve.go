package commands

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/heap"
	"github.com/ordersctl/ordersctl/internal/ingest"
	"github.com/ordersctl/ordersctl/internal/telemetry"
)

type serveOptions struct {
	app *App
	cfg *config.Loaded
}

func newServe(app *App, runF func(context.Context, *serveOptions) error) *cobra.Command {
	opts := &serveOptions{app: app}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take orders over HTTP and write them to the topic",
		Long: `Take orders over HTTP and write them to the topic.

POST /order with one order in JSON is answered 202 once Kafka has acknowledged
the record (acks=all, idempotent producer). Every other answer says in "outcome"
what became of the order: not_written, or unknown where it may be in the log.
POST /orders takes up to 10,000 in one request (NDJSON or a JSON array) and
answers for each: 202 all accepted, 207 some.
--ack enqueued answers as soon as the record is in this process's memory: an
order can then be lost with the process.

--api-keys-file asks every POST for a key ("ordersctl serve key" makes them),
--tls-cert-file and --tls-key-file speak TLS, --tls-client-ca-file asks clients
for certificates. All are read anew when they change, without a restart.

/healthz, /readyz and /metrics are on the admin port. SIGTERM and Ctrl-C drain:
not ready, no new connections, requests in progress, flush. A second one kills.
Exit code 1 when orders were left without an acknowledgement; each is logged.`,
		Example: `  ordersctl serve
  ordersctl serve --brokers kafka-1:9092,kafka-2:9092 --create-topic
  ordersctl serve --listen 127.0.0.1:9000 --access-log
  ordersctl serve key shop --file keys.txt
  ordersctl serve --tls-cert-file tls.crt --tls-key-file tls.key --api-keys-file keys.txt`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if opts.cfg, err = app.Load(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runServe(cmd.Context(), opts)
		},
	}
	addTopicFlag(cmd)
	addServeFlags(cmd.Flags())
	def := config.Default()
	cmd.Flags().Bool("create-topic", def.Serve.CreateTopic, "create the topic where it is missing (new-topic.partitions, new-topic.replicas)")
	bind(cmd.Flags(), "create-topic", "serve.create-topic")
	addGuardFlags(cmd.Flags())
	cmd.AddCommand(newServeKey(app))
	return cmd
}

// addServeFlags are the flags that serve and dev share.
func addServeFlags(fs *pflag.FlagSet) {
	def := config.Default()
	fs.String("listen", def.Serve.Listen, "address of the HTTP endpoint")
	bind(fs, "listen", "serve.listen")
	fs.String("ack", def.Serve.Ack, "when to answer: delivered or enqueued")
	bind(fs, "ack", "serve.ack")
	fs.Duration("timeout", def.Serve.Timeout, "how long a request waits for Kafka before the answer is unknown")
	bind(fs, "timeout", "serve.timeout")
	fs.Int("max-in-flight", def.Serve.MaxInFlight, "orders that may wait for Kafka, over it 503")
	bind(fs, "max-in-flight", "serve.max-in-flight")
	fs.Bool("access-log", def.Serve.AccessLog, "log every request (refused orders are logged anyway)")
	bind(fs, "access-log", "serve.access-log")
	fs.String("admin-listen", def.Admin.Listen, "address of /healthz, /readyz and /metrics")
	bind(fs, "admin-listen", "admin.listen")
}

// addGuardFlags are those that dev, on a laptop, has no use for.
func addGuardFlags(fs *pflag.FlagSet) {
	def := config.Default()
	fs.String("tls-cert-file", def.Serve.TLS.CertFile, "our certificate with its chain (PEM); empty: no TLS")
	bind(fs, "tls-cert-file", "serve.tls.cert-file")
	fs.String("tls-key-file", def.Serve.TLS.KeyFile, "its key (PEM)")
	bind(fs, "tls-key-file", "serve.tls.key-file")
	fs.String("tls-client-ca-file", def.Serve.TLS.ClientCAFile, "ask clients for certificates signed by one of these (PEM)")
	bind(fs, "tls-client-ca-file", "serve.tls.client-ca-file")
	fs.String("api-keys-file", def.Serve.APIKeysFile, "ask every POST for a key of this file")
	bind(fs, "api-keys-file", "serve.api-keys-file")
}

func runServe(ctx context.Context, opts *serveOptions) error {
	defer heap.Raise()()
	app, l := opts.app, opts.cfg
	reg := telemetry.NewRegistry(app.Build.Version, app.Build.Revision, app.Build.Go)
	log := app.Logger(l)
	edge, err := ingest.New(ctx, ingest.Options{
		Config: l.Serve, Kafka: l.Kafka, Topic: l.Topic, NewTopic: l.NewTopic,
		Rules: l.Order, Registry: reg, Log: log,
	})
	if ctx.Err() != nil && err != nil {
		return nil // asked to end before it had begun: nothing was accepted
	}
	if err != nil {
		return err
	}
	admin, err := telemetry.NewAdmin(ctx, l.Admin, reg, edge.Readiness, log)
	if err != nil {
		edge.Close()
		return err
	}
	t := edge.Topic()
	log.Info("serving", "listen", edge.Addr(), "admin", admin.Addr(), "topic", t.Name, "partitions", t.Partitions,
		"replicas", t.Replicas, "brokers", strings.Join(l.Kafka.Brokers, ","), "ack", l.Serve.Ack)
	if t.Replicas == 1 {
		log.Warn("the topic has one replica: an acknowledged order is lost with its broker's disk", "topic", t.Name)
	}
	if l.Serve.Ack == ingest.AckEnqueued {
		log.Warn("answers come before Kafka's acknowledgement: an accepted order can be lost", "ack", l.Serve.Ack)
	}
	return edge.Run(ctx, admin, nil)
}
