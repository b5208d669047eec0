package bench

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
)

// Kafka produces straight to a topic, acks=all from an idempotent producer.
// That producer tries again by itself what it knows how to send only once; a
// record is one attempt.
type Kafka struct {
	cl     *kgo.Client
	topic  string
	source Source
	ctx    context.Context
	close  sync.Once
}

// NewKafka sends through cl, which has to be made with [KafkaOpts], and closes it.
func NewKafka(ctx context.Context, cl *kgo.Client, topic string, source Source) *Kafka {
	return &Kafka{cl: cl, topic: topic, source: source, ctx: context.WithoutCancel(ctx)}
}

// KafkaOpts are what the client of a [Kafka] needs beside its configuration.
func KafkaOpts(p Plan, maxInFlight int, timeout time.Duration) []kgo.Opt {
	if maxInFlight <= 0 {
		maxInFlight = DefaultMaxInFlight
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	opts := []kgo.Opt{
		// More than a run ever has under way, so that Produce never blocks: what
		// waits there would wait where nobody measures.
		kgo.MaxBufferedRecords(maxInFlight + max(p.Batch, 1)),
		// kgo takes no less than a second.
		kgo.RecordDeliveryTimeout(max(timeout, time.Second)),
	}
	if p.Max {
		opts = append(opts, kgo.ProducerLinger(maxLinger))
	}
	return opts
}

// maxLinger is how long a record waits for company where only the number of
// records counts. At such rates it has enough of it by then; longer, and all
// orders that may be under way lie still together.
const maxLinger = 2 * time.Millisecond

// Lanes is one: a goroutine that only produces is faster than a broker.
func (k *Kafka) Lanes() int { return 1 }

// Answers is false: a record is handed over and acknowledged later.
func (k *Kafka) Answers() bool { return false }

// Lane produces.
func (k *Kafka) Lane(_ int, p *Port) Lane {
	l := &kafkaLane{kafka: k, port: p, rec: client.NewRecorder(k.topic)}
	l.flights.New = func() any {
		f := &flight{lane: l}
		f.promise = f.settle
		return f
	}
	return l
}

// Close ends the producer. What it still holds is unknown then.
func (k *Kafka) Close() error {
	k.close.Do(k.cl.Close)
	return nil
}

type kafkaLane struct {
	kafka   *Kafka
	port    *Port
	rec     *client.Recorder
	flights sync.Pool
}

// flight is a record under way. Its memory and its promise serve many orders,
// one after another.
type flight struct {
	client.Blank
	lane    *kafkaLane
	job     Job
	seq     uint64
	sent    time.Duration
	promise func(*kgo.Record, error)
}

func (l *kafkaLane) Send(j Job, now time.Duration) {
	stamp := l.port.clock.start.Add(now).Truncate(time.Millisecond) // what ids and records are exact to
	for i := range j.Orders {
		seq := j.Seq + uint64(i)
		f := l.flights.Get().(*flight) //nolint:forcetypeassert // it holds nothing else
		empty := f.Value()
		filled := l.kafka.source.Append(empty, seq)
		r := l.rec.Fill(&f.Blank, filled, idOf(filled[len(empty):]), client.ClientDirect, stamp)
		f.job, f.seq, f.sent = j, seq, now
		l.port.Sent(seq, now)
		l.kafka.cl.Produce(l.kafka.ctx, r, f.promise)
	}
}

func (f *flight) settle(r *kgo.Record, err error) {
	l := f.lane
	job, seq := f.job, f.seq
	if err != nil {
		reply := Reply{Outcome: client.OutcomeOf(l.kafka.cl, r, err), Sent: f.sent, Answered: l.port.Now(), Partition: -1, Offset: -1}
		reply.Cause, reply.Ours = kafkaCause(err)
		l.port.Settle(job, seq, reply)
		return
	}
	reply := Reply{Outcome: client.Acked, Cause: "acked", Sent: f.sent, Answered: l.port.Now(), Partition: r.Partition, Offset: r.Offset}
	l.flights.Put(f)
	l.port.Settle(job, seq, reply)
}

// kafkaCause names an error by one of a few words: a broker's code by the name
// that Kafka gives it.
func kafkaCause(err error) (cause string, ours bool) {
	var code *kerr.Error
	switch {
	case errors.As(err, &code):
		return code.Message, false
	case errors.Is(err, kgo.ErrRecordTimeout):
		return causeTimeout, false
	case errors.Is(err, kgo.ErrMaxBuffered):
		return "buffer full", true
	case errors.Is(err, kgo.ErrClientClosed):
		return "no answer", false
	}
	cause, ours = causeOf(err)
	if cause == "broken answer" {
		cause = "other"
	}
	return cause, ours
}

// Close has nothing of its own.
func (l *kafkaLane) Close() {}
