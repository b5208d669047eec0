package tail

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/unit"
)

// Range says where to read from and to, in each partition.
type Range struct {
	From Bound
	To   Bound // the zero Bound: no end, follow
}

// Bound is one end of a Range.
type Bound struct {
	Kind BoundKind
	N    int64     // Exact: the offset. Relative: how far from start (+) or end (-)
	At   time.Time // AtTime
}

// BoundKind tells how a Bound is meant.
type BoundKind uint8

// The kinds of bounds.
const (
	Unset    BoundKind = iota
	Start              // the oldest record there is
	End                // behind the newest record at the time of asking
	Exact              // an offset
	Relative           // N records after the start, or -N before the end
	AtTime             // the first record that is not older
)

const offsetForms = "start, end, :end, +10, -10, 884, 884:, :900, 884:900, 884:end, @2024-10-01, @-10m, @-2h:-1h, @:end"

// ParseRange reads rpk's offset grammar (rpk topic consume --help), and the
// words that other tools have for start and end. Of two durations each is an
// age, counted back from now ("@-2h:-1h" and "@2h:1h" are the same); a
// duration after a time is counted from that time ("@2024-10-01:1h").
func ParseRange(text string, now time.Time) (Range, error) {
	if rest, ok := strings.CutPrefix(text, "@"); ok {
		return parseTimeRange(text, rest, now)
	}
	from, to, both := strings.Cut(text, ":")
	if !both {
		b, err := parseBound(from)
		if err != nil {
			return Range{}, badOffset(text)
		}
		return Range{From: b}, nil
	}
	r := Range{From: Bound{Kind: Start}}
	var err error
	if from != "" {
		if r.From, err = parseBound(from); err != nil {
			return Range{}, badOffset(text)
		}
	}
	if to != "" {
		r.To, err = parseBound(to)
		if err != nil || r.To.Kind != Exact && r.To.Kind != End {
			return Range{}, badOffset(text)
		}
	}
	if from == "" && to == "" {
		return Range{}, badOffset(text)
	}
	if r.From.Kind == Exact && r.To.Kind == Exact && r.To.N <= r.From.N {
		return Range{}, fmt.Errorf("offset %q ends at or before its beginning", text)
	}
	return r, nil
}

func badOffset(text string) error {
	return fmt.Errorf("%q is not an offset, wants one like %s", text, offsetForms)
}

func parseBound(s string) (Bound, error) {
	switch s {
	case "start", "beginning", "earliest", "oldest":
		return Bound{Kind: Start}, nil
	case "end", "newest", "latest":
		return Bound{Kind: End}, nil
	case "":
		return Bound{}, errors.New("empty")
	}
	kind := Exact
	if s[0] == '+' || s[0] == '-' {
		kind = Relative
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if kind == Relative && n == 0 {
		if s[0] == '+' {
			return Bound{Kind: Start}, err
		}
		return Bound{Kind: End}, err
	}
	return Bound{Kind: kind, N: n}, err
}

func parseTimeRange(text, rest string, now time.Time) (Range, error) {
	if at, _, err := unit.ParseTime(rest, now); err == nil {
		return Range{From: Bound{Kind: AtTime, At: at}}, nil
	}
	// A time has colons of its own, so each of them may be the one between.
	for i, c := range rest {
		if c != ':' {
			continue
		}
		r := Range{From: Bound{Kind: Start}}
		base := time.Time{}
		if i > 0 {
			at, isAge, err := unit.ParseTime(rest[:i], now)
			if err != nil {
				continue
			}
			r.From = Bound{Kind: AtTime, At: at}
			if !isAge {
				base = at
			}
		}
		to, err := parseTimeEnd(rest[i+1:], base, now)
		if err != nil || i == 0 && to.Kind == Unset {
			continue
		}
		r.To = to
		if r.From.Kind == AtTime && to.Kind == AtTime && !to.At.After(r.From.At) {
			return Range{}, fmt.Errorf("offset %q ends at or before its beginning", text)
		}
		return r, nil
	}
	return Range{}, badOffset(text)
}

// parseTimeEnd reads what stands behind the colon; base is what a duration is
// counted from, zero where it is an age.
func parseTimeEnd(s string, base, now time.Time) (Bound, error) {
	switch s {
	case "":
		return Bound{}, nil
	case "end", "newest", "latest":
		return Bound{Kind: End}, nil
	}
	if d, err := unit.ParseDuration(s); err == nil && !base.IsZero() {
		return Bound{Kind: AtTime, At: base.Add(d)}, nil
	}
	at, _, err := unit.ParseTime(s, now)
	return Bound{Kind: AtTime, At: at}, err
}

// ParsePlace reads a record's position: topic/partition@offset, or
// partition@offset, where the topic is "".
func ParsePlace(s string) (topic string, partition int32, offset int64, err error) {
	bad := fmt.Errorf("%q is not a position, wants topic/partition@offset", s)
	place, at, ok := strings.Cut(s, "@")
	if !ok {
		return "", 0, 0, bad
	}
	part := place
	if i := strings.LastIndexByte(place, '/'); i >= 0 {
		if i == 0 {
			return "", 0, 0, bad
		}
		topic, part = place[:i], place[i+1:]
	}
	p, err := strconv.ParseUint(part, 10, 31)
	if err != nil {
		return "", 0, 0, bad
	}
	o, err := strconv.ParseUint(at, 10, 63)
	if err != nil {
		return "", 0, 0, bad
	}
	return topic, int32(p), int64(o), nil
}
