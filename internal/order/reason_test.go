package order_test

import (
	"errors"
	"testing"

	"github.com/ordersctl/ordersctl/internal/order"
)

// Letters are counted by the reason: one cause is one, wherever the byte stands.
func TestReasonIsTheSameForTheSameCause(t *testing.T) {
	const full = `{"id":"a","user_id":"u","total":1,"status":"paid","timestamp":"2026-11-22T14:00:00Z"}`
	dec := order.NewDecoder(order.Rules{})
	faults := func(data string) order.Faults {
		t.Helper()
		var fs order.Faults
		if _, err := dec.Decode([]byte(data)); !errors.As(err, &fs) {
			t.Fatalf("%s: %v", data, err)
		}
		return fs
	}
	details := map[string]bool{}
	for n := 1; n < len(full); n++ {
		fs := faults(full[:n])
		if got := fs[0].Reason(); got != "the order is not JSON: it ends too early" {
			t.Errorf("cut at byte %d: %s", n, got)
		}
		details[fs.Error()] = true
	}
	if len(details) != len(full)-1 {
		t.Errorf("%d details tell where %d orders end", len(details), len(full)-1)
	}
	for data, want := range map[string]string{
		`{id:1}`:                   `the order is not JSON: it has 'i', wants a field name in quotes`,
		`{   id:1}`:                `the order is not JSON: it has 'i', wants a field name in quotes`,
		"\x00":                     `the order is not JSON: it has 0x00, wants a value`,
		"  \x00":                   `the order is not JSON: it has 0x00, wants a value`,
		``:                         `the order is empty`,
		`[]`:                       `the order is an array, wants an object`,
		`{"total":"1"` + full[9:]:  `/total: is a string, wants a number`,
		" " + nestedArrays(100):    `the order is nested deeper than 64 levels`,
		"    " + nestedArrays(100): `the order is nested deeper than 64 levels`,
	} {
		if got := faults(data)[0].Reason(); got != want {
			t.Errorf("%.30s: %s, want %s", data, got, want)
		}
	}
}

func nestedArrays(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '['
	}
	return string(b)
}
