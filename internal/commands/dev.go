package commands

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/dev"
	"github.com/ordersctl/ordersctl/internal/telemetry"
)

type devOptions struct {
	app       *App
	cfg       *config.Loaded
	ephemeral bool
	demo      bool
}

func newDev(app *App, runF func(context.Context, *devOptions) error) *cobra.Command {
	opts := &devOptions{app: app}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the whole pipeline in this process, nothing to install",
		Long: `Run the whole pipeline in this process: an embedded Kafka broker on
localhost:9092 (every Kafka tool can use it), the topics, POST /order on
localhost:8080, the consumer into a SQLite file, and the admin port on
localhost:9180.

Orders are kept in --data-dir over restarts. It is for laptops, tests and
demos: one broker, no replication, loopback only. Production is Apache Kafka.

The database is a SQLite file in --data-dir, or --db (dev.db). db.url, which is
where process writes, is left alone, and so is a protected context: dev does not
run in one.`,
		Example: `  ordersctl dev
  ordersctl dev --ephemeral --demo
  ordersctl dev --db postgres://orders@localhost/dev
  ordersctl dev --kafka-listen localhost:19092 --listen localhost:18080`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if opts.cfg, err = app.Load(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runDev(cmd.Context(), opts)
		},
	}
	addTopicFlag(cmd)
	addServeFlags(cmd.Flags())
	addConsumerFlags(cmd.Flags())
	def := config.Default()
	fs := cmd.Flags()
	for name, listen := range map[string]string{"listen": def.Serve.Listen, "admin-listen": def.Admin.Listen} {
		fs.Lookup(name).DefValue = "localhost" + listen // what is shown: dev adds the host where there is none
	}
	fs.String("data-dir", def.Dev.DataDir, "where the orders are kept (default the user's data folder)")
	bind(fs, "data-dir", "dev.data-dir")
	fs.String("kafka-listen", def.Dev.KafkaListen, "loopback address of the embedded broker")
	bind(fs, "kafka-listen", "dev.kafka-listen")
	fs.String("db", "", "database of dev alone: postgres://USER@HOST/DATABASE, sqlite:PATH or a path (default a file in --data-dir)")
	bind(fs, "db", "dev.db")
	fs.Bool("sync", def.Dev.Sync, "wait for the disk on each write (slow, outlives a power loss)")
	bind(fs, "sync", "dev.sync")
	fs.BoolVar(&opts.ephemeral, "ephemeral", false, "keep nothing")
	fs.BoolVar(&opts.demo, "demo", false, "post an order now and then, with a bad one among them")
	return cmd
}

func runDev(ctx context.Context, opts *devOptions) error {
	app, l := opts.app, opts.cfg
	switch {
	case l.Protected:
		return usageError(`dev is for laptops, tests and demos: choose another context, as with --context `+config.DefaultContext+`, or another file with --config`,
			"context %s is protected, dev does not run in it", l.Context)
	case opts.ephemeral && l.Dev.DataDir != "":
		return usageError("leave one of them out", "--ephemeral keeps nothing, and --data-dir says where to keep it")
	case opts.ephemeral && l.Dev.DB != "":
		return usageError("leave one of them out", "--ephemeral keeps nothing, and --db (dev.db) says where to keep it")
	}
	return dev.Run(ctx, dev.Options{
		Config: l.Dev, Ephemeral: opts.ephemeral, Demo: opts.demo,
		Topic: l.Topic, DLQTopic: l.DLQTopic, Kafka: l.Kafka, NewTopic: l.NewTopic,
		Serve: l.Serve, Process: l.Process, DB: l.DB, Admin: l.Admin, Rules: l.Order,
		Registry: telemetry.NewRegistry(app.Build.Version, app.Build.Revision, app.Build.Go),
		Log:      app.Logger(l),
		Ready:    func(info dev.Info) { app.say("%s", banner(app.Build, l, info)) },
	})
}

// banner says what runs where and what to type next.
func banner(b Build, l *config.Loaded, info dev.Info) string {
	data := "nothing is kept"
	if info.DataDir != "" {
		data = fmt.Sprintf("data in %s (%s orders)", tilde(info.DataDir), thousands(info.Orders))
	}
	brokers := ""
	if !reaches(l.Kafka.Brokers, info.Brokers) {
		brokers = " --brokers " + info.Brokers
	}
	topic := ""
	if l.Topic != config.Default().Topic {
		topic = " -t " + info.Topic
	}
	var s strings.Builder
	fmt.Fprintf(&s, "ordersctl %s dev   the whole pipeline in this process   %s\n\n", b.Version, data)
	fmt.Fprintf(&s, "  http    %-31s POST an order, answered when the log has it\n", info.OrderURL)
	fmt.Fprintf(&s, "  kafka   %-31s topic %s, %d partitions (any Kafka tool works)\n", info.Brokers, info.Topic, info.Partitions)
	fmt.Fprintf(&s, "  db      %-31s tables orders, order_events\n", where(info))
	fmt.Fprintf(&s, "  admin   %-31s also /healthz /readyz /status\n\n", info.AdminURL+"/metrics")
	s.WriteString("try, in another terminal:\n")
	fmt.Fprintf(&s, "  curl %s -H 'Content-Type: application/json' -d '{\"id\":\"order-001\",\n", strings.TrimPrefix(info.OrderURL, "http://"))
	s.WriteString("    \"user_id\":\"u1\",\"total\":149.99,\"status\":\"pending\",\"timestamp\":\"2025-10-06T17:00:00Z\"}'\n")
	fmt.Fprintf(&s, "  ordersctl tail --from-beginning%s%s\n", topic, brokers)
	to := ""
	if info.OrderURL != benchDefaultURL {
		to = " --to " + info.OrderURL
	}
	fmt.Fprintf(&s, "  ordersctl bench --rate 1k --duration 10s%s%s%s\n\n", to, topic, brokers)
	fmt.Fprintf(&s, "for laptops and tests: one broker, no replication.  ready in %.1f s.  Ctrl-C drains and stops.", info.Took.Seconds())
	return s.String()
}

// where names the database; a file in the data directory by its name alone.
func where(info dev.Info) string {
	file := strings.TrimPrefix(info.DB, "sqlite:")
	switch {
	case file == filepath.Join(info.DataDir, dev.DBFile):
		return "sqlite " + dev.DBFile + " in that folder"
	case strings.Contains(file, "://"):
		return file
	}
	return "sqlite " + tilde(file)
}

// reaches tells whether the configured brokers are the embedded one, so that
// the commands in the banner work as they stand.
func reaches(configured []string, addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && slices.ContainsFunc(configured, func(b string) bool {
		h, p, err := net.SplitHostPort(b)
		return err == nil && p == port && (h == "localhost" || h == "127.0.0.1" || h == "::1")
	})
}

// tilde shortens the home folder as shells do.
func tilde(path string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(home, path); err == nil && !strings.HasPrefix(rel, "..") {
		return filepath.Join("~", rel)
	}
	return path
}
