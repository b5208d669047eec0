package order_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/order"
)

// FuzzDecode holds the decoder against the reference, its two ways against each other, and what
// it accepts against its own canonical form.
func FuzzDecode(f *testing.F) {
	for _, r := range corpus(f) {
		f.Add(r.data())
	}
	for _, s := range hostile() {
		f.Add([]byte(s))
	}
	open := order.NewDecoder(order.Rules{})
	statuses := []string{"pending", "paid"}
	closed := order.NewDecoder(order.Rules{Statuses: statuses})
	f.Fuzz(func(t *testing.T, data []byte) {
		given := bytes.Clone(data)
		checkDecoder(t, open, data, nil)
		checkDecoder(t, closed, data, statuses)
		if !bytes.Equal(given, data) {
			t.Fatal("Decode changed its input")
		}
		if id := open.ID(data); len([]rune(id)) > 128 || strings.ContainsFunc(id, isControl) {
			t.Fatalf("ID is %q", id)
		}
	})
}

func checkDecoder(t *testing.T, d *order.Decoder, data []byte, statuses []string) {
	got, err := d.Decode(data)
	want, refErr := reference(data, statuses)
	if (err == nil) != (refErr == nil) {
		t.Fatalf("%q: the decoder says %v, the reference %v", data, err, refErr)
	}
	explained, explainErr := d.Explain(data)
	if diff := cmp.Diff(faultsOf(t, explainErr), faultsOf(t, err)); diff != "" {
		t.Fatalf("%q: explain and Decode differ:\n%s", data, diff)
	}
	taken, ok := d.Take(data)
	if ok && err != nil {
		t.Fatalf("%q: taken, although %v", data, err)
	}
	if err != nil {
		checkFaults(t, err)
		if got != (order.Order{}) {
			t.Fatalf("%q: refused, and yet %v", data, got)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q: (-reference +got):\n%s", data, diff)
	}
	if explained != got || ok && taken != got {
		t.Fatalf("%q: taken %v, explained %v", data, taken, explained)
	}
	if v2, err := decodeV2(data, statuses); err != nil || v2 != got {
		t.Fatalf("%q: json v2 alone says %v, %v", data, v2, err)
	}
	checkCanonical(t, d, got)
}

// checkCanonical: the form is read back as the same order, always by the fast way unless a text
// needs an escape, and written again it is the same bytes.
func checkCanonical(t *testing.T, d *order.Decoder, o order.Order) {
	form := order.Append(nil, &o)
	if want := referenceForm(t, o); string(form) != want {
		t.Fatalf("canonical form is %s, want %s", form, want)
	}
	again, err := d.Decode(form)
	if err != nil || again != o {
		t.Fatalf("%s is read back as %v, %v", form, again, err)
	}
	if _, ok := d.Take(form); !ok && !bytes.Contains(form, []byte(`\`)) {
		t.Fatalf("%s is not taken", form)
	}
	if twice := order.Append(nil, &again); !bytes.Equal(form, twice) {
		t.Fatalf("%s becomes %s", form, twice)
	}
	if err := o.Validate(order.Rules{}); err != nil {
		t.Fatalf("%s is decoded, but not valid: %v", form, err)
	}
}

func referenceForm(t *testing.T, o order.Order) string {
	quote := func(s string) string {
		b, err := jsontext.AppendQuote(nil, s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	total := fmt.Sprintf("%d.%04d", o.Total/10_000, o.Total%10_000)
	total = strings.TrimRight(strings.TrimRight(total, "0"), ".")
	if total == "" {
		total = "0"
	}
	at := o.Timestamp.Format("2006-01-02T15:04:05")
	if ns := o.Timestamp.Nanosecond(); ns != 0 {
		at += strings.TrimRight(fmt.Sprintf(".%09d", ns), "0")
	}
	return fmt.Sprintf(`{"id":%s,"user_id":%s,"total":%s,"status":%s,"timestamp":"%sZ"}`,
		quote(o.ID), quote(o.UserID), total, quote(o.Status), at)
}

// checkFaults: bounded, never empty, each one printable ASCII line, and JSON carries it unchanged.
func checkFaults(t *testing.T, err error) {
	var faults order.Faults
	if !errors.As(err, &faults) || len(faults) == 0 || len(faults) > 21 {
		t.Fatalf("%d faults", len(faults))
	}
	for _, f := range faults {
		text := f.String()
		if f.Detail == "" || len(text) > 600 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("fault %q is no printable line", text)
		}
	}
	data, err := json.Marshal(faults)
	if err != nil {
		t.Fatal(err)
	}
	var back order.Faults
	for i := range faults {
		faults[i].Cause = "" // of the Go value alone
	}
	if err := json.Unmarshal(data, &back); err != nil || !cmp.Equal(faults, back) {
		t.Fatalf("%s is read back as %v, %v", data, back, err)
	}
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// hostile are documents that are too long or too many for the corpus.
func hostile() []string {
	const clean = `{"id":"1","user_id":"2","total":3,"status":"paid","timestamp":"2024-10-01T12:34:56Z"}`
	docs := []string{
		strings.Repeat("[", 70_000),
		strings.Repeat(`{"a":`, 10_000),
		`{"x":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`,
		`{"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
		`{"` + strings.Repeat(`\u0069`, 5_000) + `":1}`,
		`{"id":"` + strings.Repeat("\xff", 5_000) + `"}`,
		`{"total":` + strings.Repeat("9", 5_000) + `}`,
		`{"total":1e` + strings.Repeat("9", 5_000) + `}`,
		`{` + strings.Repeat(`"id":1,`, 5_000) + `"id":1}`,
		strings.Repeat(" ", 5_000) + clean,
		clean + "\n" + clean,
		clean + ",",
		clean + "\x00",
		"\x1f\x8b\x08\x00" + clean,
	}
	for i := range len(clean) { // every way to break off, and every byte hit once
		docs = append(docs, clean[:i], clean[:i]+"\x00"+clean[i:], clean[:i]+"\\"+clean[i+1:], clean[:i]+"\x80"+clean[i+1:])
	}
	return docs
}

func TestHostileDocuments(t *testing.T) {
	d := order.NewDecoder(order.Rules{})
	for _, doc := range hostile() {
		checkDecoder(t, d, []byte(doc), nil)
	}
}

// FuzzParseTotal holds ParseTotal against math/big, and String against ParseTotal.
func FuzzParseTotal(f *testing.F) {
	for _, tt := range totals {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := order.ParseTotal(s)
		want, ok := referenceTotal(s)
		if (err == nil) != ok || got != want {
			t.Fatalf("%q is %d, %v; want %d, %v", s, got, err, want, ok)
		}
		if err != nil {
			checkFaults(t, err)
			return
		}
		text := got.String()
		if again, err := order.ParseTotal(text); err != nil || again != got {
			t.Fatalf("%q becomes %q, and that %d, %v", s, text, again, err)
		}
		// ParseTotal and the decoder are one.
		doc := `{"id":"1","user_id":"2","total":` + s + `,"status":"paid","timestamp":"2024-10-01T12:34:56Z"}`
		if o, err := order.NewDecoder(order.Rules{}).Decode([]byte(doc)); err != nil || o.Total != got {
			t.Fatalf("%q is %d, but %d (%v) in an order", s, got, o.Total, err)
		}
	})
}
