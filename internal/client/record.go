package client

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
)

// The headers that a record of an order carries.
const (
	HeaderContentType   = "content-type"
	HeaderEventID       = "event-id"
	HeaderSchemaVersion = "schema-version"
	HeaderReceivedAt    = "received-at"
	HeaderRequestID     = "request-id"
	HeaderClient        = "client"
	HeaderTraceparent   = "traceparent"
)

// The clients of a record that no API key names.
const (
	ClientAnonymous = "anonymous" // over HTTP, no key asked for
	ClientDirect    = "direct"    // by this program straight to Kafka
)

const (
	contentTypeJSON = "application/json"
	schemaVersion   = "1"
)

// Meta is what a record's headers say of one event. A field that is empty is
// left out.
type Meta struct {
	EventID     string // names the event: a repeat under it has no effect
	RequestID   string // names the attempt
	ReceivedAt  time.Time
	Client      string
	Traceparent string // W3C trace context
}

// NewMeta is a new event of its own, received now: event id and request id are
// UUIDv7 (RFC 9562).
func NewMeta(client string, now time.Time) Meta {
	id := NewID()
	return Meta{EventID: id, RequestID: id, ReceivedAt: now, Client: client}
}

// NewID is a UUIDv7 (RFC 9562): sorts by time, unique without coordination.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// ToRecord makes the record of one event: key is the order's id, value its
// canonical form.
func ToRecord(topic string, o *order.Order, m Meta) *kgo.Record {
	r := &kgo.Record{Topic: topic, Key: []byte(o.ID), Value: order.Append(nil, o)}
	r.Headers = make([]kgo.RecordHeader, 0, 7)
	add := func(key, value string) {
		if value != "" {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
		}
	}
	add(HeaderContentType, contentTypeJSON)
	add(HeaderEventID, m.EventID)
	add(HeaderSchemaVersion, schemaVersion)
	if !m.ReceivedAt.IsZero() {
		add(HeaderReceivedAt, m.ReceivedAt.UTC().Format(time.RFC3339Nano))
	}
	add(HeaderRequestID, m.RequestID)
	add(HeaderClient, m.Client)
	add(HeaderTraceparent, m.Traceparent)
	return r
}

// The data errors of a record that no decoder sees.
var (
	ErrTombstone   = errors.New("null value (tombstone)")
	ErrKeyMismatch = errors.New("key is not the order's id")
)

// FromRecord reads the order of a record. The error is order.Faults,
// [ErrTombstone] or [ErrKeyMismatch]; with the last one the order is there.
func FromRecord(r *kgo.Record, dec *order.Decoder) (order.Order, error) {
	if r.Value == nil {
		return order.Order{}, ErrTombstone
	}
	o, err := dec.Decode(r.Value)
	if err != nil {
		return order.Order{}, err
	}
	if !bytes.Equal(r.Key, []byte(o.ID)) {
		return o, ErrKeyMismatch
	}
	return o, nil
}

// HeaderValue is the value of the first header of that name, "" without one.
func HeaderValue(r *kgo.Record, name string) string { return string(HeaderBytes(r, name)) }

// HeaderBytes is the same, as the record holds it: it is not to be changed.
func HeaderBytes(r *kgo.Record, name string) []byte {
	for i := range r.Headers {
		if r.Headers[i].Key == name {
			return r.Headers[i].Value
		}
	}
	return nil
}

// Place is how a record's position is written everywhere:
// topic/partition@offset.
func Place(r *kgo.Record) string { return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset) }
