package order

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep a value may nest before it is called unreadable. An order does not
// nest at all; the bound keeps a body of brackets from deep recursion (RFC 8259 section 9 allows it).
const maxDepth = 64

// scanner walks over JSON (RFC 8259) without building anything. Its methods advance pos over what
// they name and are false at the first byte that is not JSON, with why set, and cause where why
// has an offset. Whether strings are
// UTF-8 is left to [appendUnquoted], for the strings that matter.
type scanner struct {
	data  []byte
	pos   int
	depth int
	why   string
	cause string
}

// document is one value with nothing but space around it.
func (s *scanner) document() bool {
	if bytes.HasPrefix(s.data, []byte("\uFEFF")) {
		s.why = "is not JSON: it begins with a byte order mark"
		return false
	}
	s.space()
	if s.pos == len(s.data) {
		s.why = isEmpty
		return false
	}
	if !s.value() {
		return false
	}
	s.space()
	if s.pos < len(s.data) {
		return s.fail("nothing more")
	}
	return true
}

// fail words what is no JSON. Where it ends is chance, and so is what would have come next: of
// all that break off the cause is one.
func (s *scanner) fail(want string) bool {
	if s.pos >= len(s.data) {
		s.why = fmt.Sprintf("is not JSON: it ends at byte %d, wants %s", len(s.data), want)
		s.cause = "is not JSON: it ends too early"
		return false
	}
	format := "0x%02x"
	if ' ' < s.data[s.pos] && s.data[s.pos] < 0x7f {
		format = "%q"
	}
	found := fmt.Sprintf(format, s.data[s.pos])
	s.why = fmt.Sprintf("is not JSON: byte %d is %s, wants %s", s.pos, found, want)
	s.cause = fmt.Sprintf("is not JSON: it has %s, wants %s", found, want)
	return false
}

// peek is 0 at the end, which begins nothing in JSON.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() { s.pos = skipSpace(s.data, s.pos) }

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

func (s *scanner) value() bool {
	switch c := s.peek(); {
	case c == '"':
		return s.str("a string")
	case c == '{':
		return s.nested('}', func() bool { return s.key() && s.value() })
	case c == '[':
		return s.nested(']', s.value)
	case c == '-' || isDigit(c):
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	default:
		return s.fail("a value")
	}
}

// nested is an object or an array, whose items are separated by commas.
func (s *scanner) nested(closing byte, item func() bool) bool {
	if s.depth++; s.depth > maxDepth {
		s.cause = fmt.Sprintf("is nested deeper than %d levels", maxDepth)
		s.why = fmt.Sprintf("%s at byte %d", s.cause, s.pos)
		return false
	}
	s.pos++
	s.space()
	if s.peek() == closing {
		s.pos++
		s.depth--
		return true
	}
	for item() {
		s.space()
		switch s.peek() {
		case closing:
			s.pos++
			s.depth--
			return true
		case ',':
			s.pos++
			s.space()
		default:
			return s.fail(fmt.Sprintf("a comma or %q", closing))
		}
	}
	return false
}

// key is a member's name, its colon and the space up to its value.
func (s *scanner) key() bool { return s.str("a field name in quotes") && s.colon() }

func (s *scanner) colon() bool {
	s.space()
	if s.peek() != ':' {
		return s.fail("a colon")
	}
	s.pos++
	s.space()
	return true
}

func (s *scanner) str(what string) bool {
	if s.peek() != '"' {
		return s.fail(what)
	}
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return true
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c < ' ':
			return s.fail("it escaped inside a string")
		}
	}
	return s.fail("the end of a string")
}

// escape ends on the last byte of the escape.
func (s *scanner) escape() bool {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			s.pos++
			if hexValue(s.peek()) < 0 {
				return s.fail("a hexadecimal digit")
			}
		}
		return true
	default:
		return s.fail("an escape that JSON has")
	}
}

func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.pos++
	}
	switch {
	case s.peek() == '0':
		s.pos++
	case !s.digits():
		return false
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return false
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	if !isDigit(s.peek()) {
		return s.fail("a digit")
	}
	for isDigit(s.peek()) {
		s.pos++
	}
	return true
}

func (s *scanner) literal(word string) bool {
	for i := range len(word) {
		if s.peek() != word[i] {
			return s.fail(word)
		}
		s.pos++
	}
	return true
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func hexValue(c byte) rune {
	switch {
	case isDigit(c):
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return rune(c-'A') + 10
	default:
		return -1
	}
}

// loneSurrogate is refused because U+D800 alone is no character: it cannot be written as UTF-8,
// and replacing it would make different ids equal.
const loneSurrogate = "has half of a surrogate pair"

// appendUnquoted appends the text of a string token, quotes included, that the scanner has found
// well-formed. What is no text (bytes that are not UTF-8, half a surrogate pair) becomes U+FFFD,
// and detail says so.
func appendUnquoted(dst, tok []byte) (text []byte, detail string) {
	tok = tok[1 : len(tok)-1]
	for len(tok) > 0 {
		switch c := tok[0]; {
		case c == '\\' && tok[1] == 'u':
			r := hexRune(tok)
			tok = tok[6:]
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if len(tok) >= 6 && tok[0] == '\\' && tok[1] == 'u' {
					low = hexRune(tok)
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					detail = loneSurrogate
				} else {
					tok = tok[6:]
				}
			}
			dst = utf8.AppendRune(dst, r)
		case c == '\\':
			dst = append(dst, unescaped(tok[1]))
			tok = tok[2:]
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			tok = tok[1:]
		default:
			r, size := utf8.DecodeRune(tok)
			if r == utf8.RuneError && size == 1 {
				detail = notUTF8
			}
			dst = utf8.AppendRune(dst, r)
			tok = tok[size:]
		}
	}
	return dst, detail
}

// hexRune reads the \uXXXX at the beginning of tok.
func hexRune(tok []byte) rune {
	return hexValue(tok[2])<<12 | hexValue(tok[3])<<8 | hexValue(tok[4])<<4 | hexValue(tok[5])
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return c // the quote, the backslash and the slash stand for themselves
	}
}
