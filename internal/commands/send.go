package commands

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/send"
	"github.com/ordersctl/ordersctl/internal/topic"
	"github.com/ordersctl/ordersctl/internal/unit"
)

const toKafka = "kafka"

type sendOptions struct {
	again  string // the command line that goes on with the rest of a file, from stdin
	app    *App
	loaded *config.Loaded

	files   []string
	one     send.Draft // where oneSet
	oneSet  bool
	count   int64
	seed    uint64
	seedSet bool
	keys    int

	to          string
	several     string // the URL beside to that takes several orders, "" where there is none
	batch       int
	connections int
	rate        unit.Rate
	rejects     string
	dryRun      bool
	confirm     string
	waitFor     string
	wait        *sendWait // nil where nothing is waited for
	output      string
	talk        *sendTalk // once the run has begun
	piped       bool      // the files are what came by a pipe without being named
}

// sendFlagsOfOne are the flags that describe a single order.
func sendFlagsOfOne() []string { return []string{"id", "user", "total", "status", "timestamp"} }

func newSend(app *App, runF func(context.Context, *sendOptions) error) *cobra.Command {
	opts := &sendOptions{app: app}
	if runF == nil {
		runF = runSend
	}
	cmd := &cobra.Command{
		Use:   "send [FILE...]",
		Short: "Send orders to Kafka or over HTTP",
		Long: `Send orders to Kafka (--to kafka, the default) or to an HTTP endpoint (--to URL).

They come from one of:
  flags      one order: --total, and where they matter --id --user --status --timestamp
  files      one order a line (NDJSON) or a JSON array, gzip or not; - is the standard
             input, which is also read where nothing is named and it is a pipe
  --count N  made-up ones; the same --seed and --keys make the same orders

A line that "ordersctl tail -f json" printed counts as the order in its value: the
record keeps its headers and so its event id (over HTTP only the order is sent). It
is told from an order by its keys "partition" and "value".

What is not an order is named with its place and every fault, its text goes to
--rejects, the others are sent, and the exit code is 1; it is 0 only when every order
was acknowledged. Orders of one id keep their order; over HTTP a request may hold
several of an id, and the next one is posted when that was answered. An order that
failed does not hold back the later ones of its id.

Over HTTP up to --batch orders share a request where the URL has no path or ends in
/order: several go to /orders beside it, one alone to /order. A request goes when it
is full or its first order has waited for 5ms. To any other URL, and where the server
does not know /orders, each order is a request. ORDERSCTL_SEND_API_KEY is sent as a
bearer token; send.tls has the files for https.

What is not acknowledged is either not_written or unknown. Over HTTP the former is
tried again for a while where the server allows it; what is unknown may be in the
topic and is never sent twice. Ctrl-C stops reading, waits up to ` + send.DrainTimeout.String() + ` for answers and
tells where to go on. -o json prints one receipt a line as the answers come in, in
order within an id.

--wait db waits until process has been through what was acknowledged: until its
offsets in the database have passed every one of these orders. It says how long that
took; after 30s, or as long as --wait db=2m says, it gives up with exit code 1 and how
many are left. Nothing is sent where there is no database, or nobody processes.`,
		Example: `  ordersctl send --total 149.99
  ordersctl send --id order-001 --user u1 --total 149.99 --status paid
  ordersctl send orders.ndjson --rejects bad.ndjson
  ordersctl send --count 10000 --seed 7 --rate 500 --to http://localhost:8080/order
  ordersctl tail -o start -n 100 -f json | ordersctl send -t orders-copy -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.files = args
			if err := opts.complete(cmd); err != nil {
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
	fs := cmd.Flags()
	fs.StringVar(&opts.one.ID, "id", "", "order id (default: a new one)")
	fs.StringVar(&opts.one.User, "user", "u-cli", "user id")
	fs.StringVar(&opts.one.Total, "total", "", "total, an exact decimal such as 149.99")
	fs.StringVar(&opts.one.Status, "status", "pending", "status")
	fs.StringVar(&opts.one.Timestamp, "timestamp", "", "when the order was made, RFC 3339 (default: now)")
	fs.Int64Var(&opts.count, "count", 0, "make up this many orders")
	fs.Uint64Var(&opts.seed, "seed", 0, "seed of --count (default: one by chance, told on stderr)")
	fs.IntVar(&opts.keys, "keys", 0, "order ids of --count, each as likely as the others (default: a new one each)")
	fs.StringVar(&opts.to, "to", toKafka, "kafka, or the URL of an endpoint")
	fs.IntVar(&opts.batch, "batch", send.DefaultBatch, "orders in a request of --to URL; 1: each by itself, to /order")
	fs.IntVar(&opts.connections, "connections", send.DefaultConnections, "connections of --to URL")
	fs.Var(&opts.rate, "rate", "orders per second, evenly: 500, 5k (default: as fast as they are taken)")
	fs.StringVar(&opts.rejects, "rejects", "", "write what is not an order to this file, one a line; it is overwritten")
	fs.BoolVar(&opts.dryRun, "dry-run", false, "read and check everything, send nothing")
	fs.StringVar(&opts.waitFor, "wait", "", "db or `db=TIMEOUT`: wait until process has been through the orders (default timeout 30s)")
	fs.StringVar(&opts.confirm, "confirm", "", "the topic's name, for --count in a protected context")
	addTopicFlag(cmd)
	addDBFlag(cmd)
	addOutputFlag(cmd, &opts.output, "text", "json")
	return cmd
}

// complete checks what the flags say together.
func (o *sendOptions) complete(cmd *cobra.Command) error {
	fs := cmd.Flags()
	o.oneSet = slices.ContainsFunc(sendFlagsOfOne(), fs.Changed)
	o.seedSet = fs.Changed("seed")
	o.again = commandAgain(fs)
	if !fs.Changed("id") {
		o.one.ID = send.NewOrderID()
	}
	if !fs.Changed("timestamp") {
		o.one.Timestamp = send.FormatTimestamp(o.app.now())
	}
	if err := checkOutput(o.output, "text", "json"); err != nil {
		return err
	}
	if err := o.completeSource(cmd); err != nil {
		return err
	}
	if err := errors.Join(notEmpty(cmd, "wait"), o.completeWait()); err != nil {
		return err
	}
	switch {
	case o.to == toKafka && fs.Changed("connections"):
		return usageError("", "--connections is for --to URL")
	case o.to == toKafka && fs.Changed("batch"):
		return usageError("", "--batch is for --to URL")
	case o.batch < 1 || o.batch > send.MaxBatch:
		return usageError("", "--batch %d is not between 1 and %d", o.batch, send.MaxBatch)
	case o.to != toKafka && fs.Changed("topic"):
		return usageError("", "--topic is for --to kafka: an endpoint has its own topic")
	case o.connections < 1 || o.connections > 10_000:
		return usageError("", "--connections %d is not between 1 and 10000", o.connections)
	case o.to == toKafka:
		return nil
	}
	var err error
	if o.to, o.several, err = orderURLs(o.to); err != nil {
		return err
	}
	if o.several == "" && fs.Changed("batch") && o.batch > 1 {
		return usageError("such as http://localhost:8080/order", "--batch %d is for a URL that ends in /order: of %s it is not known where it takes several", o.batch, o.to)
	}
	return nil
}

func (o *sendOptions) completeSource(cmd *cobra.Command) error {
	fs := cmd.Flags()
	counted := fs.Changed("count")
	given := 0
	for _, is := range []bool{o.oneSet, len(o.files) > 0, counted} {
		if is {
			given++
		}
	}
	stdins := len(o.files) - len(slices.DeleteFunc(slices.Clone(o.files), func(f string) bool { return f == send.Stdin }))
	switch {
	case given > 1:
		return usageError("", "orders come from flags, from files or from --count: give one of them")
	case given == 0 && o.app.InTTY:
		return noOrders(cmd)
	case o.oneSet && o.one.Total == "":
		return usageError("add what the order costs, such as --total 149.99", "--total is missing")
	case counted && o.count < 1:
		return usageError("", "--count %d is not 1 or more", o.count)
	case !counted && (o.seedSet || fs.Changed("keys")):
		return usageError("add --count N", "--seed and --keys are for --count")
	case o.keys < 0:
		return usageError("", "--keys %d is negative", o.keys)
	case (o.oneSet || counted) && o.rejects != "":
		return usageError("", "--rejects is for files")
	case stdins > 1:
		return usageError("", "- is the standard input and can be read once")
	}
	if given == 0 {
		o.files, o.piped = []string{send.Stdin}, true
	}
	return nil
}

func noOrders(cmd *cobra.Command) error {
	return usageError(seeHelp(cmd), "no orders given: name one by flags (--total 149.99), files or - for the standard input (orders.ndjson), or --count N for made-up ones")
}

// orderURLs completes an endpoint as people write it: where one order goes, and
// where several go.
func orderURLs(s string) (one, several string, err error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		hint := "such as http://localhost:8080/order"
		if !strings.Contains(s, "://") && strings.ContainsAny(s, ":.") {
			hint = fmt.Sprintf("did you mean http://%s?", s)
		}
		return "", "", usageError(hint, "--to %q is neither kafka nor the URL of an endpoint", s)
	}
	one, several = send.Endpoints(u)
	return one, several, nil
}

func runSend(ctx context.Context, opts *sendOptions) (err error) {
	if opts.count > 0 && !opts.dryRun && opts.loaded.Protected {
		name := opts.loaded.Topic
		if err := opts.app.confirm(ctx, opts.loaded, fmt.Sprintf("send %s made-up orders to %s?", thousands(opts.count), opts.where()), name, false, opts.confirm); err != nil {
			return err
		}
	}
	// Looked at before any contact: a flag's or a file's fault needs no broker.
	in, err := opts.source(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	to, closeTarget, err := opts.target(ctx)
	if err != nil {
		return err
	}
	defer closeTarget()
	if opts.wait != nil {
		if err := opts.wait.open(ctx, opts); err != nil {
			return err
		}
		defer opts.wait.close()
	}
	if err := in.openRejects(opts); err != nil {
		return err
	}
	return opts.send(ctx, in, to)
}

// send runs it and says how it went.
func (o *sendOptions) send(ctx context.Context, in *sendInput, to send.Target) error {
	talk := newSendTalk(o, in)
	o.talk = talk
	run := send.Options{
		Rate:        o.rate,
		Window:      send.KafkaWindow,
		Patience:    o.loaded.Kafka.DeliveryTimeout + 2*o.loaded.Kafka.RequestTimeout,
		Report:      talk.report,
		ReportAcked: o.output == "json" || o.oneSet || o.wait != nil,
		Tick:        talk.tick,
	}
	if o.to != toKafka {
		run.Window = send.HTTPWindow(o.connections, o.batch)
		run.Patience = o.loaded.Kafka.DeliveryTimeout + send.HTTPPatience
	}
	if o.dryRun {
		run.Rate = 0
	}
	sum, err := send.Run(ctx, in, to, run)
	if o.wait != nil {
		o.wait.await(ctx)
	}
	return talk.end(ctx, sum, err)
}

// target connects, and looks whether there is a topic, before anything is
// read.
func (o *sendOptions) target(ctx context.Context) (send.Target, func(), error) {
	l := o.loaded
	switch {
	case o.dryRun:
		return send.Nowhere{}, func() {}, nil
	case o.to != toKafka:
		return o.dialHTTP(ctx)
	}
	cl, err := o.app.Dial(ctx, l, send.KafkaOpts()...)
	if err != nil {
		return nil, nil, err
	}
	if _, _, err := topic.Exists(ctx, client.Admin(cl), l.Topic); err != nil {
		cl.Close()
		return nil, nil, client.Explain(err, l.Kafka)
	}
	k := send.NewKafka(cl, l.Kafka, l.Topic, o.output == "json" || o.oneSet || o.wait != nil)
	return k, func() { k.Close(); cl.Close() }, nil
}

func (o *sendOptions) dialHTTP(ctx context.Context) (send.Target, func(), error) {
	l := o.loaded
	key, err := l.Send.Key()
	if err != nil {
		return nil, nil, err
	}
	conf, err := l.Send.TLS.Client()
	if err != nil {
		return nil, nil, err
	}
	h, err := send.DialHTTP(ctx, send.HTTPConfig{
		URL: o.to, Several: o.several, Batch: o.batch, Connections: o.connections,
		ConnectTimeout: l.Kafka.ConnectTimeout, RetryFor: l.Kafka.DeliveryTimeout,
		APIKey: key, TLS: conf,
		Notice: func(text string) { o.talk.note(text) },
	})
	if err != nil {
		return nil, nil, err
	}
	return h, h.Close, nil
}

// where is the target in words.
func (o *sendOptions) where() string {
	if o.to == toKafka {
		return "topic " + o.loaded.Topic
	}
	return o.to
}

// sendInput is a source and the file for what it rejects.
type sendInput struct {
	send.Source
	files   *send.Files // nil where no file is read
	rejects *rejectsFile
	seed    uint64
}

func (o *sendOptions) source(ctx context.Context) (*sendInput, error) {
	in := &sendInput{rejects: &rejectsFile{}}
	rules := o.loaded.Order
	switch {
	case o.oneSet:
		one, err := o.one.Order(rules)
		if err != nil {
			return nil, usageError("", "not an order: %w", err)
		}
		in.Source = &send.One{Order: one}
	case o.count > 0:
		if in.seed = o.seed; !o.seedSet {
			in.seed = uint64(rand.Uint32())
		}
		in.Source = send.NewGenerated(o.count, order.GeneratorOptions{Seed: in.seed, Keys: o.keys, Statuses: rules.Statuses})
	default:
		files, err := send.OpenFiles(ctx, o.files, o.app.In, order.NewDecoder(rules), in.rejects)
		if err != nil {
			return nil, err
		}
		in.Source, in.files = files, files
	}
	return in, nil
}

func (in *sendInput) openRejects(o *sendOptions) error {
	if o.rejects == "" {
		return nil
	}
	if here, err := os.Stat(o.rejects); err == nil {
		for _, name := range o.files {
			there, err := os.Stat(name)
			if stdin, ok := o.app.In.(*os.File); ok && name == send.Stdin {
				there, err = stdin.Stat() // "send - < orders.ndjson"
			}
			if err == nil && os.SameFile(here, there) {
				return usageError("name another file", "--rejects %s is read from: it would be overwritten", o.rejects)
			}
		}
	}
	// Not os.Create, which opens for reading too: the writer of a pipe would be
	// its own reader and never learn that the other one has gone.
	f, err := os.OpenFile(o.rejects, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return fmt.Errorf("write rejects: %w", err)
	}
	in.rejects.file, in.rejects.buf = f, bufio.NewWriter(f)
	return nil
}

func (in *sendInput) close() error {
	var err error
	if in.files != nil {
		err = in.files.Close()
	}
	return errors.Join(err, in.rejects.close())
}

// rejectsFile drops everything until it has a file.
type rejectsFile struct {
	file io.Closer
	buf  *bufio.Writer
}

func (r *rejectsFile) Write(p []byte) (int, error) {
	if r.buf == nil {
		return len(p), nil
	}
	return r.buf.Write(p)
}

func (r *rejectsFile) close() error {
	if r.file == nil {
		return nil
	}
	if err := errors.Join(r.buf.Flush(), r.file.Close()); err != nil {
		return fmt.Errorf("write rejects: %w", err)
	}
	return nil
}
