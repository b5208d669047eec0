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
	l, m := parse(r)
	if l == nil {
		return nil, m
	}
	if text := header(r.Headers, headerErrors); text != "" && json.Unmarshal([]byte(text), &l.Faults) != nil {
		l.Faults = nil // somebody else's; the reason tells
	}
	return l, nil
}

// parse leaves out the faults, which take longer to read than all the rest.
func parse(r *kgo.Record) (*Letter, *Mark) {
	l := &Letter{
		Place: Place{r.Topic, r.Partition, r.Offset}, Written: r.Timestamp, Failed: r.Timestamp,
		Key: r.Key, Value: r.Value,
	}
	var origin, connect originText
	var why, exception string
	for i := range r.Headers {
		name, value := r.Headers[i].Key, r.Headers[i].Value
		switch name { // of several of a name the last counts
		case headerMark:
			return nil, parseMark(r)
		case headerClass:
			l.Class = string(value)
		case headerReason:
			l.Reason = string(value)
		case headerDetail:
			l.Detail = string(value)
		case headerGroup:
			l.Group = string(value)
		case headerAttempts:
			if n, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				l.Attempts = int(n)
			}
		case headerFailedAt:
			if t, err := time.Parse(time.RFC3339Nano, string(value)); err == nil {
				l.Failed = t
			}
		case connectMessage:
			why = string(value)
		case connectClass:
			exception = string(value)
		default:
			origin.ours(name, value)
			connect.connects(name, value)
			if !isOurs(name) {
				if l.Headers == nil {
					l.Headers = make([]kgo.RecordHeader, 0, 8)
				}
				l.Headers = append(l.Headers, r.Headers[i])
			}
		}
	}
	var ok bool
	if l.Origin, ok = originOf(origin, connect); !ok {
		return nil, nil
	}
	l.Replays = replaysOf(l.Headers)
	l.First, _ = OriginOf(&kgo.Record{Headers: l.Headers})
	if l.Origin.TopicID == "" && l.Class == "" {
		l.Class, l.Reason, l.Detail = ClassConnect, firstOf(why, exception, "no reason given"), exception
	}
	return l, nil
}

// EventID names the event of the letter's record: what the header says, or the
// place where the record stood.
func (l *Letter) EventID() (string, error) {
	return client.EventID(&kgo.Record{Headers: l.Headers, Partition: l.Origin.Partition, Offset: l.Origin.Offset}, l.Origin.TopicID, nil)
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

// originText is an origin as headers have it; nil is not there.
type originText struct{ topic, id, partition, offset, timestamp []byte }

func (o *originText) ours(name string, value []byte) {
	switch name {
	case headerOriginTopic:
		o.topic = value
	case headerOriginTopicID:
		o.id = value
	case headerOriginPartition:
		o.partition = value
	case headerOriginOffset:
		o.offset = value
	case headerOriginTimestamp:
		o.timestamp = value
	}
}

func (o *originText) connects(name string, value []byte) {
	switch name {
	case connectTopic:
		o.topic = value
	case connectPartition:
		o.partition = value
	case connectOffset:
		o.offset = value
	}
}

// originOf reads our headers, Kafka Connect's only where there is none of ours.
func originOf(ours, connect originText) (Origin, bool) {
	text := ours
	if len(ours.topic)+len(ours.id)+len(ours.partition)+len(ours.offset) == 0 {
		text = connect
	}
	o := Origin{Topic: string(text.topic), TopicID: string(text.id)}
	partition, err := strconv.ParseUint(string(text.partition), 10, 31)
	if err != nil || topic.ValidateName(o.Topic) != nil || o.TopicID != "" && !isTopicID(o.TopicID) {
		return o, false
	}
	offset, err := strconv.ParseUint(string(text.offset), 10, 63)
	if err != nil {
		return o, false
	}
	o.Partition, o.Offset = int32(partition), int64(offset)
	if t, err := time.Parse(time.RFC3339Nano, string(text.timestamp)); err == nil {
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
