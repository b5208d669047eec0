package tail

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
)

const (
	// maxHeld is how many rows are held to measure their columns. The log
	// flows by in parts of this size at most, and each fits on some screens.
	maxHeld = 500
	// maxColumn keeps one long id from pushing all the others to the right: it
	// is a UUID's length.
	maxColumn = 36
	// minRaw is the room below which a bad record's own text is left out.
	minRaw = 16
	// maxRaw cuts a bad record's text where no width is known.
	maxRaw = 160
)

// The columns of the table. The mark of a record that is no order stands in
// place of all that come after the id.
const (
	colTime = iota
	colWhere
	colID
	colUser
	colTotal
	colStatus
	colEvent
	columns
)

// tableFormat is lines for people. Columns grow with what has been seen and
// never shrink, so that lines stand under each other while the log goes on.
type tableFormat struct {
	format Format
	rows   []row
	width  [columns]int
	headed bool
}

type row struct {
	cells [columns]string
	mark  string // what is wrong, "" for an order
	raw   []byte
}

func newTable(f Format) *tableFormat {
	t := &tableFormat{format: f}
	for i, least := range [columns]int{colTotal: 9, colStatus: len("delivered")} {
		t.width[i] = max(least, len(heading(i)))
	}
	return t
}

func heading(column int) string {
	return [columns]string{"TIME (UTC)", "WHERE", "ORDER-ID", "USER", "TOTAL", "STATUS", "EVENT"}[column]
}

func (t *tableFormat) append(dst []byte, _ *kgo.FetchPartition, v *view) []byte {
	var r row
	r.cells[colTime] = tableTime(v.record.Timestamp, time.Now())
	r.cells[colWhere] = client.Place(v.record)
	o, err := v.order()
	if err == nil {
		r.cells[colID] = printable(o.ID)
		r.cells[colUser] = printable(o.UserID)
		r.cells[colTotal] = o.Total.String()
		r.cells[colStatus] = printable(o.Status)
		r.cells[colEvent] = eventEnd(client.HeaderValue(v.record, client.HeaderEventID))
	} else {
		r.cells[colID] = badID(v)
		r.mark = mark(v.record, err)
		r.raw = v.record.Value
	}
	t.rows = append(t.rows, r)
	if len(t.rows) == maxHeld {
		return t.end(dst)
	}
	return dst
}

// end lays out the rows that were held.
func (t *tableFormat) end(dst []byte) []byte {
	for i := range t.rows {
		t.measure(&t.rows[i])
	}
	if !t.headed && len(t.rows) > 0 {
		t.headed = true
		var head row
		for i := range columns {
			head.cells[i] = heading(i)
		}
		dst = t.line(dst, &head)
	}
	for i := range t.rows {
		dst = t.line(dst, &t.rows[i])
	}
	t.rows = t.rows[:0]
	return dst
}

func (t *tableFormat) measure(r *row) {
	for i, cell := range r.cells {
		if n := utf8.RuneCountInString(cell); n <= maxColumn {
			t.width[i] = max(t.width[i], n)
		}
	}
}

func (t *tableFormat) line(dst []byte, r *row) []byte {
	start := len(dst)
	for i, cell := range r.cells {
		if r.mark != "" && i > colID {
			return t.marked(dst, start, r)
		}
		gap := max(0, t.width[i]-utf8.RuneCountInString(cell))
		if i == colTotal {
			dst = appendSpaces(dst, gap)
		}
		dst = append(dst, cell...)
		if i == colEvent {
			break
		}
		if i != colTotal {
			dst = appendSpaces(dst, gap)
		}
		dst = append(dst, "  "...)
	}
	return append(dst, '\n')
}

// marked ends the line of a record that is no order: what is wrong with it, and
// as much of the record as fits.
func (t *tableFormat) marked(dst []byte, start int, r *row) []byte {
	room := maxRaw
	if t.format.Width > 0 {
		room = t.format.Width - utf8.RuneCount(dst[start:]) - utf8.RuneCountInString(r.mark) - len("  ")
	}
	if t.format.Color {
		dst = append(dst, "\x1b[33m"...)
	}
	dst = append(dst, r.mark...)
	if t.format.Color {
		dst = append(dst, "\x1b[0m"...)
	}
	if len(r.raw) > 0 && room >= minRaw {
		dst = append(dst, "  "...)
		raw := appendPrintable(nil, r.raw[:min(len(r.raw), 4*room)], "")
		if runes := []rune(string(raw)); len(runes) > room {
			raw = append([]byte(string(runes[:room-len("...")])), "..."...)
		}
		dst = append(dst, raw...)
	}
	return append(dst, '\n')
}

func appendSpaces(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, ' ')
	}
	return dst
}

// tableTime leaves out the day where it is today.
func tableTime(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	const clock = "15:04:05.000"
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format(clock)
	}
	return t.Format(time.DateOnly + " " + clock)
}

// badID is what a record that is no order is found by: the id in its value,
// else its key.
func badID(v *view) string {
	if id := v.decoder.ID(v.record.Value); id != "" {
		return printable(id)
	}
	if len(v.record.Key) > 0 {
		return printable(string(v.record.Key[:min(len(v.record.Key), 128)]))
	}
	return "-"
}

// mark says what keeps a record from being an order.
func mark(r *kgo.Record, err error) string {
	switch {
	case errors.Is(err, client.ErrTombstone):
		return "! " + err.Error()
	case errors.Is(err, client.ErrKeyMismatch):
		return fmt.Sprintf("! %s: %s", err, keyText(r.Key))
	}
	return "! not an order: " + err.Error()
}

func keyText(key []byte) string {
	if key == nil {
		return "null"
	}
	return strconv.QuoteToASCII(string(key[:min(len(key), 128)]))
}

// eventEnd is the end of an event id: our ids are UUIDv7, whose beginning is
// the time, alike in all neighbours.
func eventEnd(id string) string {
	const shown = 10
	if id == "" {
		return "-"
	}
	if len(id) > shown {
		id = id[len(id)-shown:]
	}
	return printable(id)
}

func printable(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return string(appendPrintable(nil, s, ""))
		}
	}
	return s
}
