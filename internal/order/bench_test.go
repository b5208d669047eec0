package order_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/ordersctl/ordersctl/internal/order"
)

// typical has 131 bytes, about as many as most orders have.
const typical = `{"id":"ord-9f31c07a4be19f02","user_id":"u-0093-441","total":1204.5,"status":"pending","timestamp":"2024-10-01T12:34:56.123456789Z"}`

// BenchmarkDecodeAppend is an order's way through serve or process: decode, validate, write the
// canonical form. The ways that are not ours stand beside it.
func BenchmarkDecodeAppend(b *testing.B) {
	statuses := []string{"pending", "paid"}
	d := order.NewDecoder(order.Rules{Statuses: statuses})
	ways := []struct {
		name string
		way  func(dst, data []byte) ([]byte, error)
		data string
	}{
		{"ours", func(dst, data []byte) ([]byte, error) {
			o, err := d.Decode(data)
			return order.Append(dst, &o), err
		}, typical},
		{"ours with escapes", func(dst, data []byte) ([]byte, error) {
			o, err := d.Decode(data)
			return order.Append(dst, &o), err
		}, `{"id":"ord-9f31c07a4be19f","user_id":"u-\u00fc3-4410","total":1204.5,"status":"pending","timestamp":"2024-10-01T12:34:56.123456789Z"}`},
		{"json v2 struct", func(dst, data []byte) ([]byte, error) {
			o, err := decodeV2(data, statuses)
			return order.Append(dst, &o), err
		}, typical},
		{"jsontext syntax check alone", func(dst, data []byte) ([]byte, error) {
			if !jsontext.Value(data).IsValid() {
				return nil, errRefused
			}
			return dst, nil
		}, typical},
	}
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			data, buf := []byte(w.data), make([]byte, 0, 512)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if buf, err = w.way(buf[:0], data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// decodeV2 is what one would write with json v2 and care for speed; the rules are ours.
func decodeV2(data []byte, statuses []string) (order.Order, error) {
	var v struct {
		ID        string         `json:"id"`
		UserID    string         `json:"user_id"`
		Total     jsontext.Value `json:"total"`
		Status    string         `json:"status"`
		Timestamp time.Time      `json:"timestamp"`
	}
	if err := json.Unmarshal(data, &v, json.RejectUnknownMembers(true)); err != nil {
		return order.Order{}, err
	}
	total, err := order.ParseTotal(string(v.Total))
	if err != nil {
		return order.Order{}, err
	}
	o := order.Order{ID: v.ID, UserID: v.UserID, Total: total, Status: v.Status, Timestamp: v.Timestamp.UTC()}
	return o, o.Validate(order.Rules{Statuses: statuses})
}

func BenchmarkDecode(b *testing.B) {
	d := order.NewDecoder(order.Rules{})
	for _, bb := range []struct{ name, data string }{
		{"clean", typical},
		{"hostile: 64 KiB of unknown keys", "{" + strings.Repeat(`"user-id":1,`, 64<<10/12) + `"x":1}`},
		{"with two faults", `{"id":"ord-9f31c07a","total":"12","status":"pending","timestamp":"2024-10-01T12:34:56Z"}`},
		{"not JSON", typical[:120]},
	} {
		b.Run(bb.name, func(b *testing.B) {
			data := []byte(bb.data)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = d.Decode(data)
			}
		})
	}
}

func BenchmarkGenerator(b *testing.B) {
	g := order.NewGenerator(order.GeneratorOptions{Seed: 1})
	b.ReportAllocs()
	for b.Loop() {
		g.Next()
	}
}
