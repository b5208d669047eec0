// Package order is what the whole pipeline agrees an order is: the five fields, the rules they
// keep, the one way they are written, and the words in which a bad one is refused.
//
// Read [Order] first, then [Decoder]. Everything that takes an order in (HTTP, files, records)
// goes through [Decoder.Decode], and everything that sends one out goes through [Append], so a
// fault reads the same in an HTTP answer, on the command line and in a dead letter, and equal
// orders are equal bytes.
//
// The package repairs nothing: a wrong key, a number in quotes or a time without its offset is a
// [Fault], never a guess. It does not know which event of an order is newer, does not bound the
// size of a body (its reader has to), and does neither input nor output nor logging.
package order

import (
	"time"
	"unicode/utf8"
)

// Order is one event of an order's life. The zero Order is not valid.
type Order struct {
	ID     string // 1 to 128 characters, none of them a control character
	UserID string // as ID
	Total  Total
	Status string // 1 to 32 of a-z, 0-9, _ and -
	// Timestamp is when the order was made, the same in all its events: it never tells which of
	// them is newer. UTC, to the nanosecond, 1970 to 9999.
	Timestamp time.Time
}

// Append appends the canonical form of o to dst: fixed key order, no spaces, the total without
// exponent, trailing zeros or -0, the timestamp in UTC, strings with the fewest escapes. Equal
// orders give equal bytes, and a decoded order gives them again when it is read back.
//
// Append does not validate. For an order that breaks the rules it still writes JSON, but not
// JSON that [Decoder.Decode] takes.
func Append(dst []byte, o *Order) []byte {
	dst = append(dst, `{"id":`...)
	dst = AppendString(dst, o.ID)
	dst = append(dst, `,"user_id":`...)
	dst = AppendString(dst, o.UserID)
	dst = append(dst, `,"total":`...)
	dst = o.Total.Append(dst)
	dst = append(dst, `,"status":`...)
	dst = AppendString(dst, o.Status)
	dst = append(dst, `,"timestamp":"`...)
	dst = appendTimestamp(dst, o.Timestamp)
	return append(dst, `"}`...)
}

// Validate holds an order that was not decoded (built from flags, edited, generated) against the
// rules of [Decoder.Decode]. Its error is [Faults], worded as the decoder words them, in
// canonical order.
func (o *Order) Validate(r Rules) error {
	var c collector
	c.addText(fieldID, o.ID)
	c.addText(fieldUserID, o.UserID)
	if o.Total > maxTotal {
		c.add(fieldTotal.pointer(), totalTooLarge)
	}
	c.addDetail(fieldStatus, r.statusFault(o.Status))
	c.addDetail(fieldTimestamp, rangeFault(o.Timestamp.Unix()))
	return c.err()
}

// AppendString appends s as a JSON string with the fewest escapes: the quote, the backslash and
// control characters. It is for whatever JSON is written beside orders, too. Bytes that are not UTF-8 become U+FFFD, since a string of ours must never
// make the document around it unreadable.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		i++
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i-1]...)
		start = i
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[c>>4], hex[c&15])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// field is one of the five members, as a bit, so that a set of them is a field too. The values
// stand in canonical order.
type field uint8

const (
	fieldID field = 1 << iota
	fieldUserID
	fieldTotal
	fieldStatus
	fieldTimestamp

	noField   field = 0
	allFields       = fieldID | fieldUserID | fieldTotal | fieldStatus | fieldTimestamp
)

func (f field) name() string {
	switch f {
	case fieldID:
		return "id"
	case fieldUserID:
		return "user_id"
	case fieldTotal:
		return "total"
	case fieldStatus:
		return "status"
	case fieldTimestamp:
		return "timestamp"
	default:
		return ""
	}
}

// pointer is the field's JSON pointer (RFC 6901); no name of ours needs escaping there.
func (f field) pointer() string { return "/" + f.name() }

// fieldNamed compares exactly: "ID" is not "id".
func fieldNamed(name []byte) field {
	switch string(name) {
	case "id":
		return fieldID
	case "user_id":
		return fieldUserID
	case "total":
		return fieldTotal
	case "status":
		return fieldStatus
	case "timestamp":
		return fieldTimestamp
	default:
		return noField
	}
}
