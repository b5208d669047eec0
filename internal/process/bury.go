package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// letterError is a dead letter that was not written, or may not have been.
type letterError struct {
	err  error
	hint string
}

func (e *letterError) Error() string { return fmt.Sprintf("write dead letters: %v", e.err) }
func (e *letterError) Unwrap() error { return e.err }

// Hint is the next step.
func (e *letterError) Hint() string {
	var hinted interface{ Hint() string }
	if e.hint == "" && errors.As(e.err, &hinted) {
		return hinted.Hint()
	}
	return e.hint
}

// bury writes the dead letters of these entries of a batch and waits for all of
// them. Those that are acknowledged are not written again, whatever becomes of
// the others. The breaker is asked first: what it stops stays in the log.
func (p *partition) bury(ctx context.Context, b *batch, refused []int) error {
	if trip := p.judge(b, refused); trip != nil {
		return trip
	}
	type ack struct {
		entry int
		err   error
	}
	acks := make(chan ack, len(refused)) // also for those that come when nobody waits any more
	for _, i := range refused {
		// Never with ctx: one that ends fails the letters of other partitions too.
		p.w.kafka.TryProduce(context.WithoutCancel(ctx), p.letter(b, i), func(_ *kgo.Record, err error) { acks <- ack{i, err} })
	}
	var failed error
	for range refused {
		var a ack
		select {
		case a = <-acks:
		case <-ctx.Done():
			return &letterError{err: ctx.Err()}
		}
		if errors.Is(a.err, kerr.MessageTooLarge) {
			a.err = p.w.large.write(ctx, p.letter(b, a.entry))
		}
		if a.err != nil {
			failed = cmp.Or(failed, a.err)
			continue
		}
		b.Entries[a.entry].Buried = true
		p.w.metrics.letters.WithLabelValues(b.Entries[a.entry].Refusal.Class).Inc()
	}
	if failed == nil {
		return nil
	}
	e := &letterError{err: client.Explain(failed, p.w.opts.Kafka)}
	if errors.Is(failed, kerr.MessageTooLarge) {
		e.hint = fmt.Sprintf("raise max.message.bytes of the dead letter topic: ordersctl topic alter %s -c max.message.bytes=…", p.w.opts.DLQTopic)
	}
	return e
}

func (p *partition) letter(b *batch, i int) *kgo.Record {
	return dlq.Wrap(p.w.opts.DLQTopic, b.records[i], dlq.Failure{
		Refusal: *b.Entries[i].Refusal, TopicID: p.w.info.ID, Group: p.w.opts.Group, Attempts: b.attempts, At: time.Now(),
	})
}

// judge asks the breaker about a batch of which some are refused now, and some
// may have been buried before.
func (p *partition) judge(b *batch, refused []int) *trippedError {
	if p.w.opts.DLQBreaker != BreakerOn {
		return nil
	}
	bad := make([]bool, len(b.Entries))
	for i := range b.Entries {
		bad[i] = b.Entries[i].Buried
	}
	for _, i := range refused {
		bad[i] = true
	}
	return p.breaker.judge(len(bad), func(i int) bool { return bad[i] })
}

// lookAtDLQ forgets the dead letter topic where it was deleted and made anew: by
// itself the client goes on asking for the old one.
func (w *Worker) lookAtDLQ(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Kafka.ConnectTimeout)
	defer cancel()
	id, _, err := topic.Exists(ctx, client.Admin(w.admin), w.opts.DLQTopic)
	if err != nil || id == w.dlqID {
		return // where it is gone the next letter tells
	}
	w.log.Error("the dead letter topic was deleted and made anew, the letters in it are gone; going on with the new one",
		"topic", w.opts.DLQTopic, "topic_id", topic.FormatID(id))
	w.dlqID = id
	w.kafka.PurgeTopicsFromProducing(w.opts.DLQTopic)
	w.large.forget(w.opts.DLQTopic)
}
