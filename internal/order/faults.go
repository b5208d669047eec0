package order

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxFaults bounds an answer: without it a small body of unknown keys makes a large one.
	maxFaults = 20
	// maxQuoted bounds a value in a fault, in characters. It is a status at its longest.
	maxQuoted = 32
	// maxPointer bounds an unknown key in a fault, in bytes as shown.
	maxPointer = 64
)

// Details that more than one place has to give.
const (
	isEmpty   = "is empty"
	notUTF8   = "is not valid UTF-8"
	isMissing = "is missing"
	isTwice   = "is given twice"
)

// Fault is one thing that is wrong with an order.
type Fault struct {
	// Pointer is the JSON pointer (RFC 6901) of the member, "" for the order as a whole. An
	// unknown key is shown as printable ASCII and cut: its pointer is for reading then.
	Pointer string `json:"pointer"`
	// Detail says what is wrong, as a predicate: "is a string, wants a number".
	Detail string `json:"detail"`
	// Cause is Detail without what is another in each document, the offset of a byte, where it
	// has such; "" else. See [Fault.Reason].
	Cause string `json:"-"`
}

// String is one line of printable ASCII, whatever the input was: "/total: is a string, wants a number".
func (f Fault) String() string {
	if f.Pointer == "" {
		return "the order " + f.Detail
	}
	return f.Pointer + ": " + f.Detail
}

// Reason is as String, but the same for the same cause: faults are counted by it.
func (f Fault) Reason() string {
	if f.Cause != "" {
		f.Detail = f.Cause
	}
	return f.String()
}

// Faults is everything that is wrong with an order: what stands in the document in its order,
// then what is missing. It is never empty where it is returned, and beyond 20 the last one says
// how many more there were.
type Faults []Fault

// Error joins the faults to one line.
func (fs Faults) Error() string {
	texts := make([]string, len(fs))
	for i, f := range fs {
		texts[i] = f.String()
	}
	return strings.Join(texts, "; ")
}

// collector gathers faults, each once. Its zero value is ready and allocates nothing until there
// is a fault.
type collector struct {
	kept Faults
	more int
}

func (c *collector) add(pointer, detail string) {
	f := Fault{Pointer: pointer, Detail: detail}
	switch {
	case slices.Contains(c.kept, f): // a field given three times is one fault
	case len(c.kept) == maxFaults:
		c.more++
	default:
		c.kept = append(c.kept, f)
	}
}

// addDetail adds nothing where detail is "", which is how a check says that all is well.
func (c *collector) addDetail(f field, detail string) {
	if detail != "" {
		c.add(f.pointer(), detail)
	}
}

// err is nil where nothing was collected: a nil Faults in an error would not be.
func (c *collector) err() error {
	switch {
	case len(c.kept) == 0:
		return nil
	case c.more == 1:
		return append(c.kept, Fault{Detail: "has 1 more fault"})
	case c.more > 1:
		return append(c.kept, Fault{Detail: fmt.Sprintf("has %d more faults", c.more)})
	default:
		return c.kept
	}
}

// quoted shows a value of the input inside a fault: cut, in quotes, in printable ASCII.
func quoted(s string) string {
	n := 0
	for i := range s {
		if n == maxQuoted {
			return strconv.QuoteToASCII(s[:i]) + "..."
		}
		n++
	}
	return strconv.QuoteToASCII(s)
}

// pointerTo is the pointer of an unknown key, given as UTF-8. It is exact (RFC 6901) for printable ASCII of at
// most 64 bytes; anything else is escaped as Go escapes it, and cut.
func pointerTo(name []byte) string {
	b := []byte{'/'}
	for len(name) > 0 {
		r, size := utf8.DecodeRune(name)
		before := len(b)
		switch {
		case r == '~':
			b = append(b, "~0"...)
		case r == '/':
			b = append(b, "~1"...)
		case ' ' <= r && r <= '~':
			b = append(b, byte(r))
		default:
			b = append(b, strings.Trim(strconv.QuoteRuneToASCII(r), "'")...)
		}
		if len(b) > 1+maxPointer {
			return string(b[:before]) + "..."
		}
		name = name[size:]
	}
	return string(b)
}

// unknownField names the field that was probably meant, where only case and separators differ:
// most unknown keys come from a serializer with another naming style.
func unknownField(name []byte) string {
	const detail = "is an unknown field"
	var buf [len("timestamp")]byte
	plain := buf[:0]
	for _, c := range name {
		switch {
		case c == '_' || c == '-':
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		if len(plain) == cap(plain) {
			return detail
		}
		plain = append(plain, c)
	}
	f := fieldNamed(plain)
	if string(plain) == "userid" {
		f = fieldUserID
	}
	if f == noField {
		return detail
	}
	return detail + ", the name is " + f.name()
}
