package commands

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ordersctl/ordersctl/internal/order"
)

const (
	maxDump       = 1 << 10 // bytes of a value that are shown in hex
	maxValueLines = 200
	maxValueWidth = 160
)

// pointedValue is a record's value for people: JSON with a member a line, text
// as it is, anything else in hex; what is wrong is pointed at, and told behind
// it where there is nothing to point at.
func pointedValue(value []byte, faults order.Faults) []string {
	switch {
	case value == nil:
		return append([]string{"null (tombstone)"}, tellFaults(faults)...)
	case len(value) == 0:
		return append([]string{"empty"}, tellFaults(faults)...)
	case isBinary(value):
		return append(dump(value), tellFaults(faults)...)
	}
	var indented bytes.Buffer
	if json.Indent(&indented, value, "", "  ") == nil {
		return pointAtMembers(indented.String(), faults)
	}
	return pointAtByte(string(value), faults)
}

// isBinary tells what is no text: not UTF-8, or with control characters.
func isBinary(value []byte) bool {
	for len(value) > 0 {
		r, size := utf8.DecodeRune(value)
		if r == utf8.RuneError && size == 1 || r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f {
			return true
		}
		value = value[size:]
	}
	return false
}

func dump(value []byte) []string {
	shown := value[:min(len(value), maxDump)]
	lines := strings.Split(strings.TrimSuffix(hex.Dump(shown), "\n"), "\n")
	if more := len(value) - len(shown); more > 0 {
		lines = append(lines, fmt.Sprintf("... %s more", count(more, "byte")))
	}
	return lines
}

func tellFaults(faults order.Faults) []string {
	lines := make([]string, 0, len(faults))
	for _, f := range faults {
		lines = append(lines, "! "+printable(f.String()))
	}
	return lines
}

// givenTwice is the decoder's word for a member of ours that comes again.
const givenTwice = "is given twice"

// pointAtMembers marks the members of the outermost object that have a fault.
// text is what json.Indent makes: each such member begins a line of its own, two
// spaces in.
func pointAtMembers(text string, faults order.Faults) []string {
	var out []string
	told := make([]bool, len(faults))
	seen, twice := map[string]int{}, map[string]bool{}
	for _, f := range faults {
		twice[f.Pointer] = twice[f.Pointer] || f.Detail == givenTwice
	}
	lines := strings.Split(text, "\n")
	for n, line := range lines {
		if n == maxValueLines {
			out = append(out, fmt.Sprintf("... %s more", count(len(lines)-n, "line")))
			break
		}
		shown := printable(line)
		out = append(out, cutText(shown, maxValueWidth))
		pointer, at, ok := memberOf(line)
		if !ok {
			continue
		}
		seen[pointer]++
		for i, f := range faults {
			// A member that is given twice is marked where it comes again; what else is
			// wrong with it is so of the first, the others were not looked at.
			if f.Pointer != pointer || twice[pointer] && (f.Detail == givenTwice) != (seen[pointer] > 1) {
				continue
			}
			told[i] = true
			before := utf8.RuneCountInString(printable(line[:at]))
			width := utf8.RuneCountInString(strings.TrimSuffix(shown, ",")) - before
			out = append(out, carets(before, min(width, maxValueWidth-before))+" "+printable(f.Detail))
		}
	}
	var rest order.Faults
	for i, f := range faults {
		if !told[i] {
			rest = append(rest, f)
		}
	}
	return append(out, tellFaults(rest)...)
}

// memberOf reads a line such as `  "total": "149.99",`: the member's pointer and
// where its value begins.
func memberOf(line string) (pointer string, at int, ok bool) {
	if !strings.HasPrefix(line, `  "`) {
		return "", 0, false
	}
	dec := json.NewDecoder(strings.NewReader(line[2:]))
	token, err := dec.Token()
	name, isText := token.(string)
	if err != nil || !isText {
		return "", 0, false
	}
	at = 2 + int(dec.InputOffset())
	if !strings.HasPrefix(line[at:], ": ") {
		return "", 0, false // a string in an array
	}
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name), at + 2, true
}

func carets(before, width int) string {
	return strings.Repeat(" ", max(0, before)) + strings.Repeat("^", max(1, width))
}

var faultAtByte = regexp.MustCompile(`byte (\d+)`)

// pointAtByte marks the byte at which text stops being JSON.
func pointAtByte(text string, faults order.Faults) []string {
	at := -1
	var detail string
	for _, f := range faults {
		if m := faultAtByte.FindStringSubmatch(f.Detail); m != nil {
			at, _ = strconv.Atoi(m[1])
			detail = f.Detail
			break
		}
	}
	var out []string
	begin := 0
	for n, line := range strings.SplitAfter(text, "\n") {
		if n == maxValueLines {
			out = append(out, "...")
			break
		}
		end := begin + len(line)
		here := at >= begin && (at < end || at == len(text) && end == len(text))
		bare := strings.TrimRight(line, "\r\n")
		if here {
			out = append(out, excerpt(bare, at-begin)...)
			out[len(out)-1] += " " + printable(detail)
		} else if line != "" {
			out = append(out, cutText(printable(bare), maxValueWidth))
		}
		begin = end
	}
	if at < 0 || at > len(text) {
		out = append(out, tellFaults(faults)...)
	}
	return out
}

// excerpt is as much of a line as fits, and a caret under its byte at.
func excerpt(line string, at int) []string {
	const around = maxValueWidth / 2
	at = min(at, len(line))
	from := max(0, at-around)
	for from > 0 && from < len(line) && !utf8.RuneStart(line[from]) {
		from++
	}
	before := printable(line[from:at])
	if from > 0 {
		before = "..." + before
	}
	shown := cutText(before+printable(line[at:]), maxValueWidth)
	return []string{shown, carets(utf8.RuneCountInString(before), 1)}
}
