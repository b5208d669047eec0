package dlq

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/ordersctl/ordersctl/internal/sink"
)

// Place is where a letter stands: topic/partition@offset. It is its name.
type Place struct {
	Topic     string
	Partition int32
	Offset    int64
}

func (p Place) String() string { return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset) }

// Short leaves the topic out: 1@884.
func (p Place) Short() string { return fmt.Sprintf("%d@%d", p.Partition, p.Offset) }

// ParsePlace reads the name of a letter of topic: orders.dlq/1@884 or 1@884.
func ParsePlace(text, topic string) (Place, error) {
	name, p, err := splitPlace(text)
	switch {
	case err != nil:
		return Place{}, fmt.Errorf("%q is not a letter, wants one like %s/1@884 or 1@884", text, topic)
	case name != "" && name != topic:
		return Place{}, fmt.Errorf("%q is in topic %q, and the letters are in %q", text, name, topic)
	}
	p.Topic = topic
	return p, nil
}

// splitPlace reads name/partition@offset; the name may be left out.
func splitPlace(text string) (name string, p Place, err error) {
	place, at, ok := strings.Cut(text, "@")
	if !ok {
		return "", p, strconv.ErrSyntax
	}
	part := place
	if i := strings.LastIndexByte(place, '/'); i >= 0 {
		name, part = place[:i], place[i+1:]
		if name == "" {
			return "", p, strconv.ErrSyntax
		}
	}
	partition, err := strconv.ParseUint(part, 10, 31)
	if err != nil {
		return "", p, err
	}
	offset, err := strconv.ParseUint(at, 10, 63)
	return name, Place{Partition: int32(partition), Offset: int64(offset)}, err
}

// parseOrigin reads topic-id/partition@offset.
func parseOrigin(text string) (sink.Place, bool) {
	id, p, err := splitPlace(text)
	if err != nil || !isTopicID(id) {
		return sink.Place{}, false
	}
	return sink.Place{TopicID: id, Partition: p.Partition, Offset: p.Offset}, true
}

// isTopicID tells Kafka's own text form of a topic's id.
func isTopicID(s string) bool {
	id, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(id) == 16
}
