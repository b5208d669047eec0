package unit_test

import (
	"testing"
	"time"

	"github.com/ordersctl/ordersctl/internal/unit"
)

func TestTimesReadAsPeopleWriteThem(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		in, want string
		isAge    bool
	}{
		{"2026-11-01T10:00:30.5+02:00", "2026-11-01T08:00:30.5Z", false},
		{"2026-11-01T10:00+02:00", "2026-11-01T08:00:00Z", false},
		{"2026-11-01T10:00:30", "2026-11-01T10:00:30Z", false},
		{"2026-11-01T10:00", "2026-11-01T10:00:00Z", false},
		{"2026-11-01", "2026-11-01T00:00:00Z", false},
		{"1727786096", "2024-10-01T12:34:56Z", false},
		{"1727786096500", "2024-10-01T12:34:56.5Z", false},
		{"1d12h", "2026-11-21T00:00:00Z", true},
		{"-36h", "2026-11-21T00:00:00Z", true},
	} {
		got, isAge, err := unit.ParseTime(test.in, now)
		if err != nil || got.Format(time.RFC3339Nano) != test.want || isAge != test.isAge {
			t.Errorf("ParseTime(%q) = %v, %v, %v, want %s, %v", test.in, got, isAge, err, test.want, test.isAge)
		}
	}
	for _, text := range []string{"", "-", "d", "1d-1h", "1d+1h", "--1h", "yesterday", "123", "2026-13-01", "2026-11-01T", "65535d2000000h", "9999999d"} {
		if got, _, err := unit.ParseTime(text, now); err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", text, got)
		}
	}
}
