package tail

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// jsonFormat is one object a line, from which "send" makes the same event
// again: the key, the value in canonical form, and the headers but request-id:
//
//	{"topic":"orders","partition":1,"offset":884,"timestamp":"2026-11-22T14:05:31.204Z",
//	 "key":"ord-1","headers":[{"key":"event-id","value":"..."}],"value":{"id":"ord-1",...}}
//
// The value is embedded where it is an order in canonical form and a string
// otherwise; what is not UTF-8 stands as base64 in key_base64, value_base64;
// null is null. Headers are a list since Kafka allows a name twice.
type jsonFormat struct{ canonical []byte }

func (f *jsonFormat) append(dst []byte, _ *kgo.FetchPartition, v *view) []byte {
	r := v.record
	dst = append(dst, `{"topic":`...)
	dst = appendJSONString(dst, r.Topic)
	dst = append(dst, `,"partition":`...)
	dst = strconv.AppendInt(dst, int64(r.Partition), 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, r.Offset, 10)
	dst = append(dst, `,"timestamp":"`...)
	dst = appendMillis(dst, r.Timestamp)
	dst = append(dst, `",`...)
	dst = appendBytes(dst, "key", r.Key)
	dst = append(dst, `,"headers":[`...)
	for i, h := range r.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		dst = appendBytes(dst, "key", []byte(h.Key))
		dst = append(dst, ',')
		dst = appendBytes(dst, "value", h.Value)
		dst = append(dst, '}')
	}
	dst = append(dst, `],`...)
	if f.isCanonical(v) {
		dst = append(dst, `"value":`...)
		dst = append(dst, r.Value...)
	} else {
		dst = appendBytes(dst, "value", r.Value)
	}
	return append(dst, '}', '\n')
}

func (*jsonFormat) end(dst []byte) []byte { return dst }

// isCanonical tells whether the value, embedded, can be taken out again as the
// same bytes.
func (f *jsonFormat) isCanonical(v *view) bool {
	o, err := v.order()
	if err != nil && err != client.ErrKeyMismatch { //nolint:errorlint // FromRecord gives the sentinel itself
		return false
	}
	f.canonical = order.Append(f.canonical[:0], o)
	return bytes.Equal(f.canonical, v.record.Value)
}

// appendBytes appends a member whose value is text, null, or base64 under a
// name that says so.
func appendBytes(dst []byte, name string, b []byte) []byte {
	dst = append(dst, '"')
	dst = append(dst, name...)
	switch {
	case b == nil:
		return append(dst, `":null`...)
	case utf8.Valid(b):
		dst = append(dst, `":`...)
		return appendJSONString(dst, b)
	default:
		dst = append(dst, `_base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, b)
		return append(dst, '"')
	}
}

// appendJSONString appends valid UTF-8 as a JSON string. Beyond what JSON asks
// for it escapes DEL and the C1 controls, which a terminal would obey.
func appendJSONString[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		size := 1
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7f:
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0: // U+0080 to U+009F
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', 'u', '0', '0', hex[s[i+1]>>4], hex[s[i+1]&15])
			size = 2
		default:
			i++
			continue
		}
		i += size
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendMillis appends a record's time, which Kafka keeps in milliseconds.
func appendMillis(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
}
