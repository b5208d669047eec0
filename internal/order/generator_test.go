package order_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/order"
)

func take(opts order.GeneratorOptions, n int) []order.Order {
	g := order.NewGenerator(opts)
	orders := make([]order.Order, n)
	for i := range orders {
		orders[i] = g.Next()
	}
	return orders
}

func TestGeneratorIsDeterministic(t *testing.T) {
	opts := order.GeneratorOptions{Seed: 42, Keys: 10, Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	first := take(opts, 500)
	if diff := cmp.Diff(first, take(opts, 500)); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
	opts.Seed++
	if slices.Equal(first, take(opts, 500)) {
		t.Error("another seed gives the same orders")
	}
}

// TestGeneratorOnEveryMachine pins a sequence: it may change with a release, but not by itself.
func TestGeneratorOnEveryMachine(t *testing.T) {
	var got []string
	for _, o := range take(order.GeneratorOptions{Seed: 42}, 3) {
		got = append(got, string(order.Append(nil, &o)))
	}
	want := []string{
		`{"id":"ord-087fcd5c","user_id":"u-0788","total":9.87,"status":"pending","timestamp":"2024-10-01T00:00:00.016Z"}`,
		`{"id":"ord-dd4449c2","user_id":"u-0699","total":53.46,"status":"pending","timestamp":"2024-10-01T00:00:00.038Z"}`,
		`{"id":"ord-674a0243","user_id":"u-0051","total":5.67,"status":"shipped","timestamp":"2024-10-01T00:00:00.078Z"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestGeneratedOrdersAreValid(t *testing.T) {
	const n = 20_000
	statuses := []string{"new", "done"}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	form := regexp.MustCompile(`^ord-[0-9a-f]{8} u-00\d\d (new|done)$`)
	ids, count, before := make(map[string]bool), make(map[string]int), start
	var largest order.Total
	for _, o := range take(order.GeneratorOptions{Seed: 7, Start: start, Users: 100, Statuses: statuses}, n) {
		if err := o.Validate(order.Rules{Statuses: statuses}); err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		if s := o.ID + " " + o.UserID + " " + o.Status; !form.MatchString(s) {
			t.Fatalf("order looks like %q", s)
		}
		if !o.Timestamp.After(before) || o.Timestamp.Location() != time.UTC {
			t.Fatalf("%v follows %v", o.Timestamp, before)
		}
		before = o.Timestamp
		ids[o.ID] = true
		count[o.Status]++
		if o.Total > largest {
			largest = o.Total
		}
		if o.Total < 1_0000 || o.Total%100 != 0 {
			t.Fatalf("total %v", o.Total)
		}
		if o.Total < 21_0000 {
			count["small"]++
		}
	}
	if len(ids) != n {
		t.Errorf("%d ids for %d orders", len(ids), n)
	}
	if count["new"] <= count["done"] || count["done"] < n/4 {
		t.Errorf("status mix %v", count)
	}
	if count["small"] < n/2 || largest < 1000_0000 {
		t.Errorf("totals are not skewed: %d small ones, the largest is %v", count["small"], largest)
	}
}

func TestGeneratorSpreadsOrdersOverKeys(t *testing.T) {
	const n, keys = 10_000, 20
	count := make(map[string]int)
	for _, o := range take(order.GeneratorOptions{Seed: 1, Keys: keys}, n) {
		count[o.ID]++
	}
	if len(count) != keys {
		t.Fatalf("%d ids, want %d", len(count), keys)
	}
	for id, c := range count {
		if c < n/keys*3/4 || c > n/keys*5/4 {
			t.Errorf("%s comes %d times of %d", id, c, n)
		}
	}
}

func TestGeneratorStaysInRange(t *testing.T) {
	start := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, o := range take(order.GeneratorOptions{Start: start}, 200) {
		if err := o.Validate(order.Rules{}); err != nil {
			t.Fatal(err)
		}
	}
}
