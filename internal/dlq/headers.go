package dlq

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The headers of a letter, of a mark and of a replayed record.
const (
	ownPrefix     = "ordersctl.dlq."
	connectPrefix = "__connect.errors."

	headerReason          = ownPrefix + "reason"
	headerClass           = ownPrefix + "class"
	headerDetail          = ownPrefix + "detail"
	headerErrors          = ownPrefix + "errors" // JSON, a list of {"pointer","detail"}
	headerOriginTopic     = ownPrefix + "origin-topic"
	headerOriginTopicID   = ownPrefix + "origin-topic-id"
	headerOriginPartition = ownPrefix + "origin-partition"
	headerOriginOffset    = ownPrefix + "origin-offset"
	headerOriginTimestamp = ownPrefix + "origin-timestamp"
	headerGroup           = ownPrefix + "group"
	headerAttempts        = ownPrefix + "attempts"
	headerFailedAt        = ownPrefix + "failed-at"
	headerLetterReplays   = ownPrefix + "replay-count"
	headerMark            = ownPrefix + "mark"
	headerReplayedTo      = ownPrefix + "replayed-to" // of a mark: where the replayed record stands

	// Kafka Connect's (KIP-298), which Kafka UIs know. A letter carries the
	// first three; of one that Connect itself wrote the rest tells why.
	connectTopic     = connectPrefix + "topic"
	connectPartition = connectPrefix + "partition"
	connectOffset    = connectPrefix + "offset"
	connectClass     = connectPrefix + "exception.class.name"
	connectMessage   = connectPrefix + "exception.message"

	headerOrigin  = "ordersctl.origin"       // of a replayed record: its first place through all replays
	headerReplays = "ordersctl.replay-count" // of a replayed record: 1 for the first replay
)

// maxHeader cuts what a header of ours says: a letter has to fit into a topic
// that takes 64 KiB more than the records that it is made of.
const maxHeader = 1 << 10

// header is the last header of that name, "" without one: who appends to what
// was there before means the last.
func header(headers []kgo.RecordHeader, name string) string {
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i].Key == name {
			return string(headers[i].Value)
		}
	}
	return ""
}

// without is a copy without the headers that drop names; it has room for extra
// more.
func without(headers []kgo.RecordHeader, extra int, drop func(name string) bool) []kgo.RecordHeader {
	kept := make([]kgo.RecordHeader, 0, len(headers)+extra)
	for _, h := range headers {
		if !drop(h.Key) {
			kept = append(kept, h)
		}
	}
	return kept
}

// isOurs tells the headers that only a dead letter topic has.
func isOurs(name string) bool {
	return strings.HasPrefix(name, ownPrefix) || strings.HasPrefix(name, connectPrefix)
}
