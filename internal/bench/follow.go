package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/tail"
)

// Follower reads along with a run, to tell when its orders could be consumed.
type Follower struct {
	ledger *Ledger
	start  time.Time
	warmup time.Duration
	mark   Mark
	names  *audit // only to read numbers

	consumed, appended *Histogram
	early              uint64 // appended before they were sent, by the clocks
	seen               atomic.Uint64

	// Written by the reading goroutine.
	records, ours uint64 // read; of them orders of the run in canonical form
	failed        error  // the latest that a broker or the client said

	end   context.CancelFunc
	ended chan struct{}
}

// FollowOpts are what the client of a Follower has to be made with: it reads
// what the run writes, each answer as soon as there is a record.
func (m Mark) FollowOpts() []kgo.Opt {
	from := map[int32]kgo.Offset{}
	for p, end := range m.Ends {
		from[p] = kgo.NewOffset().At(end)
	}
	return []kgo.Opt{
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{m.Topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMinBytes(1),
		kgo.FetchMaxBytes(4 << 20),
		kgo.FetchMaxPartitionBytes(512 << 10),
		kgo.WithDecompressor(tail.WithoutHeaders()),
	}
}

// Follow reads with cl, which is made with FollowOpts, until Close. start is
// what the ledger counts from; orders sent before warmup are not measured.
func Follow(ctx context.Context, cl *kgo.Client, mark Mark, run string, l *Ledger, start time.Time, warmup time.Duration) *Follower {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &Follower{
		ledger: l, start: start, warmup: warmup, mark: mark,
		names:    &audit{idStart: []byte(`{"id":"b-` + run + `-k`), user: []byte(`"b-` + run + `-`)},
		consumed: NewHistogram(), appended: NewHistogram(),
		end: cancel, ended: make(chan struct{}),
	}
	go func() {
		defer close(f.ended)
		f.read(ctx, cl)
	}()
	return f
}

func (f *Follower) read(ctx context.Context, cl *kgo.Client) {
	names := &reader{audit: f.names}
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		// When it reached us, whatever it takes to look at the ones before it.
		now := time.Since(f.start)
		fetches.EachError(func(_ string, _ int32, err error) {
			if ctx.Err() == nil {
				f.failed = err
			}
		})
		fetches.EachRecord(func(r *kgo.Record) {
			f.records++
			if _, seq, ok := names.canonical(r.Value); ok {
				f.ours++
				f.arrived(seq, now, r.Timestamp)
			}
		})
	}
}

func (f *Follower) arrived(seq uint64, now time.Duration, stamped time.Time) {
	e := f.ledger.Entry(seq)
	if e.State == Unsent || e.Sent < f.warmup {
		return
	}
	f.consumed.Record(now - e.Sent)
	f.seen.Add(1)
	if !f.mark.LogAppendTime {
		return
	}
	// The broker's clock has milliseconds, cut off.
	after := stamped.Sub(f.start.Add(e.Sent).Truncate(time.Millisecond))
	if after < 0 {
		f.early++
	}
	f.appended.Record(after)
}

// Close waits until as many orders have arrived as are wanted, or none has for
// a second, and tells the spans.
func (f *Follower) Close(ctx context.Context, want uint64) []Span {
	const lull = time.Second
	seen, since := f.seen.Load(), time.Now()
	for seen < want && time.Since(since) < lull && pause(ctx, 10*time.Millisecond) == nil {
		if now := f.seen.Load(); now != seen {
			seen, since = now, time.Now()
		}
	}
	f.end()
	<-f.ended
	return f.spans()
}

// stageCommitted is the span that the database's audit makes.
const stageCommitted = "sent to committed"

func (f *Follower) spans() []Span {
	appended := Span{Name: "sent to append", Clock: "log, 1 ms"}
	consumed := Span{Name: "sent to consumed", Clock: "ours"}
	switch {
	case !f.mark.LogAppendTime:
		appended.Absent = "the topic keeps the client's time (message.timestamp.type=CreateTime)"
	case f.appended.Count() == 0:
		appended.Absent = f.nothing()
	case f.early > f.appended.Count()/100:
		appended.Absent = fmt.Sprintf("the broker's clock is behind ours: %s orders appended before they were sent", thousands(f.early))
	}
	if f.consumed.Count() == 0 {
		consumed.Absent = f.nothing()
	}
	for _, s := range []struct {
		span *Span
		of   *Histogram
	}{{&appended, f.appended}, {&consumed, f.consumed}} {
		if s.span.Absent != "" {
			s.span.Clock = ""
			continue
		}
		d, err := NewDistribution(s.of)
		if err != nil {
			s.span.Absent = err.Error()
			continue
		}
		s.span.Times = d
	}
	return []Span{appended, consumed, {Name: stageCommitted, Absent: "the database was not looked at (--verify db)"}}
}

// nothing is why no order was seen.
func (f *Follower) nothing() string {
	switch {
	case f.ours > 0:
		return "no order that was sent after the warm-up was read in time"
	case f.records > 0:
		return fmt.Sprintf("none of the %s records read along is an order as it was sent (the server may write another form)", thousands(f.records))
	case f.failed != nil:
		return fmt.Sprintf("nothing could be read along: %v", f.failed)
	}
	return "no record was read along"
}
