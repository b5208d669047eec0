package commands

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/order"
)

func TestFaultsArePointedAt(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"at the value of a member", `{"id":"ord-1","user_id":"u1","total":"149.99","status":"paid","timestamp":"2026-11-22T02:41:00Z"}`, `
{
  "id": "ord-1",
  "user_id": "u1",
  "total": "149.99",
           ^^^^^^^^ is a string, wants a number
  "status": "paid",
  "timestamp": "2026-11-22T02:41:00Z"
}`},
		{"at each of several, and at none for what is missing", `{"id":7,"TOTAL":1,"user_id":"u1","total":-1,"status":"paid"}`, `
{
  "id": 7,
        ^ is a number, wants a string
  "TOTAL": 1,
           ^ is an unknown field, the name is total
  "user_id": "u1",
  "total": -1,
           ^^ is negative, wants 0 or more
  "status": "paid"
}
! /timestamp: is missing`},
		{"at a member where it comes again", `{"id":"a","id":"b","user_id":"u1","total":1,"status":"paid","timestamp":"2026-11-22T02:41:00Z"}`, `
{
  "id": "a",
  "id": "b",
        ^^^ is given twice
  "user_id": "u1",
  "total": 1,
  "status": "paid",
  "timestamp": "2026-11-22T02:41:00Z"
}`},
		{"at the one of two that it is true of", `{"id":"a","user_id":"u1","total":"1","total":3,"status":"paid","timestamp":"2026-11-22T02:41:00Z"}`, `
{
  "id": "a",
  "user_id": "u1",
  "total": "1",
           ^^^ is a string, wants a number
  "total": 3,
           ^ is given twice
  "status": "paid",
  "timestamp": "2026-11-22T02:41:00Z"
}`},
		{"at every member that is not known", `{"id":"a","x":1,"user_id":"u1","x":2,"total":1,"status":"paid","timestamp":"2026-11-22T02:41:00Z"}`, `
{
  "id": "a",
  "x": 1,
       ^ is an unknown field
  "user_id": "u1",
  "x": 2,
       ^ is an unknown field
  "total": 1,
  "status": "paid",
  "timestamp": "2026-11-22T02:41:00Z"
}`},
		{"at nothing inside another member", `{"id":{"total":"x"},"user_id":["total"],"total":1,"status":"paid","timestamp":"2026-11-22T02:41:00Z"}`, `
{
  "id": {
        ^ is an object, wants a string
    "total": "x"
  },
  "user_id": [
             ^ is an array, wants a string
    "total"
  ],
  "total": 1,
  "status": "paid",
  "timestamp": "2026-11-22T02:41:00Z"
}`},
		{"at the byte where it is no JSON any more", "{\"id\":\"ord-1\",\n\"total\":01}", `
{"id":"ord-1",
"total":01}
         ^ is not JSON: byte 24 is '1', wants a comma or '}'`},
		{"at the end of what broke off", `{"id":`, `
{"id":
      ^ is not JSON: it ends at byte 6, wants a value`},
		{"at nothing where it is no order at all", `["x"]`, `
[
  "x"
]
! the order is an array, wants an object`},
		{"what would move the cursor is escaped", "{\"id\":\"a\u009b\",\"user_id\":\"u\",\"total\":1,\"status\":\"paid\",\"timestamp\":\"2026-11-22T02:41:00Z\"}", `
{
  "id": "a\u009b",
        ^^^^^^^^^ has a control character, U+009B
  "user_id": "u",
  "total": 1,
  "status": "paid",
  "timestamp": "2026-11-22T02:41:00Z"
}`},
		{"bytes are shown in hex", "\x00\x01magic", `
00000000  00 01 6d 61 67 69 63                              |..magic|
! the order is not JSON: byte 0 is 0x00, wants a value`},
		{"so is text that is not UTF-8", "{\"\xff\"", `
00000000  7b 22 ff 22                                       |{"."|
! the order is not JSON: it ends at byte 4, wants a colon`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := order.NewDecoder(order.Rules{}).Decode([]byte(test.value))
			faults, _ := err.(order.Faults)
			got := "\n" + strings.Join(pointedValue([]byte(test.value), faults), "\n")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLongValuesAreCut(t *testing.T) {
	dumped := pointedValue([]byte("\x00"+strings.Repeat("x", 5000)), nil)
	if last := dumped[len(dumped)-1]; len(dumped) != 65 || last != "... 3,977 bytes more" {
		t.Errorf("%d lines, the last %q", len(dumped), last)
	}
	far := strings.Repeat("a", 100_000) + "!" + strings.Repeat("b", 100_000)
	lines := pointedValue([]byte(far), order.Faults{{Detail: "is not JSON: byte 100000 is '!'"}})
	if len(lines) != 2 || len(lines[0]) > 200 {
		t.Fatalf("%d lines, %d long", len(lines), len(lines[0]))
	}
	if at := strings.Index(lines[1], "^"); lines[0][at] != '!' {
		t.Errorf("\n%s\n%s", lines[0], lines[1])
	}
	wide := pointedValue([]byte(`{"total":"`+strings.Repeat("x", 1000)+`"}`), order.Faults{{Pointer: "/total", Detail: "is long"}})
	if len(wide[1]) > maxValueWidth || strings.Count(wide[2], "^") > maxValueWidth {
		t.Errorf("%q", wide)
	}
}
