package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

const testRun = "7f3a91c2"

// shop is a source of plain orders: number n is of key n mod keys.
type shop struct{ keys uint64 }

func (s shop) Key(seq uint64) uint64 { return seq % s.keys }

func (s shop) Order(seq uint64) order.Order {
	return order.Order{
		ID: fmt.Sprintf("b-%s-k%d", testRun, s.Key(seq)), UserID: fmt.Sprintf("b-%s-%07d", testRun, seq),
		Total: order.Total(seq%9973*100 + 100), Status: "paid", Timestamp: time.Unix(1_700_000_000, int64(seq)*1e6).UTC(),
	}
}

func (s shop) Append(dst []byte, seq uint64) []byte {
	o := s.Order(seq)
	return order.Append(dst, &o)
}

// logged is one record of a fake log. Its offset is where it stands.
type logged struct {
	seq        uint64
	key, value []byte
}

// world is a run that has ended: its ledger, and a log that tests may spoil.
type world struct {
	shop
	n      uint64
	ledger *Ledger
	log    [][]logged
	where  []spot // of each order, as it was appended
}

// honest is a run of n orders sent one after another, many in flight: each is
// appended at some moment between its sending and its acknowledgement.
func honest(rnd *rand.Rand, n, keys uint64, partitions int, told bool) *world {
	type appended struct {
		seq uint64
		at  time.Duration
	}
	w := &world{shop: shop{keys}, n: n, ledger: NewLedger(n), log: make([][]logged, partitions), where: make([]spot, n)}
	acks := make([]time.Duration, n)
	parts := make([][]appended, partitions)
	for seq := range n {
		sent := time.Duration(seq) * 100 * time.Microsecond
		took := time.Duration(rnd.Int64N(int64(20 * time.Millisecond)))
		w.ledger.Sent(seq, sent)
		acks[seq] = sent + took
		p := w.Key(seq) % uint64(partitions)
		parts[p] = append(parts[p], appended{seq, sent + time.Duration(rnd.Int64N(int64(took)+1))})
	}
	for p, list := range parts {
		slices.SortStableFunc(list, func(a, b appended) int { return int(a.at - b.at) })
		for i, a := range list {
			o := w.Order(a.seq)
			w.log[p] = append(w.log[p], logged{a.seq, []byte(o.ID), w.Append(nil, a.seq)})
			w.where[a.seq] = spot{int32(p), int64(i)}
			if told {
				w.ledger.Settle(a.seq, client.Acked, acks[a.seq], int32(p), int64(i))
			} else {
				w.ledger.Settle(a.seq, client.Acked, acks[a.seq], -1, -1)
			}
		}
	}
	return w
}

// judged reads the log with two readers at once.
func (w *world) judged(keys uint64) Integrity {
	a := newAudit("orders", testRun, w.n, keys, w.ledger, w)
	readers := []*reader{a.newReader(), a.newReader()}
	var all sync.WaitGroup
	for i, r := range readers {
		all.Go(func() {
			for p := i; p < len(w.log); p += len(readers) {
				offset := int64(0)
				for _, rec := range w.log[p] {
					if rec.key != nil || rec.value != nil { // else it was lost: an offset without a record
						r.record(spot{int32(p), offset}, rec.key, rec.value)
					}
					offset++
				}
			}
		})
	}
	all.Wait()
	return a.verdict(readers)
}

func (w *world) at(seq uint64) *logged { p := w.where[seq]; return &w.log[p.partition][p.offset] }

// append puts a record behind all others of the partition of seq.
func (w *world) append(seq uint64, key, value []byte) {
	p := w.where[seq].partition
	w.log[p] = append(w.log[p], logged{seq, key, value})
}

// edit changes the text of an order's record.
func (w *world) edit(seq uint64, from, to string) {
	r := w.at(seq)
	edited := strings.Replace(string(r.value), from, to, 1)
	if edited == string(r.value) {
		panic(fmt.Sprintf("%q is not in %s", from, r.value))
	}
	r.value = []byte(edited)
}

func onlyCounts(i Integrity) Integrity {
	i.Examples, i.Took, i.Settled = nil, 0, 0
	return i
}

func TestEachFaultIsCountedAndNamed(t *testing.T) {
	const n = 3000
	for _, test := range []struct {
		name  string
		spoil func(w *world)
		want  Integrity // beside expected and acked
		told  []Breach  // with the places told in the acknowledgements
	}{
		{name: "nothing is wrong", spoil: func(*world) {}, want: Integrity{Records: n}},
		{
			name: "an acknowledged order is not there", spoil: func(w *world) { *w.at(17) = logged{} },
			want: Integrity{Lost: 1, Records: n - 1},
			told: []Breach{{Kind: "lost", UserID: "b-7f3a91c2-0000017", Where: "WHERE17", Detail: "acknowledged"}},
		},
		{
			name:  "an order is there twice",
			spoil: func(w *world) { w.append(40, w.at(40).key, w.at(40).value) },
			want:  Integrity{Duplicated: 1, Records: n + 1},
			told:  []Breach{{Kind: "duplicated", UserID: "b-7f3a91c2-0000040", Where: "orders/1@"}},
		},
		{
			name: "an order is there three times",
			spoil: func(w *world) {
				w.append(41, w.at(41).key, w.at(41).value)
				w.append(41, w.at(41).key, w.at(41).value)
			},
			want: Integrity{Duplicated: 2, Records: n + 2},
		},
		{
			name:  "a total was changed",
			spoil: func(w *world) { w.edit(99, `"total":1`, `"total":7`) },
			want:  Integrity{Corrupted: 1, Records: n},
			told:  []Breach{{Kind: "corrupted", UserID: "b-7f3a91c2-0000099", Where: "WHERE99", Detail: "total: sent 1, log 7"}},
		},
		{
			name: "a status was changed", spoil: func(w *world) { w.edit(99, "paid", "free") },
			want: Integrity{Corrupted: 1, Records: n},
			told: []Breach{{Kind: "corrupted", UserID: "b-7f3a91c2-0000099", Where: "WHERE99", Detail: "status: sent paid, log free"}},
		},
		{
			name: "a key is not the id", spoil: func(w *world) { w.at(5).key = []byte("x") },
			want: Integrity{Corrupted: 1, Records: n},
			told: []Breach{{Kind: "corrupted", UserID: "b-7f3a91c2-0000005", Where: "WHERE5", Detail: `key is "x"`}},
		},
		{
			name: "a record was cut off", spoil: func(w *world) { w.at(5).value = w.at(5).value[:60] },
			want: Integrity{Corrupted: 1, Records: n},
		},
		{
			name: "a copy was damaged", spoil: func(w *world) {
				w.append(6, w.at(6).key, bytes.Replace(w.at(6).value, []byte("paid"), []byte("free"), 1))
			},
			want: Integrity{Corrupted: 1, Records: n + 1},
		},
		{
			name: "the same order in another writing is the same order",
			spoil: func(w *world) {
				o := w.Order(8)
				w.at(8).value = fmt.Appendf(nil, `{ "user_id":%q, "id":%q, "status":%q, "timestamp":%q, "total":%s0 }`,
					o.UserID, o.ID, o.Status, o.Timestamp.Format(time.RFC3339Nano), o.Total.Append(nil))
				if !bytes.Contains(o.Total.Append(nil), []byte(".")) {
					w.at(8).value = bytes.Replace(w.at(8).value, append(o.Total.Append(nil), '0'), append(o.Total.Append(nil), ".0"...), 1)
				}
			},
			want: Integrity{Records: n},
		},
		{
			name: "a number that the run never sent", spoil: func(w *world) { w.append(9, w.at(9).key, w.Append(nil, n+5)) },
			want: Integrity{Corrupted: 1, Records: n + 1},
			told: []Breach{{Kind: "corrupted", UserID: "b-7f3a91c2-3005", Where: "orders/", Detail: "the run sent no such order"}},
		},
		{
			name:  "an order that was called not written is there",
			spoil: func(w *world) { w.ledger.Settle(12, client.NotWritten, time.Minute, -1, -1) },
			want:  Integrity{NotWrittenFound: 1, Records: n},
			told:  []Breach{{Kind: "not_written_found", UserID: "b-7f3a91c2-0000012", Where: "WHERE12", Detail: "was not_written"}},
		},
		{
			name:  "an order that was called not written is not there",
			spoil: func(w *world) { w.ledger.Settle(12, client.NotWritten, time.Minute, -1, -1); *w.at(12) = logged{} },
			want:  Integrity{Records: n - 1},
		},
		{
			name:  "a dropped order is there",
			spoil: func(w *world) { w.ledger.Drop(12) },
			want:  Integrity{NotWrittenFound: 1, Records: n},
		},
		{
			name: "unknown ones may be there or not",
			spoil: func(w *world) {
				for seq := range uint64(10) {
					w.ledger.Settle(seq, client.Unknown, time.Minute, -1, -1)
				}
				*w.at(3), *w.at(4) = logged{}, logged{}
			},
			want: Integrity{UnknownWritten: 8, UnknownAbsent: 2, Records: n - 2},
		},
		{
			name:  "an order without any answer is unknown",
			spoil: func(w *world) { w.ledger.Sent(7, w.ledger.Entry(7).Sent) },
			want:  Integrity{UnknownWritten: 1, Records: n},
		},
		{
			name: "others write to the same topic",
			spoil: func(w *world) {
				w.append(1, []byte("order-1"), []byte(`{"id":"order-1","user_id":"u1","total":1,"status":"paid","timestamp":"2024-10-01T12:34:56Z"}`))
				w.append(1, []byte("order-1"), nil)
				w.append(1, nil, []byte("no order at all"))
				w.append(1, []byte("b-00000000-k1"), []byte(strings.ReplaceAll(string(w.Append(nil, 1)), testRun, "00000000")))
			},
			want: Integrity{Others: 4, Records: n + 4},
		},
	} {
		for _, told := range []bool{true, false} {
			w := honest(rand.New(rand.NewPCG(1, 2)), n, 30, 3, told)
			test.spoil(w)
			got := w.judged(30)
			want := test.want
			for seq := range uint64(n) {
				if w.ledger.Entry(seq).State == Acked {
					want.Acked++
				}
			}
			want.Expected = want.Acked + want.UnknownWritten
			if diff := cmp.Diff(want, onlyCounts(got)); diff != "" {
				t.Errorf("%s (places told: %v):\n%s", test.name, told, diff)
			}
			if told && test.told != nil {
				w.matches(t, test.name, test.told, got.Examples)
			}
		}
	}
}

// matches holds examples against what is wanted: WHEREn is the place of order
// n, a detail and a place are beginnings.
func (w *world) matches(t *testing.T, name string, want, got []Breach) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: examples %+v, want %+v", name, got, want)
		return
	}
	for i := range want {
		var seq uint64
		if n, _ := fmt.Sscanf(want[i].Where, "WHERE%d", &seq); n == 1 {
			want[i].Where = w.where[seq].in("orders")
		}
		if strings.HasPrefix(got[i].Where, want[i].Where) && strings.HasPrefix(got[i].Detail, want[i].Detail) {
			got[i].Where, got[i].Detail = want[i].Where, want[i].Detail
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

// What hides its own number is found by its place, where the acknowledgement
// told that.
func TestADamagedNameIsFoundByItsPlace(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"the user id is another order's": func(w *world) { w.edit(100, "-0000100", "-0000101") },
		"the user id is somebody else's": func(w *world) { w.edit(100, "b-7f3a91c2-0000100", "u-17") },
		"the value is gone":              func(w *world) { w.at(100).value = nil },
		"the value is no JSON":           func(w *world) { w.at(100).value = []byte("\x00\x01") },
	} {
		for _, told := range []bool{true, false} {
			w := honest(rand.New(rand.NewPCG(3, 4)), 1000, 30, 3, told)
			spoil(w)
			got := w.judged(30)
			want := Integrity{Expected: 1000, Acked: 1000, Corrupted: 1, Records: 1000}
			if !told {
				want.Lost = 1 // nothing says whose the damaged record is
			}
			if diff := cmp.Diff(want, onlyCounts(got)); diff != "" {
				t.Errorf("%s (places told: %v):\n%s", name, told, diff)
			}
		}
	}
}

// behind moves the record of an order behind one of its key that was sent after
// the acknowledgement of the first, and gives that one.
func (w *world) behind(seq uint64, free func(uint64) bool) (uint64, bool) {
	acked := w.ledger.Entry(seq).Answered
	p := w.where[seq].partition
	list := w.log[p]
	from := slices.IndexFunc(list, func(r logged) bool { return r.seq == seq && r.value != nil })
	for i := from + 1; i < len(list); i++ {
		later := list[i].seq
		if w.Key(later) == w.Key(seq) && free(later) && w.ledger.Entry(later).Sent > acked {
			moved := list[from]
			copy(list[from:i], list[from+1:i+1])
			list[i] = moved
			w.placed(p)
			return later, true
		}
	}
	return 0, false
}

// placed tells the places of a partition's records as they are now, where they
// were told.
func (w *world) placed(partition int32) {
	for i, r := range w.log[partition] {
		w.where[r.seq] = spot{partition, int64(i)}
		if e := w.ledger.look(r.seq); e.place.Load() != 0 {
			e.place.Store(uint64(partition+1)<<placeShift | uint64(i))
		}
	}
}

func TestOrderWithinAKey(t *testing.T) {
	const ms = time.Millisecond
	type sent struct {
		key       uint64
		at, acked time.Duration // acked 0: unknown
	}
	for _, test := range []struct {
		name string
		sent []sent
		log  []uint64
		want uint64
	}{
		{"as sent", []sent{{0, 0, 1 * ms}, {0, 2 * ms, 3 * ms}}, []uint64{0, 1}, 0},
		{"the second before the first, sent after its acknowledgement", []sent{{0, 0, 1 * ms}, {0, 2 * ms, 3 * ms}}, []uint64{1, 0}, 1},
		{"the second before the first, in flight together", []sent{{0, 0, 3 * ms}, {0, 2 * ms, 4 * ms}}, []uint64{1, 0}, 0},
		{"sent in the same moment as the acknowledgement came", []sent{{0, 0, 2 * ms}, {0, 2 * ms, 4 * ms}}, []uint64{1, 0}, 0},
		{"of two keys", []sent{{0, 0, 1 * ms}, {1, 2 * ms, 3 * ms}}, []uint64{1, 0}, 0},
		{"the first was never acknowledged", []sent{{0, 0, 0}, {0, 2 * ms, 3 * ms}}, []uint64{1, 0}, 0},
		{"the second was never acknowledged, but sent later all the same", []sent{{0, 0, 1 * ms}, {0, 2 * ms, 0}}, []uint64{1, 0}, 1},
		{"two behind one", []sent{{0, 0, 1 * ms}, {0, 1 * ms, 2 * ms}, {0, 3 * ms, 4 * ms}}, []uint64{2, 0, 1}, 2},
		{"one behind two", []sent{{0, 0, 1 * ms}, {0, 2 * ms, 3 * ms}, {0, 4 * ms, 5 * ms}}, []uint64{1, 2, 0}, 1},
		{"not the neighbour, but one before it", []sent{{0, 0, 3 * ms}, {0, 4 * ms, 9 * ms}, {0, 2 * ms, 6 * ms}}, []uint64{1, 2, 0}, 1},
	} {
		for name, keys := range map[string]uint64{"few keys": 2, "more keys than have a place": denseKeys + 1} {
			n := uint64(len(test.sent))
			l := NewLedger(n)
			src := keyed{shop{keys: 2}, make([]uint64, n)}
			for seq, s := range test.sent {
				src.key[seq] = s.key
				l.Sent(uint64(seq), s.at)
				if s.acked > 0 {
					l.Settle(uint64(seq), client.Acked, s.acked, -1, -1)
				}
			}
			a := newAudit("orders", testRun, n, keys, l, src)
			r := a.newReader()
			for offset, seq := range test.log {
				o := src.Order(seq)
				r.record(spot{0, int64(offset)}, []byte(o.ID), src.Append(nil, seq))
			}
			if got := a.verdict([]*reader{r}); got.Reordered != test.want || got.Breaches() != test.want {
				t.Errorf("%s (%s): %+v, want %d reordered", test.name, name, got, test.want)
			}
		}
	}
}

// keyed is a shop whose keys are given.
type keyed struct {
	shop
	key []uint64
}

func (k keyed) Key(seq uint64) uint64 { return k.key[seq] }

func (k keyed) Order(seq uint64) order.Order {
	o := k.shop.Order(seq)
	o.ID = fmt.Sprintf("b-%s-k%d", testRun, k.key[seq])
	return o
}

func (k keyed) Append(dst []byte, seq uint64) []byte {
	o := k.Order(seq)
	return order.Append(dst, &o)
}

// A key is in one partition as long as there are as many as before.
func TestAKeyInSeveralPartitionsIsABreach(t *testing.T) {
	for name, test := range map[string]struct {
		keys   uint64
		steady bool
		want   uint64
	}{
		"few keys":                         {2, true, 1},
		"more keys than have a place":      {denseKeys + 1, true, 1},
		"partitions were added":            {2, false, 0},
		"many keys, partitions were added": {denseKeys + 1, false, 0},
	} {
		src := keyed{shop{keys: 2}, []uint64{0, 0, 0, 0, 1, 1}}
		l := NewLedger(6)
		for seq := range uint64(6) {
			l.Sent(seq, time.Duration(10*seq))
			l.Settle(seq, client.Acked, time.Duration(10*seq+5), -1, -1)
		}
		a := newAudit("orders", testRun, 6, test.keys, l, src)
		a.steady = test.steady
		readers := []*reader{a.newReader(), a.newReader()}
		for seq, partition := range []int32{0, 1, 2, 1, 1, 1} { // the key 0 in three, the key 1 in one
			o := src.Order(uint64(seq))
			readers[partition%2].record(spot{partition, int64(seq)}, []byte(o.ID), src.Append(nil, uint64(seq)))
		}
		got := a.verdict(readers)
		if got.Scattered != test.want || got.Breaches() != test.want {
			t.Errorf("%s: %+v", name, onlyCounts(got))
		}
		if test.want > 0 {
			want := []Breach{{Kind: "scattered", Detail: "key b-7f3a91c2-k0: 1 order in partition 0, 2 in partition 1, 1 in partition 2"}}
			if diff := cmp.Diff(want, got.Examples); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		if test.want > 0 && got.breaches() != "1 key in several partitions" {
			t.Errorf("%s: %q", name, got.breaches())
		}
	}
}

// Readers read at once: what they find must not depend on which partition is
// read first. A copy is a copy, a damaged record damaged, and neither scatters
// the key of the orders that are all where they belong.
func TestScatteredDoesNotDependOnWhatIsReadFirst(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(w *world)
		want  Integrity // beside expected, acked and records
	}{
		{"a copy in another partition", func(w *world) { w.log[2] = append([]logged{*w.at(0)}, w.log[2]...) }, Integrity{Duplicated: 1}},
		{"copies of all of a key", func(w *world) {
			for seq := uint64(0); seq < w.n; seq += 10 {
				w.log[2] = append(w.log[2], *w.at(seq))
			}
		}, Integrity{Duplicated: 30}},
		{"a damaged record in another partition", func(w *world) {
			bad := logged{0, []byte("b-" + testRun + "-kX"), w.at(0).value}
			*w.at(0) = logged{}
			w.log[2] = append([]logged{bad}, w.log[2]...)
		}, Integrity{Corrupted: 1}},
		{"a damaged copy in another partition", func(w *world) {
			bad := logged{0, []byte("b-" + testRun + "-kX"), w.at(0).value}
			w.log[2] = append([]logged{bad}, w.log[2]...)
		}, Integrity{Corrupted: 1}},
		{"an order in another partition", func(w *world) {
			w.log[2] = append([]logged{*w.at(0)}, w.log[2]...)
			*w.at(0) = logged{}
		}, Integrity{Scattered: 1}},
		{"an order and its copy in another partition", func(w *world) {
			w.log[2] = append([]logged{*w.at(0), *w.at(0)}, w.log[2]...)
			*w.at(0) = logged{}
		}, Integrity{Scattered: 1, Duplicated: 1}},
		{"an order in another partition, and a copy of another one", func(w *world) {
			w.log[2] = append([]logged{*w.at(0)}, w.log[2]...)
			w.append(10, w.at(10).key, w.at(10).value)
			*w.at(0) = logged{}
		}, Integrity{Scattered: 1, Duplicated: 1}},
		{"an order in another partition, twice, and all others twice", func(w *world) {
			first := *w.at(0)
			*w.at(0) = logged{}
			for p := range w.log {
				w.log[p] = append(w.log[p], w.log[p]...)
			}
			w.log[2] = append(w.log[2], first, first)
		}, Integrity{Scattered: 1, Duplicated: 300}},
		{"an order in another partition, a damaged copy where it belongs", func(w *world) {
			w.log[2] = append([]logged{*w.at(0)}, w.log[2]...)
			w.at(0).key = []byte("b-" + testRun + "-kX")
		}, Integrity{Scattered: 1, Corrupted: 1}},
	} {
		for _, keys := range []uint64{10, denseKeys + 1} {
			for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
				w := honest(rand.New(rand.NewPCG(1, 2)), 300, 10, 3, false)
				test.spoil(w)
				a := newAudit("orders", testRun, w.n, keys, w.ledger, w)
				a.steady = true
				r := a.newReader()
				for _, p := range order {
					for offset, rec := range w.log[p] {
						if rec.value != nil {
							r.record(spot{int32(p), int64(offset)}, rec.key, rec.value)
						}
					}
				}
				got := onlyCounts(a.verdict([]*reader{r}))
				test.want.Expected, test.want.Acked, test.want.Records = got.Expected, got.Acked, got.Records
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s, %d keys, partitions read %v:\n%s", test.name, keys, order, diff)
				}
			}
		}
	}
}

// A receipt that tells another place than the order's is no loss.
func TestOrdersAreFoundElsewhereThanTold(t *testing.T) {
	w := honest(rand.New(rand.NewPCG(1, 2)), 100, 10, 3, true)
	told := func(seq uint64, p spot) {
		w.ledger.Settle(seq, client.Acked, w.ledger.Entry(seq).Answered, p.partition, p.offset)
	}
	told(7, spot{2, 9999})
	told(8, spot{0, w.where[8].offset + 1})
	// Of two copies one is where it was told: whichever comes first, nothing is wrong with the receipt.
	rec := w.at(20)
	w.append(20, rec.key, rec.value)
	last := w.where[20]
	last.offset = int64(len(w.log[last.partition])) - 1
	told(20, last)
	rec = w.at(21)
	w.append(21, rec.key, rec.value)
	got := onlyCounts(w.judged(10))
	if diff := cmp.Diff(Integrity{Expected: 100, Acked: 100, Records: 102, Duplicated: 2, Elsewhere: 2}, got); diff != "" {
		t.Error(diff)
	}
}

// The order within a key is that of a partition: one that was moved to another
// (more partitions meanwhile) is no breach there.
func TestAKeyInTwoPartitionsIsJudgedInEach(t *testing.T) {
	src := shop{keys: 1}
	l := NewLedger(4)
	for seq := range uint64(4) {
		l.Sent(seq, time.Duration(10*seq))
		l.Settle(seq, client.Acked, time.Duration(10*seq+5), -1, -1)
	}
	a := newAudit("orders", testRun, 4, 1, l, src)
	one, two := a.newReader(), a.newReader()
	give := func(r *reader, partition int32, seq uint64) {
		o := src.Order(seq)
		r.record(spot{partition, int64(seq)}, []byte(o.ID), src.Append(nil, seq))
	}
	give(one, 0, 2)
	give(two, 1, 1) // sent before, but elsewhere
	give(two, 1, 3)
	give(one, 0, 0) // behind number 2
	if got := a.verdict([]*reader{one, two}); got.Reordered != 1 || got.Breaches() != 1 {
		t.Errorf("%+v, want 1 reordered", got)
	}
}

// Random faults on random records: each found, each counted once.
func TestRandomFaultsAreCountedExactly(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		n := 500 + rnd.Uint64N(3000)
		keys := 1 + rnd.Uint64N(200)
		told := rnd.IntN(2) == 0
		w := honest(rnd, n, keys, 1+rnd.IntN(5), told)
		want := Integrity{Expected: n, Acked: n, Records: n}
		if diff := cmp.Diff(want, onlyCounts(w.judged(keys))); diff != "" {
			t.Fatalf("seed %d, an honest run:\n%s", seed, diff)
		}
		w.spoil(rnd, &want)
		if diff := cmp.Diff(want, onlyCounts(w.judged(keys)), cmpopts.IgnoreFields(Integrity{}, "Examples")); diff != "" {
			t.Errorf("seed %d (places told: %v):\n%s", seed, told, diff)
		}
	}
}

// spoil does random faults, each to an order of its own, and books them.
func (w *world) spoil(rnd *rand.Rand, want *Integrity) {
	used := map[uint64]bool{}
	free := func(seq uint64) bool { return !used[seq] }
	type todo struct{ seq uint64 }
	var copies, lost []todo
	for range 5 + rnd.IntN(60) {
		seq := rnd.Uint64N(w.n)
		if used[seq] {
			continue
		}
		kind := rnd.IntN(6)
		used[seq] = true
		switch kind {
		case 0:
			lost = append(lost, todo{seq})
			want.Lost++
			want.Records--
		case 1:
			copies = append(copies, todo{seq})
			want.Duplicated++
			want.Records++
		case 2:
			if later, ok := w.behind(seq, free); ok {
				used[later] = true
				want.Reordered++
			}
		case 3:
			w.damage(rnd, seq)
			want.Corrupted++
		case 4:
			w.ledger.Settle(seq, client.NotWritten, time.Minute, -1, -1)
			want.NotWrittenFound++
			want.Acked--
			want.Expected--
		case 5:
			w.ledger.Settle(seq, client.Unknown, time.Minute, -1, -1)
			want.Acked--
			want.UnknownWritten++
		}
	}
	for _, c := range copies {
		r := w.record(c.seq)
		w.append(c.seq, r.key, r.value)
	}
	for _, l := range lost {
		*w.record(l.seq) = logged{}
	}
}

// record finds an order's record, which may have been moved.
func (w *world) record(seq uint64) *logged {
	list := w.log[w.where[seq].partition]
	i := slices.IndexFunc(list, func(r logged) bool { return r.seq == seq && r.value != nil })
	return &list[i]
}

// damage changes one byte of the total, the status or the time, or the key.
func (w *world) damage(rnd *rand.Rand, seq uint64) {
	r := w.record(seq)
	r.value = slices.Clone(r.value)
	at := bytes.Index(r.value, []byte(`"total":`)) + len(`"total":`)
	switch rnd.IntN(3) {
	case 0:
		r.value[at] = '1' + (r.value[at]-'0')%9
	case 1:
		r.value[bytes.Index(r.value, []byte("paid"))] = 'q'
	case 2:
		r.key = []byte("elsewhere")
	}
}

func BenchmarkAudit(b *testing.B) {
	const n = 1 << 16
	w := honest(rand.New(rand.NewPCG(1, 2)), n, 1000, 1, true)
	a := newAudit("orders", testRun, n, 1000, w.ledger, w)
	r := a.newReader()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if i == len(w.log[0]) {
			b.StopTimer()
			a = newAudit("orders", testRun, n, 1000, w.ledger, w)
			r, i = a.newReader(), 0
			b.StartTimer()
		}
		rec := &w.log[0][i]
		r.record(spot{0, int64(i)}, rec.key, rec.value)
		i++
	}
}

// With the orders of a real run.
func BenchmarkAuditZipf(b *testing.B) {
	const n = 1 << 18
	src, err := NewSource(SourceOptions{Seed: 1, Run: testRun, Keys: 100_000, Dist: Zipf})
	if err != nil {
		b.Fatal(err)
	}
	l := NewLedger(n)
	records := make([]logged, n)
	for seq := range uint64(n) {
		l.Sent(seq, time.Duration(seq)*time.Microsecond)
		l.Settle(seq, client.Acked, time.Duration(seq+100)*time.Microsecond, 0, int64(seq))
		o := src.Order(seq)
		records[seq] = logged{seq, []byte(o.ID), src.Append(nil, seq)}
	}
	a := newAudit("orders", testRun, n, 100_000, l, src)
	r := a.newReader()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if i == n {
			b.StopTimer()
			a = newAudit("orders", testRun, n, 100_000, l, src)
			r, i = a.newReader(), 0
			b.StartTimer()
		}
		r.record(spot{0, int64(i)}, records[i].key, records[i].value)
		i++
	}
}
