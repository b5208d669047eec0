package bench

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// Mark is where a topic stood before a run.
type Mark struct {
	Topic         string
	ID            [16]byte
	Ends          map[int32]int64 // by partition
	LogAppendTime bool            // records bear the broker's time, not the client's
}

// TakeMark looks where the topic ends, and, to verify, whether what is written
// to it can be read back later.
func TakeMark(ctx context.Context, cl *kgo.Client, name string, verify bool) (Mark, error) {
	adm := client.Admin(cl)
	id, _, err := topic.Exists(ctx, adm, name)
	if err != nil {
		return Mark{}, err
	}
	m := Mark{Topic: name, ID: id}
	// Who may not describe a topic's configuration can load it all the same.
	if configs, err := adm.DescribeTopicConfigs(ctx, name); err == nil {
		for _, c := range configs {
			for _, kv := range c.Configs {
				switch {
				case verify && kv.Key == "cleanup.policy" && strings.Contains(kv.MaybeValue(), "compact"):
					return Mark{}, &client.Error{
						Msg:  fmt.Sprintf("topic %q is compacted: what was acknowledged may be gone when it is read back", name),
						Next: "load a topic with cleanup.policy=delete, or add --verify none", Code: 2,
					}
				case kv.Key == "message.timestamp.type":
					m.LogAppendTime = kv.MaybeValue() == "LogAppendTime"
				}
			}
		}
	}
	m.Ends, err = listOffsets(ctx, adm.ListEndOffsets, name)
	return m, err
}

// listOffsets asks for one offset of each partition. While a leader changes it
// asks again.
func listOffsets(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), name string) (map[int32]int64, error) {
	const patience = 15 * time.Second // an election, and a broker that starts again
	for began := time.Now(); ; {
		asked, cancel := context.WithTimeout(ctx, patience)
		listed, err := list(asked, name)
		cancel()
		if err == nil {
			err = listed.Error()
		}
		if err == nil {
			at := map[int32]int64{}
			for id, l := range listed[name] {
				at[id] = l.Offset
			}
			return at, nil
		}
		if time.Since(began) > patience {
			return nil, fmt.Errorf("list the offsets of topic %s: %w", name, err)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// VerifyOptions say what is held against what.
type VerifyOptions struct {
	Mark   Mark
	Ledger *Ledger
	Source Source
	Run    string
	N      uint64 // orders, warm-up included: 0 to N-1
	Keys   uint64 // that they share; 0 where each has its own
	// Start is when the run began, which the ledger counts from. Settle is how
	// long after it was sent an order of unknown outcome may still be written.
	Start  time.Time
	Settle time.Duration
	// Enqueued says that some orders were acknowledged before they were in the
	// log (serve --ack enqueued). Those settle too.
	Enqueued bool
	Say      func(string) // what is waited for; nil for nobody
	Keep     *Kept        // filled for VerifyDatabase; nil where no database is audited
}

// Verify reads the topic from its mark to its end and judges the run's orders.
// Its error says why that can't be done; breaches are no errors.
func Verify(ctx context.Context, cl *kgo.Client, opts VerifyOptions) (Integrity, error) {
	if opts.Say == nil {
		opts.Say = func(string) {}
	}
	if err := opts.elsewhere(); err != nil {
		return Integrity{}, err
	}
	settled, err := opts.settle(ctx)
	if err != nil {
		return Integrity{}, err
	}
	began := time.Now()
	ends, err := opts.ends(ctx, cl)
	if err != nil {
		return Integrity{}, err
	}
	a := newAudit(opts.Mark.Topic, opts.Run, opts.N, opts.Keys, opts.Ledger, opts.Source)
	a.steady = len(ends) == len(opts.Mark.Ends)
	if opts.Keep != nil {
		opts.Keep.reset(opts.Mark.Ends, ends)
		a.kept = opts.Keep
	}
	readers, err := read(ctx, cl, opts.Mark, ends, a)
	if err != nil {
		return Integrity{}, err
	}
	sum := a.verdict(readers)
	sum.Settled, sum.Took = settled, time.Since(began)
	return sum, nil
}

// elsewhere refuses to read a topic back that most orders are not in. Where a
// few receipts are odd the others' orders are judged all the same.
func (o *VerifyOptions) elsewhere() error {
	n, other := o.Ledger.elsewhere.Load(), o.Ledger.other.Load()
	if n == 0 || other == nil {
		return nil
	}
	acked := uint64(0)
	for seq := range o.N {
		if o.Ledger.Entry(seq).State == Acked {
			acked++
		}
	}
	if 2*n < acked {
		return nil
	}
	return &client.Error{
		Msg:  fmt.Sprintf("%s acked orders are in topic %s by their receipts, and topic %s is read back: add -t %s", thousands(n), *other, o.Mark.Topic, *other),
		Code: 1,
	}
}

// settle waits until no unknown order can be written any more.
func (o *VerifyOptions) settle(ctx context.Context) (time.Duration, error) {
	var last time.Duration
	unknown, enqueued := 0, 0
	for seq := range o.N {
		switch e := o.Ledger.Entry(seq); {
		case e.State == Unknown || e.State == Open:
			unknown++
			last = max(last, e.Sent)
		case o.Enqueued && e.State == Acked && e.Offset < 0:
			enqueued++
			last = max(last, e.Sent)
		}
	}
	wait := time.Until(o.Start.Add(last + o.Settle))
	if unknown+enqueued == 0 || wait <= 0 {
		return 0, nil
	}
	wait = min(wait, o.Settle) // also where clocks were set
	what := fmt.Sprintf("%d unknown", unknown)
	if enqueued > 0 {
		what = fmt.Sprintf("%d unknown and %d enqueued", unknown, enqueued)
	}
	o.Say(fmt.Sprintf("waiting %s: %s orders may still be written until their delivery timeout", wait.Round(time.Second), what))
	return wait, pause(ctx, wait)
}

// ends is where to read to. A topic that is another one by now, or has lost
// what the run wrote, can't be judged.
func (o *VerifyOptions) ends(ctx context.Context, cl *kgo.Client) (map[int32]int64, error) {
	adm := client.Admin(cl)
	id, _, err := topic.Exists(ctx, adm, o.Mark.Topic)
	if err != nil {
		return nil, err
	}
	if id != o.Mark.ID {
		return nil, &client.Error{Msg: fmt.Sprintf("topic %q was deleted and made again during the run", o.Mark.Topic), Code: 1}
	}
	ends, err := listOffsets(ctx, adm.ListEndOffsets, o.Mark.Topic)
	if err != nil {
		return nil, err
	}
	starts, err := listOffsets(ctx, adm.ListStartOffsets, o.Mark.Topic)
	if err != nil {
		return nil, err
	}
	for p, start := range starts {
		if start > o.Mark.Ends[p] { // a partition that was added began at 0
			return nil, tooOld(o.Mark.Topic, p, o.Mark.Ends[p], start)
		}
	}
	return ends, nil
}

func tooOld(name string, partition int32, from, start int64) error {
	return &client.Error{
		Msg:  fmt.Sprintf("%s was deleted up to offset %d before it was read back", spot{partition, from}.in(name), start),
		Next: "raise retention.ms or retention.bytes of the topic, or make the run shorter", Code: 1,
	}
}

// read gives every record between mark and ends to the audit, a few partitions
// at a time.
func read(ctx context.Context, cl *kgo.Client, mark Mark, ends map[int32]int64, a *audit) ([]*reader, error) {
	todo := make(chan int32, len(ends))
	for _, p := range slices.Sorted(maps.Keys(ends)) {
		todo <- p
	}
	close(todo)
	var readers []*reader
	group, ctx := errgroup.WithContext(ctx)
	leaders := &leaders{adm: client.Admin(cl), topic: mark.Topic}
	for range min(len(ends), runtime.GOMAXPROCS(0)) {
		r := a.newReader()
		readers = append(readers, r)
		group.Go(func() error {
			for p := range todo {
				f := &fetcher{cl: cl, leaders: leaders, topic: mark.Topic, id: mark.ID, partition: p, next: mark.Ends[p], end: ends[p]}
				if err := f.run(ctx, r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return readers, group.Wait()
}

// NeedsVerification tells whether only the log knows a figure.
func NeedsVerification(metric string) bool { return slices.Contains(kinds(), metric) }
