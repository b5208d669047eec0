package order_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/quick"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/order"
)

func withStatus(s string) []byte {
	return fmt.Appendf(nil, `{"id":"123","user_id":"u456","total":99.99,"status":%q,"timestamp":"2024-10-01T12:34:56Z"}`, s)
}

func TestDecodeGivesTheOrder(t *testing.T) {
	got, err := order.NewDecoder(order.Rules{}).Decode(withStatus("pending"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(valid(), got); diff != "" {
		t.Error(diff)
	}
	if got.Timestamp.Location() != time.UTC {
		t.Errorf("timestamp is in %v", got.Timestamp.Location())
	}
}

func TestDecodeKnowsTheListedStatuses(t *testing.T) {
	many := make([]string, 15)
	for i := range many {
		many[i] = fmt.Sprintf("s%d", i)
	}
	tests := []struct {
		name     string
		statuses []string
		status   string
		want     []string
	}{
		{"listed", []string{"pending", "paid"}, "paid", nil},
		{"any, where there is no list", nil, "refund", nil},
		{"not listed", []string{"pending", "paid"}, "refund", []string{`/status: "refund" is not in statuses (pending, paid)`}},
		{"a prefix is not it", []string{"pending"}, "pend", []string{`/status: "pend" is not in statuses (pending)`}},
		{"not listed, whatever else is wrong with it", []string{"paid"}, "Paid", []string{`/status: "Paid" is not in statuses (paid)`}},
		{"empty", []string{"paid"}, "", []string{"/status: is empty"}},
		{"a long list is cut", many, "x", []string{`/status: "x" is not in statuses (s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, and 3 more)`}},
		{"a list does not allow what is not well-formed", []string{"Paid"}, "Paid", []string{`/status: "Paid" has other characters than a-z, 0-9, _ and -`}},
		{"a bad list stays one printable line", []string{"a\nb"}, "x", []string{`/status: "x" is not in statuses ("a\nb")`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := order.NewDecoder(order.Rules{Statuses: tt.statuses}).Decode(withStatus(tt.status))
			if diff := cmp.Diff(tt.want, faultsOf(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecoderKeepsNothingOfItsCaller(t *testing.T) {
	statuses := []string{"pending"}
	d := order.NewDecoder(order.Rules{Statuses: statuses})
	statuses[0] = "paid"
	data := withStatus("pending")
	got, err := d.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if diff := cmp.Diff(valid(), got); diff != "" {
		t.Error(diff)
	}
}

func TestDecoderIsSafeForConcurrentUse(t *testing.T) {
	d := order.NewDecoder(order.Rules{Statuses: []string{"pending"}})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if got, err := d.Decode(withStatus("pending")); err != nil || got != valid() {
					t.Errorf("%v, %v", got, err)
				}
				if _, err := d.Decode(withStatus("paid")); err == nil {
					t.Error("paid passes")
				}
			}
		})
	}
	wg.Wait()
}

func TestDecodeAllocatesOnceOnCleanInput(t *testing.T) {
	d := order.NewDecoder(order.Rules{})
	for _, tt := range []struct {
		name, doc string
		most      float64
	}{
		{"clean", typical, 1},
		{"beyond ASCII", strings.Replace(typical, "ord-", "größe-", 1), 1},
		{"with spaces", strings.ReplaceAll(typical, ",", " ,\n  "), 1},
		{"with an exponent", strings.Replace(typical, "1204.5", "12045e-1", 1), 2},
		{"with escapes, which need a place to be taken back in", strings.Replace(typical, "ord-", `\u00fc-\"`, 1), 2},
	} {
		data := []byte(tt.doc)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := d.Decode(data); err != nil {
				t.Fatal(err)
			}
		}); n > tt.most {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
	o, buf := valid(), make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { order.Append(buf, &o) }); n > 0 {
		t.Errorf("Append: %v allocations", n)
	}
}

// TestEveryOrderComesBack: what Append writes of a valid order is decoded to that order.
func TestEveryOrderComesBack(t *testing.T) {
	d := order.NewDecoder(order.Rules{})
	back := func(id, user string, total, seconds uint64, nanos uint32) bool {
		o := valid()
		o.ID, o.UserID, o.Total = id, user, order.Total(total%1e19)
		o.Timestamp = time.Unix(int64(seconds%253_402_300_800), int64(nanos%1e9)).UTC()
		if o.Validate(order.Rules{}) != nil {
			o.ID, o.UserID = "1", `"\`
		}
		got, err := d.Decode(order.Append(nil, &o))
		return err == nil && got == o
	}
	if err := quick.Check(back, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
}

func TestIDOfARefusedBody(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"a whole order", `{"id":"ord-1","total":"x"}`, "ord-1"},
		{"behind other members", `{"x":{"id":"no"},"y":[1,"id"], "id" : "ord-1"}`, "ord-1"},
		{"a body that breaks off later", `{"id":"ord-1","total":1`, "ord-1"},
		{"a body that breaks off in the id", `{"id":"ord-`, ""},
		{"the first of two", `{"id":"a","id":"b"}`, "a"},
		{"a key with an escape", `{"\u0069d":"ord-1"}`, "ord-1"},
		{"an escaped id", `{"id":"\u00e9\"","x":1}`, `é"`},
		{"a number", `{"id":12345}`, "12345"},
		{"neither text nor number", `{"id":{"a":1}}`, ""},
		{"no id", `{"ID":"ord-1"}`, ""},
		{"control characters and bad UTF-8 do not reach a log", "{\"id\":\"a\\u001b[2J\xff\\ud800\u0085\"}", "a\ufffd[2J\ufffd\ufffd\ufffd"},
		{"a long id is cut", `{"id":"` + strings.Repeat("é", 300) + `"}`, strings.Repeat("é", 128)},
		{"a long number is cut", `{"id":` + strings.Repeat("1", 300) + `}`, strings.Repeat("1", 128)},
		{"an array", `[{"id":"ord-1"}]`, ""},
		{"no JSON", `id=ord-1`, ""},
		{"nothing", ``, ""},
	}
	d := order.NewDecoder(order.Rules{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, d.ID([]byte(tt.body))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
