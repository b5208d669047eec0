package send

import (
	"errors"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// Receipt is what became of one order, as it is printed in JSON.
type Receipt struct {
	Outcome   client.Outcome `json:"outcome"`
	Enqueued  bool           `json:"enqueued,omitempty"` // acked, but the server answers before Kafka has it
	ID        string         `json:"id,omitempty"`
	EventID   string         `json:"event_id,omitempty"`
	Topic     string         `json:"topic,omitempty"`
	Partition *int32         `json:"partition,omitempty"`
	Offset    *int64         `json:"offset,omitempty"`
	RequestID string         `json:"request_id,omitempty"` // of a failure
	Error     string         `json:"error,omitempty"`
	Errors    order.Faults   `json:"errors,omitempty"`
	File      string         `json:"file,omitempty"`
	Line      int64          `json:"line,omitempty"`
	Element   int64          `json:"element,omitempty"`

	At At `json:"-"`
	// Rejected marks what is no order: it was never sent.
	Rejected bool `json:"-"`
	// Halted marks what was read but not tried before an early end.
	Halted bool `json:"-"`
}

func receiptOf(p *Parcel, res Result) Receipt {
	rec := Receipt{Outcome: res.Outcome, Enqueued: res.Enqueued, ID: p.ID, EventID: res.EventID, Halted: res.Halted}
	if res.Placed {
		rec.Topic, rec.Partition, rec.Offset = res.Topic, &res.Partition, &res.Offset
	}
	if res.Outcome != client.Acked {
		rec.RequestID = res.RequestID
		rec.explain(res.Err)
	}
	rec.place(p.At)
	return rec
}

func receiptOfRejected(bad *Rejected) Receipt {
	rec := Receipt{Outcome: client.NotWritten, Rejected: true}
	rec.explain(bad.Err)
	rec.place(bad.At)
	return rec
}

func (r *Receipt) explain(err error) {
	if err == nil {
		return
	}
	r.Error = err.Error()
	_ = errors.As(err, &r.Errors)
}

func (r *Receipt) place(at At) {
	r.At, r.File = at, at.File
	if at.Element {
		r.Element = at.N
	} else {
		r.Line = at.N
	}
	if at.File == "" {
		r.Line = 0
	}
}
