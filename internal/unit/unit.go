// Package unit reads and writes quantities as people write them: [Size]
// ("64KiB") and [Rate] ("5k", "1.5k/s"), which fit flags and configuration, and
// times and ages ([ParseTime]).
package unit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

// Binary multiples.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var sizeUnits = []struct { //nolint:gochecknoglobals // a table that nobody changes
	suffix string
	bytes  Size
}{
	{"KiB", KiB}, {"MiB", MiB}, {"GiB", GiB}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

// ParseSize reads "64KiB", "1.5MiB", "10MB", "512B" or "512".
func ParseSize(s string) (Size, error) {
	for _, u := range sizeUnits {
		num, ok := strings.CutSuffix(strings.TrimSpace(s), u.suffix)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || !(f >= 0 && f <= math.MaxInt64/4/float64(u.bytes)) {
			break
		}
		return Size(f * float64(u.bytes)), nil
	}
	return 0, fmt.Errorf("%q is not a size, wants one like 512, 64KiB, 8MiB", s)
}

// String writes the largest binary unit that leaves no remainder.
func (s Size) String() string {
	for _, u := range []struct {
		suffix string
		bytes  Size
	}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}} {
		if s >= u.bytes && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Human is the size with three significant digits, for people: "612 MiB".
func (s Size) Human() string {
	f, unit := float64(s), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1000 {
			break
		}
		f, unit = f/1024, next
	}
	if unit == "B" || f >= 100 {
		return fmt.Sprintf("%.0f %s", f, unit)
	}
	if f >= 10 {
		return fmt.Sprintf("%.1f %s", f, unit)
	}
	return fmt.Sprintf("%.2f %s", f, unit)
}

// Set reads a flag's value.
func (s *Size) Set(text string) error {
	v, err := ParseSize(text)
	if err == nil {
		*s = v
	}
	return err
}

// Type names the value in a flag's help.
func (s *Size) Type() string { return "size" }

// UnmarshalText reads a value of the configuration.
func (s *Size) UnmarshalText(text []byte) error { return s.Set(string(text)) }

// MarshalText writes what ParseSize reads.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Rate is a number per second; 0 means unlimited.
type Rate float64

// ParseRate reads "500", "5k", "1.5k/s", "2M" and "max" (unlimited).
func ParseRate(s string) (Rate, error) {
	bad := fmt.Errorf("%q is not a rate, wants one like 500, 5k, 1.5k/s, max", s)
	text := strings.TrimSuffix(strings.TrimSpace(s), "/s")
	if text == "max" {
		return 0, nil
	}
	mult := 1.0
	switch {
	case strings.HasSuffix(text, "k"), strings.HasSuffix(text, "K"):
		mult = 1e3
	case strings.HasSuffix(text, "M"):
		mult = 1e6
	}
	if mult > 1 {
		text = text[:len(text)-1]
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f > 0 && f*mult <= 1e9) {
		return 0, bad
	}
	return Rate(f * mult), nil
}

// String writes what ParseRate reads.
func (r Rate) String() string {
	switch {
	case r <= 0:
		return "max"
	case r >= 1e6:
		return strconv.FormatFloat(float64(r)/1e6, 'g', -1, 64) + "M/s"
	case r >= 1e3:
		return strconv.FormatFloat(float64(r)/1e3, 'g', -1, 64) + "k/s"
	}
	return strconv.FormatFloat(float64(r), 'g', -1, 64) + "/s"
}

// Set reads a flag's value.
func (r *Rate) Set(text string) error {
	v, err := ParseRate(text)
	if err == nil {
		*r = v
	}
	return err
}

// Type names the value in a flag's help.
func (r *Rate) Type() string { return "rate" }
