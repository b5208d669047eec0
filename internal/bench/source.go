package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/unit"
)

// Source gives the orders of a run by their numbers. They are a function of
// seed, run and number, so that nothing of them need be kept: what was sent is
// made again when it is held against what is in the log.
type Source interface {
	// Key is the number of the order's key. Equal numbers are equal order ids.
	Key(seq uint64) uint64
	Order(seq uint64) order.Order
	// Append appends the canonical JSON of Order(seq), whose id needs no escape.
	Append(dst []byte, seq uint64) []byte
}

// KeyDist is how orders spread over the keys.
type KeyDist string

// Uniform: each key is as likely as the others. Zipf: few keys have most of
// the orders. Unique: every order has a key of its own.
const (
	Uniform KeyDist = "uniform"
	Zipf    KeyDist = "zipf"
	Unique  KeyDist = "unique"
)

// KeyDists lists them.
func KeyDists() []string { return []string{string(Uniform), string(Zipf), string(Unique)} }

// ParseKeyDist reads one of KeyDists.
func ParseKeyDist(s string) (KeyDist, error) {
	for _, d := range KeyDists() {
		if s == d {
			return KeyDist(s), nil
		}
	}
	return "", fmt.Errorf("%q is none of %s", s, strings.Join(KeyDists(), ", "))
}

const (
	// DefaultZipf is the exponent where none is asked for: of 100,000 keys the
	// first has an eighth of the orders, the first hundred have two thirds.
	DefaultZipf = 1.1
	// maxZipfKeys bounds the table of the distribution to 80 MiB.
	maxZipfKeys = 10_000_000
)

// Status is a value of status and its share of the orders.
type Status struct {
	Name   string
	Weight uint32
}

// ParseStatuses reads "pending=5,paid=3,shipped"; without a number the weight is 1.
func ParseStatuses(s string) ([]Status, error) {
	var list []Status
	for part := range strings.SplitSeq(s, ",") {
		name, weight, weighed := strings.Cut(strings.TrimSpace(part), "=")
		st := Status{Name: name, Weight: 1}
		if weighed {
			n, err := strconv.ParseUint(weight, 10, 32)
			if err != nil || n == 0 {
				return nil, fmt.Errorf("%q is no share of a status, wants one like pending=5", part)
			}
			st.Weight = uint32(n)
		}
		if err := (order.Rules{Statuses: []string{name}}).Validate(); err != nil {
			return nil, err
		}
		list = append(list, st)
	}
	return list, nil
}

// SourceOptions are all that the orders depend on.
type SourceOptions struct {
	Seed     uint64
	Run      string // lower-case letters and digits, in every order's ids
	Keys     uint64 // how many; Unique needs none
	Dist     KeyDist
	Exponent float64   // of Zipf; 0 is DefaultZipf
	Statuses []Status  // empty: an ordinary shop's
	Size     unit.Size // of every order, exactly; 0: as it comes, about 140 bytes
}

type source struct {
	SourceOptions
	prefix   string // of both ids
	zipf     *zipf
	statuses []Status
	weight   uint64 // sum of the statuses' weights
	idFill   int    // characters that every id is filled up with
}

const (
	maxText = 128 // of id and user_id
	// seqDigits keeps user ids of a run's first ten million orders as long as
	// each other, and so sortable.
	seqDigits = 7
	// maxDigits is what a size reckons with: ten thousand million orders.
	maxDigits = 10
)

// NewSource refuses what would not be orders.
func NewSource(o SourceOptions) (Source, error) {
	if !validRun(o.Run) {
		return nil, fmt.Errorf("run %q is not 1 to 32 of a-z and 0-9", o.Run)
	}
	s := &source{SourceOptions: o, prefix: "b-" + o.Run + "-", statuses: o.Statuses}
	switch o.Dist {
	case Unique:
	case Uniform, Zipf:
		if o.Keys == 0 {
			return nil, fmt.Errorf("keys of a %s distribution are 0, wants 1 or more", o.Dist)
		}
	default:
		return nil, fmt.Errorf("key distribution %q is none of %s", o.Dist, strings.Join(KeyDists(), ", "))
	}
	if o.Dist == Zipf {
		if o.Exponent == 0 {
			s.Exponent = DefaultZipf
		}
		if o.Keys > maxZipfKeys || s.Exponent < 0 || s.Exponent > 10 {
			return nil, fmt.Errorf("zipf of %d keys with exponent %g, wants at most %d keys and an exponent to 10", o.Keys, s.Exponent, maxZipfKeys)
		}
		s.zipf = newZipf(o.Keys, s.Exponent)
	}
	if len(s.statuses) == 0 {
		s.statuses = []Status{{"pending", 5}, {"paid", 4}, {"shipped", 3}, {"delivered", 2}, {"cancelled", 1}}
	}
	for _, st := range s.statuses {
		s.weight += uint64(st.Weight)
	}
	if s.weight == 0 {
		return nil, errors.New("statuses have no weight")
	}
	return s, s.fill()
}

func validRun(run string) bool {
	for i := range len(run) {
		if c := run[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return run != "" && len(run) <= 32
}

// fill decides how the orders get their size: user ids are filled with zeros,
// each as it needs it; where that is not enough, ids with as many characters
// all, since an id is the same in all events of an order.
func (s *source) fill() error {
	if s.Size == 0 {
		return nil
	}
	userRoom := maxText - len(s.prefix) - maxDigits
	idRoom := userRoom - len("k")
	least, most := s.widest(), s.narrowest()+idRoom+userRoom
	if int64(s.Size) < int64(least) || int64(s.Size) > int64(most) {
		return fmt.Errorf("size %s is not between %d and %d bytes, which is what an order's five fields take", s.Size, least, most)
	}
	// What the narrowest order can't put into its user id, as long as the widest
	// still fits.
	s.idFill = min(max(0, int(s.Size)-s.narrowest()-userRoom), int(s.Size)-least)
	return nil
}

// widest and narrowest bound the length of an order that is not filled.
func (s *source) widest() int {
	key := maxDigits
	if s.Dist != Unique {
		key = len(strconv.FormatUint(s.Keys-1, 10))
	}
	return s.length(key+maxDigits, len("4374.99"), len("2024-10-01T12:34:56.789Z"), func(a, b int) bool { return a > b })
}

func (s *source) narrowest() int {
	return s.length(len("0")+seqDigits, len("1"), len("2024-10-01T12:34:56Z"), func(a, b int) bool { return a < b })
}

func (s *source) length(digits, total, stamp int, better func(a, b int) bool) int {
	status := len(s.statuses[0].Name)
	for _, st := range s.statuses {
		if better(len(st.Name), status) {
			status = len(st.Name)
		}
	}
	frame := len(`{"id":"k","user_id":"","total":,"status":"","timestamp":""}`)
	return frame + 2*len(s.prefix) + digits + total + status + stamp
}

func (s *source) Key(seq uint64) uint64 {
	switch s.Dist {
	case Unique:
		return seq
	case Zipf:
		return s.zipf.rank(s.draw(seq, drawKey))
	default:
		return below(s.draw(seq, drawKey), s.Keys)
	}
}

// What is drawn of an order, each from numbers of its own.
const (
	drawKey uint64 = iota
	drawTotal
	drawStatus
	draws
)

func (s *source) draw(seq, what uint64) uint64 { return mix(s.Seed, seq*draws+what) }

func (s *source) Order(seq uint64) order.Order {
	var buf [4 * maxText]byte
	b := s.Append(buf[:0], seq)
	id := idOf(b)
	user := b[len(frameID)+len(id)+len(frameUser):]
	user = user[:bytes.IndexByte(user, '"')]
	n := len(id)
	both := string(append(id[:n:n], user...))
	return order.Order{
		ID: both[:n], UserID: both[n:],
		Total: s.total(seq), Status: s.status(seq), Timestamp: time.UnixMilli(firstStamp).UTC().Add(s.age(s.Key(seq))),
	}
}

const (
	frameID     = `{"id":"`
	frameUser   = `","user_id":"`
	frameTotal  = `","total":`
	frameStatus = `,"status":"`
	frameStamp  = `","timestamp":"`
	frameEnd    = `"}`
)

// idOf is the id in what Append wrote: the first string in it, without escapes.
func idOf(encoded []byte) []byte {
	id := encoded[len(frameID):]
	return id[:bytes.IndexByte(id, '"')]
}

// Append writes what order.Append writes of the same order, without making the
// strings first: no character of ours needs an escape.
func (s *source) Append(dst []byte, seq uint64) []byte {
	start, key := len(dst), s.Key(seq)
	dst = append(dst, frameID...)
	dst = s.appendID(dst, key)
	dst = append(dst, frameUser...)
	dst = append(dst, s.prefix...)
	user := len(dst)
	dst = appendPadded(dst, seq)
	dst = append(dst, frameTotal...)
	dst = s.total(seq).Append(dst)
	dst = append(dst, frameStatus...)
	dst = append(dst, s.status(seq)...)
	dst = append(dst, frameStamp...)
	dst = appendStamp(dst, s.age(key))
	dst = append(dst, frameEnd...)
	if missing := int(s.Size) - (len(dst) - start); missing > 0 {
		dst = append(dst, zeros[:missing]...)
		copy(dst[user+missing:], dst[user:])
		copy(dst[user:], zeros[:missing])
	}
	return dst
}

// zeros fills the longest user id.
const zeros = "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"

// appendID writes b-<run>-k<key>, and what fills it: not zeros, which a codec
// would take out again.
func (s *source) appendID(dst []byte, key uint64) []byte {
	dst = append(dst, s.prefix...)
	dst = append(dst, 'k')
	dst = strconv.AppendUint(dst, key, 10)
	const digits = "0123456789abcdef"
	var bits uint64
	for i := range s.idFill {
		if i == 0 {
			dst = append(dst, '-')
			continue
		}
		if i%16 == 1 {
			bits = mix(s.Seed^key, uint64(i))
		}
		dst = append(dst, digits[bits&15])
		bits >>= 4
	}
	return dst
}

func appendPadded(dst []byte, seq uint64) []byte {
	var buf [20]byte
	digits := strconv.AppendUint(buf[:0], seq, 10)
	dst = append(dst, zeros[:max(seqDigits-len(digits), 0)]...)
	return append(dst, digits...)
}

// total is skewed as baskets are: most are small, few large.
func (s *source) total(seq uint64) order.Total {
	const cent = 100 // ten-thousandths
	x := s.draw(seq, drawTotal)
	limit := uint64(2000)
	for limit < 400_000 && x&3 == 0 {
		limit *= 3
		x >>= 2
	}
	return order.Total((100 + below(finish(x), limit)) * cent)
}

func (s *source) status(seq uint64) string {
	at := below(s.draw(seq, drawStatus), s.weight)
	for i := range s.statuses {
		w := uint64(s.statuses[i].Weight)
		if at < w {
			return s.statuses[i].Name
		}
		at -= w
	}
	return s.statuses[0].Name
}

// firstStamp is where the orders' times begin, in Unix milliseconds:
// 2024-10-01. They stay in its month, so that they are quickly written.
const firstStamp = 1_727_740_800_000

// age is the same for all events of an order: how long after firstStamp it was made.
func (s *source) age(key uint64) time.Duration {
	const days = 30
	return time.Duration(below(mix(s.Seed, ^key), days*24*3600*1000)) * time.Millisecond
}

func appendStamp(dst []byte, age time.Duration) []byte {
	const day = 24 * time.Hour
	two := func(n time.Duration) { dst = append(dst, byte('0'+n/10), byte('0'+n%10)) }
	dst = append(dst, "2024-10-"...)
	two(1 + age/day)
	dst = append(dst, 'T')
	two(age % day / time.Hour)
	dst = append(dst, ':')
	two(age % time.Hour / time.Minute)
	dst = append(dst, ':')
	two(age % time.Minute / time.Second)
	if ms := age % time.Second / time.Millisecond; ms > 0 {
		dst = append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
		for dst[len(dst)-1] == '0' {
			dst = dst[:len(dst)-1]
		}
	}
	return append(dst, 'Z')
}

// ParseUserID reads what stands in an order of ours: b-<run>-<seq>.
func ParseUserID(s string) (run string, seq uint64, ok bool) {
	rest, ok := strings.CutPrefix(s, "b-")
	if !ok {
		return "", 0, false
	}
	run, digits, ok := strings.Cut(rest, "-")
	if !ok || !validRun(run) || digits == "" {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return run, seq, err == nil
}
