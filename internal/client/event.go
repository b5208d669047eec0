package client

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
)

// ErrEventID is the data error of a record whose event-id header can't be one.
var ErrEventID = errors.New("event-id is not 1 to 128 printable ASCII characters")

// EventID names the event of a record: the header, or its place where it has
// none (a record from elsewhere), as topic-id/partition@offset. topicID is
// Kafka's own text form. With several such headers the first counts. The name is
// kept in texts, which may be nil.
func EventID(r *kgo.Record, topicID string, texts *order.Texts) (string, error) {
	for i := range r.Headers {
		if r.Headers[i].Key == HeaderEventID {
			return validEventID(r.Headers[i].Value, texts)
		}
	}
	return fmt.Sprintf("%s/%d@%d", topicID, r.Partition, r.Offset), nil
}

func validEventID(id []byte, texts *order.Texts) (string, error) {
	if len(id) < 1 || len(id) > 128 {
		return "", ErrEventID
	}
	for _, c := range id {
		if c < ' ' || c > '~' {
			return "", ErrEventID
		}
	}
	return texts.Join(id), nil
}
