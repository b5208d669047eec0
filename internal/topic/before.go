package topic

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/unit"
)

// Before says up to where records are deleted: the records before an offset,
// or those that are older than a time. The zero Before is everything up to the
// end.
type Before struct {
	Partition *int32 // nil: each partition
	Offset    int64
	Time      time.Time // zero: by Offset
	set       bool
}

// All tells that nothing was said: everything up to the end.
func (b Before) All() bool { return !b.set }

// ParseBefore reads an offset ("5000", for each partition), a place
// ("orders/1@5000" or "1@5000", for one), or "@" and a time as
// [unit.ParseTime] reads it ("@2026-11-01", "@-36h").
func ParseBefore(s, topic string, now time.Time) (Before, error) {
	text := strings.TrimSpace(s)
	place, at, ok := strings.Cut(text, "@")
	switch {
	case ok && place == "":
		t, _, err := unit.ParseTime(at, now)
		if err == nil {
			t, err = checkYear(t)
		}
		if err != nil {
			return Before{}, fmt.Errorf("%q: %w", s, err)
		}
		return Before{Time: t, set: true}, nil
	case !ok:
		at = text
	}
	offset, err := strconv.ParseInt(at, 10, 64)
	if err != nil || offset < 0 {
		return Before{}, fmt.Errorf("%q is none of an offset (5000), a place (1@5000) and a time (@2026-11-01, @-36h)", s)
	}
	b := Before{Offset: offset, set: true}
	if !ok {
		return b, nil
	}
	if name, number, named := strings.Cut(place, "/"); named {
		if name != topic {
			return Before{}, fmt.Errorf("%q is in topic %q, not in %q", s, name, topic)
		}
		place = number
	}
	p, err := strconv.ParseInt(place, 10, 32)
	if err != nil || p < 0 {
		return Before{}, fmt.Errorf("%q: %q is not a partition", s, place)
	}
	number := int32(p)
	b.Partition = &number
	return b, nil
}

func checkYear(t time.Time) (time.Time, error) {
	if t.Year() < 1970 || t.Year() > 9999 {
		return t, fmt.Errorf("the year %d is not between 1970 and 9999", t.Year())
	}
	return t, nil
}
