package process

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// recallOffsets is how far back a partition's bookings are looked at: more than
// the breaker's window, since some offsets hold no record.
const recallOffsets = 2 * breakerWindow

// recall reads what is booked of the last records before next: the breaker's
// window, and the last one that the log can be held against, nil where there is
// none.
func (w *Worker) recall(ctx context.Context, number int32, start, next int64) (*breaker, *sink.Booking, error) {
	b := new(breaker)
	var last *sink.Booking
	err := w.store.Walk(ctx, w.info.ID, number, max(0, next-recallOffsets), next, func(booked *sink.Booking) error {
		switch booked.Outcome {
		case sink.Skipped:
			return nil
		case sink.DeadLettered:
			b.add(true)
			return nil // it may have had no event id
		}
		b.add(false)
		if booked.Offset >= start {
			last = booked
		}
		return nil
	})
	return b, last, err
}

// otherLogError is a log whose records are not those that the database has
// taken from it.
type otherLogError struct {
	topic  string
	booked sink.Booking
	found  string
}

func (e *otherLogError) Error() string {
	return fmt.Sprintf("%s/%d@%d is another record than the one that the database has taken from there: event %s, not %s",
		e.topic, e.booked.Partition, e.booked.Offset, e.found, e.booked.EventID)
}

// Hint is the next step.
func (e *otherLogError) Hint() string {
	return "Kafka has lost the end of its log and given its offsets to new records, which would be taken for applied: find out from where on; see docs/database.md"
}

// sameLog holds a booking against the record that stands there now. The log may
// have lost its end and have grown beyond the database's offset since.
func (w *Worker) sameLog(ctx context.Context, booked *sink.Booking) error {
	if booked == nil {
		return nil
	}
	r, err := w.fetch(ctx, booked.Partition, booked.Offset)
	if err != nil {
		return &kafkaError{client.Explain(err, w.opts.Kafka)}
	}
	if r == nil {
		return nil // compacted, or purged just now
	}
	e := decode([]*kgo.Record{r}, w.decoder, w.info.ID)[0]
	known := booked.Hash != [sha256.Size]byte{} && e.Refusal == nil
	if e.EventID != booked.EventID || known && e.Hash != booked.Hash {
		found := e.EventID
		if found == booked.EventID {
			found += " with other content"
		}
		return &otherLogError{w.opts.Topic, *booked, found}
	}
	return nil
}

// fetch reads the record at an offset, nil where there is none.
func (w *Worker) fetch(ctx context.Context, number int32, offset int64) (*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Kafka.RequestTimeout)
	defer cancel()
	meta, err := client.Admin(w.admin).Metadata(kadm.WithAuthorizedOps(ctx), w.opts.Topic) // else the answer may be seconds old
	if err != nil {
		return nil, err
	}
	detail, ok := meta.Topics[w.opts.Topic].Partitions[number]
	if !ok || detail.Leader < 0 {
		return nil, kerr.LeaderNotAvailable
	}
	const atLeast = 1 // Kafka answers with a whole batch, however large, and with one alone
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 500, 1, atLeast
	req.SessionEpoch = -1 // KIP-227: no session
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = w.opts.Topic, meta.Topics[w.opts.Topic].ID
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = number, offset, atLeast
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, w.admin.Broker(int(detail.Leader)))
	switch {
	case err != nil:
		return nil, err
	case resp.ErrorCode != 0:
		return nil, kerr.ErrorForCode(resp.ErrorCode)
	case len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1:
		return nil, kerr.UnknownTopicOrPartition
	}
	got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: offset, Topic: w.opts.Topic, Partition: number},
		&resp.Topics[0].Partitions[0], w.unpack.codecs, nil)
	if len(got.Records) > 0 && got.Records[0].Offset == offset {
		return got.Records[0], nil
	}
	if errors.Is(got.Err, kerr.OffsetOutOfRange) {
		return nil, nil
	}
	return nil, got.Err
}
