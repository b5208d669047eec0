package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// part is what a reader found of one key in one partition.
type part struct {
	latest time.Duration // at which one of its orders was sent
	first  uint32        // orders whose first intact record stands here
}

// copyIn is an order that stands in a partition, and first in another one.
type copyIn struct {
	partition int32
	seq       uint64
}

// count notes an intact record of an order for the verdict: its first one, or a
// copy. A copy in the partition of the first, or a second one in another, says
// nothing new of where the order is.
func (r *reader) count(partition int32, seq, key uint64, again bool) {
	if !r.steady || !r.ordered {
		return
	}
	if again {
		// One goroutine reads a partition: had the first one been in this, it
		// would be known by now.
		if r.firstIn[seq].Load() != partition+1 {
			r.copies[copyIn{partition, seq}] = key
		}
		return
	}
	r.firstIn[seq].Store(partition + 1)
	if key < uint64(len(r.dense)) && r.dense[key].owner.Load() == partition+1 {
		r.dense[key].first++
		return
	}
	if i, found := r.sparse[partKey{partition, key}]; found {
		r.parts[i].first++
	}
}

// share is what one partition has of a key.
type share struct {
	partition   int32
	first, here uint64 // orders found here first, and all that are here
}

// scattered counts the keys whose orders are in more than one partition though
// none was added: the order of those is then nobody's promise. A key is whole
// where one partition has all of its orders. So
// neither a copy in another partition nor a damaged record scatters it, in
// whatever order the partitions were read.
func (a *audit) scattered(readers []*reader, sum *Integrity) {
	if !a.steady || !a.ordered {
		return
	}
	held := a.held(readers)
	for _, key := range slices.Sorted(maps.Keys(held)) {
		orders, most := uint64(0), uint64(0)
		for _, s := range held[key] {
			orders += s.first
			most = max(most, s.here)
		}
		if most >= orders {
			continue
		}
		if sum.Scattered++; sum.Scattered <= examplesOfKind {
			sum.Examples = append(sum.Examples, Breach{Kind: kindScattered, Detail: a.places(key, held[key])})
		}
	}
}

// held is what the partitions have of each key that may be scattered.
func (a *audit) held(readers []*reader) map[uint64][]share {
	held := map[uint64][]share{}
	add := func(key uint64, p int32, first, here uint64) {
		list := held[key]
		if i := slices.IndexFunc(list, func(s share) bool { return s.partition == p }); i >= 0 {
			list[i].first += first
			list[i].here += here
			return
		}
		held[key] = append(list, share{p, first, here})
	}
	several := a.several(readers)
	for _, r := range readers {
		for k, i := range r.sparse {
			if n := uint64(r.parts[i].first); n > 0 && several(k.key) {
				add(k.key, k.partition, n, n)
			}
		}
	}
	for key := range held {
		if key < uint64(len(a.dense)) {
			n := uint64(a.dense[key].first)
			add(key, a.dense[key].owner.Load()-1, n, n)
		}
	}
	for _, r := range readers {
		for c, key := range r.copies {
			if held[key] != nil {
				add(key, c.partition, 0, 1)
			}
		}
	}
	return held
}

// several tells of a key in the readers' maps whether it stands in more than
// one partition. Where all keys have a place of their own, the maps have those
// only.
func (a *audit) several(readers []*reader) func(key uint64) bool {
	if len(a.dense) > 0 {
		return func(uint64) bool { return true }
	}
	times := map[uint64]int{}
	for _, r := range readers {
		for k := range r.sparse {
			times[k.key]++
		}
	}
	return func(key uint64) bool { return times[key] > 1 }
}

// places is "key b-7f3a91c2-k17: 12 orders in partition 0, 1 in partition 2".
func (a *audit) places(key uint64, held []share) string {
	slices.SortFunc(held, func(x, y share) int { return cmp.Compare(x.partition, y.partition) })
	var parts []string
	word := " orders"
	for _, s := range held {
		if s.here == 0 {
			continue
		}
		if len(parts) == 0 && s.here == 1 {
			word = " order"
		}
		parts = append(parts, fmt.Sprintf("%s%s in partition %d", thousands(s.here), word, s.partition))
		word = ""
	}
	return fmt.Sprintf("key b-%s-k%d: %s", a.run, key, strings.Join(parts, ", "))
}
