package order

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// explain reads data in two passes: is it JSON at all, and then member by member, without any
// thought for bad syntax.
func (d *Decoder) explain(data []byte) (Order, error) {
	s := scanner{data: data}
	if !s.document() {
		return Order{}, Faults{{Detail: s.why, Cause: s.cause}}
	}
	s = scanner{data: data}
	s.space()
	if kind := kindOf(s.peek()); kind != anObject {
		return Order{}, Faults{{Detail: wants(kind, anObject)}}
	}
	// Unescaped texts are shorter than what they were: an ordinary document needs no second piece.
	e := explanation{decoder: d, texts: make([]byte, 0, min(len(data), 256))}
	s.pos++
	for s.space(); s.peek() != '}'; s.space() {
		if s.peek() == ',' {
			s.pos++
			s.space()
		}
		name, value := s.member()
		e.member(name, value)
	}
	for f := fieldID; f <= fieldTimestamp; f <<= 1 {
		if e.seen&f == 0 {
			e.faults.add(f.pointer(), isMissing)
		}
	}
	if err := e.faults.err(); err != nil {
		return Order{}, err
	}
	d.keep(&e.order, e.parts)
	return e.order, nil
}

// explanation is what is known of a document so far.
type explanation struct {
	decoder *Decoder
	order   Order
	parts   parts
	texts   []byte // what parts point into
	seen    field
	faults  collector
}

func (e *explanation) member(name, value []byte) {
	var buf [64]byte // no key of ours needs more, however it is escaped
	key, flaw := appendUnquoted(buf[:0], name)
	f := fieldNamed(key)
	switch {
	case f == noField && flaw != "":
		e.faults.add(pointerTo(key), "is an unknown field, its name "+flaw)
	case f == noField:
		e.faults.add(pointerTo(key), unknownField(key))
	case e.seen&f != 0:
		e.faults.add(f.pointer(), isTwice)
	default:
		e.seen |= f
		e.value(f, value)
	}
}

func (e *explanation) value(f field, value []byte) {
	want := aString
	if f == fieldTotal {
		want = aNumber
	}
	if kind := kindOf(value[0]); kind != want {
		e.faults.add(f.pointer(), wants(kind, want))
		return
	}
	if f == fieldTotal {
		e.number(value)
		return
	}
	start := len(e.texts)
	texts, flaw := appendUnquoted(e.texts, value)
	e.texts = texts
	text := texts[start:]
	if flaw != "" {
		e.faults.add(f.pointer(), flaw)
		return
	}
	switch f {
	case fieldID:
		e.parts.id = text
		e.faults.addText(f, string(text))
	case fieldUserID:
		e.parts.userID = text
		e.faults.addText(f, string(text))
	case fieldStatus:
		e.parts.status = text
		e.faults.addDetail(f, e.decoder.rules.statusFault(string(text)))
	case fieldTimestamp:
		var detail string
		e.order.Timestamp, detail = parseTimestamp(text)
		e.faults.addDetail(f, detail)
	}
}

func (e *explanation) number(tok []byte) {
	if len(tok) > maxNumber {
		e.faults.add(fieldTotal.pointer(), numberTooLong(len(tok)))
		return
	}
	if n := readNumber(tok); n.ok() {
		e.order.Total = n.total()
	} else {
		e.faults.addNumber(n)
	}
}

// member reads one member that is known to be well-formed.
func (s *scanner) member() (name, value []byte) {
	start := s.pos
	s.str("")
	name = s.data[start:s.pos]
	s.colon()
	start = s.pos
	s.value()
	return name, s.data[start:s.pos]
}

const (
	anObject = "an object"
	anArray  = "an array"
	aString  = "a string"
	aNumber  = "a number"
	aBoolean = "a boolean"
	aNull    = "null"
)

// kindOf is the kind of the JSON value that begins with c.
func kindOf(c byte) string {
	switch c {
	case '{':
		return anObject
	case '[':
		return anArray
	case '"':
		return aString
	case 't', 'f':
		return aBoolean
	case 'n':
		return aNull
	default:
		return aNumber
	}
}

func wants(kind, want string) string { return "is " + kind + ", wants " + want }

// ID is the id of a body that was refused, for a log line that is found again: as much of it as
// can be read, also of a body that breaks off later, and "" where there is none. It has at most
// 128 characters, and what is no text in it or a control character stands as U+FFFD. An id that
// is a number, which is a common mistake, is given as written.
func (*Decoder) ID(data []byte) string {
	s := scanner{data: data}
	s.space()
	if s.peek() != '{' {
		return ""
	}
	var buf [64]byte
	for s.pos++; ; s.pos++ {
		s.space()
		start := s.pos
		if !s.str("") {
			return ""
		}
		key, _ := appendUnquoted(buf[:0], s.data[start:s.pos])
		if !s.colon() {
			return ""
		}
		start = s.pos
		if !s.value() {
			return ""
		}
		if fieldNamed(key) == fieldID {
			return readable(s.data[start:s.pos])
		}
		s.space()
		if s.peek() != ',' {
			return ""
		}
	}
}

// readable is the text of a string or number token, fit for a log.
func readable(tok []byte) string {
	switch kindOf(tok[0]) {
	case aString:
		text, _ := appendUnquoted(nil, tok)
		return logText(string(text))
	case aNumber:
		return logText(string(tok))
	default:
		return ""
	}
}

func logText(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxText {
			break
		}
		if unicode.IsControl(r) {
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String()
}
