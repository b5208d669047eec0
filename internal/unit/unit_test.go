package unit_test

import (
	"testing"

	"github.com/ordersctl/ordersctl/internal/unit"
)

func TestSizesReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]unit.Size{
		"512": 512, "512B": 512, "64KiB": 64 << 10, "1.5MiB": 3 << 19, "10MB": 10e6, "1 GiB": 1 << 30, "0": 0,
	} {
		got, err := unit.ParseSize(text)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
		if back, err := unit.ParseSize(got.String()); err != nil || back != got {
			t.Errorf("ParseSize(%q) = %d, %v, want %d back", got.String(), back, err, got)
		}
	}
	for _, text := range []string{"", "B", "-1", "64kib", "1e30", "NaN", "Inf", "12XB", "1,5MiB"} {
		if got, err := unit.ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestRatesReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]unit.Rate{
		"500": 500, "5k": 5000, "1.5k/s": 1500, "2M": 2e6, "0.5": 0.5, "max": 0,
	} {
		got, err := unit.ParseRate(text)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v, want %v", text, got, err, want)
		}
		if back, err := unit.ParseRate(got.String()); err != nil || back != got {
			t.Errorf("ParseRate(%q) = %v, %v, want %v back", got.String(), back, err, got)
		}
	}
	for _, text := range []string{"", "0", "-5", "k", "5x", "NaN", "1e12", "5k/m"} {
		if got, err := unit.ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %v, want an error", text, got)
		}
	}
}

func TestSizesForPeopleHaveThreeDigits(t *testing.T) {
	for size, want := range map[unit.Size]string{
		0: "0 B", 999: "999 B", 1024: "1.00 KiB", 612 << 20: "612 MiB", 1<<31 - 1<<27: "1.88 GiB", 12 << 10: "12.0 KiB",
	} {
		if got := size.Human(); got != want {
			t.Errorf("Size(%d).Human() = %q, want %q", size, got, want)
		}
	}
}
