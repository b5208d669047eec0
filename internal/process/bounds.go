package process

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/client"
)

// bound is where the log of a partition begins and ends, or why that is not
// known.
type bound struct {
	start, end int64
	err        error
}

// bounds asks where the logs of these partitions begin and end. Each has its
// own answer: one without a leader keeps nobody from knowing the others.
func (w *Worker) bounds(ctx context.Context, numbers []int32) map[int32]bound {
	timeout := w.opts.Kafka.RequestTimeout
	if len(numbers) > 1 { // who is late is asked again alone, the others don't wait for it
		timeout = min(timeout, w.opts.Kafka.ConnectTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	const first, last = -2, -1 // timestamps that stand for the log's ends
	var (
		starts, ends map[int32]listed
		both         sync.WaitGroup
	)
	both.Go(func() { starts = w.list(ctx, numbers, first) })
	both.Go(func() { ends = w.list(ctx, numbers, last) })
	both.Wait()
	found := map[int32]bound{}
	for _, number := range numbers {
		b := bound{starts[number].offset, ends[number].offset, starts[number].err}
		if b.err == nil {
			b.err = ends[number].err
		}
		if b.err != nil {
			b.err = &kafkaError{fmt.Errorf("where %s/%d begins and ends is not known: %w", w.opts.Topic, number, client.Explain(b.err, w.opts.Kafka))}
		}
		found[number] = b
	}
	w.remember(found)
	return found
}

// listed is one partition's part of an answer.
type listed struct {
	offset int64
	err    error
}

// list asks each partition's leader for one offset. Where there is no answer
// there is an error: an offset is never made up.
func (w *Worker) list(ctx context.Context, numbers []int32, timestamp int64) map[int32]listed {
	req := kmsg.NewPtrListOffsetsRequest()
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = w.opts.Topic
	for _, number := range numbers {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = number, timestamp
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	found := map[int32]listed{}
	for _, shard := range w.admin.RequestSharded(ctx, req) {
		if shard.Err != nil {
			for _, number := range asked(shard.Req) {
				found[number] = listed{err: shard.Err}
			}
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics { //nolint:forcetypeassert // the answer to this request
			for _, p := range t.Partitions {
				l := listed{p.Offset, kerr.ErrorForCode(p.ErrorCode)}
				if l.err == nil && l.offset < 0 {
					l.err = kerr.OffsetNotAvailable
				}
				found[p.Partition] = l
			}
		}
	}
	for _, number := range numbers {
		if _, ok := found[number]; !ok {
			found[number] = listed{err: kerr.UnknownTopicOrPartition}
		}
	}
	return found
}

// asked are the partitions in a part of a request.
func asked(req kmsg.Request) (numbers []int32) {
	if list, ok := req.(*kmsg.ListOffsetsRequest); ok {
		for _, t := range list.Topics {
			for _, p := range t.Partitions {
				numbers = append(numbers, p.Partition)
			}
		}
	}
	return numbers
}

// remember keeps how far each log is known to reach.
func (w *Worker) remember(found map[int32]bound) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for number, b := range found {
		if b.err == nil {
			w.ends[number] = max(w.ends[number], b.end)
		}
	}
}

// reaches tells whether the log of a partition is known to go beyond an offset.
func (w *Worker) reaches(number int32, offset int64) bool {
	if p := w.ours(number); p != nil && offset < p.ending() {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return offset < w.ends[number]
}
