package bench

import (
	"fmt"
	"time"
)

// Integrity is what the log says of a run's orders, warm-up included.
type Integrity struct {
	Expected       uint64 `json:"expected"` // acked, and unknown ones that were written
	Acked          uint64 `json:"acked"`
	UnknownWritten uint64 `json:"unknown_written"` // fine: nobody said that they were not
	UnknownAbsent  uint64 `json:"unknown_absent"`  // fine too

	Lost            uint64 `json:"lost"`              // acked, not found
	Duplicated      uint64 `json:"duplicated"`        // records beyond the first of an order
	Reordered       uint64 `json:"reordered"`         // behind an order of their key that was sent after their acknowledgement
	Scattered       uint64 `json:"scattered"`         // keys in more than one partition, though none was added
	Corrupted       uint64 `json:"corrupted"`         // records of the run that are not what was sent
	NotWrittenFound uint64 `json:"not_written_found"` // the client was told "not written"

	// Elsewhere are orders that stand intact at another place than their
	// acknowledgement told. They are not lost, so it is no breach.
	Elsewhere uint64 `json:"found_elsewhere"`

	// NotJudged are acked orders that were not found and whose receipts name
	// another topic, OtherTopic. Whether they are lost is not known here.
	NotJudged  uint64 `json:"not_judged,omitzero"`
	OtherTopic string `json:"other_topic,omitzero"`

	Others  uint64        `json:"others"`     // records of somebody else in the same offsets; not judged
	Records uint64        `json:"records"`    // all that were read
	Settled time.Duration `json:"settled_ns"` // waited for unknown ones before the log's end was taken
	Took    time.Duration `json:"took_ns"`    // the reading and judging

	Examples []Breach `json:"examples"` // at most 20 of each kind
}

// Breaches is how many records or orders are not as they should be.
func (i *Integrity) Breaches() uint64 {
	return i.Lost + i.Duplicated + i.Reordered + i.Scattered + i.Corrupted + i.NotWrittenFound
}

// Breach is one thing that should not be.
type Breach struct {
	Kind   string `json:"kind"` // lost, duplicated, reordered, scattered, corrupted, not_written_found
	UserID string `json:"user_id,omitempty"`
	Where  string `json:"where,omitempty"` // topic/partition@offset: where it stands, or for a lost one was said to
	Detail string `json:"detail,omitempty"`
}

const (
	kindLost            = "lost"
	kindDuplicated      = "duplicated"
	kindReordered       = "reordered"
	kindScattered       = "scattered"
	kindCorrupted       = "corrupted"
	kindNotWrittenFound = "not_written_found"

	examplesOfKind = 20
)

// kinds in the order in which they are told.
func kinds() []string {
	return []string{kindLost, kindDuplicated, kindReordered, kindScattered, kindCorrupted, kindNotWrittenFound}
}

// spot is a record's position.
type spot struct {
	partition int32
	offset    int64
}

func (p spot) in(topic string) string {
	if p.offset < 0 || p.partition < 0 {
		return ""
	}
	return fmt.Sprintf("%s/%d@%d", topic, p.partition, p.offset)
}
