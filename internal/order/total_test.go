package order_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/order"
)

var totals = []struct {
	text  string
	want  string // canonical; empty: refused
	fault string
}{
	{text: "0", want: "0"},
	{text: "-0", want: "0"},
	{text: "-0.000e5", want: "0"},
	{text: "0e99999999999999", want: "0"},
	{text: "99.99", want: "99.99"},
	{text: "10.50", want: "10.5"},
	{text: "1.50000", want: "1.5"},
	{text: "1e2", want: "100"},
	{text: "1E+2", want: "100"},
	{text: "125e-2", want: "1.25"},
	{text: "0.00010000", want: "0.0001"},
	{text: "0.0012e1", want: "0.012"},
	{text: "1000000000000000000e-18", want: "1"},
	{text: "0.000000000000000000001e21", want: "1"},
	{text: "0.9999999999999999999e15", want: "999999999999999.9999"},
	{text: "999999999999999.9999", want: "999999999999999.9999"},
	{text: "100000000000000", want: "100000000000000"},
	{text: "1e14", want: "100000000000000"},
	{text: "1e15", fault: "/total: is too large, wants less than 10^15"},
	{text: "999999999999999.99995", fault: "/total: has 5 decimals, at most 4 fit"},
	{text: "1.00001", fault: "/total: has 5 decimals, at most 4 fit"},
	{text: "-1", fault: "/total: is negative, wants 0 or more"},
	{text: "-1e-5", fault: "/total: is negative, wants 0 or more; /total: has 5 decimals, at most 4 fit"},
	{text: "123456789012345678901234567890.1234567", fault: "/total: is too large, wants less than 10^15; /total: has 7 decimals, at most 4 fit"},
	{text: "1e-99999999999999999999999999999999", fault: "/total: has more than 50000 decimals, at most 4 fit"},
	{text: "1e99999999999999999999999999999999", fault: "/total: is too large, wants less than 10^15"},
	{text: "11111111111111111111111111111111111111111", fault: "/total: is a number of 41 characters, at most 40 are read"},
	{text: "", fault: `/total: "" is not a JSON number`},
	{text: "1.", fault: `/total: "1." is not a JSON number`},
	{text: ".5", fault: `/total: ".5" is not a JSON number`},
	{text: "+1", fault: `/total: "+1" is not a JSON number`},
	{text: "01", fault: `/total: "01" is not a JSON number`},
	{text: " 1", fault: `/total: " 1" is not a JSON number`},
	{text: "1 ", fault: `/total: "1 " is not a JSON number`},
	{text: "1,5", fault: `/total: "1,5" is not a JSON number`},
	{text: "0x1", fault: `/total: "0x1" is not a JSON number`},
	{text: "1_000", fault: `/total: "1_000" is not a JSON number`},
	{text: "NaN", fault: `/total: "NaN" is not a JSON number`},
	{text: "\x1b[2J\u202e", fault: `/total: "\x1b[2J\u202e" is not a JSON number`},
}

func TestParseTotal(t *testing.T) {
	for _, tt := range totals {
		t.Run(tt.text, func(t *testing.T) {
			got, err := order.ParseTotal(tt.text)
			if fault := errorText(err); fault != tt.fault {
				t.Fatalf("fault is %q, want %q", fault, tt.fault)
			}
			if err == nil && got.String() != tt.want {
				t.Errorf("total is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTotalIsTenThousandths(t *testing.T) {
	got, err := order.ParseTotal("1204.5")
	if err != nil || got != 12_045_000 {
		t.Errorf("1204.5 is %d, %v", uint64(got), err)
	}
	if diff := cmp.Diff("total=0.0307", string(order.Total(307).Append([]byte("total=")))); diff != "" {
		t.Error(diff)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
