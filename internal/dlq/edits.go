package dlq

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// maxLine bounds a line: Kafka's largest record by default is 1 MiB, of which
// base64 makes a third more.
const maxLine = 64 << 20

// Edits are the lines of an export that was edited. The file stays where it is:
// of each line its place is kept, some 50 bytes.
type Edits struct {
	file  io.ReaderAt
	lines map[Place]*editLine
	// Bad are the lines that name no letter, each told with its number.
	Bad []error
}

type editLine struct {
	number int
	at     int64
	length int
	used   bool
}

// editFile is what Edits reads: a file.
type editFile interface {
	io.Reader
	io.ReaderAt
}

// ReadEdits looks through the file once. topic is the dead letter topic that the
// lines have to be of.
func ReadEdits(f editFile, topic string) (*Edits, error) {
	e := &Edits{file: f, lines: map[Place]*editLine{}}
	r := bufio.NewReaderSize(f, 1<<16)
	var at int64
	for number := 1; ; number++ {
		line, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read line %d: %w", number, err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			e.add(line, topic, &editLine{number: number, at: at, length: len(line)})
		}
		at += int64(len(line))
		if err != nil {
			return e, nil
		}
	}
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("it is longer than %d bytes", maxLine)
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}

func (e *Edits) add(line []byte, topic string, l *editLine) {
	var head struct {
		Letter string `json:"letter"`
	}
	err := json.Unmarshal(line, &head)
	var p Place
	switch {
	case err != nil:
		err = fmt.Errorf("it is not JSON of one line: %w", err)
	case head.Letter == "":
		err = errors.New(`it has no "letter": it is not a line of "ordersctl dlq export"`)
	default:
		p, err = ParsePlace(head.Letter, topic)
	}
	if other := e.lines[p]; err == nil && other != nil {
		err = fmt.Errorf("it is of letter %s, as is line %d", p, other.number)
	}
	if err != nil {
		e.Bad = append(e.Bad, fmt.Errorf("line %d: %w", l.number, err))
		return
	}
	e.lines[p] = l
}

// Len is how many lines name a letter.
func (e *Edits) Len() int { return len(e.lines) }

// Has tells whether there is a line of that letter.
func (e *Edits) Has(p Place) bool { return e.lines[p] != nil }

// unused names the lines whose letter was not found.
func (e *Edits) unused() []error {
	var errs []error
	for p, l := range e.lines {
		if !l.used {
			errs = append(errs, fmt.Errorf("line %d: there is no letter %s, or it is a second copy of one", l.number, p))
		}
	}
	return errs
}

// order reads the line of l. same tells that it says what the letter's record
// says already.
func (e *Edits) order(l *Letter, dec *order.Decoder) (o order.Order, same bool, err error) {
	at := e.lines[l.Place]
	text := make([]byte, at.length)
	if _, err := e.file.ReadAt(text, at.at); err != nil {
		return o, false, fmt.Errorf("line %d: %w", at.number, err)
	}
	o, same, err = readEdit(text, l, dec)
	if err != nil {
		err = fmt.Errorf("line %d: %w", at.number, err)
	}
	return o, same, err
}

// lineError is of a line that may well be an order and can't be replayed. why is
// the same for the same cause.
type lineError struct {
	why string
	err error
}

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

// foreign is of a line with a member that is not the letter's.
func foreign(memberIs, format string, args ...any) error {
	return &lineError{"the edited line's " + memberIs + " not the letter's", fmt.Errorf(format, args...)}
}

// whyNot is the cause for which a line is not replayed.
func whyNot(err error) string {
	var e *lineError
	if errors.As(err, &e) {
		return e.why
	}
	return "the edited line is no order"
}

func readEdit(text []byte, l *Letter, dec *order.Decoder) (o order.Order, same bool, err error) {
	line := Exported{Key: jsonText(l.Key), Headers: exportHeaders(l.Headers), Origin: l.Origin.String(), OriginTopicID: l.Origin.TopicID}
	if err := json.Unmarshal(text, &line); err != nil {
		return o, false, err
	}
	const elsewhere = "letter %s is of %s, topic id %s, now: the file is of another topic of that name, or its %s was edited"
	switch {
	case line.Origin != l.Origin.String():
		return o, false, foreign("origin is", elsewhere, l.Place, l.Origin, l.Origin.TopicID, "origin")
	case line.OriginTopicID != l.Origin.TopicID:
		return o, false, foreign("origin_topic_id is", elsewhere, l.Place, l.Origin, l.Origin.TopicID, "origin_topic_id")
	case !reflect.DeepEqual(line.Headers, exportHeaders(l.Headers)):
		return o, false, foreign("headers are", "its headers were edited; only key and value can be")
	}
	value, err := line.value()
	if err != nil {
		return o, false, err
	}
	if o, err = dec.Decode(value); err != nil {
		return o, false, err
	}
	key, err := line.key()
	if err != nil {
		return o, false, err
	}
	if key != o.ID {
		err = fmt.Errorf("%w: the key is %q, the id %q; make them one", client.ErrKeyMismatch, key, o.ID)
		return o, false, &lineError{"the edited line's key is not the order's id", err}
	}
	was, err := dec.Decode(l.Value)
	same = err == nil && was == o && string(l.Key) == key
	return o, same, nil
}

func (e *Exported) value() ([]byte, error) {
	given := 0
	var value []byte
	if e.Value != nil {
		given, value = given+1, e.Value
	}
	if e.ValueText != nil {
		given, value = given+1, []byte(*e.ValueText)
	}
	if e.ValueBase64 != nil {
		given, value = given+1, e.ValueBase64
	}
	switch {
	case given != 1:
		return nil, errors.New(`it wants one of "value", "value_text" and "value_base64"`)
	case e.Value != nil && string(e.Value) == "null":
		return nil, client.ErrTombstone
	}
	return value, nil
}

func (e *Exported) key() (string, error) {
	if e.KeyBase64 != nil {
		return string(e.KeyBase64), nil
	}
	var key *string
	if err := json.Unmarshal(e.Key, &key); err != nil {
		return "", errors.New("its key is not text")
	}
	if key == nil {
		return "", nil
	}
	return *key, nil
}

// needsNewID tells that the letter's event can't be taken under its own id,
// whatever its content: the line makes it an event of its own.
func needsNewID(l *Letter) bool {
	_, err := l.EventID()
	return err != nil || l.Class == sink.RefusedEventConflict
}
