//go:build unix

package main

import (
	"fmt"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
)

// template is an order in its canonical form with room for a number that tells it from all others.
type template struct {
	value  []byte
	key    int // where its id begins
	keyLen int
}

// digits is the width of the number at the end of an id.
const digits = 10

// templates makes n orders of one run that are alike but for their numbers.
func templates(run string, n int) []template {
	all := make([]template, n)
	at := time.Date(2024, 10, 1, 12, 34, 56, 0, time.UTC)
	for i := range all {
		o := order.Order{
			ID:     fmt.Sprintf("%s-%0*d", run, digits, 0),
			UserID: fmt.Sprintf("user-%06d", i*7919%10_007),
			// Ten thousandths: cents that end in no zero, as most prices do.
			Total:     order.Total((i*104_729%99_900)*10_000 + (i%9+1)*1_100),
			Status:    "pending",
			Timestamp: at.Add(time.Duration(i%1000) * time.Millisecond),
		}
		all[i] = template{value: order.Append(nil, &o), key: len(`{"id":"`), keyLen: len(o.ID)}
	}
	return all
}

// number writes x at the end of the id that ends before end.
func number(b []byte, end int, x int64) {
	for i := end - 1; i >= end-digits; i-- {
		b[i] = byte('0' + x%10)
		x /= 10
	}
}
