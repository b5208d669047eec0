package tail

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Format names how records are printed.
type Format struct {
	// Layout is table, json, value, or what kgo.NewRecordFormatter reads:
	// '%p %o %k %v\n'.
	Layout string
	// Terminal escapes what would move the cursor. A pipe gets raw bytes.
	Terminal bool
	// Width is how many columns a table's line may have, 0 for any number.
	Width int
	// Color marks what is no order.
	Color bool
}

// The formats with a name.
const (
	JSON  = "json"
	Table = "table"
	Value = "value"
)

// Validate refuses a layout that can't be meant.
func (f Format) Validate() error {
	_, err := f.printer()
	return err
}

// printer appends records to what is written out next. end is called before a
// write, for those that hold lines back.
type printer interface {
	append(dst []byte, p *kgo.FetchPartition, v *view) []byte
	end(dst []byte) []byte
}

func (f Format) printer() (printer, error) {
	switch f.Layout {
	case JSON:
		return &jsonFormat{}, nil
	case Table:
		return newTable(f), nil
	case Value:
		f.Layout = `%v\n`
	}
	if !strings.ContainsAny(f.Layout, `%\`) {
		return nil, fmt.Errorf(`format %q is none of table, json, value, and has no verb in it such as '%%k %%v\n'`, f.Layout)
	}
	rf, err := kgo.NewRecordFormatter(f.Layout)
	if err != nil {
		return nil, fmt.Errorf("format %q: %w", f.Layout, err)
	}
	if f.Terminal {
		return &safeFormat{layout: layoutFormat{rf}}, nil
	}
	return layoutFormat{rf}, nil
}

// layoutFormat is a format of percent verbs.
type layoutFormat struct{ formatter *kgo.RecordFormatter }

func (f layoutFormat) append(dst []byte, p *kgo.FetchPartition, v *view) []byte {
	return f.formatter.AppendPartitionRecord(dst, p, v.record)
}

func (layoutFormat) end(dst []byte) []byte { return dst }

// safeFormat escapes what another format let through.
type safeFormat struct {
	layout  layoutFormat
	scratch []byte
}

func (f *safeFormat) append(dst []byte, p *kgo.FetchPartition, v *view) []byte {
	f.scratch = f.layout.append(f.scratch[:0], p, v)
	return appendPrintable(dst, f.scratch, "\n\t")
}

func (*safeFormat) end(dst []byte) []byte { return dst }

// appendPrintable appends text that came from outside so that it can't move a
// terminal's cursor: what is neither printable nor in keep is escaped as Go
// escapes it.
func appendPrintable[T string | []byte](dst []byte, s T, keep string) []byte {
	for i := 0; i < len(s); {
		if c := s[i]; c >= ' ' && c < 0x7f {
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
		switch {
		case r == utf8.RuneError && size == 1:
			dst = fmt.Appendf(dst, `\x%02x`, s[i])
		case strconv.IsPrint(r), strings.ContainsRune(keep, r):
			dst = append(dst, s[i:i+size]...)
		default:
			quoted := strconv.QuoteRune(r)
			dst = append(dst, quoted[1:len(quoted)-1]...)
		}
		i += size
	}
	return dst
}
