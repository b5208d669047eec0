package dlq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// fetchBytes is what one answer holds of a partition, compressed. Letters are
	// alike and unpack to twenty times their size and more: at 1 MiB a reading
	// takes 300 MB, and is hardly faster.
	fetchBytes = 128 << 10
	// fetchPatience is how long a partition may give nothing although its end is
	// not reached: an election, a broker that starts again.
	fetchPatience = 30 * time.Second
	fetchPause    = 100 * time.Millisecond
)

// fetcher reads one partition from next to end. The client library's consumer
// keeps to itself how far it is where the last offsets hold no records, and
// would wait there for ever.
type fetcher struct {
	cl        *kgo.Client
	leaders   *leaders
	topic     string
	id        [16]byte
	partition int32
	next, end int64
}

// batch is the next records, none at the end. Offsets that are gone (deleted
// while we read) are passed over.
func (f *fetcher) batch(ctx context.Context) ([]*kgo.Record, error) {
	progress := time.Now()
	for f.next < f.end {
		before := f.next
		records, err := f.fetch(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case len(records) > 0:
			return records, nil
		case f.next > before:
			progress = time.Now()
			continue
		case isRefusal(err):
			return nil, f.failed(err)
		case time.Since(progress) > fetchPatience:
			if err == nil {
				err = errors.New("an open transaction holds back what stands behind it")
			}
			return nil, f.failed(fmt.Errorf("nothing came for %s: %w", fetchPatience, err))
		}
		f.leaders.forget()
		select {
		case <-time.After(fetchPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, nil
}

func (f *fetcher) failed(err error) error {
	return fmt.Errorf("read %s: %w", Place{f.topic, f.partition, f.next}, err)
}

// isRefusal tells what trying again won't change, such as a missing permission.
func isRefusal(err error) bool {
	var refusal *kerr.Error
	return errors.As(err, &refusal) && !refusal.Retriable
}

// fetch asks for what stands at next and moves that on.
func (f *fetcher) fetch(ctx context.Context) ([]*kgo.Record, error) {
	rp, err := f.ask(ctx)
	switch {
	case err != nil:
		return nil, err
	case rp.ErrorCode == kerr.OffsetOutOfRange.Code && rp.LogStartOffset > f.next:
		f.next = rp.LogStartOffset
		return nil, nil
	case rp.ErrorCode != 0:
		return nil, kerr.ErrorForCode(rp.ErrorCode)
	}
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset:         f.next,
		IsolationLevel: kgo.ReadCommitted(),
		Topic:          f.topic,
		Partition:      f.partition,
	}, rp, kgo.DefaultDecompressor(), nil)
	switch {
	case got.Err != nil && len(got.Records) == 0:
		return nil, got.Err
	case next > f.next:
		f.next = next
	case rp.LastStableOffset >= f.end && len(rp.RecordBatches) == 0:
		f.next = f.end // its last offsets hold no records
	default:
		return nil, nil
	}
	records := got.Records
	for len(records) > 0 && records[len(records)-1].Offset >= f.end {
		records = records[:len(records)-1]
	}
	return records, nil
}

func (f *fetcher) ask(ctx context.Context) (*kmsg.FetchResponseTopicPartition, error) {
	leader, err := f.leaders.of(ctx, f.partition)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = 500
	req.MinBytes = 1
	req.MaxBytes = fetchBytes
	req.IsolationLevel = 1 // read committed
	req.SessionEpoch = -1  // KIP-227: no session
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = f.topic, f.id
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = f.partition, f.next, fetchBytes
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)

	resp, err := req.RequestWith(ctx, f.cl.Broker(int(leader)))
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, kerr.UnknownTopicOrPartition
	}
	return &resp.Topics[0].Partitions[0], nil
}

// leaders knows which broker leads a partition.
type leaders struct {
	adm   *kadm.Client
	topic string

	mu sync.Mutex
	by map[int32]int32 // guarded by mu
}

func (l *leaders) of(ctx context.Context, partition int32) (int32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		m, err := l.adm.Metadata(kadm.WithAuthorizedOps(ctx), l.topic) // else the answer may be seconds old
		if err != nil {
			return 0, err
		}
		l.by = map[int32]int32{}
		for id, p := range m.Topics[l.topic].Partitions {
			l.by[id] = p.Leader
		}
	}
	leader, ok := l.by[partition]
	if !ok || leader < 0 {
		return 0, kerr.LeaderNotAvailable
	}
	return leader, nil
}

// forget makes the next question ask the cluster again.
func (l *leaders) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.by = nil
}
