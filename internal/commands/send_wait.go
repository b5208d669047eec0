package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/send"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
	"github.com/ordersctl/ordersctl/internal/unit"
)

const (
	// waitTimeout is what --wait db waits for where it says nothing else: a
	// database that is started again is back by then.
	waitTimeout = 30 * time.Second
	// readerTimeout is how long nobody may process before nothing is sent: a group
	// that rebalances has its members back by then.
	readerTimeout = 3 * time.Second
)

// sendWait waits until process has been through what was acknowledged.
type sendWait struct {
	timeout time.Duration
	db      sink.Store
	group   string
	topic   string
	id      string // of the topic; "" where only the endpoint knows it

	places   lag.Places
	unplaced int64 // acknowledged, and nobody told where they are

	waited  time.Duration
	left    int64
	stopped bool  // by Ctrl-C
	err     error // the database's, where it did not answer at the end
}

func (o *sendOptions) completeWait() error {
	if o.waitFor == "" {
		return nil
	}
	what, timeout, timed := strings.Cut(o.waitFor, "=")
	o.wait = &sendWait{timeout: waitTimeout}
	if timed {
		d, err := unit.ParseDuration(timeout)
		if err != nil || d <= 0 {
			return usageError("such as --wait db=2m", "--wait %q: %q is not a time to wait", o.waitFor, timeout)
		}
		o.wait.timeout = d
	}
	switch {
	case what != "db":
		return usageError("", "--wait %q is neither db nor db=TIMEOUT", o.waitFor)
	case o.dryRun:
		return usageError("leave one of them out", "--dry-run sends nothing that could be waited for")
	}
	return nil
}

// open makes sure, before anything is sent, that there is something to wait for.
func (w *sendWait) open(ctx context.Context, o *sendOptions) error {
	w.group, w.topic = o.loaded.Process.Group, o.loaded.Topic
	var err error
	if w.db, err = o.app.openDatabase(ctx, o.loaded, true); err != nil {
		return fmt.Errorf("--wait db, nothing was sent: %w", err)
	}
	if err := w.someoneReads(ctx, o); err != nil {
		w.close()
		return err
	}
	return nil
}

func (w *sendWait) someoneReads(ctx context.Context, o *sendOptions) error {
	cl, err := o.app.Dial(ctx, o.loaded)
	if err != nil {
		if o.to != toKafka && ctx.Err() == nil {
			return nil // an endpoint's Kafka need not be reachable from here
		}
		return err
	}
	defer cl.Close()
	adm := client.Admin(cl)
	bounded, cancel := context.WithTimeout(ctx, readerTimeout)
	defer cancel()
	if id, _, err := topic.Exists(bounded, adm, w.topic); err == nil {
		w.id = topic.FormatID(id)
	} else if o.to == toKafka {
		return client.Explain(err, o.loaded.Kafka)
	}
	err = lag.AwaitReader(bounded, adm, w.db, w.group, w.topic, w.id)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return failed("start \"ordersctl process\", or leave out --wait",
			"--wait db, nothing was sent: nobody processes, group %s has no member and its offsets in the database don't move", w.group)
	}
	return err
}

func (w *sendWait) close() { _ = w.db.Close() }

// saw takes what was acknowledged; one call at a time.
func (w *sendWait) saw(rec send.Receipt) {
	switch {
	case rec.Outcome != client.Acked:
	case rec.Offset == nil:
		w.unplaced++
	default:
		if w.topic != rec.Topic { // an endpoint has its own
			w.topic, w.id = rec.Topic, ""
		}
		w.places.Add(*rec.Partition, *rec.Offset)
	}
}

// await returns when all are passed, or the time or ctx has ended.
func (w *sendWait) await(ctx context.Context) {
	begin := time.Now()
	bounded, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	w.left, w.err = lag.Await(bounded, w.db, w.group, w.topic, w.id, &w.places)
	w.waited, w.stopped = time.Since(begin), ctx.Err() != nil
}

func (w *sendWait) failed() bool {
	return !w.stopped && w.unplaced+w.left > 0
}

// verdict says how the waiting ended.
func (w *sendWait) verdict() string {
	var parts []string
	switch {
	case w.left > 0:
		text := fmt.Sprintf("%s not processed after %s", thousands(w.left), roundElapsed(w.waited))
		if w.err != nil {
			text += fmt.Sprintf(" (%s)", printable(w.err.Error()))
		}
		parts = append(parts, text+", \"ordersctl lag\" shows why")
	case w.unplaced == 0:
		parts = append(parts, fmt.Sprintf("processed %s later", roundElapsed(w.waited)))
	}
	if w.unplaced > 0 {
		parts = append(parts, fmt.Sprintf("%s not waited for: the server did not tell their places", thousands(w.unplaced)))
	}
	return strings.Join(parts, ", ")
}
