package send

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/order"
)

// line is a valid order with the given id.
func line(id string) string {
	return fmt.Sprintf(`{"id":%q,"user_id":"u1","total":149.99,"status":"pending","timestamp":"2025-10-06T17:00:00Z"}`, id)
}

// tailedLine is what tail prints of a record with that value.
func tailedLine(key, value string) string {
	return fmt.Sprintf(`{"topic":"orders","partition":1,"offset":884,"timestamp":"2026-11-22T14:05:31.204Z","key":%q,"headers":[{"key":"event-id","value":"e-1"}],"value":%s}`, key, value)
}

// readAll tells what a source gives, one text each, and how it ends.
func readAll(src Source) (got []string, end string) {
	for {
		var e Entry
		err := src.Next(&e)
		var bad *Rejected
		switch {
		case err == nil:
			text := e.At.String() + " " + e.Order.ID
			for _, h := range e.Headers {
				text += " " + h.Key + "=" + string(h.Value)
			}
			got = append(got, text)
		case errors.As(err, &bad):
			got = append(got, "! "+err.Error())
		case errors.Is(err, io.EOF):
			return got, ""
		default:
			return got, err.Error()
		}
	}
}

func TestReader(t *testing.T) {
	notJSON := decodeError(t, " rubbish \r")
	long := strings.Repeat("x", maxText+1)
	for _, test := range []struct {
		name    string
		in      string
		want    []string
		end     string
		rejects string
	}{
		{name: "nothing"},
		{name: "nothing but space", in: " \r\n\t\n"},
		{name: "one a line", in: line("a") + "\n" + line("b") + "\n", want: []string{"f:1 a", "f:2 b"}},
		{name: "no newline at the end", in: line("a") + "\n" + line("b"), want: []string{"f:1 a", "f:2 b"}},
		{name: "CRLF", in: line("a") + "\r\n" + line("b") + "\r\n", want: []string{"f:1 a", "f:2 b"}},
		{name: "blank lines are counted", in: "\n" + line("a") + "\n \t\r\n" + line("b") + "\n\n", want: []string{"f:2 a", "f:4 b"}},
		{name: "byte order mark", in: "\ufeff" + line("a") + "\n", want: []string{"f:1 a"}},
		{name: "UTF-16 is named", in: "\xff\xfe{\x00", end: "read f: " + errUTF16.Error()},
		{
			name: "a bad line goes to the rejects byte for byte", in: line("a") + "\n rubbish \r\n" + line("b"),
			want: []string{"f:1 a", "! f:2: " + notJSON, "f:3 b"}, rejects: " rubbish \r\n",
		},
		{
			name: "an order over lines is told how to be sent", in: "{\n\"id\": \"a\"\n",
			want:    []string{"! f:1: " + decodeError(t, "{") + ` (an order stands on one line: "jq -c ." makes it so)`, "! f:2: " + decodeError(t, `"id": "a"`)},
			rejects: "{\n\"id\": \"a\"\n",
		},
		{
			name: "a line that is too long is skipped", in: line("a") + "\n" + long + "\n" + line("b") + "\n",
			want: []string{"f:1 a", "! f:2: " + errOverlong.Error(), "f:3 b"}, rejects: long + "\n",
		},
		{
			name: "a line many times too long is skipped", in: strings.Repeat(long, 3) + "\n" + line("b") + "\n",
			want: []string{"! f:1: " + errOverlong.Error(), "f:2 b"}, rejects: strings.Repeat(long, 3) + "\n",
		},
		{
			name: "a long line at the end", in: line("a") + "\n" + long,
			want: []string{"f:1 a", "! f:2: " + errOverlong.Error()}, rejects: long + "\n",
		},
		{name: "space up to the limit is no fault", in: line("a") + strings.Repeat(" ", maxText-len(line("a"))) + "\r\n", want: []string{"f:1 a"}},

		{name: "array", in: "[" + line("a") + "," + line("b") + "]", want: []string{"f: element 1 a", "f: element 2 b"}},
		{name: "array over lines", in: " \n[\r\n  " + line("a") + "\n,\n" + line("b") + "\n]\n", want: []string{"f: element 1 a", "f: element 2 b"}},
		{name: "empty array", in: " [ ] "},
		{name: "brackets and quotes inside of strings", in: "[" + line(`a],[{"`) + "," + line("b") + "]", want: []string{`f: element 1 a],[{"`, "f: element 2 b"}},
		{
			name: "a bad element goes to the rejects on one line", in: "[" + line("a") + ",\n{\n\"rubbish\"\n},\n" + line("b") + "]",
			want: []string{"f: element 1 a", "! f: element 2: " + decodeError(t, `{ "rubbish" }`), "f: element 3 b"}, rejects: "{ \"rubbish\" }\n",
		},
		{
			name: "a comma too many", in: "[" + line("a") + ",]",
			want: []string{"f: element 1 a", "! f: element 2: " + decodeError(t, "")}, rejects: "\n",
		},
		{
			name: "an element that is too long", in: `["` + long + `",` + line("b") + "]",
			want: []string{"! f: element 1: " + errOverlong.Error(), "f: element 2 b"}, rejects: `"` + long + "\"\n",
		},
		{
			name: "array cut off between elements", in: "[" + line("a") + ",",
			want: []string{"f: element 1 a"}, end: "read f: " + errNotClosed.Error(),
		},
		{
			name: "array cut off inside an element", in: "[" + line("a") + `,{"id":"b`,
			want: []string{"f: element 1 a", "! f: element 2: " + errCutOff.Error()}, end: "read f: " + errNotClosed.Error(), rejects: `{"id":"b` + "\n",
		},
		{name: "something behind the array", in: "[" + line("a") + "]\n" + line("b"), want: []string{"f: element 1 a"}, end: "read f: " + errTrailing.Error()},

		{name: "a record that tail printed", in: tailedLine("a", line("a")) + "\n" + line("b"), want: []string{"f:1 a event-id=e-1", "f:2 b"}},
		{name: "a record in an array", in: "[" + tailedLine("a", line("a")) + "]", want: []string{"f: element 1 a event-id=e-1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var rejects bytes.Buffer
			got, end := readAll(NewReader("f", strings.NewReader(test.in), order.NewDecoder(order.Rules{}), &rejects))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			if end != test.end {
				t.Errorf("ended with %q, want %q", end, test.end)
			}
			if rejects.String() != test.rejects {
				t.Errorf("rejects: got %d bytes %.80q, want %d bytes %.80q", rejects.Len(), rejects.String(), len(test.rejects), test.rejects)
			}
		})
	}
}

func decodeError(t *testing.T, text string) string {
	t.Helper()
	_, err := order.NewDecoder(order.Rules{}).Decode([]byte(text))
	if err == nil {
		t.Fatalf("%q is an order", text)
	}
	return err.Error()
}

func TestTailedLines(t *testing.T) {
	value := line("a")
	quoted := fmt.Sprintf("%q", value)
	for _, test := range []struct {
		name string
		in   string
		want string // the headers, or the error
	}{
		{"value embedded", `{"partition":0,"value":` + value + `}`, ""},
		{"value as a text", `{"partition":0,"value":` + quoted + `}`, ""},
		{"value in base64", `{"partition":0,"value_base64":"` + base64.StdEncoding.EncodeToString([]byte(value)) + `"}`, ""},
		{"no value", `{"partition":0,"value":null}`, "null value (tombstone)"},
		{"value that is not an order", `{"partition":0,"value":"rubbish"}`, decodeError(t, "rubbish")},
		{"key of the order", `{"partition":0,"key":"a","value":` + value + `}`, ""},
		{"key of another order", `{"partition":0,"key":"b","value":` + value + `}`, errKeyMismatch.Error()},
		{"no key", `{"partition":0,"key":null,"value":` + value + `}`, errKeyMismatch.Error()},
		{"all kinds of headers", `{"partition":0,"value":` + value + `,"headers":[{"key":"x","value":""},{"key":"x","value":null},{"key":"y","value_base64":"/w=="}]}`, "x=;x=nil;y=\xff"},
		{"headers that are none", `{"partition":0,"value":` + value + `,"headers":{"a":"b"}}`, errHeaders.Error()},
		{"event id too long", `{"partition":0,"value":` + value + `,"headers":[{"key":"event-id","value":"` + strings.Repeat("e", 129) + `"}]}`, errEventID.Error()},
		{"base64 that is none", `{"partition":0,"value_base64":"%%"}`, errBase64.Error()},
		{"a key twice", `{"partition":0,"value":` + value + `,"value":` + value + `}`, errBrokenLine.Error()},
		{"an order that only mentions the keys", line(`"partition" "value"`), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, headers, err := decode(order.NewDecoder(order.Rules{}), []byte(test.in))
			var texts []string
			for _, h := range headers {
				v := string(h.Value)
				if h.Value == nil {
					v = "nil"
				}
				texts = append(texts, h.Key+"="+v)
			}
			got := strings.Join(texts, ";")
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzReader: every input ends, what was read is valid, and every line of an
// NDJSON input is an order, blank, or stands in the rejects.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"", line("a"), line("a") + "\r\n\n" + line("b"), "[" + line("a") + "," + line("b") + "]",
		`[{"id":"\"]"}, 1,, "x\\", [[]]`, tailedLine("a", line("a")), "\ufeff[", "]\n}", `{"partition":1,"value":"`,
	} {
		f.Add([]byte(seed))
	}
	dec := order.NewDecoder(order.Rules{})
	f.Fuzz(func(t *testing.T, in []byte) {
		var rejects bytes.Buffer
		r := NewReader("f", bytes.NewReader(in), dec, &rejects)
		var orders, bad int64
		for {
			var e Entry
			err := r.Next(&e)
			var no *Rejected
			if errors.As(err, &no) {
				bad++
				continue
			}
			if err != nil {
				break
			}
			orders++
			if err := e.Order.Validate(order.Rules{}); err != nil {
				t.Fatalf("%s passed: %s", e.At, err)
			}
		}
		if got := int64(bytes.Count(rejects.Bytes(), []byte("\n"))); got != bad {
			t.Fatalf("%d rejected, %d lines in the rejects", bad, got)
		}
		if r.element != nil || r.next == nil {
			return
		}
		var lines int64
		for _, l := range bytes.Split(bytes.TrimPrefix(in, []byte("\ufeff")), []byte("\n")) {
			if len(trimSpace(l)) > 0 {
				lines++
			}
		}
		if orders+bad != lines {
			t.Fatalf("%d orders and %d rejected of %d lines", orders, bad, lines)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	var in bytes.Buffer
	gen := order.NewGenerator(order.GeneratorOptions{Seed: 1})
	const n = 10_000
	for range n {
		o := gen.Next()
		in.Write(append(order.Append(nil, &o), '\n'))
	}
	for _, test := range []struct {
		name string
		data []byte
	}{
		{"ndjson", in.Bytes()},
		{"array", []byte("[" + strings.ReplaceAll(strings.TrimSpace(in.String()), "\n", ",\n") + "]")},
	} {
		b.Run(test.name, func(b *testing.B) {
			dec := order.NewDecoder(order.Rules{})
			b.SetBytes(int64(len(test.data)))
			b.ReportAllocs()
			for b.Loop() {
				r := NewReader("f", bytes.NewReader(test.data), dec, io.Discard)
				var e Entry
				var err error
				for err == nil {
					err = r.Next(&e)
				}
				if r.n != n {
					b.Fatalf("read %d orders", r.n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/order")
		})
	}
}
