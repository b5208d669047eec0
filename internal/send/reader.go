package send

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ordersctl/ordersctl/internal/order"
)

// maxText bounds one line or element. An order needs 2 KiB at the very most;
// the rest is for the headers of a line that tail printed, and Kafka's own
// default limit for a record is 1 MiB too.
const maxText = 1 << 20

var (
	errOverlong  = fmt.Errorf("is longer than %d bytes", maxText)
	errCutOff    = errors.New("is cut off: the file ends inside it")
	errNotClosed = errors.New("the JSON array is not closed: the file is cut off")
	errTrailing  = errors.New("something follows the JSON array")
	errUTF16     = errors.New("is UTF-16, orders are UTF-8; in PowerShell write files with -Encoding utf8")
)

// Reader reads orders from one input: one a line (NDJSON) or a JSON array,
// whichever its first character tells. Its memory does not grow with the input.
type Reader struct {
	name    string
	in      *bufio.Reader
	dec     *order.Decoder
	rejects io.Writer
	n       int64
	next    func(*Reader, *Entry) error // how this input is read; nil before it was looked at

	element  []byte
	overlong bool // of the element: what came of it went to rejects
	commas   int64
}

// NewReader reads in, which is called name in errors. The raw text of what is
// not an order goes to rejects, one a line.
func NewReader(name string, in io.Reader, dec *order.Decoder, rejects io.Writer) *Reader {
	// Room for the longest line with its end and nothing more, so that a line
	// that does not fit is one that is too long.
	return &Reader{name: name, in: bufio.NewReaderSize(in, maxText+len("\r\n")), dec: dec, rejects: rejects}
}

// Next reads one order.
func (r *Reader) Next(e *Entry) error {
	if r.next == nil {
		if err := r.look(); err != nil {
			return r.broken(err)
		}
	}
	return r.next(r, e)
}

// look finds out what the input is, consuming nothing but a byte order mark
// and the bracket of an array.
func (r *Reader) look() error {
	if b, _ := r.in.Peek(2); bytes.Equal(b, []byte{0xff, 0xfe}) || bytes.Equal(b, []byte{0xfe, 0xff}) {
		return errUTF16
	}
	if b, _ := r.in.Peek(3); string(b) == "\ufeff" {
		_, _ = r.in.Discard(3)
	}
	r.next = (*Reader).nextLine
	for n := 1; n <= r.in.Size(); n++ {
		b, err := r.in.Peek(n)
		if len(b) < n {
			if errors.Is(err, io.EOF) {
				return nil // nothing but space
			}
			return err
		}
		switch b[n-1] {
		case ' ', '\t', '\r', '\n':
			continue
		case '[':
			_, _ = r.in.Discard(n)
			r.next = (*Reader).nextElement
		}
		return nil
	}
	return nil
}

func (r *Reader) nextLine(e *Entry) error {
	for {
		line, err := r.in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return r.longLine(line)
		case err != nil && !errors.Is(err, io.EOF):
			return r.broken(err)
		case err != nil && len(line) == 0:
			return io.EOF
		}
		r.n++
		text := bytes.TrimSuffix(line, []byte("\n"))
		if len(text) > maxText+1 || len(text) == maxText+1 && text[maxText] != '\r' {
			return r.reject(text, errOverlong)
		}
		if len(trimSpace(text)) > 0 {
			return r.take(e, text)
		}
	}
}

// longLine moves a line that is too long to the rejects piece by piece.
func (r *Reader) longLine(piece []byte) error {
	r.n++
	for {
		if _, err := r.rejects.Write(piece); err != nil {
			return fmt.Errorf("write rejects: %w", err)
		}
		var err error
		piece, err = r.in.ReadSlice('\n')
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return r.reject(bytes.TrimSuffix(piece, []byte("\n")), errOverlong)
		case !errors.Is(err, bufio.ErrBufferFull):
			return r.broken(err)
		}
	}
}

func (r *Reader) take(e *Entry, text []byte) error {
	o, headers, err := decode(r.dec, text)
	if err != nil && r.n == 1 && string(trimSpace(text)) == "{" {
		err = fmt.Errorf("%w (an order stands on one line: \"jq -c .\" makes it so)", err)
	}
	if err != nil {
		return r.reject(text, err)
	}
	e.Order, e.Headers, e.At = o, headers, r.at()
	return nil
}

// reject writes text, the last piece of what is no order, to the rejects.
func (r *Reader) reject(text []byte, why error) error {
	if _, err := r.rejects.Write(text); err != nil {
		return fmt.Errorf("write rejects: %w", err)
	}
	if _, err := r.rejects.Write([]byte("\n")); err != nil {
		return fmt.Errorf("write rejects: %w", err)
	}
	return &Rejected{At: r.at(), Err: why}
}

func (r *Reader) at() At { return At{File: r.name, N: r.n, Element: r.element != nil} }

func (r *Reader) broken(err error) error { return fmt.Errorf("read %s: %w", r.name, err) }

func trimSpace(text []byte) []byte { return bytes.Trim(text, " \t\r\n") }

// nextElement reads up to the comma or the bracket behind an element of the
// array. It looks at strings and brackets only, so that an element that is not
// JSON spoils no other, unless its brackets or quotes are what is wrong.
func (r *Reader) nextElement(e *Entry) error {
	if r.element == nil {
		r.element = make([]byte, 0, 4<<10)
	}
	r.element, r.overlong = r.element[:0], false
	var s scan
	for {
		if _, err := r.in.Peek(1); err != nil {
			return r.cutOff(err)
		}
		chunk, _ := r.in.Peek(r.in.Buffered())
		used, end := s.find(chunk)
		if err := r.collect(chunk[:used]); err != nil {
			return err
		}
		_, _ = r.in.Discard(used)
		if end == 0 {
			continue
		}
		_, _ = r.in.Discard(1)
		if end == ']' {
			r.next = (*Reader).afterArray
		}
		if end == ']' && r.commas == 0 && len(trimSpace(r.element)) == 0 && !r.overlong {
			return r.next(r, e) // []
		}
		r.commas++
		r.n++
		return r.takeElement(e)
	}
}

func (r *Reader) takeElement(e *Entry) error {
	text := trimSpace(r.element)
	if r.overlong {
		return r.reject(oneLine(text), errOverlong)
	}
	o, headers, err := decode(r.dec, text)
	if err != nil {
		return r.reject(oneLine(text), err)
	}
	e.Order, e.Headers, e.At = o, headers, r.at()
	return nil
}

// collect keeps a piece of an element, or moves one that has become too long
// to the rejects.
func (r *Reader) collect(piece []byte) error {
	if len(r.element) == 0 && !r.overlong {
		piece = bytes.TrimLeft(piece, " \t\r\n")
	}
	if len(r.element)+len(piece) > maxText {
		r.overlong = true
	}
	if !r.overlong {
		r.element = append(r.element, piece...)
		return nil
	}
	for _, part := range [][]byte{r.element, piece} {
		if _, err := r.rejects.Write(oneLine(part)); err != nil {
			return fmt.Errorf("write rejects: %w", err)
		}
	}
	r.element = r.element[:0]
	return nil
}

// oneLine makes breaks spaces, in place. Outside of strings they mean the
// same, and in a string they are not JSON anyway.
func oneLine(text []byte) []byte {
	for i, c := range text {
		if c == '\n' || c == '\r' {
			text[i] = ' '
		}
	}
	return text
}

func (r *Reader) cutOff(err error) error {
	if !errors.Is(err, io.EOF) {
		return r.broken(err)
	}
	r.next = (*Reader).notClosed
	if text := trimSpace(r.element); len(text) > 0 || r.overlong {
		r.n++
		return r.reject(oneLine(text), errCutOff)
	}
	return r.broken(errNotClosed)
}

func (r *Reader) notClosed(*Entry) error { return r.broken(errNotClosed) }

func (r *Reader) afterArray(*Entry) error {
	for {
		c, err := r.in.ReadByte()
		switch {
		case err != nil && errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return r.broken(err)
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			return r.broken(errTrailing)
		}
	}
}

// scan is where in an element we are.
type scan struct {
	depth   int
	quoted  bool
	escaped bool
}

// find says how many bytes of chunk belong to the element and what ends it:
// ',' or ']', or 0 where the chunk ends before it.
func (s *scan) find(chunk []byte) (used int, end byte) {
	for i, c := range chunk {
		switch {
		case s.escaped:
			s.escaped = false
		case s.quoted:
			s.quoted, s.escaped = c != '"', c == '\\'
		case c == '"':
			s.quoted = true
		case c == '{' || c == '[':
			s.depth++
		case s.depth == 0 && (c == ',' || c == ']'):
			return i, c
		case (c == '}' || c == ']') && s.depth > 0:
			s.depth--
		}
	}
	return len(chunk), 0
}
