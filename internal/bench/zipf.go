package bench

import (
	"math"
	"sort"
)

// zipf maps even numbers to ranks with the probability of 1/(rank+1)^s. It is
// a table of the distribution's sums, so an order's key costs one look-up and
// depends on nothing but its number; math/rand's rejects draws, and its
// exponent has to be above 1.
type zipf struct {
	sums  []uint64 // sums[i]: below it lie ranks 0 to i
	guide []uint32 // by the top bits of a draw: the first rank it may be
}

const guideBits = 16

func newZipf(n uint64, s float64) *zipf {
	weights := make([]float64, n)
	total := 0.0
	for i := len(weights) - 1; i >= 0; i-- { // small ones first: nothing is lost in the sum
		weights[i] = math.Pow(float64(i+1), -s)
		total += weights[i]
	}
	z := &zipf{sums: make([]uint64, n), guide: make([]uint32, 1<<guideBits)}
	sum := 0.0
	for i, w := range weights {
		sum += w
		z.sums[i] = scaled(sum / total)
	}
	z.sums[n-1] = math.MaxUint64
	rank := 0
	for top := range z.guide {
		for z.sums[rank] <= uint64(top)<<(64-guideBits) && rank < len(z.sums)-1 {
			rank++
		}
		z.guide[top] = uint32(rank)
	}
	return z
}

// scaled maps [0, 1] to the 64-bit numbers.
func scaled(x float64) uint64 {
	if x >= 1 {
		return math.MaxUint64
	}
	return uint64(x * (1 << 32) * (1 << 32))
}

func (z *zipf) rank(x uint64) uint64 {
	top := x >> (64 - guideBits)
	low, high := int(z.guide[top]), len(z.sums)-1
	if top+1 < uint64(len(z.guide)) {
		high = int(z.guide[top+1])
	}
	return uint64(low + sort.Search(high-low, func(i int) bool { return z.sums[low+i] > x }))
}
