package order_test

import (
	"testing"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
)

// Days are read and written as the standard library has them: all of the four
// centuries after which the calendar repeats, and of the others some.
func TestTimestampsOfManyDays(t *testing.T) {
	dec := order.NewDecoder(order.Rules{})
	o := order.Order{ID: "1", UserID: "2", Status: "paid"}
	last := time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	step := 23*time.Hour + 59*time.Minute + 58*time.Second + 900_000_001
	for at := time.Unix(0, 0).UTC(); at.Before(last); at = at.Add(step) {
		if at.Year() == 2370 && step < 24*time.Hour {
			step *= 29
		}
		o.Timestamp = at
		text := order.Append(nil, &o)
		if want := `"timestamp":"` + at.Format(time.RFC3339Nano) + `"}`; string(text[len(text)-len(want):]) != want {
			t.Fatalf("%s is written in %s", want, text)
		}
		if got, err := dec.Decode(text); err != nil || got.Timestamp != at { // != compares the location too
			t.Fatalf("%s is read as %s, %v", at, got.Timestamp, err)
		}
	}
}
