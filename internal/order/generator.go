package order

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// GeneratorOptions are all that a sequence depends on. The zero value is a sequence too.
type GeneratorOptions struct {
	Seed uint64
	// Start is where the timestamps begin; the first is a little later. Zero is 2024-10-01T00:00:00Z.
	Start time.Time
	// Keys is how many order ids there are, each as likely as the others. 0 (or less) gives every
	// order an id of its own.
	Keys int
	// Users is how many users there are. 0 (or less) is 1,000.
	Users int
	// Statuses are the values of status, the first ones the likeliest. Empty is an ordinary shop's.
	Statuses []string
}

// Generator makes plausible orders, without end. Equal options give an equal sequence, on every
// machine: there is no clock in it, no floating point and no source of chance but the seed.
// The sequence is no promise across releases. A Generator is not safe for concurrent use.
type Generator struct {
	opts   GeneratorOptions
	rand   *rand.Rand
	made   uint64
	now    time.Time
	weight uint64 // sum of the statuses' weights
}

// NewGenerator takes the options as they are: where Start or Statuses break the rules of an order,
// so do the orders.
func NewGenerator(opts GeneratorOptions) *Generator {
	if opts.Start.IsZero() {
		opts.Start = time.Date(2024, time.October, 1, 0, 0, 0, 0, time.UTC)
	}
	if opts.Users <= 0 {
		opts.Users = 1000
	}
	opts.Statuses = slices.Clone(opts.Statuses)
	if len(opts.Statuses) == 0 {
		opts.Statuses = []string{"pending", "paid", "shipped", "delivered", "cancelled"}
	}
	n := uint64(len(opts.Statuses))
	return &Generator{
		opts:   opts,
		rand:   rand.New(rand.NewPCG(opts.Seed, 0x6f72646572)),
		now:    opts.Start.UTC(),
		weight: n * (n + 1) / 2,
	}
}

// Next is the next order of the sequence.
func (g *Generator) Next() Order {
	g.now = g.step()
	id, userID := g.names(g.key(), g.rand.IntN(g.opts.Users))
	o := Order{
		ID:        id,
		UserID:    userID,
		Total:     g.total(),
		Status:    g.status(),
		Timestamp: g.now,
	}
	g.made++
	return o
}

// key is the number of the order's key. Other distributions than the uniform one belong here.
func (g *Generator) key() uint64 {
	if g.opts.Keys <= 0 {
		return g.made
	}
	return g.rand.Uint64N(uint64(g.opts.Keys))
}

// names gives key and user their ids, in one piece of memory: a load generator makes many.
// Keys are mapped to ids one to one: 8 hexadecimal digits for the first 2^32, 16 beyond.
func (g *Generator) names(key uint64, user int) (id, userID string) {
	var buf [48]byte
	b := append(buf[:0], "ord-"...)
	if key < 1<<32 {
		b = appendPadded(b, uint64(shuffle32(uint32(key)^uint32(g.opts.Seed))), 16, 8)
	} else {
		b = appendPadded(b, key, 16, 16)
	}
	n := len(b)
	b = append(b, "u-"...)
	b = appendPadded(b, uint64(user), 10, 4)
	both := string(b)
	return both[:n], both[n:]
}

// appendPadded appends x with zeros in front up to a width.
func appendPadded(dst []byte, x uint64, base, width int) []byte {
	var buf [20]byte
	digits := strconv.AppendUint(buf[:0], x, base)
	for range width - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

// shuffle32 is a permutation of the 32-bit numbers: each of its steps can be undone, so two keys
// never share an id. (The finalizer of MurmurHash3.)
func shuffle32(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x85ebca6b
	x ^= x >> 13
	x *= 0xc2b2ae35
	x ^= x >> 16
	return x
}

// total is skewed as baskets are: most are small, few are large, and many end in .99 or .50.
func (g *Generator) total() Total {
	const cent = 100 // ten-thousandths
	limit := uint64(2000)
	for limit < 500_000 && g.rand.IntN(3) == 0 {
		limit *= 3
	}
	cents := 100 + g.rand.Uint64N(limit)
	switch g.rand.IntN(4) {
	case 0:
		cents = cents/100*100 + 99
	case 1:
		cents = cents/50*50 + 50
	}
	return Total(cents * cent)
}

// status gives n statuses the weights n, n-1, ... 1.
func (g *Generator) status() string {
	at := g.rand.Uint64N(g.weight)
	for i, s := range g.opts.Statuses {
		share := uint64(len(g.opts.Statuses) - i)
		if at < share {
			return s
		}
		at -= share
	}
	return g.opts.Statuses[0]
}

// step is the time of the next order: 1 to 40 ms later, and never beyond the last second that an
// order may have.
func (g *Generator) step() time.Time {
	next := g.now.Add(time.Duration(1+g.rand.IntN(40)) * time.Millisecond)
	if next.Unix() > maxUnix {
		return g.now
	}
	return next
}
