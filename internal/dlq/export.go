package dlq

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
)

// Exported is a letter as one line of JSON. Of value, value_text and
// value_base64 there is the one that fits: an object or array of JSON, other
// text, other bytes; a tombstone is "value":null. What a replay takes from an
// edited line is its key and its value.
type Exported struct {
	Letter        string          `json:"letter"`
	State         State           `json:"state"`
	ReplayedTo    string          `json:"replayed_to,omitempty"` // of one that show was asked for
	Origin        string          `json:"origin"`
	OriginTopicID string          `json:"origin_topic_id,omitempty"`
	WrittenAt     *time.Time      `json:"origin_timestamp,omitempty"`
	Class         string          `json:"class"`
	Reason        string          `json:"reason"`
	Detail        string          `json:"detail,omitempty"`
	Faults        order.Faults    `json:"faults,omitempty"`
	FailedAt      time.Time       `json:"failed_at"`
	Group         string          `json:"group,omitempty"`
	Attempts      int             `json:"attempts,omitempty"`
	Replays       int             `json:"replays"`
	Key           json.RawMessage `json:"key,omitempty"`
	KeyBase64     []byte          `json:"key_base64,omitempty"`
	Headers       []ExportHeader  `json:"headers"`
	Value         json.RawMessage `json:"value,omitempty"`
	ValueText     *string         `json:"value_text,omitempty"`
	ValueBase64   []byte          `json:"value_base64,omitempty"`
}

// ExportHeader is one header, its value as text or as base64.
type ExportHeader struct {
	Key         string `json:"key"`
	Value       string `json:"value,omitempty"`
	ValueBase64 []byte `json:"value_base64,omitempty"`
}

// Export is the letter as a line says it.
func Export(l *Letter, s State) *Exported {
	e := &Exported{
		Letter: l.Place.String(), State: s, Origin: l.Origin.String(), OriginTopicID: l.Origin.TopicID,
		Class: l.Class, Reason: l.Reason, Detail: l.Detail, Faults: l.Faults,
		FailedAt: l.Failed.UTC(), Group: l.Group, Attempts: l.Attempts, Replays: l.Replays,
		Headers: exportHeaders(l.Headers),
	}
	if !l.Origin.Timestamp.IsZero() {
		at := l.Origin.Timestamp.UTC()
		e.WrittenAt = &at
	}
	if utf8.Valid(l.Key) {
		e.Key = jsonText(l.Key)
	} else {
		e.KeyBase64 = l.Key
	}
	switch text := string(l.Value); {
	case l.Value == nil:
		e.Value = json.RawMessage("null")
	case isDocument(l.Value):
		e.Value = l.Value
	case utf8.Valid(l.Value):
		e.ValueText = &text
	default:
		e.ValueBase64 = l.Value
	}
	return e
}

func exportHeaders(headers []kgo.RecordHeader) []ExportHeader {
	out := make([]ExportHeader, 0, len(headers))
	for _, h := range headers {
		e := ExportHeader{Key: h.Key, ValueBase64: h.Value}
		if utf8.Valid(h.Value) {
			e.Value, e.ValueBase64 = string(h.Value), nil
		}
		out = append(out, e)
	}
	return out
}

// jsonText is a JSON string, or null.
func jsonText(b []byte) json.RawMessage {
	if b == nil {
		return json.RawMessage("null")
	}
	return order.AppendString(nil, string(b))
}

// isDocument tells a JSON object or array from all else. A string or a number
// would be JSON too, but then text could not be told from JSON.
func isDocument(value []byte) bool {
	trimmed := bytes.TrimLeft(value, " \t\r\n")
	return len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && utf8.Valid(value) && json.Valid(value)
}
