package tail

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// view is a record as filters and formats see it: its order is decoded once,
// and only when one of them asks.
type view struct {
	record  *kgo.Record
	decoder *order.Decoder

	decoded bool
	parsed  order.Order
	err     error
}

func (v *view) reset(r *kgo.Record) {
	v.record, v.decoded = r, false
}

// order is that of the record. With client.ErrKeyMismatch it is there too.
func (v *view) order() (*order.Order, error) {
	if !v.decoded {
		v.parsed, v.err = client.FromRecord(v.record, v.decoder)
		v.decoded = true
	}
	return &v.parsed, v.err
}

// hasOrder tells whether conditions on an order's fields can be judged.
func (v *view) hasOrder() bool {
	_, err := v.order()
	return err == nil || errors.Is(err, client.ErrKeyMismatch)
}
