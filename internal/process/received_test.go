package process

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestReceivedAt(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	for text, want := range map[string]time.Time{
		now.Format(time.RFC3339Nano):                  now,
		now.Add(time.Hour).Format(time.RFC3339Nano):   now.Add(time.Hour), // a clock that is fast
		"2024-10-01T12:34:56.789+02:00":               time.Date(2024, 10, 1, 10, 34, 56, 789e6, time.UTC),
		"":                                            {},
		"yesterday":                                   {},
		"2024-10-01T12:34:56.1234567890Z":             {}, // as in an order
		"0000-01-01T00:00:00Z":                        {},
		"1969-12-31T23:59:59Z":                        {},
		"9999-12-31T23:59:59-23:59":                   {},
		now.AddDate(0, 0, 2).Format(time.RFC3339Nano): {},
	} {
		r := &kgo.Record{Headers: []kgo.RecordHeader{{Key: "received-at", Value: []byte(text)}}}
		if got := receivedAt(r, now); !got.Equal(want) {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
	if got := receivedAt(new(kgo.Record), now); !got.IsZero() {
		t.Errorf("without a header it is %s", got)
	}
}
