package tail

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
)

func BenchmarkFormat(b *testing.B) {
	for _, layout := range []string{`%p %o %k %v\n`, Value, JSON, Table} {
		b.Run(layout, func(b *testing.B) {
			f, err := Format{Layout: layout, Width: 100}.printer()
			if err != nil {
				b.Fatal(err)
			}
			v, p := viewOf(good()), &kgo.FetchPartition{}
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				v.reset(v.record)
				if out = f.append(out, p, v); len(out) > writeAt {
					out = f.end(out)[:0]
				}
			}
		})
	}
}

func BenchmarkFilter(b *testing.B) {
	for _, where := range []string{"key=ord-2", "status=paid", "total>100", "header.client=x"} {
		b.Run(where, func(b *testing.B) {
			var f Filter
			if err := f.Where(where, at("2026-11-22T14:00:00Z")); err != nil {
				b.Fatal(err)
			}
			v := viewOf(good())
			b.ReportAllocs()
			for b.Loop() {
				v.reset(v.record)
				f.match(v)
			}
		})
	}
}

func BenchmarkDropHeaders(b *testing.B) {
	g := order.NewGenerator(order.GeneratorOptions{})
	var batch []byte
	for range 1000 {
		o := g.Next()
		batch = append(batch, rawRecord([]byte(o.ID), order.Append(nil, &o))...)
	}
	b.SetBytes(int64(len(batch)))
	for b.Loop() {
		dropHeaders(batch)
	}
}
