package client

import (
	"errors"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Outcome is what became of one attempt to write a record.
type Outcome string

// The outcomes. Unknown means that the record may or may not be in the log.
const (
	Acked      Outcome = "acked"
	NotWritten Outcome = "not_written"
	Unknown    Outcome = "unknown"
)

// OutcomeOf reads the error of the promise of r, which cl (of [New]) produced.
// Not written is a closed list: the record was refused before it was buffered,
// or its time ran out and since it was handed over no reply to a produce
// request was lost. All else is unknown, also a broker's own error code and a
// client that was closed: an earlier attempt may be in the log, and the library
// does not tell.
func OutcomeOf(cl *kgo.Client, r *kgo.Record, err error) Outcome {
	switch {
	case err == nil:
		return Acked
	case errors.Is(err, kgo.ErrMaxBuffered):
		return NotWritten
	case errors.Is(err, kgo.ErrRecordTimeout) && !lostSince(cl, r.Timestamp):
		return NotWritten
	}
	return Unknown
}

// witness remembers when the reply to a produce request was last lost. The
// library does not, once a later attempt was answered: the first is appended,
// its reply is lost, the second is refused by one that leads no more, the time
// runs out, and the error looks as if nothing had been written.
type witness struct {
	lost atomic.Int64 // Unix ns, 0 for never
}

// OnBrokerE2E is told of every request that was answered or failed, before the
// promises of its records.
func (w *witness) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if kmsg.Key(key) == kmsg.Produce && e.BytesWritten > 0 && e.Err() != nil {
		w.lost.Store(time.Now().UnixNano())
	}
}

// lostSince tells whether a reply was lost after t. Of a client without a
// witness nothing is known.
func lostSince(cl *kgo.Client, t time.Time) bool {
	hooks := reflect.ValueOf(cl.OptValue(kgo.WithHooks)) // of a type that has no name outside
	for i := range hooks.Len() {
		if w, ok := hooks.Index(i).Interface().(*witness); ok {
			return w.lost.Load() >= t.UnixNano()
		}
	}
	return true
}
