package send

import (
	"bytes"
	"encoding/base64"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

var (
	errKeyMismatch = errors.New(`/key: is not the order's id (to send the value alone, print it with "tail -f value")`)
	errEventID     = errors.New("/headers: event-id is not 1 to 128 printable ASCII characters")
	errHeaders     = errors.New("/headers: wants a list of objects with key and value")
	errBase64      = errors.New("has base64 that can't be read")
	errBrokenLine  = errors.New("the record is not JSON, or has a key twice")
)

// tailed is a line that "tail -f json" printed: a record, whose value is the
// order. Where it stood does not matter here.
type tailed struct {
	Partition   jsontext.Value `json:"partition"`
	Key         jsontext.Value `json:"key"`
	KeyBase64   jsontext.Value `json:"key_base64"`
	Headers     jsontext.Value `json:"headers"`
	Value       jsontext.Value `json:"value"`
	ValueBase64 jsontext.Value `json:"value_base64"`
}

// tailedHeader is one of its headers: tail writes what is not UTF-8 as base64.
type tailedHeader struct {
	Key         jsontext.Value `json:"key"`
	KeyBase64   jsontext.Value `json:"key_base64"`
	Value       jsontext.Value `json:"value"`
	ValueBase64 jsontext.Value `json:"value_base64"`
}

// looksTailed tells a record from an order by its keys "partition" and
// "value", which no order has. That they stand somewhere in the text is asked
// first, since nearly every order is told from a record by that.
func looksTailed(text []byte) bool {
	return bytes.Contains(text, []byte(`"partition"`)) && bytes.Contains(text, []byte(`"value`))
}

// decode reads an order, or the record of one that tail printed; headers are
// nil for an order.
func decode(dec *order.Decoder, text []byte) (o order.Order, headers []kgo.RecordHeader, err error) {
	if looksTailed(text) {
		var t tailed
		err := json.Unmarshal(text, &t)
		if t.Partition != nil && (t.Value != nil || t.ValueBase64 != nil) {
			if err != nil {
				// The decoder's faults would be those of an order, and confuse.
				return o, nil, errBrokenLine
			}
			return t.order(dec)
		}
	}
	o, err = dec.Decode(text)
	return o, nil, err
}

// order reads the value as if it stood alone.
func (t *tailed) order(dec *order.Decoder) (o order.Order, headers []kgo.RecordHeader, err error) {
	value := []byte(t.Value)
	if t.Value == nil || t.Value.Kind() == '"' || t.Value.Kind() == 'n' {
		if value, err = plain(t.Value, t.ValueBase64); err != nil {
			return o, nil, err
		}
	}
	if value == nil {
		return o, nil, client.ErrTombstone
	}
	if o, err = dec.Decode(value); err != nil {
		return o, nil, err
	}
	if t.Key != nil || t.KeyBase64 != nil {
		if key, err := plain(t.Key, t.KeyBase64); err != nil || string(key) != o.ID {
			return o, nil, errKeyMismatch
		}
	}
	headers, err = t.headers()
	return o, headers, err
}

// headers are never nil, so that a record without any is still told from an
// order.
func (t *tailed) headers() ([]kgo.RecordHeader, error) {
	var list []tailedHeader
	if t.Headers != nil {
		if err := json.Unmarshal(t.Headers, &list); err != nil {
			return nil, errHeaders
		}
	}
	headers := make([]kgo.RecordHeader, len(list))
	for i, h := range list {
		key, err := plain(h.Key, h.KeyBase64)
		if err != nil || key == nil {
			return nil, errHeaders
		}
		value, err := plain(h.Value, h.ValueBase64)
		if err != nil {
			return nil, err
		}
		headers[i] = kgo.RecordHeader{Key: string(key), Value: value}
		if headers[i].Key == client.HeaderEventID && !validEventID(value) {
			return nil, errEventID
		}
	}
	return headers, nil
}

// plain is the bytes of a JSON string, or of its base64 form; nil for null.
func plain(text, base64Text jsontext.Value) ([]byte, error) {
	v := text
	if v == nil {
		v = base64Text
	}
	switch {
	case v == nil || v.Kind() == 'n':
		return nil, nil
	case v.Kind() != '"':
		return nil, errHeaders
	}
	b, err := jsontext.AppendUnquote([]byte{}, v)
	if err != nil || text != nil {
		return b, err
	}
	if b, err = base64.StdEncoding.AppendDecode([]byte{}, b); err != nil {
		return nil, errBase64
	}
	return b, nil
}

func validEventID(id []byte) bool {
	if len(id) < 1 || len(id) > 128 {
		return false
	}
	for _, c := range id {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
