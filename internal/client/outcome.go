package client

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Outcome is what became of one attempt to write a record.
type Outcome string

// The outcomes. Unknown means that the record may or may not be in the log.
const (
	Acked      Outcome = "acked"
	NotWritten Outcome = "not_written"
	Unknown    Outcome = "unknown"
)

// OutcomeOf reads the error of a produce promise. Not written is a closed
// list: the record was refused before it was buffered, or its time ran out
// when no request that held it can have reached a log. All else is unknown,
// also a broker's own error code and a client that was closed: the reply to an
// earlier attempt may have been lost after the append, and the client does not
// tell.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Acked
	case errors.Is(err, kgo.ErrMaxBuffered), errors.Is(err, kgo.ErrRecordTimeout):
		return NotWritten
	}
	return Unknown
}
