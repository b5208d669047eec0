// Package process takes the records of the topic into the database, each once:
// it polls as a member of a group, decodes, hands batches to a [sink.Store] and
// writes dead letters for what can't be applied. Start at [New] and
// [Worker.Run].
//
// The group only says whose a partition is. Where to read on stands in the
// database, in the transaction that holds the rows; what is committed to Kafka
// is for tools that show lag. An outage is never a reason for a dead letter.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

const (
	// Of one poll: what is over stays in the client, so that one poll does not
	// overrun the queues.
	maxPoll = 10_000
	// Of one broker's answer, as it is in the log; see unpacker for what it becomes.
	maxFetch       = 8 << 20
	sessionTimeout = 15 * time.Second
	// Partitions that were added are seen after so long at the latest, not after
	// the library's 5 min. Usually look sees them before.
	metadataAge = 30 * time.Second
	// How long the group may take for what is not a batch: commit, leave.
	lastWords = 5 * time.Second
	// Both of them, and after that the closing: with the usual drain timeout less
	// than the 30 s after which who waits for the end kills.
	farewell = 5 * time.Second
	closing  = 2 * time.Second
)

// Options is what a Worker is made of.
type Options struct {
	Config
	Kafka         client.Config
	Topic         string
	DLQTopic      string
	Rules         order.Rules
	Store         sink.Store
	Retention     time.Duration // of events; 0 keeps them
	Registry      *prometheus.Registry
	ClientMetrics bool // also the Kafka client's; false where somebody registers those already
	Log           *slog.Logger
}

// Worker is one member of the group.
type Worker struct {
	opts    Options
	log     *slog.Logger
	store   sink.Store
	decoder *order.Decoder
	metrics *metrics
	admin   *kgo.Client // what is not a member's work
	kafka   *kgo.Client // the member, which also writes the dead letters
	info    TopicInfo
	large   large // writes those that are too large for kafka
	dlqID   [16]byte
	letters int // max.message.bytes of the dead letter topic
	unpack  *unpacker

	ready      chan struct{} // closed when kafka is set: the callbacks come before
	draining   atomic.Bool
	looking    atomic.Bool    // at the topic's id
	counted    atomic.Int32   // partitions of the topic
	recognized atomic.Bool    // the database was held against the group
	ended      sync.WaitGroup // partitions' workers
	fail       context.CancelCauseFunc
	calls      calls

	mu         sync.Mutex
	partitions map[int32]*partition      // guarded by mu: ours
	before     map[int32]<-chan struct{} // guarded by mu: closed when the last worker of a partition has ended
	tripped    map[int32]string          // guarded by mu: why a breaker is open
	told       map[string]time.Time      // guarded by mu: errors that were logged just now
	ends       map[int32]int64           // guarded by mu: how far each log was seen to reach
	away       pauseInfo                 // guarded by mu: since when Kafka does not answer, zero where it does
	missed     map[int32]bool            // guarded by mu: partitions that were lost since Kafka answered last
	over       pauseInfo                 // guarded by mu: since when the run has ended, and why by itself
}

// TopicInfo is what was found of the topic at the start.
type TopicInfo struct {
	Name       string
	ID         string
	Partitions int
}

// New reaches Kafka and makes sure of both topics; [Worker.Run] consumes. The
// store stays the caller's to close. Errors carry their next step.
func New(ctx context.Context, opts Options) (*Worker, error) {
	w := &Worker{
		opts:       opts,
		log:        opts.Log,
		store:      opts.Store,
		decoder:    order.NewDecoder(opts.Rules),
		partitions: map[int32]*partition{},
		before:     map[int32]<-chan struct{}{},
		tripped:    map[int32]string{},
		ready:      make(chan struct{}),
		told:       map[string]time.Time{},
		ends:       map[int32]int64{},
		missed:     map[int32]bool{},
		calls:      calls{hungry: make(chan struct{}, 1)},
	}
	var err error
	if w.admin, err = client.Dial(ctx, opts.Kafka, opts.Log, kgo.MaxDecompressBatchBytes(maxBatch)); err != nil {
		return nil, err
	}
	w.unpack = newUnpacker(w.admin)
	if err := w.findTopics(ctx); err != nil {
		w.admin.Close()
		return nil, err
	}
	w.large = large{cfg: opts.Kafka, log: opts.Log, one: make(chan struct{}, 1)}
	w.metrics = newMetrics(opts.Registry, w)
	return w, nil
}

func (w *Worker) findTopics(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Kafka.ConnectTimeout)
	defer cancel()
	adm := client.Admin(w.admin)
	id, partitions, err := topic.Exists(ctx, adm, w.opts.Topic)
	if err != nil {
		return client.Explain(err, w.opts.Kafka)
	}
	w.info = TopicInfo{Name: w.opts.Topic, ID: topic.FormatID(id), Partitions: partitions}
	w.counted.Store(int32(partitions)) //nolint:gosec // Kafka's own number is an int32
	w.dlqID, _, err = topic.Exists(ctx, adm, w.opts.DLQTopic)
	var missing *topic.MissingError
	switch {
	case errors.As(err, &missing) && !w.opts.CreateDLQ:
		missing.Next = fmt.Sprintf("dead letters have nowhere to go: create it with \"ordersctl topic create %s --with-dlq --if-not-exists\", or let process do it with --create-dlq", w.opts.Topic)
		return missing
	case errors.As(err, &missing):
		if err = w.createDLQ(ctx, adm); err == nil {
			w.dlqID, _, err = topic.Exists(ctx, adm, w.opts.DLQTopic)
		}
	}
	if err == nil {
		w.letters, err = letterLimit(ctx, adm, w.opts.DLQTopic)
	}
	return client.Explain(err, w.opts.Kafka)
}

func (w *Worker) createDLQ(ctx context.Context, adm *kadm.Client) error {
	topics, err := adm.ListTopics(ctx, w.opts.Topic)
	if err != nil {
		return err
	}
	t := topics[w.opts.Topic]
	main := topic.Spec{Name: w.opts.Topic, Partitions: len(t.Partitions), Replicas: t.Partitions.NumReplicas()}
	spec, err := topic.DLQSpecOf(ctx, adm, main, w.opts.DLQTopic)
	if err != nil {
		return err
	}
	created, _, err := topic.Ensure(ctx, adm, spec)
	if created {
		w.log.Info("the dead letter topic was created", "topic", spec.Name, "partitions", spec.Partitions, "replicas", spec.Replicas)
	}
	return err
}

// letterLimit is how large a batch the dead letter topic takes, 0 where the
// broker does not tell.
func letterLimit(ctx context.Context, adm *kadm.Client, name string) (int, error) {
	rs, err := adm.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("read the configs of topic %s: %w", name, err)
	}
	r, err := rs.On(name, nil)
	if err != nil || r.Err != nil {
		return 0, nil //nolint:nilerr // without the right to look the library's own limit holds
	}
	for _, c := range r.Configs {
		if c.Key == "max.message.bytes" {
			n, err := strconv.Atoi(c.MaybeValue())
			if err != nil {
				return 0, nil //nolint:nilerr // as above
			}
			return n, nil
		}
	}
	return 0, nil
}

// Topic is what was found of the topic at the start.
func (w *Worker) Topic() TopicInfo { return w.info }

// Close gives up a worker that was never run.
func (w *Worker) Close() { w.admin.Close() }

// Run consumes until ctx ends and then drains: the batches in flight are
// finished, offsets are committed, the group is left. It ends by itself, with
// an error, where going on could lose or double something. Run closes what New
// opened.
func (w *Worker) Run(ctx context.Context) error {
	work, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	w.fail = fail
	var err error
	if w.kafka, err = client.New(w.opts.Kafka, w.log, w.clientOptions()...); err != nil {
		w.admin.Close()
		return err
	}
	close(w.ready)
	along, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { w.commitLoop(along) })
	beside.Go(func() { w.lookLoop(along) })
	for work.Err() == nil {
		w.poll(work)
	}
	w.drain(context.WithoutCancel(ctx))
	stop()
	w.close(&beside)
	var cause error
	if ctx.Err() == nil {
		cause = context.Cause(work)
	}
	w.end(cause)
	return cause
}

// end notes that nothing comes any more, and why where it was not asked for.
func (w *Worker) end(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = pauseInfo{since: time.Now()}
	if cause != nil {
		w.over.detail = cause.Error()
	}
	clear(w.partitions) // of this member none is left
}

func (w *Worker) clientOptions() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(w.opts.Group),
		kgo.ConsumeTopics(w.opts.Topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(),
		kgo.MetadataMaxAge(metadataAge),
		// A member that was killed holds its partitions so long. Heartbeats depend on
		// neither batches nor the database, so Kafka's 45 s would only be waited for.
		kgo.SessionTimeout(sessionTimeout),
		// Others wait for our batch in flight when partitions change hands.
		kgo.RebalanceTimeout(w.opts.DrainTimeout + 40*time.Second),
		// Callbacks come between polls and never while records are being handed
		// over: a record of a partition that was given away and came back would be
		// taken for what follows the database's offset.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(w.assigned),
		kgo.OnPartitionsRevoked(w.revoked),
		kgo.OnPartitionsLost(w.lost),
		kgo.AdjustFetchOffsetsFn(w.position),
		// Nobody but us says where to go on when an offset is not in the log.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(maxFetch),
		kgo.WithDecompressor(w.unpack),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.MaxBufferedRecords(256 << 10), // all partitions' batches full of dead letters
	}
	if w.letters > 0 {
		opts = append(opts, kgo.ProducerBatchMaxBytes(int32(min(w.letters, 64<<20)))) //nolint:gosec // at most 64 MiB
	}
	if w.opts.ClientMetrics {
		opts = append(opts, kgo.WithHooks(kprom.NewMetrics("ordersctl_kafka", kprom.Registry(w.opts.Registry))))
	}
	return opts
}

// poll hands one poll's records to their partitions, and does what was asked
// to be done between polls. It never waits for a partition.
func (w *Worker) poll(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.calls.poll(cancel)
	w.digest(ctx)
	w.unpack.polled()
	fetches := w.kafka.PollRecords(ctx, maxPoll)
	defer w.kafka.AllowRebalance()
	fetches.EachError(func(_ string, number int32, err error) { w.fetchError(number, err) })
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if p := w.ours(f.Partition); p != nil {
			if f.Err == nil {
				p.saw(f.HighWatermark)
			}
			p.push(f.Records)
		}
	})
	w.calls.run()
}

// digest waits a while where all that could take more has enough.
func (w *Worker) digest(ctx context.Context) {
	anyStuffed := false
	for _, p := range w.all() {
		hungry, stuffed := p.appetite()
		if hungry {
			return
		}
		anyStuffed = anyStuffed || stuffed
	}
	if !anyStuffed {
		return
	}
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-w.calls.hungry:
	case <-timer.C: // errors are polled too
	case <-ctx.Done():
	}
}

func (w *Worker) ours(number int32) *partition {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.partitions[number]
}

// all are our partitions in order.
func (w *Worker) all() []*partition {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []*partition
	for _, number := range slices.Sorted(maps.Keys(w.partitions)) {
		list = append(list, w.partitions[number])
	}
	return list
}

// drain ends what is under way.
func (w *Worker) drain(ctx context.Context) {
	w.draining.Store(true)
	partitions := w.all()
	w.log.Info("draining", "partitions", len(partitions), "timeout", w.opts.DrainTimeout.String())
	abandoned := w.letGo(partitions, w.opts.DrainTimeout)
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	last, enough := context.WithTimeout(ctx, farewell/2) // the group is to be left, too
	w.commitLast(last, partitions)
	enough()
	w.kafka.AllowRebalance()
	if err := w.kafka.LeaveGroupContext(ctx); err != nil {
		w.log.Warn("the group was not left in order, its partitions are given away after the session timeout", "group", w.opts.Group, "err", err)
	}
	queued := 0
	for _, p := range partitions {
		queued += p.queued()
	}
	w.log.Info("drained", "unapplied_records", queued, "abandoned_batches", abandoned, "note", "what is not applied is in the log")
}

// close closes what there is. It does not wait long for a broker that does not
// answer: the clients do, for half a minute, and nothing comes of it.
func (w *Worker) close(beside *sync.WaitGroup) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		defer w.admin.Close()
		w.kafka.Close()
		w.large.close()
		w.ended.Wait()
		beside.Wait()
	}()
	timer := time.NewTimer(closing)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
		w.log.Warn("the connections to Kafka do not close, they are not waited for", "timeout", closing.String())
	}
}

// letGo ends the workers of these partitions: they finish the batch in flight,
// or abandon it when the time is over. It tells how many did.
func (w *Worker) letGo(partitions []*partition, timeout time.Duration) int {
	for _, p := range partitions {
		p.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout) //nolint:forbidigo // a callback of the Kafka client has none that lives on
	defer cancel()
	abandoned := 0
	for _, p := range partitions {
		if !p.ends(ctx) {
			abandoned++
			p.cancel()
			<-p.done
		}
	}
	return abandoned
}
