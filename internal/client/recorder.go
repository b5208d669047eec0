package client

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
)

const (
	// A block is let go when the last record in it is acknowledged, so one slow
	// record holds 64 KiB at most.
	recorderBytes   = 64 << 10
	recorderRecords = 64
	headersOfRecord = 6 // all of ToRecord's but traceparent, which nobody hands us
)

// Recorder makes the records that [ToRecord] makes, for millions of them: it
// takes memory in blocks and fresh ids from one reading of the random source
// for many. It is not safe for concurrent use.
type Recorder struct {
	topic   string
	bytes   []byte
	records []kgo.Record
	headers []kgo.RecordHeader
	random  []byte

	// Headers that are the same bytes in many records.
	contentType, schema, client, receivedAt []byte
	clientName                              string
	received                                time.Time
}

// NewRecorder makes records for topic.
func NewRecorder(topic string) *Recorder {
	return &Recorder{topic: topic, contentType: []byte(contentTypeJSON), schema: []byte(schemaVersion)}
}

// New is the record of a new event of its own, as of [NewMeta].
func (c *Recorder) New(o *order.Order, client string, now time.Time) *kgo.Record {
	c.room()
	id := c.cut(c.appendID(c.bytes, now))
	return c.record(o, client, now, id, id)
}

// Encoded is as New, of an order that is written out already: its id and its
// canonical form, both copied.
func (c *Recorder) Encoded(orderID, value []byte, client string, now time.Time) *kgo.Record {
	c.room()
	event := c.cut(c.appendID(c.bytes, now))
	r := c.headed(client, now, event, event)
	r.Key = c.cut(append(c.bytes, orderID...))
	r.Value = c.cut(append(c.bytes, value...))
	return r
}

// Record is what [ToRecord] makes of an order and its Meta, whose fields but
// Traceparent are all there.
func (c *Recorder) Record(o *order.Order, m Meta) *kgo.Record {
	c.room()
	event := c.cut(append(c.bytes, m.EventID...))
	request := event
	if m.RequestID != m.EventID {
		request = c.cut(append(c.bytes, m.RequestID...))
	}
	r := c.record(o, m.Client, m.ReceivedAt, event, request)
	if m.Traceparent != "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: HeaderTraceparent, Value: []byte(m.Traceparent)})
	}
	return r
}

// NewID is as the function of that name.
func (c *Recorder) NewID(now time.Time) string {
	var id [36]byte
	return string(c.appendID(id[:0], now))
}

// room makes sure of memory for one more record.
func (c *Recorder) room() {
	// The largest order has 2 strings of 128 runes, escaped at worst; the ids and
	// the time are short.
	if cap(c.bytes)-len(c.bytes) < 3<<10 {
		c.bytes = make([]byte, 0, recorderBytes)
	}
	if len(c.records) == 0 {
		c.records = make([]kgo.Record, recorderRecords)
		c.headers = make([]kgo.RecordHeader, recorderRecords*headersOfRecord)
	}
}

func (c *Recorder) record(o *order.Order, client string, received time.Time, event, request []byte) *kgo.Record {
	r := c.headed(client, received, event, request)
	r.Key = c.cut(append(c.bytes, o.ID...))
	r.Value = c.cut(order.Append(c.bytes, o))
	return r
}

// headed is a record with its headers.
func (c *Recorder) headed(client string, received time.Time, event, request []byte) *kgo.Record {
	r, headers := &c.records[0], c.headers[:0:headersOfRecord]
	c.records, c.headers = c.records[1:], c.headers[headersOfRecord:]
	if client != c.clientName {
		c.clientName, c.client = client, []byte(client)
	}
	if !received.Equal(c.received) || c.receivedAt == nil {
		c.received, c.receivedAt = received, c.cut(received.UTC().AppendFormat(c.bytes, time.RFC3339Nano))
	}
	r.Topic = c.topic
	headers = append(headers,
		kgo.RecordHeader{Key: HeaderContentType, Value: c.contentType},
		kgo.RecordHeader{Key: HeaderEventID, Value: event},
		kgo.RecordHeader{Key: HeaderSchemaVersion, Value: c.schema},
		kgo.RecordHeader{Key: HeaderReceivedAt, Value: c.receivedAt},
		kgo.RecordHeader{Key: HeaderRequestID, Value: request},
		kgo.RecordHeader{Key: HeaderClient, Value: c.client},
	)
	r.Headers = headers
	return r
}

// cut is what was appended to the block just now. Its capacity ends with it:
// who appends to a key must not write into the value.
func (c *Recorder) cut(grown []byte) []byte {
	from := len(c.bytes)
	c.bytes = grown
	return grown[from:len(grown):len(grown)]
}

// appendID appends a UUIDv7 (RFC 9562, section 5.7).
func (c *Recorder) appendID(dst []byte, now time.Time) []byte {
	const fromRandom = 10
	if len(c.random) < fromRandom {
		c.random = make([]byte, 4<<10)
		_, _ = rand.Read(c.random) // never fails: it ends the process instead
	}
	var u [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	copy(u[6:], c.random[:fromRandom])
	c.random = c.random[fromRandom:]
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80

	dst = append(hex.AppendEncode(dst, u[:4]), '-')
	dst = append(hex.AppendEncode(dst, u[4:6]), '-')
	dst = append(hex.AppendEncode(dst, u[6:8]), '-')
	dst = append(hex.AppendEncode(dst, u[8:10]), '-')
	return hex.AppendEncode(dst, u[10:])
}
