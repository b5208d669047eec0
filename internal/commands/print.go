package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// printJSON writes one document.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(&jsonWriter{w})
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// jsonWriter escapes what a terminal obeys and encoding/json lets through: DEL,
// C1, what turns the direction of text. In a document these stand in strings
// alone, so it says the same as before. It takes whole documents.
type jsonWriter struct{ out io.Writer }

func (w *jsonWriter) Write(p []byte) (int, error) {
	harms := func(r rune) bool { return r != '\n' && isObeyed(r) } // between its lines; in strings it is escaped
	if bytes.IndexFunc(p, harms) < 0 {
		return w.out.Write(p)
	}
	escaped := make([]byte, 0, len(p)+64)
	for _, r := range string(p) {
		if harms(r) {
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		} else {
			escaped = utf8.AppendRune(escaped, r)
		}
	}
	_, err := w.out.Write(escaped)
	return len(p), err
}

// isObeyed tells characters that move a terminal's cursor, colour what follows,
// or turn it around.
func isObeyed(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x200e || r == 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// table is rows under a heading: words left, numbers right.
type table struct {
	head  []string
	right []bool
	rows  [][]string
}

// newTable takes the headings; one that begins with ">" is a column of
// numbers.
func newTable(headings ...string) *table {
	t := &table{}
	for _, h := range headings {
		name, isNumber := strings.CutPrefix(h, ">")
		t.head = append(t.head, name)
		t.right = append(t.right, isNumber)
	}
	return t
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes the table, two spaces between columns, none at a line's end.
func (t *table) print(w io.Writer) error {
	width := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{t.head}, t.rows...) {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if t.right[i] {
				line.WriteString(pad + cell + "  ")
			} else {
				line.WriteString(cell + pad + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// thousands writes 4118204 as 4,118,204.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// figure has three significant digits, and never an exponent.
func figure(f float64) string {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 3, 64), 64)
	switch {
	case err != nil || math.IsInf(f, 0) || math.IsNaN(f):
		return "-"
	case math.Abs(rounded) >= 1000 && math.Abs(rounded) < 1e18:
		return thousands(int64(rounded))
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// printable makes one line of text that came from outside: control characters
// and what is not UTF-8 are escaped, so that a record can't move the cursor.
func printable(s string) string {
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || isObeyed(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	q := fmt.Sprintf("%q", s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
