package order

import (
	"fmt"
	"time"
)

// Timestamps are RFC 3339 with four decisions: T and Z in upper case only (the RFC lets a
// specification demand it), at most 9 fraction digits (more would be lost in silence), no leap
// second (neither Go's time nor PostgreSQL's timestamptz can hold one), and years 1970 to 9999
// after conversion to UTC. docs/order.schema.json says the same by pattern.
const (
	timeShape  = "is not an RFC 3339 time, wants one like 2024-10-01T12:34:56Z"
	timeCase   = "has a lower-case t or z, wants T and Z"
	timeComma  = "has a comma before its fraction, wants a point"
	timeDay    = "names a day that does not exist"
	timeClock  = "names a time of day that does not exist"
	timeLeap   = "is a leap second, wants seconds from 00 to 59"
	timeNoZone = "has no offset, wants Z or one like +02:00"
	timeZone   = "names an offset that does not exist, wants -23:59 to +23:59"
	timeBefore = "is before 1970 in UTC, wants the years 1970 to 9999"
	timeAfter  = "is after 9999 in UTC, wants the years 1970 to 9999"
)

const (
	minUnix     = 0               // 1970-01-01T00:00:00Z
	maxUnix     = 253_402_300_799 // 9999-12-31T23:59:59Z
	maxFraction = 9
)

// ParseTimestamp reads a time as [Decoder.Decode] does, and is false where that would refuse it.
func ParseTimestamp(b []byte) (t time.Time, ok bool) {
	t, detail := parseTimestamp(b)
	return t, detail == ""
}

// parseTimestamp gives the time in UTC, or what is wrong with it first. The value is not quoted
// in the text: faults are counted by their text, and every bad time would be a fault of its own.
func parseTimestamp(b []byte) (time.Time, string) {
	const clock = len("2006-01-02T15:04:05")
	if len(b) == 0 {
		return time.Time{}, isEmpty
	}
	if len(b) < clock || b[4] != '-' || b[7] != '-' || b[13] != ':' || b[16] != ':' {
		return time.Time{}, timeShape
	}
	hundreds, years, month, day := twoDigits(b[0:]), twoDigits(b[2:]), twoDigits(b[5:]), twoDigits(b[8:])
	hour, minute, second := twoDigits(b[11:]), twoDigits(b[14:]), twoDigits(b[17:])
	if hundreds|years|month|day|hour|minute|second < 0 {
		return time.Time{}, timeShape
	}
	if b[10] != 'T' {
		if b[10] == 't' {
			return time.Time{}, timeCase
		}
		return time.Time{}, timeShape
	}
	year := hundreds*100 + years
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return time.Time{}, timeDay
	}
	if second == 60 {
		return time.Time{}, timeLeap
	}
	if hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, timeClock
	}
	nanos, rest, detail := fraction(b[clock:])
	if detail != "" {
		return time.Time{}, detail
	}
	offset, detail := zone(rest)
	if detail != "" {
		return time.Time{}, detail
	}
	const daily, hourly, minutely = 86_400, 3_600, 60
	unix := int64(daysSince1970(year, month, day))*daily + int64(hour*hourly+minute*minutely+second) - int64(offset/time.Second)
	if detail := rangeFault(unix); detail != "" {
		return time.Time{}, detail
	}
	return time.Unix(unix, int64(nanos)).UTC(), ""
}

// daysSince1970 counts the days up to a date in the Gregorian calendar, years from 0 on:
// days_from_civil of https://howardhinnant.github.io/date_algorithms.html.
func daysSince1970(year, month, day int) int {
	const inFourCenturies, upTo1970 = 146_097, 719_468 // from March of the year 0
	if month <= 2 {
		year, month = year-1, month+12
	}
	year += 400 // so that none is negative
	era, year := year/400, year%400
	return (era-1)*inFourCenturies + year*365 + year/4 - year/100 + (153*(month-3)+2)/5 + day - 1 - upTo1970
}

// appendTimestamp is RFC3339Nano in UTC, which is the canonical form as it stands: Z, and no
// trailing zeros in the fraction.
func appendTimestamp(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, time.RFC3339Nano)
	}
	hour, minute, second := t.Clock()
	dst = append(appendTwo(appendTwo(dst, year/100), year%100), '-')
	dst = append(appendTwo(dst, int(month)), '-')
	dst = append(appendTwo(dst, day), 'T')
	dst = append(appendTwo(dst, hour), ':')
	dst = append(appendTwo(dst, minute), ':')
	dst = appendTwo(dst, second)
	if nanos := t.Nanosecond(); nanos > 0 {
		dst = append(dst, '.')
		for range maxFraction {
			dst = append(dst, byte('0'+nanos/1e8))
			nanos = nanos % 1e8 * 10
			if nanos == 0 {
				break
			}
		}
	}
	return append(dst, 'Z')
}

func appendTwo(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

func rangeFault(unix int64) string {
	switch {
	case unix < minUnix:
		return timeBefore
	case unix > maxUnix:
		return timeAfter
	default:
		return ""
	}
}

// twoDigits is negative where b does not begin with two digits.
func twoDigits(b []byte) int {
	tens, ones := b[0]-'0', b[1]-'0'
	if tens > 9 || ones > 9 {
		return -1
	}
	return int(tens)*10 + int(ones)
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	default:
		return 31
	}
}

// fraction reads ".5" in nanoseconds; without a fraction it is zero and rest is b.
func fraction(b []byte) (nanos int, rest []byte, detail string) {
	if len(b) == 0 || b[0] != '.' {
		if len(b) > 0 && b[0] == ',' {
			return 0, nil, timeComma
		}
		return 0, b, ""
	}
	n := 1
	for ; n < len(b) && b[n]-'0' <= 9; n++ {
		if n <= maxFraction {
			nanos = nanos*10 + int(b[n]-'0')
		}
	}
	switch places := n - 1; {
	case places == 0:
		return 0, nil, timeShape
	case places > maxFraction:
		return 0, nil, fmt.Sprintf("has %d fraction digits, at most %d fit", places, maxFraction)
	default:
		for range maxFraction - places {
			nanos *= 10
		}
		return nanos, b[n:], ""
	}
}

// zone reads "Z" or "+02:00" to its end. -00:00 is UTC, as RFC 3339 has it.
func zone(b []byte) (time.Duration, string) {
	switch {
	case len(b) == 0:
		return 0, timeNoZone
	case len(b) == 1 && b[0] == 'Z':
		return 0, ""
	case len(b) == 1 && b[0] == 'z':
		return 0, timeCase
	case len(b) != len("+02:00") || b[0] != '+' && b[0] != '-' || b[3] != ':':
		return 0, timeShape
	}
	hours, minutes := twoDigits(b[1:]), twoDigits(b[4:])
	if hours|minutes < 0 {
		return 0, timeShape
	}
	if hours > 23 || minutes > 59 {
		return 0, timeZone
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if b[0] == '-' {
		return -offset, ""
	}
	return offset, ""
}
