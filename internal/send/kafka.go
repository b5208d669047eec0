package send

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// KafkaWindow is how many orders may be under way to Kafka: enough to keep
// every partition's batches full while the oldest ones are on the wire. Full,
// it makes a process of 170 MB, however long the file is.
const KafkaWindow = 1 << 16

// Kafka sends to a topic. Orders of one id go to one partition, one after
// another, from an idempotent producer.
type Kafka struct {
	cl  *kgo.Client
	cfg client.Config
	rec *client.Recorder
	// receipts asks for the places of what is acknowledged; without it nobody
	// looks, and they need not be collected.
	receipts bool

	mu     sync.Mutex
	change sync.Cond // of what mu guards
	queue  []queued  // handed over and not produced; bounded by Run's window
	idle   bool      // the producing goroutine has nothing left
	closed bool
	ended  chan struct{}
}

// queued is an order between its reader and the goroutine that produces:
// with both in one goroutine a file would go half as fast where a second
// processor is free.
type queued struct {
	order   order.Order
	headers []kgo.RecordHeader
	parcel  *Parcel
}

// NewKafka sends through cl, which has to be made with [KafkaOpts] and outlive
// it. The caller closes it.
func NewKafka(cl *kgo.Client, cfg client.Config, topic string, receipts bool) *Kafka {
	k := &Kafka{cl: cl, cfg: cfg, rec: client.NewRecorder(topic), receipts: receipts, ended: make(chan struct{})}
	k.change.L = &k.mu
	go k.work()
	return k
}

// KafkaOpts are what the client of a [Kafka] needs.
func KafkaOpts() []kgo.Opt {
	// One more than Run ever has under way, so that Produce never blocks: a
	// blocked one could be ended by a record's context only, and a record's
	// context must never end (it fails its neighbours).
	return []kgo.Opt{kgo.MaxBufferedRecords(KafkaWindow + 1)}
}

// Send queues the order.
func (k *Kafka) Send(e *Entry, p *Parcel) {
	k.mu.Lock()
	k.queue = append(k.queue, queued{e.Order, e.Headers, p})
	if k.idle {
		k.idle = false
		k.change.Broadcast()
	}
	k.mu.Unlock()
}

// work produces what is queued, all that has gathered at a time.
func (k *Kafka) work() {
	defer close(k.ended)
	var batch []queued
	for {
		k.mu.Lock()
		for len(k.queue) == 0 && !k.closed {
			k.idle = true
			k.change.Broadcast()
			k.change.Wait()
		}
		if len(k.queue) == 0 {
			k.mu.Unlock()
			return
		}
		batch, k.queue = k.queue, batch[:0]
		k.mu.Unlock()
		for i := range batch {
			k.produce(&batch[i])
		}
		clear(batch) // a slow next batch must not hold these orders
	}
}

func (k *Kafka) produce(q *queued) {
	// Milliseconds are what ids and records are exact to, and a time that
	// stays the same for a while need not be written out again.
	r := k.rec.New(&q.order, client.ClientDirect, time.Now().Truncate(time.Millisecond))
	if q.headers != nil {
		r.Headers = keepHeaders(q.headers, r.Headers)
	}
	p := q.parcel
	ctx := context.Background() //nolint:forbidigo // a record's context that ends fails its neighbours too
	k.cl.Produce(ctx, r, func(r *kgo.Record, err error) { k.settle(p, r, err) })
}

func (k *Kafka) settle(p *Parcel, r *kgo.Record, err error) {
	res := Result{Outcome: client.OutcomeOf(k.cl, r, err)}
	if err == nil && !k.receipts {
		p.Settle(res)
		return
	}
	res.EventID = client.HeaderValue(r, client.HeaderEventID)
	res.RequestID = client.HeaderValue(r, client.HeaderRequestID)
	if err == nil {
		res.Topic, res.Partition, res.Offset, res.Placed = r.Topic, r.Partition, r.Offset, true
	} else {
		res.Err = client.Explain(err, k.cfg)
		res.Fatal = errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) ||
			errors.Is(err, kerr.TopicAuthorizationFailed)
		res.OfOrder = errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord)
	}
	p.Settle(res)
}

// Flush waits for the acknowledgements.
func (k *Kafka) Flush(ctx context.Context) {
	k.mu.Lock()
	for !k.idle && !k.closed { // moments: producing never blocks
		k.change.Wait()
	}
	k.mu.Unlock()
	_ = k.cl.Flush(ctx) // what it leaves is what Run counts
}

// Halt does nothing: what was handed over is on its way.
func (k *Kafka) Halt() {}

// Close ends the producing goroutine. It comes after Run.
func (k *Kafka) Close() {
	k.mu.Lock()
	k.closed = true
	k.change.Broadcast()
	k.mu.Unlock()
	<-k.ended
}

// keepHeaders gives a record the headers that it had, so that the event stays
// the same event, and of ours what it lacked. The request id is ours: it names
// the attempt, and this is another one.
func keepHeaders(had, ours []kgo.RecordHeader) []kgo.RecordHeader {
	headers := append(make([]kgo.RecordHeader, 0, len(had)+len(ours)), had...)
	for _, h := range ours {
		at := slices.IndexFunc(had, func(o kgo.RecordHeader) bool { return o.Key == h.Key })
		switch {
		case at < 0:
			headers = append(headers, h)
		case h.Key == client.HeaderRequestID:
			headers[at] = h
		}
	}
	return headers
}
