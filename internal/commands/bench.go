package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ordersctl/ordersctl/internal/bench"
	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/unit"
)

// benchDefaultURL is what a bare bench loads.
const benchDefaultURL = "http://localhost:8080/order"

// What a bare bench asks for.
const (
	benchDefaultRate     = unit.Rate(1000)
	benchDefaultDuration = 30 * time.Second
	benchDefaultKeys     = 10_000
)

type benchOptions struct {
	app    *App
	loaded *config.Loaded
	given  func(flag string) bool

	to          string
	several     string // where a batch goes, "" where the endpoint takes one order
	rate        unit.Rate
	stages      []string
	duration    time.Duration
	count       uint64
	warmup      time.Duration
	concurrency int
	arrivals    string
	connections int
	batch       int
	timeout     time.Duration
	maxInFlight int
	lagLimit    time.Duration

	keys     uint64
	keyDist  string
	statuses string
	size     unit.Size
	seed     uint64

	verify     string
	reader     bool
	thresholds []string
	abort      bool

	json    string
	hdr     string
	confirm string

	plan     bench.Plan
	source   bench.SourceOptions
	checks   []bench.Threshold
	interest bool // in Kafka: to verify, to read along, or to load it
}

const benchLong = `Load an order pipeline, measure it as its users feel it, and prove what became of
every order.

Orders are due by a schedule (--rate, --stage), whatever the server does, and their
latency counts from when they were due: a server that stalls is not spared the orders
that could not be sent meanwhile. Beside it stand the service time, from the send, and
the generator's own lag; a run that the generator spoiled is INVALID. --concurrency N
without a rate has N orders under way and sends the next when one is answered.

Every order is booked as acked, not_written or unknown. After the run the topic is
read back (--verify log) and every order is held against it: lost, duplicated,
reordered, corrupted, or found though the client was told "not written". --verify db
then waits for process and holds the database (--db) against them as well. The topic
and the brokers are those of the configuration and have to be the server's.

Without --to it loads ` + benchDefaultURL + ` only, at 1,000/s for 30 s. In a
protected context it asks for the topic's name. Orders bear the run in their ids: they
stay in the topic, see "ordersctl bench clean".

Exit codes, of several the first: 6 integrity, 5 invalid, 3 a threshold was not met,
1 failed, 130 interrupted; 4 nothing to load or to read back at the start.
docs/bench.md tells how to measure honestly, and every field of --json.`

const benchExample = `  ordersctl bench
  ordersctl bench -r 5k -d 5m --warmup 15s --threshold 'p99<50ms' --threshold 'lost==0'
  ordersctl bench --to https://edge.stage/order --stage 30s@1k --stage 1m@1k..10k --json run.json
  ordersctl bench --to kafka --rate max -n 1000000 --verify db
  ordersctl bench -c 64 -d 10s --verify none`

func newBench(app *App, runF func(context.Context, *benchOptions) error) *cobra.Command {
	cmd := newBenchRun(app, runF)
	cmd.Use = "bench"
	run := newBenchRun(app, runF)
	run.Use = "run"
	cmd.AddCommand(run, newBenchClean(app))
	return cmd
}

// newBenchRun is a command that runs; "bench" alone is one too.
func newBenchRun(app *App, runF func(context.Context, *benchOptions) error) *cobra.Command {
	opts := &benchOptions{app: app}
	if runF == nil {
		runF = runBench
	}
	cmd := &cobra.Command{
		Short:   "Load the pipeline and prove what became of every order",
		Long:    benchLong,
		Example: benchExample,
		Args:    noBenchArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.given = cmd.Flags().Changed
			if err := opts.complete(); err != nil {
				return err
			}
			l, err := app.Load(cmd)
			if err != nil {
				return err
			}
			opts.loaded = l
			return runF(cmd.Context(), opts)
		},
	}
	opts.addFlags(cmd.Flags())
	addTopicFlag(cmd)
	addDBFlag(cmd)
	return cmd
}

// noBenchArgs tells a word that is no command from one that is.
func noBenchArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := seeHelp(cmd)
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %s?", near[0])
	}
	return usageError(hint, "unknown command %q for %q", args[0], cmd.CommandPath())
}

func (o *benchOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.to, "to", benchDefaultURL, "the URL of an endpoint, or kafka")
	o.rate = benchDefaultRate
	fs.VarP(&o.rate, "rate", "r", "orders per second: 500, 5k, or max (closed loop, as fast as they are taken)")
	fs.StringArrayVar(&o.stages, "stage", nil, "a part of the schedule, `LENGTH@RATE` or LENGTH@FROM..TO; repeat it for more")
	o.duration, o.timeout = benchDefaultDuration, bench.DefaultTimeout
	fs.VarP((*lengthFlag)(&o.duration), "duration", "d", "length of the run without warm-up; 0: until stopped, or until the ledger is full")
	fs.VarP((*countFlag)(&o.count), "count", "n", "end after this many orders (without warm-up)")
	fs.Var((*lengthFlag)(&o.warmup), "warmup", "load so long before anything is measured")
	fs.IntVarP(&o.concurrency, "concurrency", "c", 0, "closed loop: so many orders under way, no rate")
	fs.StringVar(&o.arrivals, "arrivals", string(bench.Constant), "constant, or poisson: as independent customers arrive")
	fs.IntVar(&o.connections, "connections", bench.DefaultConnections, "connections to the endpoint, without --concurrency")
	fs.IntVar(&o.batch, "batch", 1, "orders per request, to the endpoint's /orders")
	fs.Var((*lengthFlag)(&o.timeout), "timeout", "how long an order may take from its send, at most 1h")
	fs.IntVar(&o.maxInFlight, "max-in-flight", bench.DefaultMaxInFlight, "orders sent, or waiting for a connection; what is due beyond is dropped and counted")
	o.lagLimit = bench.DefaultLagLimit
	fs.Var((*lengthFlag)(&o.lagLimit), "lag-limit", "how late the generator itself may be (p99) before the run is INVALID; a longer one is said in a note")

	o.keys = benchDefaultKeys
	fs.Var((*countFlag)(&o.keys), "keys", "how many order ids there are")
	fs.StringVar(&o.keyDist, "key-dist", string(bench.Uniform), "how orders spread over them: uniform, zipf, unique")
	fs.StringVar(&o.statuses, "statuses", "", "statuses and their weights: pending=5,paid=3,shipped")
	fs.Var(&o.size, "size", "size of each order in bytes (default: as it comes, about 140)")
	fs.Uint64Var(&o.seed, "seed", 0, "seed of the orders (default: one by chance, told in the summary)")

	fs.StringVar(&o.verify, "verify", verifyLog, "log: read the topic back and judge it; db: the database too; none")
	fs.BoolVar(&o.reader, "stages", false, "read along, to tell when orders were appended and could be consumed")
	fs.StringArrayVar(&o.thresholds, "threshold", nil, "what has to hold, such as 'p99<50ms', 'error_rate<0.1%', 'lost==0', 'rate>=4900'; repeat it for more")
	fs.BoolVar(&o.abort, "abort-on-fail", false, "end the run when a threshold does not hold over "+bench.Window.String())

	fs.StringVar(&o.json, "json", "", "write the result to this `FILE`; - is stdout, instead of the summary")
	fs.StringVar(&o.hdr, "hdr", "", "write the latency histogram to this `FILE` (hgrm, ms)")
	fs.StringVar(&o.confirm, "confirm", "", "in a protected context: the topic's name, instead of being asked for it")
}
