package tail

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func formatted(t *testing.T, f Format, records ...*kgo.Record) string {
	t.Helper()
	p, err := f.printer()
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, r := range records {
		out = p.append(out, &kgo.FetchPartition{}, viewOf(r))
	}
	return string(p.end(out))
}

func TestJSONFormat(t *testing.T) {
	r := good()
	r.Partition, r.Offset, r.Timestamp = 1, 884, at("2026-11-22T14:05:31.204Z")
	r.Headers = []kgo.RecordHeader{{Key: "event-id", Value: []byte("e-1")}, {Key: "x"}, {Key: "x", Value: []byte{0xff}}}
	const head = `{"topic":"orders","partition":1,"offset":884,"timestamp":"2026-11-22T14:05:31.204Z","key":"ord-1",` +
		`"headers":[{"key":"event-id","value":"e-1"},{"key":"x","value":null},{"key":"x","value_base64":"/w=="}],`
	for _, tt := range []struct {
		name  string
		value []byte
		want  string
	}{
		{"an order in canonical form is embedded", []byte(goodValue), `"value":` + goodValue + `}`},
		{"an order in another form is text, since its bytes count", []byte(strings.Replace(goodValue, "99.99", "99.990", 1)), `"value":"{\"id\":\"ord-1\",\"user_id\":\"u-7\",\"total\":99.990,\"status\":\"pending\",\"timestamp\":\"2024-10-01T12:34:56Z\"}"}`},
		{"JSON that is no order is text", []byte(`{"a":1}`), `"value":"{\"a\":1}"}`},
		{"control characters are escaped", []byte("\x1b[2J\x7f\u0085\n"), `"value":"\u001b[2J\u007f\u0085\u000a"}`},
		{"what is not UTF-8 is base64", []byte("\xff\x00"), `"value_base64":"/wA="}`},
		{"null is null", nil, `"value":null}`},
		{"empty is empty", []byte{}, `"value":""}`},
	} {
		r.Value = tt.value
		if diff := cmp.Diff(head+tt.want+"\n", formatted(t, Format{Layout: JSON}, r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func FuzzJSONFormat(f *testing.F) {
	f.Add("ord-1", []byte(goodValue), "event-id", []byte("x"))
	f.Add("", []byte("\xff"), "\xfe", []byte("\u0090\"\\"))
	f.Fuzz(func(t *testing.T, key string, value []byte, name string, header []byte) {
		r := &kgo.Record{Topic: "orders", Key: []byte(key), Value: value, Headers: []kgo.RecordHeader{{Key: name, Value: header}}}
		line := formatted(t, Format{Layout: JSON}, r)
		if !utf8.ValidString(line) || strings.Count(line, "\n") != 1 {
			t.Fatalf("not one line of UTF-8: %q", line)
		}
		type text struct {
			Key    *string         `json:"key"`
			Key64  *string         `json:"key_base64"`
			Val    json.RawMessage `json:"value"`
			Val64  *string         `json:"value_base64"`
			Header []text          `json:"headers"`
		}
		var got text
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		back := func(raw json.RawMessage, b64 *string) []byte {
			var s *string
			switch {
			case b64 != nil:
				b, err := base64.StdEncoding.DecodeString(*b64)
				if err != nil {
					t.Fatal(err)
				}
				return b
			case string(raw) == "null":
				return nil
			case json.Unmarshal(raw, &s) == nil:
				return []byte(*s)
			}
			return raw
		}
		quoted := func(s *string) json.RawMessage {
			b, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		want := [][]byte{r.Key, value, []byte(name), header}
		h := got.Header[0]
		have := [][]byte{back(quoted(got.Key), got.Key64), back(got.Val, got.Val64), back(quoted(h.Key), h.Key64), back(h.Val, h.Val64)}
		for i := range want {
			if !bytes.Equal(want[i], have[i]) {
				t.Errorf("%q came back as %q in %q", want[i], have[i], line)
			}
		}
	})
}

func TestTable(t *testing.T) {
	now := time.Now().UTC()
	day := now.Format(time.DateOnly)
	stamp := func(clock string) time.Time { return at(day + "T" + clock + "Z") }
	rec := func(offset int64, clock, key, value string, headers ...kgo.RecordHeader) *kgo.Record {
		return &kgo.Record{Topic: "orders", Partition: 1, Offset: offset, Timestamp: stamp(clock), Key: []byte(key), Value: []byte(value), Headers: headers}
	}
	tombstone := rec(177631, "14:05:33.120", "", "")
	tombstone.Key, tombstone.Value = nil, nil
	got := formatted(t, Format{Layout: Table, Width: 100},
		rec(177628, "14:05:31.204", "ord-9f31c07a", `{"id":"ord-9f31c07a","user_id":"u-4410","total":149.99,"status":"pending","timestamp":"2024-10-01T12:34:56Z"}`,
			kgo.RecordHeader{Key: "event-id", Value: []byte("0192f0c1-7a3b-7c4d-8e5f-aa4be19f02c7")}),
		rec(177629, "14:05:31.377", "ord-b2270e11", `{"id":"ord-b2270e11","user_id":"u-0093","total":1204.5,"status":"paid","timestamp":"2024-10-01T12:34:56Z"}`),
		rec(177630, "14:05:33.118", "ord-77ab0c12", `{"id":"ord-77ab0c12","user_id":"u","total":"1","status":"paid","timestamp":"2024-10-01T12:34:56Z"}`),
		tombstone,
		rec(177632, "14:05:34.000", "other", `{"id":"ord-1","user_id":"u","total":1,"status":"paid","timestamp":"2024-10-01T12:34:56Z"}`),
		rec(177633, "14:05:35.000", "k\x1b[2J", "\x1b[2J\rhello"),
	)
	want := `
TIME (UTC)    WHERE            ORDER-ID      USER        TOTAL  STATUS     EVENT
14:05:31.204  orders/1@177628  ord-9f31c07a  u-4410     149.99  pending    4be19f02c7
14:05:31.377  orders/1@177629  ord-b2270e11  u-0093     1204.5  paid       -
14:05:33.118  orders/1@177630  ord-77ab0c12  ! not an order: /total: is a string, wants a number
14:05:33.120  orders/1@177631  -             ! null value (tombstone)
14:05:34.000  orders/1@177632  ord-1         ! key is not the order's id: "other"  {"id":"ord-1",...
14:05:35.000  orders/1@177633  k\x1b[2J      ! not an order: the order is not JSON: byte 0 is 0x1b, wants a value
`[1:]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTableKeepsItsColumnsAndOneHeading(t *testing.T) {
	p := newTable(Format{})
	long := `{"id":"a-longer-order-id","user_id":"u","total":1,"status":"paid","timestamp":"2024-10-01T12:34:56Z"}`
	first := string(p.end(p.append(nil, nil, viewOf(&kgo.Record{Topic: "orders", Key: []byte("a-longer-order-id"), Value: []byte(long)}))))
	second := string(p.end(p.append(nil, nil, viewOf(good()))))
	if strings.Count(first+second, "TIME (UTC)") != 1 {
		t.Errorf("not one heading:\n%s%s", first, second)
	}
	lines := strings.Split(first+second, "\n")
	if strings.Index(lines[1], "paid") != strings.Index(lines[2], "pending") {
		t.Errorf("columns move:\n%s%s", first, second)
	}
	if p.end(nil) != nil {
		t.Error("an empty table prints something")
	}
}

func TestTableTimeHasTheDayWhereItIsNotToday(t *testing.T) {
	now := at("2026-11-22T14:00:00Z")
	for in, want := range map[string]string{
		"2026-11-22T00:00:00.5Z":    "00:00:00.500",
		"2026-11-21T23:59:59.999Z":  "2026-11-21 23:59:59.999",
		"2025-11-22T14:00:00Z":      "2025-11-22 14:00:00.000",
		"2026-11-23T00:30:00+01:00": "23:30:00.000",
	} {
		if got := tableTime(at(in), now); got != want {
			t.Errorf("%s is %s, wants %s", in, got, want)
		}
	}
}

func TestValueIsRawInAPipeAndSafeOnATerminal(t *testing.T) {
	r := &kgo.Record{Value: []byte("a\xff\x1b[2J\r\t\u0085é\u202e")}
	if got, want := formatted(t, Format{Layout: Value}, r), string(r.Value)+"\n"; got != want {
		t.Errorf("a pipe gets %q, wants %q", got, want)
	}
	if got, want := formatted(t, Format{Layout: Value, Terminal: true}, r), `a\xff\x1b[2J\r`+"\t"+`\u0085é\u202e`+"\n"; got != want {
		t.Errorf("a terminal gets %q, wants %q", got, want)
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[2J\u009b\xff\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		out := string(appendPrintable(nil, s, ""))
		if out != string(appendPrintable(nil, []byte(s), "")) {
			t.Error("text and bytes differ")
		}
		if !utf8.ValidString(out) {
			t.Errorf("%q is not UTF-8", out)
		}
		for _, r := range out {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				t.Errorf("%q has a control character", out)
			}
		}
	})
}

func TestBadLayouts(t *testing.T) {
	for _, tt := range []struct{ layout, want string }{
		{"yaml", "none of table, json, value"},
		{"", "none of table, json, value"},
		{"%s", "format \"%s\""},
		{"%v{nonsense}", "format"},
		{"%", "format"},
	} {
		if err := (Format{Layout: tt.layout}).Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("layout %q is %v, wants %q in it", tt.layout, err, tt.want)
		}
	}
}

// rawRecord is a record as a batch holds it.
func rawRecord(key, value []byte, headers ...kmsg.Header) []byte {
	r := kmsg.Record{Key: key, Value: value, Headers: headers}
	body := r.AppendTo(nil)[1:] // without its length, which is zero yet
	r.Length = int32(len(body))
	return r.AppendTo(nil)
}

func TestDropHeaders(t *testing.T) {
	h := func(n int) []kmsg.Header {
		hs := make([]kmsg.Header, n)
		for i := range hs {
			hs[i] = kmsg.Header{Key: "name", Value: []byte("value")}
		}
		return hs
	}
	var batch []byte
	for _, n := range []int{0, 1, 6, 63, 64, 200} {
		batch = append(batch, rawRecord([]byte("key"), []byte("value"), h(n)...)...)
	}
	batch = append(batch, rawRecord(nil, nil, h(2)...)...)
	dropHeaders(batch)
	for i := 0; len(batch) > 0; i++ {
		length, n := varint(batch)
		at, ok := headerCount(batch[n : n+length])
		if count, _ := varint(batch[n+at:]); !ok || count != 0 {
			t.Errorf("record %d has %d headers left", i, count)
		}
		batch = batch[n+length:]
	}
}

func varint(b []byte) (value, size int) {
	var u uint64
	for i, c := range b {
		u |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return int(u>>1) ^ -int(u&1), i + 1
		}
	}
	return 0, 0
}

func TestDropHeadersLeavesOldMessageSetsAlone(t *testing.T) {
	inner := kmsg.MessageV1{Magic: 1, Value: []byte(goodValue), Key: []byte("ord-1")}
	set := inner.AppendTo(nil)
	before := bytes.Clone(set)
	dropHeaders(set)
	if !bytes.Equal(before, set) {
		t.Error("a message set of magic 1 was changed")
	}
}

func FuzzDropHeaders(f *testing.F) {
	f.Add(rawRecord([]byte("k"), []byte("v"), kmsg.Header{Key: "a", Value: []byte("b")}))
	f.Add([]byte{2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		dropHeaders(b) // must not panic
		changed := 0
		for i := range b {
			if b[i] != before[i] {
				changed++
			}
		}
		if changed > len(b)/6 {
			t.Errorf("%d of %d bytes changed: more than one a record", changed, len(b))
		}
	})
}
