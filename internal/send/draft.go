package send

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// Draft is one order as it was typed.
type Draft struct {
	ID, User, Total, Status, Timestamp string
}

// NewOrderID is an id for an order that was given none.
func NewOrderID() string {
	id := client.NewID()
	return "ord-" + id[strings.LastIndexByte(id, '-')+1:]
}

// FormatTimestamp is a draft's timestamp.
func FormatTimestamp(t time.Time) string {
	return t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
}

// Order reads the draft as the decoder reads an order. The error names every
// fault, in its words.
func (d Draft) Order(rules order.Rules) (order.Order, error) {
	var faults order.Faults
	total := d.Total
	if _, err := order.ParseTotal(total); err != nil {
		// Its faults are these; the rest is looked at with a total that passes.
		total = "0"
		errors.As(err, &faults)
	}
	doc := []byte(`{"id":` + quote(d.ID) + `,"user_id":` + quote(d.User) + `,"total":` + total +
		`,"status":` + quote(d.Status) + `,"timestamp":` + quote(d.Timestamp) + `}`)
	o, err := order.NewDecoder(rules).Decode(doc)
	if more := (order.Faults)(nil); errors.As(err, &more) {
		faults = append(faults, more...)
	}
	if len(faults) > 0 {
		return order.Order{}, faults
	}
	return o, err
}

// quote leaves what is not UTF-8 for the decoder to see.
func quote(s string) string {
	if !utf8.ValidString(s) {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	b, _ := json.Marshal(s) // a string always can
	return string(b)
}

// Nowhere is the target of a dry run.
type Nowhere struct{}

// Send counts the order as sent.
func (Nowhere) Send(_ *Entry, p *Parcel) { p.Settle(Result{Outcome: client.Acked}) }

// Flush does nothing.
func (Nowhere) Flush(context.Context) {}

// Halt does nothing.
func (Nowhere) Halt() {}
