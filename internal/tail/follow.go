package tail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
)

const (
	// writeAt is when formatted text is written out in the middle of a fetch:
	// large enough that writing costs next to nothing, small enough that the
	// buffer stays in the cache.
	writeAt = 256 << 10
	// tick is how often an idle reader looks at its timeout and its reader.
	tick = time.Second
	// soon is tick while the end is not reached: then idle may mean that there
	// is nothing up to the end, which has to be asked for.
	soon = 200 * time.Millisecond
	// watchEvery is how often the topic itself is looked at.
	watchEvery = 10 * time.Second
)

// errEnough ends reading: all that was asked for is printed.
var errEnough = errors.New("enough")

// follow prints what comes until there is a reason to end.
func (t *Tail) follow(ctx context.Context) error {
	for {
		if done := t.arrive(); done {
			return nil
		}
		fetches, err := t.poll(ctx)
		if err != nil {
			return err
		}
		if fetches.Empty() {
			if err := t.idle(ctx); err != nil {
				return err
			}
		}
		if err := t.print(fetches); err != nil {
			return end(err)
		}
		if time.Since(t.lastWatch) >= watchEvery {
			t.lastWatch = time.Now()
			if err := t.watch(ctx); err != nil {
				return err
			}
		}
		if err := t.timedOut(); err != nil {
			return end(err)
		}
	}
}

// end is nil for errEnough.
func end(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// poll waits for records, but not beyond the next tick.
func (t *Tail) poll(ctx context.Context) (kgo.Fetches, error) {
	wait := tick
	if !t.caughtUp {
		wait = soon
	}
	if t.opts.Timeout > 0 {
		wait = min(wait, max(time.Millisecond, time.Until(t.deadline())))
	}
	pollCtx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	fetches := t.cl.PollFetches(pollCtx)
	if ctx.Err() != nil && fetches.Empty() {
		return nil, ctx.Err()
	}
	for _, e := range fetches.Errors() {
		if err := t.judge(e); err != nil {
			return nil, err
		}
	}
	return fetches, nil
}

// judge tells errors that end the reading from those that pass.
func (t *Tail) judge(e kgo.FetchError) error {
	var (
		lost  *kgo.ErrDataLoss
		group *kgo.ErrGroupSession
	)
	switch {
	case errors.Is(e.Err, context.DeadlineExceeded) && e.Topic == "", errors.Is(e.Err, context.Canceled):
		return nil // our own tick, or the signal that the loop sees next
	case errors.As(e.Err, &lost):
		t.opts.Talk(fmt.Sprintf("%s/%d lost records: its log ended at offset %d, reading on from %d", e.Topic, e.Partition, lost.ConsumedTo, lost.ResetTo))
		return nil
	case errors.Is(e.Err, kerr.UnknownTopicID), errors.Is(e.Err, kerr.UnknownTopicOrPartition):
		return t.deleted()
	case errors.As(e.Err, &group) && !refused(e.Err), kerr.IsRetriable(e.Err), isNetwork(e.Err):
		t.complain(e.Err)
		return nil
	}
	if e.Topic == "" {
		return e.Err
	}
	return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, client.Explain(e.Err, t.opts.Kafka))
}

// complain says once what the client library goes on trying.
func (t *Tail) complain(err error) {
	text := client.Explain(err, t.opts.Kafka).Error()
	if !t.complained[text] && len(t.complained) < 20 {
		t.complained[text] = true
		t.opts.Talk(text + "; trying on")
	}
}

// print formats the records of a poll and writes them out.
func (t *Tail) print(fetches kgo.Fetches) error {
	var stopped error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if stopped == nil {
			stopped = t.printPartition(&p.FetchPartition)
		}
	})
	if stopped != nil && !errors.Is(stopped, errEnough) {
		return stopped
	}
	if err := t.flush(); err != nil {
		return err
	}
	t.mark()
	return stopped
}

func (t *Tail) printPartition(p *kgo.FetchPartition) error {
	if len(p.Records) == 0 {
		return nil
	}
	t.lastFetch = time.Now()
	at := t.parts[p.Partition]
	if at == nil { // a group's: where it starts and ends is the group's affair
		at = &part{id: p.Partition}
		t.parts[p.Partition] = at
	}
	for _, r := range p.Records {
		if t.bounded() && r.Offset >= at.end {
			at.next = at.end
			return nil
		}
		at.next = r.Offset + 1
		if r.Attrs.IsControl() {
			continue
		}
		t.record(p, r)
		if t.opts.Num > 0 && t.count.printed() >= t.opts.Num {
			return errEnough
		}
		if len(t.buf) >= writeAt {
			if err := t.flush(); err != nil {
				return err
			}
		}
	}
	// The log may have been cut off behind us, up to where we meant to read.
	at.next = max(at.next, p.LogStartOffset)
	return nil
}

// record filters and formats one record.
func (t *Tail) record(p *kgo.FetchPartition, r *kgo.Record) {
	if t.count.read == 0 {
		t.count.since = r.Timestamp
	}
	t.count.read++
	t.view.reset(r)
	show, judged := t.opts.Filter.match(&t.view)
	if !show {
		return
	}
	t.buf = t.printer.append(t.buf, p, &t.view)
	if judged && !(t.view.decoded && !t.view.hasOrder()) {
		t.count.matched++
	} else {
		t.count.unjudged++
	}
	t.printedAt()
}

// printedAt notes the time where a timeout hangs on it: asking the clock for
// each of a million records would be felt.
func (t *Tail) printedAt() {
	if t.opts.Timeout > 0 {
		t.lastPrint = time.Now()
	}
}

// mark lets the group's next commit take in what is written out.
func (t *Tail) mark() {
	if t.opts.Group == "" {
		return
	}
	offsets := map[int32]kgo.EpochOffset{}
	for id, p := range t.parts {
		offsets[id] = kgo.EpochOffset{Epoch: -1, Offset: p.next}
	}
	t.cl.MarkCommitOffsets(map[string]map[int32]kgo.EpochOffset{t.opts.Topic: offsets})
	clear(t.parts)
}

// arrive notices the end of the log, or of the range, once every partition is
// there; done tells that this was all.
func (t *Tail) arrive() (done bool) {
	if t.opts.Group != "" && !t.caughtUp {
		// Where a group's reading ends is not known; its silence counts from when
		// it has partitions.
		t.caughtUp, t.lastPrint = t.joined.Load(), time.Now()
		return false
	}
	if t.caughtUp || !t.allReached() {
		return false
	}
	t.caughtUp = true
	t.lastPrint = time.Now()
	t.status()
	return t.bounded()
}

// idle is what is done when no record came for a tick.
func (t *Tail) idle(ctx context.Context) error {
	if t.opts.Gone != nil && t.opts.Gone() {
		return ErrGone
	}
	if !t.caughtUp && t.opts.Group == "" {
		t.probe(ctx)
	}
	return nil
}

// deadline is when Timeout has passed without a record to print. What it takes
// to get to the end of the log does not count, unless nothing comes at all: a
// short timeout must not cut off what is there on a slow machine.
func (t *Tail) deadline() time.Time {
	const patience = 10 * time.Second // as long as a broker may take for one answer
	if !t.caughtUp {
		return t.lastFetch.Add(max(t.opts.Timeout, patience))
	}
	return t.lastPrint.Add(t.opts.Timeout)
}

func (t *Tail) timedOut() error {
	if t.opts.Timeout <= 0 || time.Now().Before(t.deadline()) {
		return nil
	}
	if t.opts.Num > 0 {
		return &client.Error{
			Msg:  fmt.Sprintf("%d of %d records after %s without another", t.count.printed(), t.opts.Num, t.opts.Timeout),
			Code: 1,
		}
	}
	return errEnough
}

// status says where we are, to a person.
func (t *Tail) status() {
	if t.opts.Status == nil {
		return
	}
	c := t.count
	text := "-- end of the log, following"
	if t.bounded() {
		text = "-- end"
	}
	since := c.since.UTC().Format("15:04:05")
	switch {
	case c.read == 0:
	case t.opts.Filter.empty():
		text += fmt.Sprintf("; %d since %s", c.read, since)
	default:
		text += fmt.Sprintf("; %d of %d since %s matched", c.matched, c.read, since)
	}
	if c.unjudged > 0 {
		text += fmt.Sprintf(", %d not orders", c.unjudged)
		if !t.opts.Filter.empty() {
			text += " (never filtered)"
		}
	}
	if t.flush() == nil {
		t.opts.Status(text + " --")
	}
}
