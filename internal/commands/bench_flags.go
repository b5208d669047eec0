package commands

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/unit"
)

// countFlag is a number of orders or keys as people write it: 500, 5k, 1.5M.
type countFlag uint64

// String writes all its digits: what "5k" stands for is for people to read.
func (c *countFlag) String() string { return strconv.FormatUint(uint64(*c), 10) }

// Set reads a flag's value.
func (c *countFlag) Set(s string) error {
	bad := fmt.Errorf("%q is not a number, wants one like 500, 10k, 1.5M", s)
	text, multiple := s, 1.0
	for suffix, m := range map[string]float64{"k": 1e3, "M": 1e6} {
		if digits, ok := strings.CutSuffix(s, suffix); ok {
			text, multiple = digits, m
		}
	}
	if multiple == 1 {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return bad
		}
		*c = countFlag(n)
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	// Beyond it float64 would round.
	if n := f * multiple; err != nil || !(n >= 0 && n <= 1<<53) || n != math.Trunc(n) {
		return bad
	}
	*c = countFlag(f * multiple)
	return nil
}

// Type names the value in a flag's help.
func (c *countFlag) Type() string { return "count" }

// lengthFlag is a time as people write it, days included.
type lengthFlag time.Duration

// String writes what Set reads.
func (l *lengthFlag) String() string {
	if *l == 0 {
		return "0" // which help takes for no default
	}
	return time.Duration(*l).String()
}

// Set reads a flag's value.
func (l *lengthFlag) Set(s string) error {
	d, err := unit.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a length of time, wants one like 30s, 5m, 1h30m", s)
	}
	*l = lengthFlag(d)
	return nil
}

// Type names the value in a flag's help.
func (l *lengthFlag) Type() string { return "duration" }
