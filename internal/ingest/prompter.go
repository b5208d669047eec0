package ingest

import (
	"context"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// prompter ends the Kafka client's linger early. A record that finds nothing
// in flight has no company to wait for and goes at once; while a group is in
// flight the next one gathers, and goes when the last of it is settled
// (Nagle's way, RFC 896). Above that the linger stands: one group that hangs
// at its broker holds nobody else up for longer, and a count that is off costs
// a needless prompt, no more.
type prompter struct {
	kafka *kgo.Client
	over  context.Context //nolint:containedctx // has ended: it makes Flush end lingers and not wait for what comes of it

	open    atomic.Int64 // handed over, not settled
	waiting atomic.Int64 // of these, since the last prompt
}

func newPrompter(kafka *kgo.Client) *prompter {
	over, end := context.WithCancel(context.Background()) //nolint:forbidigo // see there
	end()
	return &prompter{kafka: kafka, over: over}
}

// added is told when a request has handed over n records.
func (p *prompter) added(n int) {
	open := p.open.Add(int64(n))
	if open <= p.waiting.Add(int64(n)) {
		p.prompt()
	}
}

// settled is told of each promise.
func (p *prompter) settled() {
	open := p.open.Add(-1)
	if open > 0 && open <= p.waiting.Load() {
		p.prompt()
	}
}

func (p *prompter) prompt() {
	if p.waiting.Swap(0) > 0 {
		_ = p.kafka.Flush(p.over) // that it was not awaited, as told above
	}
}
