// Package dlq works with dead letters: records that can't be applied, kept in a
// topic of their own until somebody repairs, replays or discards them. [Wrap]
// makes a letter, [Parse] reads one, [Queue] finds those that are open, and
// [Replayer] and [Discarder] settle them.
//
// Kafka alone is enough: what became of a letter is a record in the same topic,
// a [Mark]. A letter's identity is where its record stood (topic id, partition,
// offset), so that one that a crash wrote twice is one. It deletes nothing, and
// it never repairs an order.
package dlq

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// ClassConnect is the class of a letter that Kafka Connect wrote.
const ClassConnect = "connect"

// Origin is where the record of a letter stood.
type Origin struct {
	Topic     string
	TopicID   string // "" where it is not known: Kafka Connect does not tell
	Partition int32
	Offset    int64
	Timestamp time.Time // zero where it is not known
}

// String is topic/partition@offset.
func (o Origin) String() string { return Place{o.Topic, o.Partition, o.Offset}.String() }

// Letter is a record of the dead letter topic that holds what could not be
// applied.
type Letter struct {
	Place   Place
	Written time.Time // when the letter was written, by the record's own time

	// The record as it was, but for the headers that a dead letter topic adds.
	Key     []byte
	Value   []byte // nil for a tombstone
	Headers []kgo.RecordHeader

	Origin Origin
	First  *sink.Place // of a replayed record: its first place through all replays

	Class    string
	Reason   string
	Detail   string
	Faults   order.Faults
	Group    string
	Attempts int // 0 where it is not known
	Failed   time.Time
	Replays  int // how often this record had been replayed when it failed
}

// Parse reads a record of the dead letter topic: a letter, a mark, or neither
// where both are nil. Of a letter that Kafka Connect wrote it tells what
// Connect's headers tell. The letter shares the bytes of r.
func Parse(r *kgo.Record) (*Letter, *Mark) {
	for i := range r.Headers {
		if r.Headers[i].Key == headerMark {
			return nil, parseMark(r)
		}
	}
	origin, ok := parseLetterOrigin(r.Headers)
	if !ok {
		return nil, nil
	}
	l := &Letter{
		Place:   Place{r.Topic, r.Partition, r.Offset},
		Written: r.Timestamp,
		Key:     r.Key,
		Value:   r.Value,
		Headers: without(r.Headers, 0, isOurs),
		Origin:  origin,
		Class:   header(r.Headers, headerClass),
		Reason:  header(r.Headers, headerReason),
		Detail:  header(r.Headers, headerDetail),
		Group:   header(r.Headers, headerGroup),
		Failed:  r.Timestamp,
		Replays: replaysOf(r.Headers),
	}
	l.First, _ = OriginOf(r)
	if n, err := strconv.ParseUint(header(r.Headers, headerAttempts), 10, 31); err == nil {
		l.Attempts = int(n)
	}
	if t, err := time.Parse(time.RFC3339Nano, header(r.Headers, headerFailedAt)); err == nil {
		l.Failed = t
	}
	if json.Unmarshal([]byte(header(r.Headers, headerErrors)), &l.Faults) != nil {
		l.Faults = nil // somebody else's; the reason tells
	}
	if origin.TopicID == "" && l.Class == "" {
		l.Class = ClassConnect
		l.Reason = firstOf(header(r.Headers, connectMessage), header(r.Headers, connectClass), "no reason given")
		l.Detail = header(r.Headers, connectClass)
	}
	return l, nil
}

// EventID names the event of the letter's record: what the header says, or the
// place where the record stood.
func (l *Letter) EventID() (string, error) {
	return client.EventID(&kgo.Record{Headers: l.Headers, Partition: l.Origin.Partition, Offset: l.Origin.Offset}, l.Origin.TopicID)
}

// Client is who sent the record, as the header of that name says.
func (l *Letter) Client() string {
	return firstOf(header(l.Headers, client.HeaderClient), client.ClientDirect)
}

// first is the place that the event keeps in the database through all replays.
func (l *Letter) first() sink.Place {
	if l.First != nil {
		return *l.First
	}
	return sink.Place{TopicID: l.Origin.TopicID, Partition: l.Origin.Partition, Offset: l.Origin.Offset}
}

// OrderID is what the letter's order is found by: the key, or the id in the
// value where there is no key or it is not the order's.
func (l *Letter) OrderID(dec *order.Decoder) string {
	if len(l.Key) > 0 && l.Class != sink.RefusedKey {
		return string(l.Key)
	}
	return firstOf(dec.ID(l.Value), string(l.Key))
}

// parseLetterOrigin reads our headers, else Kafka Connect's.
func parseLetterOrigin(headers []kgo.RecordHeader) (Origin, bool) {
	o := Origin{Topic: header(headers, headerOriginTopic), TopicID: header(headers, headerOriginTopicID)}
	partition, offset := header(headers, headerOriginPartition), header(headers, headerOriginOffset)
	if o.Topic == "" && o.TopicID == "" && partition == "" && offset == "" {
		o.Topic, partition, offset = header(headers, connectTopic), header(headers, connectPartition), header(headers, connectOffset)
	} else if o.TopicID != "" && !isTopicID(o.TopicID) {
		return o, false
	}
	p, err := strconv.ParseUint(partition, 10, 31)
	if err != nil || topic.ValidateName(o.Topic) != nil {
		return o, false
	}
	at, err := strconv.ParseUint(offset, 10, 63)
	if err != nil {
		return o, false
	}
	o.Partition, o.Offset = int32(p), int64(at)
	if t, err := time.Parse(time.RFC3339Nano, header(headers, headerOriginTimestamp)); err == nil {
		o.Timestamp = t
	}
	return o, true
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// identity is what makes two letters one.
type identity struct {
	topic     string // its id, or its name where the id is not known
	partition int32
	offset    int64
}

func identityOf(o Origin) identity {
	return identity{firstOf(o.TopicID, "name:"+o.Topic), o.Partition, o.Offset}
}
