package dlq

import (
	"context"

	"github.com/ordersctl/ordersctl/internal/sink"
)

// Rows tells which event an order's row is of: a [sink.Store], as far as
// letters need it.
type Rows interface {
	Rows(ctx context.Context, ids []string) (map[string]sink.Row, error)
}

// Newer says whether a later event of a letter's order is applied.
type Newer int

// The answers. NewerUnknown is that of a row from another partition or topic,
// since their number was changed, the topic was made anew, or the key was not
// the order's id: the database compares places of one partition only, and there
// lets what is applied later win. So a replay would be applied over such a row,
// be it newer or not.
const (
	NewerUnknown Newer = iota
	NewerNo
	NewerYes
)

// IsNewer holds the row of an order against the first place of an event of it.
func IsNewer(row sink.Row, first sink.Place) Newer {
	switch {
	case row.From.TopicID != first.TopicID || row.From.Partition != first.Partition:
		return NewerUnknown
	case row.From.Offset > first.Offset:
		return NewerYes
	}
	return NewerNo
}
