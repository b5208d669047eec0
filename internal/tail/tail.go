// Package tail reads a topic as people want to see it: from anywhere, filtered,
// formatted, live. Start at [New] and [Tail.Run]; [ParseRange] and [Filter]
// read what is asked for, [Format] says how it is printed.
//
// It sees what a consumer sees: records of open and aborted transactions are
// left out. It writes to no topic, and moves no group's offsets unless it reads
// as that group.
package tail

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// MaxLast bounds [Options.Last], whose records are held in memory to be put in
// order across partitions.
const MaxLast = 100_000

// Options say what to read and how to print it.
type Options struct {
	Kafka client.Config
	Topic string
	Rules order.Rules // what counts as an order

	Partitions []int32 // empty: all, and those that are added while we follow
	Key        *string // only the partition that it lives in; the filter has to ask for it too
	Group      string  // read as this group, commit what was written out

	Range Range
	Last  int // > 0: the newest of all partitions together, before any filter

	Num     int           // > 0: end after so many were printed
	Timeout time.Duration // > 0: end when nothing was printed for so long

	Filter Filter
	Format Format

	// Gone tells that nobody reads what is written any more; nil where that
	// can't be known.
	Gone func() bool
	// Talk takes lines for a person that matter anywhere (a broker that is
	// gone); Status those that only a terminal wants to see, nil for none.
	// Talk is called by several goroutines.
	Talk   func(string)
	Status func(string)
}

// Tail is one reading of a topic.
type Tail struct {
	opts    Options
	printer printer
	outages *outages
	cl      *kgo.Client
	adm     *kadm.Client

	topicID [16]byte
	parts   map[int32]*part
	view    view

	out io.Writer
	buf []byte

	count      counts
	joined     atomic.Bool // the group has given us partitions
	caughtUp   bool
	lastPrint  time.Time // or when the end was reached, if that was later
	lastFetch  time.Time
	lastWatch  time.Time
	complained map[string]bool
}

type counts struct {
	read     int
	matched  int
	unjudged int // no orders, which no condition on a field can judge
	since    time.Time
}

func (c counts) printed() int { return c.matched + c.unjudged }

// New checks the options.
func New(opts Options) (*Tail, error) {
	p, err := opts.Format.printer()
	if err != nil {
		return nil, err
	}
	if opts.Last > MaxLast {
		return nil, fmt.Errorf("at most %d records can be put in order, not %d", MaxLast, opts.Last)
	}
	if opts.Talk == nil {
		opts.Talk = func(string) {}
	}
	t := &Tail{opts: opts, printer: p, parts: map[int32]*part{}, complained: map[string]bool{}}
	t.view.decoder = order.NewDecoder(opts.Rules)
	t.outages = &outages{talk: opts.Talk}
	return t, nil
}

const (
	// partitionBytes is what one answer of a broker may hold of a partition,
	// fetchBytes what it may hold in all: the bound of our memory, since one
	// answer of each broker is held while the one before is printed. Compressed
	// orders unpack to ten times their size. Larger answers are slower: the
	// caches are too small for them.
	partitionBytes = 512 << 10
	fetchBytes     = 4 << 20
	// fetchWait is how long a broker may keep a fetch open that finds nothing.
	// A record ends it at once, so it costs no latency.
	fetchWait = time.Second
)

// ClientOptions are what the client that is given to Run has to be made with.
func (t *Tail) ClientOptions() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(partitionBytes),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Markers are how the end of a range is seen that ends on one.
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.WithHooks(t.outages),
	}
	if !t.opts.Filter.onHeaders && !t.opts.Format.needsHeaders() {
		opts = append(opts, kgo.WithDecompressor(WithoutHeaders()))
	}
	if t.opts.Group != "" {
		opts = append(opts,
			kgo.ConsumerGroup(t.opts.Group),
			kgo.ConsumeTopics(t.opts.Topic),
			kgo.ConsumeResetOffset(groupStart(t.opts.Range.From)),
			kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { t.joined.Store(true) }),
			kgo.AutoCommitMarks(),
			// A kill between two commits shows this much again.
			kgo.AutoCommitInterval(time.Second),
		)
	}
	return opts
}

// groupStart is where a group begins that has committed nothing yet.
func groupStart(b Bound) kgo.Offset {
	switch b.Kind {
	case Start:
		return kgo.NewOffset().AtStart()
	case AtTime:
		return kgo.NewOffset().AfterMilli(b.At.UnixMilli())
	case Relative:
		if b.N > 0 {
			return kgo.NewOffset().AtStart().Relative(b.N)
		}
		return kgo.NewOffset().AtEnd().Relative(b.N)
	default:
		return kgo.NewOffset().AtEnd()
	}
}

// Run prints records to out until what was asked for is printed, or until ctx
// ends, which is no error. What was formatted is written out in either case.
func (t *Tail) Run(ctx context.Context, cl *kgo.Client, out io.Writer) error {
	t.cl, t.adm, t.out = cl, client.Admin(cl), out
	t.outages.watch()
	now := time.Now()
	t.lastPrint, t.lastFetch, t.lastWatch = now, now, now
	err := t.run(ctx)
	if ctx.Err() != nil && isCanceled(err) {
		err = nil
	}
	if flushErr := t.flush(); err == nil {
		err = flushErr
	}
	if commitErr := t.commit(ctx); err == nil {
		err = commitErr
	}
	return client.Explain(err, t.opts.Kafka)
}

func (t *Tail) run(ctx context.Context) error {
	if err := t.plan(ctx); err != nil {
		return err
	}
	if t.opts.Last > 0 {
		done, err := t.last(ctx)
		if done || err != nil {
			return end(err)
		}
	}
	if t.opts.Group == "" {
		t.consume()
	}
	return t.follow(ctx)
}

// flush writes out what is formatted.
func (t *Tail) flush() error {
	t.buf = t.printer.end(t.buf)
	if len(t.buf) == 0 {
		return nil
	}
	_, err := t.out.Write(t.buf)
	t.buf = t.buf[:0]
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// commit books what was written out; a signal must not prevent it.
func (t *Tail) commit(ctx context.Context) error {
	if t.opts.Group == "" || t.cl == nil {
		return nil
	}
	// Shorter than a broker's own patience: somebody has pressed Ctrl-C.
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := t.cl.CommitMarkedOffsets(ctx); err != nil {
		return fmt.Errorf("commit the offsets of group %s: %w", t.opts.Group, err)
	}
	return nil
}
