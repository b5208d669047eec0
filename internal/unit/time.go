package unit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseTime reads RFC 3339, the same without seconds or zone (UTC), a day
// (UTC), seconds or milliseconds since 1970 (10 or 13 digits), or an age: "2h"
// and "-2h" are two hours ago.
func ParseTime(s string, now time.Time) (at time.Time, isAge bool, err error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if at, err = time.Parse(layout, s); err == nil {
			return at.UTC(), false, nil
		}
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil {
		switch len(s) {
		case 10:
			return time.Unix(int64(n), 0).UTC(), false, nil
		case 13:
			return time.UnixMilli(int64(n)).UTC(), false, nil
		}
	}
	if d, err := ParseDuration(s); err == nil {
		return now.Add(-d.Abs()), true, nil
	}
	return time.Time{}, false, fmt.Errorf("%q is not a time, wants one like 2024-10-01T12:34:56Z, 2024-10-01, 10m (ago)", s)
}

// ParseDuration knows days beside Go's units: "7d", "-1d12h".
func ParseDuration(s string) (time.Duration, error) {
	const day = 24 * time.Hour
	text, negative := strings.CutPrefix(s, "-")
	var total time.Duration
	if days, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, err
		}
		total, text = time.Duration(n)*day, rest
	}
	if text != "" || total == 0 {
		if text == "" || text[0] == '-' || text[0] == '+' {
			return 0, fmt.Errorf("%q is not a duration", s)
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, err
		}
		// Days are few enough to fit, hours beside them may be too many.
		if total += d; total < 0 {
			return 0, fmt.Errorf("%q is too long", s)
		}
	}
	if negative {
		total = -total
	}
	return total, nil
}
