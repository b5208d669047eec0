package process

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// assigned notes what is ours from now on. Where it is read from is asked in
// position, which comes next.
func (w *Worker) assigned(_ context.Context, cl *kgo.Client, given map[string][]int32) {
	<-w.ready
	w.metrics.rebalances.Inc()
	numbers := given[w.opts.Topic]
	if len(numbers) == 0 {
		return
	}
	w.log.Info("partitions assigned", "topic", w.opts.Topic, "partitions", numbers)
	// The client keeps what was paused when it was ours before.
	cl.ResumeFetchPartitions(map[string][]int32{w.opts.Topic: numbers})
	w.mu.Lock()
	open := map[*partition]string{}
	for _, number := range numbers {
		w.partitions[number] = newPartition(w, number)
		if why, tripped := w.tripped[number]; tripped {
			open[w.partitions[number]] = why
		}
	}
	w.mu.Unlock()
	for p, why := range open {
		p.pause(pausedBreaker, why)
	}
}

// revoked lets partitions go in order: another member may have them when it
// returns.
func (w *Worker) revoked(ctx context.Context, _ *kgo.Client, taken map[string][]int32) {
	gone := w.forget(taken[w.opts.Topic])
	if len(gone) == 0 {
		return
	}
	abandoned := w.letGo(gone, w.opts.DrainTimeout)
	w.commitLast(ctx, gone)
	w.log.Info("partitions revoked", "topic", w.opts.Topic, "partitions", taken[w.opts.Topic], "abandoned_batches", abandoned)
}

// lost lets partitions go at once: somebody else has them already, and the
// database turns away what we would still write.
func (w *Worker) lost(_ context.Context, _ *kgo.Client, taken map[string][]int32) {
	gone := w.forget(taken[w.opts.Topic])
	if len(gone) == 0 {
		return
	}
	for _, p := range gone {
		p.stop()
		p.cancel()
		w.miss(p.number)
	}
	w.log.Warn("partitions lost: the group went on without us", "topic", w.opts.Topic, "partitions", taken[w.opts.Topic])
}

func (w *Worker) forget(numbers []int32) []*partition {
	w.mu.Lock()
	defer w.mu.Unlock()
	var gone []*partition
	for _, number := range numbers {
		if p := w.partitions[number]; p != nil {
			gone = append(gone, p)
			w.before[number] = p.done
			delete(w.partitions, number)
		}
	}
	return gone
}

// anywhere is where the client is sent while it is not known from where a
// partition is to be read. It is not fetched meanwhile. The client moves an
// offset into the log as long as it has not heard of the partition, and then
// does not let itself be sent elsewhere: what comes must not be behind what is
// to be read. What is before is dropped.
const anywhere = 0

// position says where the partitions that were assigned are read from. It
// waits for the database as long as it takes: the client sends heartbeats
// meanwhile, goes on with other partitions, and ends ctx when the group wants
// to rebalance. A partition of which Kafka does not say where its log begins
// and ends does not keep the others waiting: its worker goes on asking.
func (w *Worker) position(ctx context.Context, given map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	numbers := slices.Sorted(maps.Keys(given[w.opts.Topic]))
	if len(numbers) == 0 {
		return given, nil
	}
	var waiting []*partition
	for _, number := range numbers {
		if p := w.ours(number); p != nil {
			waiting = append(waiting, p)
		}
		if err := w.predecessor(ctx, number); err != nil {
			return nil, err
		}
	}
	pause := backoff{}
	for {
		w.recognize(ctx)
		at, unknown, err := w.locate(ctx, numbers)
		if err == nil {
			offsets := map[int32]kgo.Offset{}
			for number, l := range at {
				offsets[number] = kgo.NewOffset().At(l.next)
			}
			for _, p := range waiting {
				p.resume(pausedOutage, pausedDeploy, pausedKafka)
				if l, ok := at[p.number]; ok {
					p.start(l)
					continue
				}
				offsets[p.number] = kgo.NewOffset().At(anywhere)
				p.startLater(unknown[p.number])
			}
			return map[string]map[int32]kgo.Offset{w.opts.Topic: offsets}, nil
		}
		if w.fatal(ctx, err) {
			<-ctx.Done() // nothing is read meanwhile
			return nil, ctx.Err()
		}
		reason := w.blame(err)
		for _, p := range waiting {
			p.pause(reason, err.Error())
		}
		w.say(reason, err, "partitions", numbers)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause.next()):
		}
	}
}

// predecessor waits until a worker of ours that lost this partition has ended.
func (w *Worker) predecessor(ctx context.Context, number int32) error {
	w.mu.Lock()
	before := w.before[number]
	w.mu.Unlock()
	if before == nil {
		return nil
	}
	select {
	case <-before:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// location is where a partition is read from, where its log ends, and what the
// breaker has to know of what stands before.
type location struct {
	next, end int64
	breaker   *breaker
}

// locate asks the database where to read on, and holds that against the log.
// Partitions of which Kafka does not tell enough are unknown, each with its
// reason; err concerns all of them.
func (w *Worker) locate(ctx context.Context, numbers []int32) (at map[int32]location, unknown map[int32]error, err error) {
	if err := w.sameTopic(ctx); err != nil {
		return nil, nil, err
	}
	at, unknown = map[int32]location{}, map[int32]error{}
	starts, ends := map[int32]int64{}, map[int32]int64{}
	for number, b := range w.bounds(ctx, numbers) {
		if b.err != nil {
			unknown[number] = b.err
			continue
		}
		starts[number], ends[number] = b.start, b.end
	}
	if len(starts) == 0 {
		return at, unknown, nil
	}
	have, err := w.store.Claim(ctx, w.claim(starts))
	if err != nil {
		return nil, nil, err
	}
	for number, next := range have {
		if next > ends[number] {
			return nil, nil, &gapError{w.opts.Topic, number, next, starts[number], ends[number]}
		}
		if next < starts[number] {
			if next, err = w.skip(ctx, number, next, starts[number], ends[number]); err != nil {
				return nil, nil, err
			}
		}
		b, last, err := w.recall(ctx, number, starts[number], next)
		if err != nil {
			return nil, nil, err
		}
		var kafka *kafkaError
		switch err := w.sameLog(ctx, last); {
		case errors.As(err, &kafka):
			unknown[number] = err
		case err != nil:
			return nil, nil, err
		default:
			at[number] = location{next, ends[number], b}
		}
	}
	return at, unknown, nil
}

// skip books what is missing in the log, or refuses to.
func (w *Worker) skip(ctx context.Context, number int32, next, start, end int64) (int64, error) {
	gap := &gapError{w.opts.Topic, number, next, start, end}
	if w.opts.OnOffsetGap != GapSkip {
		return 0, gap
	}
	if err := w.store.Skip(ctx, w.claim(map[int32]int64{number: start}), number, next, start-1); err != nil {
		return 0, err
	}
	w.log.Warn("records are missing in the log and were skipped", "topic", w.opts.Topic, "partition", number, "from", next, "to", start-1, "offsets", start-next)
	return start, nil
}

func (w *Worker) claim(start map[int32]int64) sink.Claim {
	return sink.Claim{Group: w.opts.Group, Topic: w.opts.Topic, TopicID: w.info.ID, Start: start}
}

// sameTopic makes sure that the name still stands for the topic that we began
// with.
func (w *Worker) sameTopic(ctx context.Context) error {
	_, err := w.countPartitions(ctx)
	return err
}

// countPartitions is how many partitions the topic has now, where it is the one
// that we began with.
func (w *Worker) countPartitions(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Kafka.ConnectTimeout)
	defer cancel()
	id, partitions, err := topic.Exists(ctx, client.Admin(w.admin), w.opts.Topic)
	if err != nil {
		return 0, &kafkaError{client.Explain(err, w.opts.Kafka)}
	}
	if now := topic.FormatID(id); now != w.info.ID {
		return 0, &madeAnewError{w.opts.Topic, w.opts.Group, w.info.ID, now}
	}
	return partitions, nil
}

// fetchError looks at what the client can't read.
func (w *Worker) fetchError(number int32, err error) {
	p := w.ours(number)
	var (
		loss  *kgo.ErrDataLoss
		large *kgo.ErrDecompressTooLarge
	)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed), errors.Is(err, errEnough):
	case errors.As(err, &large):
		w.unpack.told.Add(1)
		err := &tooLargeError{w.opts.Group, large}
		w.say(pausedKafka, err, "partition", number)
		if p != nil {
			p.pause(pausedLarge, err.Error())
		}
	case errors.As(err, &loss):
		w.fail(&lossError{w.opts.Topic, loss})
	case errors.Is(err, kerr.OffsetOutOfRange) && p != nil:
		p.lose()
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
		w.say(pausedKafka, err, "partition", number)
		if w.looking.CompareAndSwap(false, true) {
			w.ended.Go(w.lookAtTopic)
		}
	default:
		w.say(pausedKafka, client.Explain(err, w.opts.Kafka), "partition", number)
		if p != nil { // the client would ask again at once
			p.pause(pausedKafka, err.Error())
			time.AfterFunc(time.Second, func() { p.resume(pausedKafka) })
		}
	}
}

// lookAtTopic ends the run where the topic was made anew.
func (w *Worker) lookAtTopic() {
	defer w.looking.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), lastWords) //nolint:forbidigo // not of a poll
	defer cancel()
	if err := w.sameTopic(ctx); err != nil && !w.fatal(ctx, err) {
		w.say(pausedKafka, err)
	}
}

// fatal ends the run where waiting can't heal an error.
func (w *Worker) fatal(ctx context.Context, err error) bool {
	var (
		gap  *gapError
		anew *madeAnewError
		log  *otherLogError
	)
	switch {
	case errors.As(err, &gap), errors.As(err, &anew), errors.As(err, &log), errors.Is(err, sink.ErrLogChanged):
		w.fail(err)
	case errors.Is(err, sink.ErrTopicChanged):
		w.fail(&madeAnewError{w.opts.Topic, w.opts.Group, w.idInDatabase(ctx), w.info.ID})
	default:
		return ctx.Err() != nil
	}
	return true
}

// idInDatabase is the id under which the database has the topic's name.
func (w *Worker) idInDatabase(ctx context.Context) string {
	list, err := w.store.Committed(ctx, w.opts.Group)
	if err == nil {
		for _, c := range list {
			if c.Topic == w.opts.Topic && c.TopicID != w.info.ID {
				return c.TopicID
			}
		}
	}
	return "another one"
}

// backoff doubles from 250 ms to 30 s. A fifth of it is chance, so that not all
// members come back at once.
type backoff struct{ n int }

func (b *backoff) next() time.Duration {
	pause := min(250*time.Millisecond<<min(b.n, 7), 30*time.Second)
	b.n++
	return pause - time.Duration(rand.Int64N(int64(pause/5))) //nolint:gosec // chance is all it needs
}
