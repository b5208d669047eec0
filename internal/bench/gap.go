package bench

import (
	"cmp"
	"slices"
	"time"
)

// Gap is a time in which orders were due and none was acknowledged.
type Gap struct {
	At, For   time.Duration
	Partition int32 // -1: of all
}

const (
	gapGrain = 10 * time.Millisecond
	gapRing  = 1024 // 10 s: far more than acknowledgements come out of order
	// minGap is what a change of leader takes at its best, and ten times what a
	// garbage collection does.
	minGap = 200 * time.Millisecond
	// keptGaps and gapPartitions bound what a run that is all gaps leaves.
	keptGaps      = 100
	gapPartitions = 128
)

// gaps finds them. Acknowledgements come in nearly in order, so they are
// sorted into grains of time first.
type gaps struct {
	all        silence
	partitions map[int32]*silence
	found      []Gap
	missed     uint64 // found when there was no room
}

func newGaps() gaps { return gaps{partitions: map[int32]*silence{}} }

// failed is an order that was not acknowledged: it was due all the same.
func (g *gaps) failed(at, due time.Duration) { g.all.settled(at, due, false) }

func (g *gaps) ack(at, due time.Duration, partition int32) {
	g.all.settled(at, due, true)
	if partition < 0 {
		return
	}
	p := g.partitions[partition]
	if p == nil {
		if len(g.partitions) == gapPartitions {
			return
		}
		p = &silence{}
		g.partitions[partition] = p
	}
	p.settled(at, due, true)
}

// closeTo judges what is before a time.
func (g *gaps) closeTo(at time.Duration) {
	seen := len(g.found)
	g.all.closeTo(at, func(from, to time.Duration) { g.keep(Gap{from, to - from, -1}) })
	for partition, p := range g.partitions {
		p.closeTo(at, func(from, to time.Duration) {
			// Where all were silent each was.
			if !slices.ContainsFunc(g.found, func(x Gap) bool {
				return x.Partition < 0 && x.At < to && from < x.At+x.For
			}) {
				g.keep(Gap{from, to - from, partition})
			}
		})
	}
	slices.SortFunc(g.found[seen:], func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Partition, b.Partition))
	})
}

// end judges the silence that no acknowledgement has ended.
func (g *gaps) end() {
	g.all.end(func(from, to time.Duration) { g.keep(Gap{from, to - from, -1}) })
}

func (g *gaps) keep(x Gap) {
	if len(g.found) == keptGaps {
		g.missed++
		return
	}
	g.found = append(g.found, x)
}

// silence watches one stream of outcomes for its acknowledgements.
type silence struct {
	oldest [gapRing]time.Duration // by grain: the earliest due of what was settled in it, +1; 0: nothing was
	acked  [gapRing]bool          // by grain: one of them was acknowledged
	next   int64                  // grain that is judged next
	last   time.Duration          // acknowledgement
	// Of what was settled since then, none of it acknowledged: the earliest due,
	// +1 (0: there is nothing), and when the last one was.
	waiting, until time.Duration
}

func (s *silence) settled(at, due time.Duration, acked bool) {
	grain := max(int64(at/gapGrain), s.next)
	if grain >= s.next+gapRing {
		return // the collector has not come round for 10 s; there is no telling then
	}
	if o := &s.oldest[grain%gapRing]; *o == 0 || due+1 < *o {
		*o = due + 1
	}
	if acked {
		s.acked[grain%gapRing] = true
	}
}

func (s *silence) closeTo(at time.Duration, gap func(from, to time.Duration)) {
	for end := int64(at / gapGrain); s.next < end; s.next++ {
		o := &s.oldest[s.next%gapRing]
		if *o == 0 {
			continue
		}
		now := time.Duration(s.next) * gapGrain
		if s.waiting == 0 || *o < s.waiting {
			s.waiting = *o
		}
		s.until, *o = now, 0
		if acked := &s.acked[s.next%gapRing]; *acked {
			*acked = false
			s.end(gap)
			s.last = now
		}
	}
}

// end tells the silence up to what was settled last, where it was one.
func (s *silence) end(gap func(from, to time.Duration)) {
	if from := max(s.last, s.waiting-1); s.waiting > 0 && s.until-from >= minGap {
		gap(from, s.until)
	}
	s.waiting = 0
}
