package order_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ordersctl/ordersctl/internal/order"
)

// What was given stays as it was, however much comes after it.
func TestTextsStayAsTheyAre(t *testing.T) {
	var texts order.Texts
	var got, want []string
	for i := range 2000 {
		s := strings.Repeat(fmt.Sprint(i, " "), 1+i%7)
		if i%500 == 0 {
			s = strings.Repeat(s, 20_000) // larger than any chunk
		}
		buf := []byte(s)
		got, want = append(got, texts.Join(buf[:len(s)/2], nil, buf[len(s)/2:])), append(want, s)
		clear(buf) // the caller's again
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("text %d of %d bytes became %.40q", i, len(want[i]), got[i])
		}
	}
	if s := texts.Join(); s != "" {
		t.Errorf("of nothing it makes %q", s)
	}
}

func TestDecoderInto(t *testing.T) {
	plain := order.NewDecoder(order.Rules{Statuses: []string{"paid", "pending"}})
	into := plain.Into(new(order.Texts))
	g := order.NewGenerator(order.GeneratorOptions{Seed: 1})
	var got, want []order.Order
	for range 1000 {
		o := g.Next()
		text := order.Append(nil, &o)
		a, errA := plain.Decode(text)
		b, errB := into.Decode(text)
		if fmt.Sprint(errA) != fmt.Sprint(errB) {
			t.Fatalf("%s: %v, and %v into a batch", text, errA, errB)
		}
		want, got = append(want, a), append(got, b)
		clear(text)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%+v became %+v", want[i], got[i])
		}
	}
}
