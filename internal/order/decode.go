package order

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// Decoder reads orders. It does not change once it is made and is safe for concurrent use,
// unless it was made by [Decoder.Into].
//
// There are two ways through it. [Decoder.Decode] tries take, which knows valid orders only and
// gives up at whatever is unusual; then explain reads the document again with all patience, and
// either finds an order after all (escapes, exponents) or every fault. Only explain words
// faults, so the two can differ in speed alone; the fuzz tests hold them to that.
type Decoder struct {
	rules Rules
	texts *Texts // nil: each order has its own
}

// NewDecoder keeps a copy of the rules.
func NewDecoder(rules Rules) *Decoder {
	return &Decoder{rules: Rules{Statuses: slices.Clone(rules.Statuses)}}
}

// Into is a decoder that keeps the texts of its orders in t. Like t it is for one goroutine.
func (d *Decoder) Into(t *Texts) *Decoder { return &Decoder{rules: d.rules, texts: t} }

// Decode reads one order: a JSON object with exactly the five fields, each once, and space
// around it. Its error is [Faults], all of them at once, in document order and then what is
// missing; where data is not JSON that is the only fault. Decode keeps nothing of data.
//
// Stricter than JSON asks for: keys are compared exactly after unescaping, key and value must be
// text (UTF-8 without lone surrogates), a number has at most 40 characters.
func (d *Decoder) Decode(data []byte) (Order, error) {
	if o, ok := d.take(data); ok {
		return o, nil
	}
	return d.explain(data)
}

// parts are the texts of an order while they still are somebody else's bytes.
type parts struct {
	id, userID, status []byte
}

// take is the way of clean input: no escapes, no exponents, no faults.
func (d *Decoder) take(data []byte) (o Order, ok bool) {
	var p parts
	var seen field
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '{' {
		return o, false
	}
	for {
		i = skipSpace(data, i+1)
		f, n := takeKey(data[i:])
		if f == noField || seen&f != 0 {
			return o, false
		}
		seen |= f
		if i = skipSpace(data, i+n); i == len(data) || data[i] != ':' {
			return o, false
		}
		i = skipSpace(data, i+1)
		if n = o.takeValue(&p, f, data[i:]); n == 0 {
			return o, false
		}
		if i = skipSpace(data, i+n); i == len(data) {
			return o, false
		}
		if data[i] == ',' {
			continue
		}
		if data[i] == '}' && seen == allFields && skipSpace(data, i+1) == len(data) {
			break
		}
		return o, false
	}
	listed := d.keep(&o, p)
	return o, listed || len(d.rules.Statuses) == 0
}

// takeKey reads a key with its quotes and says how long it is.
func takeKey(b []byte) (field, int) {
	const id, userID, total, status, timestamp = `"id"`, `"user_id"`, `"total"`, `"status"`, `"timestamp"`
	switch {
	case len(b) >= len(id) && string(b[:len(id)]) == id:
		return fieldID, len(id)
	case len(b) >= len(userID) && string(b[:len(userID)]) == userID:
		return fieldUserID, len(userID)
	case len(b) >= len(total) && string(b[:len(total)]) == total:
		return fieldTotal, len(total)
	case len(b) >= len(status) && string(b[:len(status)]) == status:
		return fieldStatus, len(status)
	case len(b) >= len(timestamp) && string(b[:len(timestamp)]) == timestamp:
		return fieldTimestamp, len(timestamp)
	default:
		return noField, 0
	}
}

// takeValue reads the value of f and says how long it is, 0 where it gives up.
func (o *Order) takeValue(p *parts, f field, b []byte) int {
	var text []byte
	switch f {
	case fieldTotal:
		var n int
		o.Total, n = takeTotal(b)
		return n
	case fieldTimestamp:
		// Its parser knows every byte that may stand here, so the next quote is the end.
		end := -1
		if len(b) > 1 && b[0] == '"' {
			end = bytes.IndexByte(b[1:], '"')
		}
		if end < 0 {
			return 0
		}
		text = b[1 : 1+end]
		t, detail := parseTimestamp(text)
		if detail != "" {
			return 0
		}
		o.Timestamp = t
	case fieldStatus:
		if text = takeStatus(b); text == nil {
			return 0
		}
		p.status = text
	default:
		if text = takeString(b); text == nil {
			return 0
		}
		if f == fieldID {
			p.id = text
		} else {
			p.userID = text
		}
	}
	return len(text) + len(`""`)
}

// takeString reads a valid id or user id, nil where it is anything else. Beyond ASCII it is
// measured as explain measures it.
func takeString(b []byte) []byte {
	if len(b) == 0 || b[0] != '"' {
		return nil
	}
	ascii := true
	for i := 1; i < len(b); i++ {
		c := b[i]
		if c == '"' {
			text := b[1:i]
			if i == 1 || ascii && len(text) > maxText || !ascii && !textOK(string(text)) {
				return nil
			}
			return text
		}
		if c < ' ' || c == '\\' || c == 0x7f {
			return nil
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return nil
}

// takeStatus reads a well-formed status, nil where it is anything else.
func takeStatus(b []byte) []byte {
	if len(b) == 0 || b[0] != '"' {
		return nil
	}
	i := 1
	for i < len(b) && statusByte(b[i]) {
		i++
	}
	if i == 1 || i > 1+maxStatus || i == len(b) || b[i] != '"' {
		return nil
	}
	return b[1:i]
}

// takeTotal reads "99.99" and its like: at most 15 digits, then at most 4 decimals. What follows
// is for the caller to judge; a further digit, an exponent or a second point is no comma.
func takeTotal(b []byte) (Total, int) {
	i, t := 0, uint64(0)
	for ; i < len(b) && isDigit(b[i]) && i < integers; i++ {
		t = t*10 + uint64(b[i]-'0')
	}
	if i == 0 || i > 1 && b[0] == '0' {
		return 0, 0
	}
	places := 0
	if i < len(b) && b[i] == '.' {
		i++
		for ; places < decimals && i < len(b) && isDigit(b[i]); i++ {
			t = t*10 + uint64(b[i]-'0')
			places++
		}
		if places == 0 {
			return 0, 0
		}
	}
	for ; places < decimals; places++ {
		t *= 10
	}
	return Total(t), i
}

// keep copies the texts into the order, all of them together: the order must not change with its
// caller's buffer. A status that the rules list is not copied at all; listed says
// whether it was one.
func (d *Decoder) keep(o *Order, p parts) (listed bool) {
	known := d.rules.find(p.status)
	if known != "" {
		p.status = nil
	}
	all, user := d.texts.Join(p.id, p.userID, p.status), len(p.id)+len(p.userID)
	o.ID, o.UserID, o.Status = all[:len(p.id)], all[len(p.id):user], all[user:]
	if known != "" {
		o.Status = known
	}
	return known != ""
}
