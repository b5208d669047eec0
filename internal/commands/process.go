package commands

import (
	"context"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/heap"
	"github.com/ordersctl/ordersctl/internal/process"
	"github.com/ordersctl/ordersctl/internal/telemetry"
)

type processOptions struct {
	app *App
	cfg *config.Loaded
}

func newProcess(app *App, runF func(context.Context, *processOptions) error) *cobra.Command {
	opts := &processOptions{app: app}
	cmd := &cobra.Command{
		Use:   "process",
		Short: "Take orders from the topic into the database, each once",
		Long: `Take orders from the topic into PostgreSQL or a SQLite file, each once.

The place to read on stands in the database, in the transaction that writes the
orders: whatever is killed, no record is lost or applied twice. What can't be
applied goes to the dead letter topic with its reason before the offset moves
past it. A database that goes away is waited for, and nothing is dead-lettered
then; at the start it has to be there.

Members of --group share the partitions, and come and go as they like.
Process stops where going on could lose something in silence: the topic was made
anew, or records that were not applied are gone from the log (--on-offset-gap).

A partition stands still when more than 5 % of its last 1,000 records, or 50 in a
row, would be dead-lettered: repair the producer, or restart with
--dlq-breaker off to dead-letter them all.

/healthz, /readyz, /metrics and /status are on the admin port. SIGTERM and Ctrl-C
drain: the batches in flight are finished, the group is left.`,
		Example: `  ordersctl process --db postgres://orders@db.prod/orders
  ordersctl process --db orders.db --create-dlq
  ordersctl process --migrate check --batch-records 2000`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if opts.cfg, err = app.Load(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runProcess(cmd.Context(), opts)
		},
	}
	addTopicFlag(cmd)
	addDBFlag(cmd)
	addProcessFlags(cmd.Flags())
	def := config.Default()
	cmd.Flags().String("admin-listen", def.Admin.Listen, "address of /healthz, /readyz, /metrics and /status")
	bind(cmd.Flags(), "admin-listen", "admin.listen")
	return cmd
}

func addProcessFlags(fs *pflag.FlagSet) {
	def := config.Default().Process
	addConsumerFlags(fs)
	fs.String("migrate", def.Migrate, "the database's tables at the start: auto (bring up to date), check or off")
	bind(fs, "migrate", "process.migrate")
	fs.Bool("create-dlq", def.CreateDLQ, "create the dead letter topic where it is missing")
	bind(fs, "create-dlq", "process.create-dlq")
}

// addConsumerFlags adds those that dev has too: hints name them.
func addConsumerFlags(fs *pflag.FlagSet) {
	def := config.Default().Process
	fs.String("group", def.Group, "consumer group")
	bind(fs, "group", "process.group")
	fs.Int("batch-records", def.BatchRecords, "most records of one transaction")
	bind(fs, "batch-records", "process.batch-records")
	fs.Duration("batch-wait", def.BatchWait, "how long a batch that is not full waits for more")
	bind(fs, "batch-wait", "process.batch-wait")
	fs.String("on-offset-gap", def.OnOffsetGap, "where records are gone from the log: stop, or skip (the range is booked)")
	bind(fs, "on-offset-gap", "process.on-offset-gap")
	fs.String("dlq-breaker", def.DLQBreaker, "stop a partition that has too many dead letters: on or off")
	bind(fs, "dlq-breaker", "process.dlq-breaker")
}

func runProcess(ctx context.Context, opts *processOptions) error {
	defer heap.Raise()()
	app, l := opts.app, opts.cfg
	log := app.Logger(l)
	db, err := database(l)
	if err != nil {
		return err
	}
	store, err := process.OpenStore(ctx, l.Process.Migrate, db, log)
	if err != nil {
		return endedEarly(ctx, err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			log.Warn("close the database", "err", err)
		}
	}()
	reg := telemetry.NewRegistry(app.Build.Version, app.Build.Revision, app.Build.Go)
	w, err := process.New(ctx, process.Options{
		Config: l.Process, Kafka: l.Kafka, Topic: l.Topic, DLQTopic: l.DLQTopic, Rules: l.Order,
		Store: store, Retention: db.EventRetention, Registry: reg, ClientMetrics: true, Log: log,
	})
	if err != nil {
		return endedEarly(ctx, err)
	}
	admin, err := telemetry.NewAdmin(ctx, l.Admin, reg, w.Readiness, log)
	if err != nil {
		w.Close()
		return err
	}
	admin.Handle("GET /status", w)
	t := w.Topic()
	log.Info("processing", "topic", t.Name, "topic_id", t.ID, "partitions", t.Partitions, "group", l.Process.Group,
		"db", db.URL.String(), "dlq", l.DLQTopic, "admin", admin.Addr())
	return withAdmin(ctx, admin, w.Run)
}

// endedEarly is no error where the end was asked for before anything had begun.
func endedEarly(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it is what the signal caused
	}
	return err
}

// withAdmin has the admin port answer until run has ended, and ends run where
// it can't: without probes and metrics nobody knows how it stands.
func withAdmin(ctx context.Context, admin *telemetry.Admin, run func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	adminCtx, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	var along sync.WaitGroup
	var adminErr error
	along.Go(func() {
		adminErr = admin.Run(adminCtx)
		stop()
	})
	err := run(ctx)
	stopAdmin()
	along.Wait()
	if err == nil {
		err = adminErr
	}
	return err
}
