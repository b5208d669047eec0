package topic

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// MissingError says that a topic is not there.
type MissingError struct {
	Name string
	Next string // what to do about it
}

func (e *MissingError) Error() string { return fmt.Sprintf("there is no topic %q", e.Name) }

// Hint is the next step.
func (e *MissingError) Hint() string { return e.Next }

// BrokerError is what the broker answered to one request about one topic.
type BrokerError struct {
	Op    string // "create", "describe", …
	Topic string
	Msg   string // the broker's own words, often ""
	Err   error
	Next  string // what to do about it, "" where the error does not tell
}

func (e *BrokerError) Error() string {
	if e.Msg == "" {
		return fmt.Sprintf("%s: %v", e.Doing(), e.Err)
	}
	msg := strings.TrimSuffix(strings.Join(strings.Fields(e.Msg), " "), ".")
	var ke *kerr.Error
	if errors.As(e.Err, &ke) {
		return fmt.Sprintf("%s: %s (%s)", e.Doing(), msg, ke.Message)
	}
	return fmt.Sprintf("%s: %s", e.Doing(), msg)
}

// Unwrap gives the cause.
func (e *BrokerError) Unwrap() error { return e.Err }

// Doing is what was being done: "create topic orders".
func (e *BrokerError) Doing() string { return fmt.Sprintf("%s topic %s", e.Op, e.Topic) }

// Hint is the next step, "" where none is known.
func (e *BrokerError) Hint() string { return e.Next }
