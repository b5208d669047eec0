package bench

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// Kept is what Verify leaves for VerifyDatabase: whose order stands intact at
// which offset of the log. 8 bytes a record.
type Kept struct {
	from, ends map[int32]int64
	seqs       map[int32][]uint64 // number + 1 by offset less from; 0 is not one of the run
}

func (k *Kept) reset(from, ends map[int32]int64) {
	k.from, k.ends, k.seqs = from, ends, map[int32][]uint64{}
	for p, end := range ends {
		k.seqs[p] = make([]uint64, max(end-from[p], 0))
	}
}

// set is called by the reader of that partition alone.
func (k *Kept) set(at spot, seq uint64) {
	if k == nil {
		return
	}
	if list, i := k.seqs[at.partition], at.offset-k.from[at.partition]; i >= 0 && i < int64(len(list)) {
		list[i] = seq + 1
	}
}

func (k *Kept) at(partition int32, offset int64) (seq uint64, ours bool) {
	list, i := k.seqs[partition], offset-k.from[partition]
	if i < 0 || i >= int64(len(list)) || list[i] == 0 {
		return 0, false
	}
	return list[i] - 1, true
}

// DatabaseOptions say what the database is held against: the same run, whose
// log was read by Verify with the same VerifyOptions.
type DatabaseOptions struct {
	VerifyOptions
	Group  string        // whose offsets tell how far the database is
	Warmup time.Duration // orders sent before are in no span
	Lull   time.Duration // without progress for so long nobody is expected to process any more
}

// VerifyDatabase waits until the group has come past what Verify read, and judges
// what the tables hold of the run's orders. The span is from the send to the
// moment that the database booked the order. Its error says why that can't be
// done; breaches are no errors.
func VerifyDatabase(ctx context.Context, db sink.Store, opts DatabaseOptions) (Integrity, Span, error) {
	if opts.Say == nil {
		opts.Say = func(string) {}
	}
	if opts.Keep == nil || opts.Keep.ends == nil {
		return Integrity{}, Span{}, fmt.Errorf("audit the database: the log was not read for it")
	}
	began := time.Now()
	if err := opts.caughtUp(ctx, db, opts.Keep); err != nil {
		return Integrity{}, Span{}, err
	}
	settled := time.Since(began).Truncate(10 * time.Millisecond)
	ahead, give, err := db.Clock(ctx)
	if err != nil {
		return Integrity{}, Span{}, err
	}
	d := &databaseReader{
		reader:    newAudit(opts.Mark.Topic, opts.Run, opts.N, 0, opts.Ledger, opts.Source).newReader(),
		kept:      opts.Keep,
		start:     opts.Start.Add(ahead),
		warmup:    opts.Warmup,
		committed: NewHistogram(),
	}
	for _, p := range slices.Sorted(maps.Keys(opts.Keep.ends)) {
		err := db.Walk(ctx, topic.FormatID(opts.Mark.ID), p, opts.Keep.from[p], opts.Keep.ends[p], d.booking)
		if err != nil {
			return Integrity{}, Span{}, err
		}
	}
	sum := d.verdict([]*reader{d.reader})
	sum.Settled, sum.Took = settled, time.Since(began)-settled
	return sum, d.span(ahead, give), nil
}

// databaseReader holds bookings against the ledger.
type databaseReader struct {
	*reader
	kept      *Kept
	start     time.Time // by the database's clock
	warmup    time.Duration
	committed *Histogram
	early     uint64
}

func (d *databaseReader) booking(b *sink.Booking) error {
	d.records++
	at := spot{b.Partition, b.Offset}
	seq, ours := d.kept.at(b.Partition, b.Offset)
	if !ours {
		d.others++
		return nil
	}
	e := d.ledger.look(seq)
	if e == nil {
		return nil
	}
	switch b.Outcome {
	case sink.Duplicate: // the event itself is booked at another place
		return nil
	case sink.DeadLettered:
		if e.read().State == Acked {
			d.example(kindLost, at, seq, "dead-lettered: "+b.Reason)
		}
		return nil
	}
	d.buf = d.source.Append(d.buf[:0], seq)
	if sha256.Sum256(d.buf) != b.Hash {
		e.find(foundDamaged)
		d.corrupt(at, seq, "the database has another content of it")
		return nil
	}
	if e.find(foundIntact) != foundNot {
		d.duplicated++
		d.example(kindDuplicated, at, seq, "applied more than once")
		return nil
	}
	d.promised(at, seq, e)
	d.time(e.read().Sent, b.At)
	return nil
}

func (d *databaseReader) time(sent time.Duration, booked time.Time) {
	if sent < d.warmup {
		return
	}
	took := booked.Sub(d.start) - sent
	if took < 0 {
		d.early++
	}
	d.committed.Record(took)
}

func (d *databaseReader) span(ahead, give time.Duration) Span {
	s := Span{Name: stageCommitted}
	if d.early > d.committed.Count()/100 {
		s.Absent = fmt.Sprintf("by the database's clock %s orders were committed before they were sent", thousands(d.early))
		return s
	}
	times, err := NewDistribution(d.committed)
	if err != nil {
		s.Absent = err.Error()
		return s
	}
	const ms = float64(time.Millisecond)
	s.Times, s.Clock = times, fmt.Sprintf("db %+.1f+-%.1f ms", float64(ahead)/ms, float64(give)/ms)
	return s
}

// caughtUp waits until the group's offsets in the database stand behind the
// run's records.
func (o *DatabaseOptions) caughtUp(ctx context.Context, db sink.Store, k *Kept) error {
	const look = 50 * time.Millisecond
	id := topic.FormatID(o.Mark.ID)
	said, last, since := false, int64(-1), time.Now()
	for {
		rows, err := db.Committed(ctx, o.Group)
		if err != nil {
			return err
		}
		next := map[int32]int64{}
		for _, c := range rows {
			if c.TopicID == id {
				next[c.Partition] = c.Next
			}
		}
		missing, total := int64(0), int64(0)
		for p, end := range k.ends {
			total += next[p]
			if end > k.from[p] {
				missing += max(end-max(next[p], k.from[p]), 0)
			}
		}
		if missing == 0 {
			return nil
		}
		if total != last {
			last, since = total, time.Now()
		}
		if time.Since(since) > o.Lull {
			return &client.Error{
				Msg:  fmt.Sprintf("group %s stopped %s %s before the run's end", o.Group, thousands(uint64(missing)), plural(int(missing), "record")),
				Next: `start "ordersctl process", or look at it with "ordersctl lag"`, Code: 1,
			}
		}
		if !said {
			said = true
			o.Say(fmt.Sprintf("waiting for group %s: %s %s not in the database yet", o.Group, thousands(uint64(missing)), plural(int(missing), "record")))
		}
		if err := pause(ctx, look); err != nil {
			return err
		}
	}
}
