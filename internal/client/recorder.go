package client

import (
	"crypto/rand"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
)

const (
	// A block is let go when the last record in it is acknowledged, so one slow
	// record holds 64 KiB at most.
	recorderBytes   = 64 << 10
	recorderRecords = 64
	idLength        = 36
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

// Blank is a record with memory of its own, to be written over and over: when
// one was acknowledged, nobody looks at it any more. One that failed may still
// be on its way and is not to be used again.
type Blank struct {
	Record  kgo.Record
	headers [headersOfRecord]kgo.RecordHeader
	bytes   []byte // the event id, then the value
}

// Value is where the next value belongs: append it, for [Recorder.Fill].
func (b *Blank) Value() []byte {
	if b.bytes == nil {
		const most = 256 // of ordinary orders; larger ones grow it
		b.bytes = make([]byte, idLength, idLength+most)
	}
	return b.bytes[:idLength]
}

// Fill is as New, into b, of an order that is written out already: filled is
// b's Value with the order's canonical form behind it, of which key is a part.
// now is the record's time, too.
func (c *Recorder) Fill(b *Blank, filled, key []byte, client string, now time.Time) *kgo.Record {
	b.bytes = filled
	event := filled[:idLength:idLength]
	c.appendID(event[:0], now)
	c.roomForBytes()
	headers := c.append(b.headers[:0], client, now, event, event)
	b.Record = kgo.Record{Topic: c.topic, Key: key[:len(key):len(key)], Value: filled[idLength:], Headers: headers, Timestamp: now}
	return &b.Record
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
	c.roomForBytes()
	if len(c.records) == 0 {
		c.records = make([]kgo.Record, recorderRecords)
		c.headers = make([]kgo.RecordHeader, recorderRecords*headersOfRecord)
	}
}

func (c *Recorder) roomForBytes() {
	// The largest order has 2 strings of 128 runes, escaped at worst; the ids and
	// the time are short.
	if cap(c.bytes)-len(c.bytes) < 3<<10 {
		c.bytes = make([]byte, 0, recorderBytes)
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
	r.Topic = c.topic
	r.Headers = c.append(headers, client, received, event, request)
	return r
}

// append adds a record's headers.
func (c *Recorder) append(headers []kgo.RecordHeader, client string, received time.Time, event, request []byte) []kgo.RecordHeader {
	if client != c.clientName {
		c.clientName, c.client = client, []byte(client)
	}
	if !received.Equal(c.received) || c.receivedAt == nil {
		c.received, c.receivedAt = received, c.cut(received.UTC().AppendFormat(c.bytes, time.RFC3339Nano))
	}
	return append(headers,
		kgo.RecordHeader{Key: HeaderContentType, Value: c.contentType},
		kgo.RecordHeader{Key: HeaderEventID, Value: event},
		kgo.RecordHeader{Key: HeaderSchemaVersion, Value: c.schema},
		kgo.RecordHeader{Key: HeaderReceivedAt, Value: c.receivedAt},
		kgo.RecordHeader{Key: HeaderRequestID, Value: request},
		kgo.RecordHeader{Key: HeaderClient, Value: c.client},
	)
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

	var text [idLength]byte
	at := 0
	for i, x := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text[at] = '-'
			at++
		}
		const digits = "0123456789abcdef"
		text[at], text[at+1] = digits[x>>4], digits[x&15]
		at += 2
	}
	return append(dst, text[:]...)
}
