package bench

import "math/bits"

// mix is the nth number of a seed's sequence, each as if drawn by itself: the
// output function of SplitMix64 (Steele, Lea, Flood 2014) over its counter.
func mix(seed, n uint64) uint64 {
	x := finish(seed) + (n+1)*0x9e3779b97f4a7c15
	return finish(x)
}

func finish(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below scales x to [0, n) without a division and without a bias that any run
// could see.
func below(x, n uint64) uint64 {
	hi, _ := bits.Mul64(x, n)
	return hi
}
