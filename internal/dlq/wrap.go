package dlq

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// Failure is what is known of a record that can't be applied.
type Failure struct {
	Refusal  sink.Refusal
	TopicID  string // of the record's topic, as Kafka's tools write it
	Group    string
	Attempts int // how often it was tried
	At       time.Time
}

// Wrap makes the dead letter of r: the same key, the raw value untouched, its
// headers, and in ours why it failed and where it stands. Headers of ours that r
// has already are replaced: a record that says "ordersctl.dlq.mark" must not
// become a mark. The letter shares the bytes of r.
//
// A replayed record keeps its ordersctl.origin and ordersctl.replay-count, so
// that they are told through all replays.
func Wrap(dlqTopic string, r *kgo.Record, f Failure) *kgo.Record {
	letter := &kgo.Record{Topic: dlqTopic, Key: r.Key, Value: r.Value}
	letter.Headers = without(r.Headers, 17, func(name string) bool {
		return strings.HasPrefix(name, ownPrefix) || name == connectTopic || name == connectPartition || name == connectOffset
	})
	set := func(name, value string) {
		letter.Headers = append(letter.Headers, kgo.RecordHeader{Key: name, Value: []byte(cut(value))})
	}
	partition, offset := strconv.Itoa(int(r.Partition)), strconv.FormatInt(r.Offset, 10)
	set(headerClass, f.Refusal.Class)
	set(headerReason, f.Refusal.Reason)
	set(headerDetail, f.Refusal.Detail)
	if len(f.Refusal.Faults) > 0 {
		set(headerErrors, encodeFaults(f.Refusal.Faults))
	}
	set(headerOriginTopic, r.Topic)
	set(headerOriginTopicID, f.TopicID)
	set(headerOriginPartition, partition)
	set(headerOriginOffset, offset)
	set(headerOriginTimestamp, formatTime(r.Timestamp))
	set(headerGroup, f.Group)
	set(headerAttempts, strconv.Itoa(f.Attempts))
	set(headerFailedAt, formatTime(f.At))
	set(headerLetterReplays, strconv.Itoa(replaysOf(r.Headers)))
	set(connectTopic, r.Topic)
	set(connectPartition, partition)
	set(connectOffset, offset)
	return letter
}

// OriginOf is the first place of a replayed record, through all replays. It is
// false where r is none, or where what it says is no place.
func OriginOf(r *kgo.Record) (*sink.Place, bool) {
	if p, ok := parseOrigin(header(r.Headers, headerOrigin)); ok {
		found := p // p itself would be allocated for every record without one
		return &found, true
	}
	return nil, false
}

// replaysOf is how often a record was replayed.
func replaysOf(headers []kgo.RecordHeader) int {
	n, err := strconv.ParseUint(header(headers, headerReplays), 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// encodeFaults leaves out the last ones where they do not all fit: half a
// document could not be read.
func encodeFaults(faults order.Faults) string {
	for {
		text, err := json.Marshal(faults)
		if err != nil {
			return "[]" // strings can always be written
		}
		if len(text) <= maxHeader || len(faults) == 0 {
			return string(text)
		}
		faults = faults[:len(faults)-1]
	}
}

// cut keeps characters whole.
func cut(s string) string {
	if len(s) <= maxHeader {
		return s
	}
	end := maxHeader
	for end > maxHeader-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
