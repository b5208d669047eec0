package unit_test

import (
	"testing"

	"github.com/ordersctl/ordersctl/internal/unit"
)

func TestTheNearestNameHasTheFewestEdits(t *testing.T) {
	names := []string{"orders", "orders.dlq", "payments"}
	for name, want := range map[string]string{"order": "orders", "oders": "orders", "orders.dql": "orders.dlq", "payment": "payments", "zzz": "", "": ""} {
		if got := unit.Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
