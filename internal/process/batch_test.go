package process

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// The reason counts letters and stands in the database, so that orders that were
// cut are one cause; the detail tells of each where.
func TestOrdersThatWereCutAreRefusedForOneReason(t *testing.T) {
	const full = `{"id":"a","user_id":"u","total":1,"status":"paid","timestamp":"2026-11-22T14:00:00Z"}`
	dec := order.NewDecoder(order.Rules{})
	details := map[string]bool{}
	for n := 1; n < len(full); n++ {
		e := decode([]*kgo.Record{{Key: []byte("a"), Value: []byte(full[:n])}}, dec, "topic")[0]
		if e.Refusal == nil || e.Refusal.Class != sink.RefusedDecode || e.Refusal.Reason != "the order is not JSON: it ends too early" {
			t.Fatalf("cut at byte %d: %+v", n, e.Refusal)
		}
		details[e.Refusal.Detail] = true
	}
	if len(details) != len(full)-1 {
		t.Errorf("%d details tell where %d orders end", len(details), len(full)-1)
	}
}
