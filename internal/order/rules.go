package order

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxText   = 128 // characters of id and user_id: the width of their database columns
	maxStatus = 32  // characters of status

	// maxListed bounds how many statuses a fault lists: a list longer than a screen line helps nobody.
	maxListed = 12
)

// Rules is the part of validation that a business decides.
type Rules struct {
	// Statuses are the values that status may have. Empty allows every well-formed one.
	Statuses []string
}

// Validate tells whether the rules themselves can be met: a listed status that is not well-formed
// would never match an order.
func (r Rules) Validate() error {
	for _, s := range r.Statuses {
		if detail := statusShape(s); detail != "" {
			return fmt.Errorf("status %s: %s", quoted(s), detail)
		}
	}
	return nil
}

// statusFault is what is wrong with a status, "" where nothing is. With a list the list is
// named and not the alphabet: it tells its reader more.
func (r Rules) statusFault(s string) string {
	if s != "" && len(r.Statuses) > 0 && !slices.Contains(r.Statuses, s) {
		return quoted(s) + " is not in statuses (" + r.listed() + ")"
	}
	switch detail := statusShape(s); {
	case detail == "", s == "":
		return detail
	case !utf8.ValidString(s):
		return notUTF8
	default:
		return quoted(s) + " " + detail
	}
}

// find is the listed status that is equal to s, "" where there is none.
func (r Rules) find(s []byte) string {
	for _, known := range r.Statuses {
		if known == string(s) {
			return known
		}
	}
	return ""
}

func (r Rules) listed() string {
	var b strings.Builder
	for i, s := range r.Statuses {
		if i == maxListed {
			fmt.Fprintf(&b, ", and %d more", len(r.Statuses)-maxListed)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		if statusShape(s) != "" {
			s = quoted(s) // not Validated: keep the fault one printable line all the same
		}
		b.WriteString(s)
	}
	return b.String()
}

func statusShape(s string) string {
	if s == "" {
		return isEmpty
	}
	for i := range len(s) {
		if !statusByte(s[i]) {
			return "has other characters than a-z, 0-9, _ and -"
		}
	}
	if len(s) > maxStatus {
		return tooLong(len(s), maxStatus)
	}
	return ""
}

func statusByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// addText adds what is wrong with an id or a user id. Lengths are counted in Unicode code
// points, as JSON Schema counts them. A control character is one of the Unicode category Cc:
// U+0000 to U+001F, U+007F and U+0080 to U+009F. Everything else is allowed, spaces too.
func (c *collector) addText(f field, s string) {
	if s == "" {
		c.add(f.pointer(), isEmpty)
		return
	}
	chars, control := measure(s)
	if chars < 0 {
		c.add(f.pointer(), notUTF8)
		return
	}
	if chars > maxText {
		c.add(f.pointer(), tooLong(chars, maxText))
	}
	if control >= 0 {
		c.add(f.pointer(), fmt.Sprintf("has a control character, U+%04X", control))
	}
}

// measure counts the characters of s and finds its first control character, -1 where there is
// none. chars is -1 where s is not UTF-8.
func measure(s string) (chars int, control rune) {
	control = -1
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return -1, -1
			}
		}
		if control < 0 && unicode.IsControl(r) {
			control = r
		}
		chars++
	}
	return chars, control
}

// textOK is addText's verdict alone.
func textOK(s string) bool {
	chars, control := measure(s)
	return chars >= 1 && chars <= maxText && control < 0
}

func tooLong(n, limit int) string {
	return fmt.Sprintf("is %d characters long, at most %d fit", n, limit)
}
