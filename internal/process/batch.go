package process

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// batch is a part of a partition on its way to the database.
type batch struct {
	sink.Batch
	records  []*kgo.Record // of the entries
	rest     time.Time     // timestamp of the record that was cut off, zero where none was
	attempts int
	refused  map[int]bool  // entries that the database refused for their data
	trip     *trippedError // the breaker opens behind this batch
}

// decode makes a batch of what the database does not have yet, nil where it
// has all of it. The markers of transactions have no entry, but the offset moves
// past them: where nothing follows, they would be lag for ever, and a gap once
// retention takes them.
func (p *partition) decode(records []*kgo.Record) *batch {
	w, next := p.w, p.position()
	for len(records) > 0 && records[0].Offset < next {
		records = records[1:]
	}
	if len(records) == 0 {
		return nil
	}
	last := records[len(records)-1]
	records = slices.DeleteFunc(records, func(r *kgo.Record) bool { return r.Attrs.IsControl() })
	return &batch{records: records, Batch: sink.Batch{
		Group: w.opts.Group, Topic: w.opts.Topic, TopicID: w.info.ID, Partition: p.number,
		First: next, Next: last.Offset + 1,
		Entries: decode(records, w.decoder, w.info.ID),
	}}
}

// decode makes the entries of records, one of each.
func decode(records []*kgo.Record, dec *order.Decoder, topicID string) []sink.Entry {
	var texts order.Texts
	d := decoding{decoder: dec.Into(&texts), texts: &texts, topicID: topicID, now: time.Now()}
	entries := make([]sink.Entry, len(records))
	for i, r := range records {
		d.entry(&entries[i], r)
	}
	return entries
}

// decoding is what the entries of one batch have in common.
type decoding struct {
	decoder   *order.Decoder // into texts
	texts     *order.Texts
	topicID   string
	now       time.Time
	canonical []byte // room for an order's canonical form
}

func (d *decoding) entry(e *sink.Entry, r *kgo.Record) {
	e.Offset = r.Offset
	e.Received = receivedAt(r, d.now)
	if origin, ok := dlq.OriginOf(r); ok {
		e.Origin = origin
	}
	var err, idErr error
	e.EventID, idErr = client.EventID(r, d.topicID, d.texts)
	if e.Order, err = client.FromRecord(r, d.decoder); err == nil {
		err = idErr
	}
	if err != nil {
		e.Refusal = refusal(r, &e.Order, err)
		return
	}
	d.canonical = order.Append(d.canonical[:0], &e.Order)
	e.Hash = sha256.Sum256(d.canonical)
}

// receivedAt is zero where a record does not tell it, or tells what can't be:
// such a time would be its partition's newest for ever.
func receivedAt(r *kgo.Record, now time.Time) time.Time {
	const skew = 24 * time.Hour // between two clocks
	at, ok := order.ParseTimestamp(client.HeaderBytes(r, client.HeaderReceivedAt))
	if !ok || at.Sub(now) > skew {
		return time.Time{}
	}
	return at
}

// refusal says why a record is no order, in the words that HTTP 400 has.
func refusal(r *kgo.Record, o *order.Order, err error) *sink.Refusal {
	f := &sink.Refusal{Class: sink.RefusedValidation, Reason: err.Error(), Detail: err.Error()}
	var faults order.Faults
	switch {
	case errors.As(err, &faults):
		f.Faults = faults
		f.Reason = faults[0].Reason() // of many the first: letters are counted by it
		if len(faults) == 1 && faults[0].Pointer == "" {
			f.Class = sink.RefusedDecode
		}
	case errors.Is(err, client.ErrTombstone):
		f.Class = sink.RefusedTombstone
	case errors.Is(err, client.ErrKeyMismatch):
		f.Class = sink.RefusedKey
		f.Detail = fmt.Sprintf("key is %q, the order's id is %q", r.Key, o.ID)
	case errors.Is(err, client.ErrEventID):
		f.Class = sink.RefusedEventID
		f.Detail = fmt.Sprintf("%s: %q", err, client.HeaderValue(r, client.HeaderEventID))
	}
	return f
}

// cut keeps what stands before the nth entry.
func (b *batch) cut(n int) {
	b.Next, b.rest = b.Entries[n].Offset, b.records[n].Timestamp
	b.Entries, b.records = b.Entries[:n], b.records[:n]
}
