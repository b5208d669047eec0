package order_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/order"
)

func valid() order.Order {
	return order.Order{
		ID: "123", UserID: "u456", Total: 999_900, Status: "pending",
		Timestamp: time.Date(2024, time.October, 1, 12, 34, 56, 0, time.UTC),
	}
}

func TestAppendIsCanonical(t *testing.T) {
	with := func(change func(*order.Order)) order.Order {
		o := valid()
		change(&o)
		return o
	}
	tests := []struct {
		name  string
		order order.Order
		want  string
	}{
		{"the order of the contract", valid(),
			`{"id":"123","user_id":"u456","total":99.99,"status":"pending","timestamp":"2024-10-01T12:34:56Z"}`},
		{"fewest escapes", with(func(o *order.Order) { o.ID = `a"b\c/<ö😀>` }),
			`{"id":"a\"b\\c/<ö😀>","user_id":"u456","total":99.99,"status":"pending","timestamp":"2024-10-01T12:34:56Z"}`},
		{"no trailing zeros", with(func(o *order.Order) {
			o.Total = 105_000
			o.Timestamp = o.Timestamp.Add(120 * time.Millisecond)
		}),
			`{"id":"123","user_id":"u456","total":10.5,"status":"pending","timestamp":"2024-10-01T12:34:56.12Z"}`},
		{"UTC, whatever the zone", with(func(o *order.Order) { o.Timestamp = o.Timestamp.In(time.FixedZone("", 7200)) }),
			`{"id":"123","user_id":"u456","total":99.99,"status":"pending","timestamp":"2024-10-01T12:34:56Z"}`},
		{"an invalid order is JSON still", order.Order{ID: "\x00\x1f\b\f\n\r\t\xff"},
			`{"id":"\u0000\u001f\b\f\n\r\t` + "\ufffd" + `","user_id":"","total":0,"status":"","timestamp":"0001-01-01T00:00:00Z"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(order.Append([]byte("> "), &tt.order))
			if diff := cmp.Diff("> "+tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	list := order.Rules{Statuses: []string{"pending", "paid"}}
	tests := []struct {
		name   string
		change func(*order.Order)
		rules  order.Rules
		want   []string
	}{
		{"a valid order", func(*order.Order) {}, list, nil},
		{"an offset is no fault", func(o *order.Order) { o.Timestamp = o.Timestamp.In(time.FixedZone("", -3600)) }, list, nil},
		{"the zero order", func(o *order.Order) { *o = order.Order{} }, list, []string{
			"/id: is empty", "/user_id: is empty", "/status: is empty",
			"/timestamp: is before 1970 in UTC, wants the years 1970 to 9999",
		}},
		{"a status that is not listed", func(o *order.Order) { o.Status = "refund" }, list,
			[]string{`/status: "refund" is not in statuses (pending, paid)`}},
		{"texts that JSON could not carry", func(o *order.Order) { o.ID, o.UserID, o.Status = "\xff", "a\nb", "\xff" }, order.Rules{},
			[]string{"/id: is not valid UTF-8", "/user_id: has a control character, U+000A", "/status: is not valid UTF-8"}},
		{"a total of 10^15", func(o *order.Order) { o.Total = math.MaxUint64 }, list,
			[]string{"/total: is too large, wants less than 10^15"}},
		{"the year 10000", func(o *order.Order) { o.Timestamp = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, list,
			[]string{"/timestamp: is after 9999 in UTC, wants the years 1970 to 9999"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := valid()
			tt.change(&o)
			if diff := cmp.Diff(tt.want, faultsOf(t, o.Validate(tt.rules))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestValidateSpeaksAsDecode: an order that came as text and the same one built by code are
// refused in the same words.
func TestValidateSpeaksAsDecode(t *testing.T) {
	rules := order.Rules{Statuses: []string{"pending", "paid"}}
	long := strings.Repeat("x", 200)
	for _, o := range []order.Order{
		{ID: "", UserID: "a\tb", Total: order.Total(1e19), Status: "refund"},
		{ID: long, UserID: long + "\u0085", Status: "Paid"},
		{ID: "ok", UserID: "ok", Status: long},
	} {
		o.Timestamp = time.Unix(-1, 0)
		_, decodeErr := order.NewDecoder(rules).Decode(order.Append(nil, &o))
		if diff := cmp.Diff(faultsOf(t, decodeErr), faultsOf(t, o.Validate(rules))); diff != "" {
			t.Errorf("(-decoded +validated):\n%s", diff)
		}
	}
}

func TestRulesValidate(t *testing.T) {
	tests := []struct {
		name     string
		statuses []string
		want     string
	}{
		{"no list", nil, ""},
		{"a good list", []string{"pending", "in_transit-2"}, ""},
		{"a capital", []string{"pending", "Paid"}, `status "Paid": has other characters than a-z, 0-9, _ and -`},
		{"an empty one", []string{""}, `status "": is empty`},
		{"a long one", []string{strings.Repeat("a", 33)}, `status "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"...: is 33 characters long, at most 32 fit`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, errorText(order.Rules{Statuses: tt.statuses}.Validate())); diff != "" {
				t.Error(diff)
			}
		})
	}
}
