package dlq

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// MaxReplays is how often a letter's record is replayed: one that comes back
// again and again needs a person.
const MaxReplays = 3

// ErrNoTopicID is the error of a letter that does not tell its topic's id: of
// Kafka Connect's. Without it an event can't be told from one of a topic of the
// same name that was deleted.
var ErrNoTopicID = errors.New("the letter does not tell its topic's id")

// Replay makes the record that brings the letter's record back into its topic,
// as it was: the event keeps its id. The error is [ErrNoTopicID], or
// client.ErrEventID of a letter whose event id can't be one.
func (l *Letter) Replay() (*kgo.Record, error) {
	if l.Origin.TopicID == "" {
		return nil, ErrNoTopicID
	}
	id, err := l.EventID()
	if err != nil {
		return nil, err
	}
	return l.replay(id, l.Key, l.Value), nil
}

// ReplayAs makes the record of an order that takes the place of the letter's,
// which has to tell its topic's id.
// It is an event of its own, named by its origin and its content, so that one
// that is sent twice, since the first run was killed, is applied once.
func (l *Letter) ReplayAs(o *order.Order) *kgo.Record {
	value := order.Append(nil, o)
	return l.replay(EditedEventID(l, value), []byte(o.ID), value)
}

// EditedEventID is the first 128 bits of SHA-256 over the letter's first place
// and the canonical form of the edited order, each followed by a zero byte, which
// none of them can hold.
func EditedEventID(l *Letter, canonical []byte) string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(l.first().String()), canonical} {
		_, _ = h.Write(part) // never fails (hash.Hash)
		_, _ = h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (l *Letter) replay(eventID string, key, value []byte) *kgo.Record {
	r := &kgo.Record{Topic: l.Origin.Topic, Key: key, Value: value}
	ours := []string{headerOrigin, headerReplays, client.HeaderEventID}
	r.Headers = without(l.Headers, len(ours), func(name string) bool { return isOurs(name) || slices.Contains(ours, name) })
	set := func(name, value string) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	set(client.HeaderEventID, eventID)
	set(headerOrigin, l.first().String())
	set(headerReplays, strconv.Itoa(l.Replays+1))
	return r
}
