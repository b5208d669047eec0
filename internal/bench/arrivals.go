package bench

import (
	"fmt"
	"math"
	"strings"
)

// Arrivals is how orders lie within the rate.
type Arrivals string

// Constant arrivals are evenly apart. Poisson arrivals are independent of each
// other, as those of many customers are: the same rate, in bursts and lulls.
const (
	Constant Arrivals = "constant"
	Poisson  Arrivals = "poisson"
)

// ParseArrivals reads "constant" and "poisson".
func ParseArrivals(s string) (Arrivals, error) {
	for _, a := range []Arrivals{Constant, Poisson} {
		if s == string(a) {
			return a, nil
		}
	}
	return "", fmt.Errorf("%q is none of %s", s, strings.Join([]string{string(Constant), string(Poisson)}, ", "))
}

// arrivals gives the places of orders on the schedule's count: 0, 1, 2, ... for
// constant ones, sums of exponential gaps with a mean of 1 for Poisson's.
type arrivals struct {
	poisson bool
	seed    uint64
	n       uint64
	sum     float64
}

func newArrivals(a Arrivals, seed uint64) *arrivals {
	return &arrivals{poisson: a == Poisson, seed: seed}
}

// next is the place of the next one.
func (a *arrivals) next() float64 {
	n := a.n
	a.n++
	if !a.poisson {
		return float64(n)
	}
	// 1-u is in (0, 1], so the logarithm is finite.
	u := float64(mix(a.seed^arrivalsSalt, n)>>11) / (1 << 53)
	a.sum -= math.Log(1 - u)
	return a.sum
}

// arrivalsSalt keeps arrival times apart from what the same seed decides of the orders.
const arrivalsSalt = 0x617272697661
