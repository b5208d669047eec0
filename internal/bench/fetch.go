package bench

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
	"golang.org/x/sync/errgroup"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/tail"
)

const (
	// fetchBytes is what one answer holds of a partition, compressed. Two
	// answers of a partition are held at a time: one is judged while the next is
	// under way. Orders unpack to about ten times their size.
	fetchBytes = 1 << 20
	// fetchPatience is how long a partition may give nothing although its end is
	// not reached: an election, a broker that starts again.
	fetchPatience = 30 * time.Second
)

// fetcher reads one partition from next to end, by [client.Fetch].
type fetcher struct {
	cl        *kgo.Client
	leaders   *leaders
	topic     string
	id        [16]byte
	partition int32
	next, end int64
	empty     bool // the last answer said that nothing stands from next on
}

func (f *fetcher) run(ctx context.Context, r *reader) error {
	batches := make(chan []*kgo.Record)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return f.fetchAll(ctx, batches)
	})
	group.Go(func() error {
		for records := range batches {
			for _, rec := range records {
				r.record(spot{f.partition, rec.Offset}, rec.Key, rec.Value)
			}
		}
		return nil
	})
	return group.Wait()
}

func (f *fetcher) fetchAll(ctx context.Context, batches chan<- []*kgo.Record) error {
	progress := time.Now()
	for f.next < f.end {
		records, moved, err := f.fetch(ctx)
		var final *finalError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &final):
			return final.err
		case !moved && time.Since(progress) > fetchPatience:
			return f.stalled(err)
		case !moved:
			f.leaders.forget()
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return err
			}
			continue
		}
		progress = time.Now()
		select {
		case batches <- records:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *fetcher) stalled(err error) error {
	if err == nil {
		err = errors.New("an open transaction holds back what stands behind it")
	}
	return fmt.Errorf("read %s: nothing came for %s, and the log ends at %d: %w", spot{f.partition, f.next}.in(f.topic), fetchPatience, f.end, err)
}

// finalError is one that trying again won't change.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }

// fetch asks for what stands at next and moves that on.
func (f *fetcher) fetch(ctx context.Context) (records []*kgo.Record, moved bool, err error) {
	rp, err := f.ask(ctx)
	switch {
	case err != nil:
		return nil, false, err
	case rp.ErrorCode == kerr.OffsetOutOfRange.Code && rp.LogStartOffset > f.next:
		return nil, false, &finalError{tooOld(f.topic, f.partition, f.next, rp.LogStartOffset)}
	case rp.ErrorCode != 0:
		return nil, false, kerr.ErrorForCode(rp.ErrorCode)
	}
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset:         f.next,
		IsolationLevel: kgo.ReadCommitted(),
		Topic:          f.topic,
		Partition:      f.partition,
	}, rp, tail.WithoutHeaders(), nil)
	switch {
	case got.Err != nil && len(got.Records) == 0:
		return nil, false, got.Err
	case next > f.next:
		f.next, f.empty = next, false
	case rp.LastStableOffset >= f.end && len(rp.RecordBatches) == 0:
		if !f.empty {
			// To take one answer's word for it would be to call lost what a broker
			// left out this once: another one is asked for, from the leader anew.
			f.empty = true
			return nil, false, nil
		}
		f.next = f.end // its last offsets hold no records
	default:
		return nil, false, nil
	}
	records = got.Records
	for len(records) > 0 && records[len(records)-1].Offset >= f.end {
		records = records[:len(records)-1]
	}
	return records, true, nil
}

func (f *fetcher) ask(ctx context.Context) (*kmsg.FetchResponseTopicPartition, error) {
	leader, err := f.leaders.of(ctx, f.partition)
	if err != nil {
		return nil, err
	}
	return client.Fetch{
		Topic: f.topic, TopicID: f.id, Partition: f.partition, Offset: f.next, Bytes: fetchBytes, Wait: 500 * time.Millisecond,
	}.Ask(ctx, f.cl, leader)
}

// leaders knows which broker leads a partition.
type leaders struct {
	adm   *kadm.Client
	topic string

	mu sync.Mutex
	by map[int32]int32
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
