package process

import (
	"context"
	"log/slog"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
)

// large writes the letters that are too large to go with others, one a batch.
// The Kafka client holds a record against its limit before it is compressed,
// the broker afterwards: what came into the topic compressed may be many times
// larger than what the broker takes. A batch that the broker refused comes here
// too, as a letter alone may be small enough.
type large struct {
	cfg client.Config
	log *slog.Logger
	one chan struct{} // filled while one is under way

	mu sync.Mutex
	cl *kgo.Client // guarded by mu: made when the first one comes
}

// largest is what the client library takes at most.
const largest = 1 << 30

// write writes a letter and waits for its acknowledgement.
func (l *large) write(ctx context.Context, letter *kgo.Record) error {
	select {
	case l.one <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	cl, err := l.client()
	if err != nil {
		<-l.one
		return err
	}
	acked := make(chan error, 1)
	cl.Produce(context.WithoutCancel(ctx), letter, func(_ *kgo.Record, err error) {
		acked <- err
		<-l.one
	})
	select {
	case err := <-acked:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *large) client() (*kgo.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cl != nil {
		return l.cl, nil
	}
	var err error
	l.cl, err = client.New(l.cfg, l.log,
		kgo.ProducerLinger(0),
		kgo.BrokerMaxWriteBytes(largest),
		kgo.ProducerBatchMaxBytes(largest),
		// The producer's own may have been another one: the best there is.
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.GzipCompression()),
	)
	return l.cl, err
}

func (l *large) forget(topic string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cl != nil {
		l.cl.PurgeTopicsFromClient(topic)
	}
}

func (l *large) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cl != nil {
		l.cl.Close()
	}
}
