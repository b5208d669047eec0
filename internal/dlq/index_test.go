package dlq

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
)

// letterNumber is as process writes them, of few kinds.
func letterNumber(n int) *kgo.Record {
	r, f := failing()
	r.Key, r.Partition, r.Offset = fmt.Appendf(nil, "ord-%08d", n), int32(n%12), int64(n)
	f.Refusal.Reason = fmt.Sprintf("/total: reason %d", n%5)
	letter := Wrap("orders.dlq", r, f)
	letter.Partition, letter.Offset = r.Partition, int64(n/12)
	return letter
}

func TestIndexIsSmall(t *testing.T) {
	const letters = 50_000
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	x, dec := newIndex("orders.dlq"), order.NewDecoder(order.Rules{})
	for n := range letters {
		l, _ := Parse(letterNumber(n))
		x.letter(l, &Filter{}, dec)
	}
	while := (heap() - before) / letters
	x.done()
	after := (heap() - before) / letters
	if x.Len() != letters || while > 200 || after > 160 {
		t.Errorf("%d letters; a letter takes %d bytes while they are read, %d after", x.Len(), while, after)
	}
	t.Logf("a letter takes %d bytes while they are read, %d after", while, after)
	runtime.KeepAlive(x)
}

func BenchmarkIndex(b *testing.B) {
	records := make([]*kgo.Record, 1000)
	for n := range records {
		records[n] = letterNumber(n)
	}
	dec := order.NewDecoder(order.Rules{})
	b.ReportAllocs()
	for b.Loop() {
		x := newIndex("orders.dlq")
		letters, marks, foreign := parseAll(records)
		x.take(letters, marks, foreign, &Filter{}, dec)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/letter")
}

func TestMarkThatIsReadBeforeItsLetter(t *testing.T) {
	// Partitions are read side by side, and a letter may be written again later.
	x, dec := newIndex("orders.dlq"), order.NewDecoder(order.Rules{})
	for n, state := range map[int]State{1: Replayed, 2: Discarded} {
		l, _ := Parse(letterNumber(n))
		_, m := Parse(l.Mark(state, ""))
		x.mark(m)
	}
	for n := range 4 {
		l, _ := Parse(letterNumber(n))
		x.letter(l, &Filter{}, dec)
	}
	if x.Count(Open) != 2 || x.Count(Replayed) != 1 || x.Count(Discarded) != 1 {
		t.Errorf("%d open, %d replayed, %d discarded", x.Count(Open), x.Count(Replayed), x.Count(Discarded))
	}
}
