package dlq

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// State is what became of a letter.
type State string

// The states. A letter is open until a mark says otherwise.
const (
	Open      State = "open"
	Replayed  State = "replayed"
	Discarded State = "discarded"
)

// Mark says what became of a letter. It is a record of the dead letter topic
// with the letter's key and origin and without a value; its header alone tells
// it from a letter, since the letter of a tombstone has no value either.
type Mark struct {
	Origin Origin
	State  State  // Replayed or Discarded
	To     string // of Replayed: where the replayed record stands, "" where it is not told
}

// Mark makes the mark of l. Its partition is the letter's own, for a client
// whose partitioner goes by it: who reads a letter's partition has its mark,
// also where there is no key or the partitions were changed.
func (l *Letter) Mark(s State, to string) *kgo.Record {
	r := &kgo.Record{Topic: l.Place.Topic, Partition: l.Place.Partition, Key: l.Key}
	set := func(name, value string) {
		if value != "" {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(cut(value))})
		}
	}
	set(headerMark, string(s))
	set(headerOriginTopic, l.Origin.Topic)
	set(headerOriginTopicID, l.Origin.TopicID)
	set(headerOriginPartition, strconv.Itoa(int(l.Origin.Partition)))
	set(headerOriginOffset, strconv.FormatInt(l.Origin.Offset, 10))
	set(headerReplayedTo, to)
	return r
}

// parseMark is nil for a mark that can't be read.
func parseMark(r *kgo.Record) *Mark {
	state := State(header(r.Headers, headerMark))
	var ours originText
	for i := range r.Headers {
		ours.ours(r.Headers[i].Key, r.Headers[i].Value)
	}
	origin, ok := originOf(ours, originText{})
	if !ok || state != Replayed && state != Discarded {
		return nil
	}
	return &Mark{Origin: origin, State: state, To: header(r.Headers, headerReplayedTo)}
}
