package process

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// What a record costs between the client and the sink.
func BenchmarkDecode(b *testing.B) {
	const n = 1000
	g := order.NewGenerator(order.GeneratorOptions{Seed: 1, Keys: 10000})
	records := make([]*kgo.Record, n)
	for i := range records {
		o := g.Next()
		records[i] = client.ToRecord("orders", &o, client.NewMeta(client.ClientAnonymous, time.Now()))
		records[i].Offset = int64(i)
	}
	dec := order.NewDecoder(order.Rules{})
	b.ReportAllocs()
	for b.Loop() {
		decode(records, dec, "topic-id")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}
