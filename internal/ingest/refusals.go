package ingest

import (
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/ordersctl/ordersctl/internal/client"
)

const (
	// Enough to find a client's mistake by, not enough to fill a disk when
	// someone sends rubbish at full speed.
	refusalsPerSecond = 20
	refusalsBurst     = 100
)

// refusal is what is kept of a POST that was not accepted.
type refusal struct {
	requestID string
	orderID   string // "" where it can't be read
	code      int
	outcome   client.Outcome
	reason    string
	err       error // the cause where Kafka is it
}

// refusals logs them, at a bounded rate; what it leaves out it counts.
type refusals struct {
	logger  *slog.Logger
	limit   *rate.Limiter
	skipped atomic.Int64
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{logger: log, limit: rate.NewLimiter(refusalsPerSecond, refusalsBurst)}
}

func (r *refusals) log(f refusal) {
	if !r.allow() {
		return
	}
	args := []any{"request_id", f.requestID, "order_id", f.orderID, "code", f.code, "outcome", string(f.outcome), "reason", f.reason}
	if f.err != nil {
		args = append(args, "err", f.err)
	}
	r.write("order refused", args...)
}

// allow tells whether there is room for a line, and counts where there is not.
func (r *refusals) allow() bool {
	if !r.limit.Allow() {
		r.skipped.Add(1)
		return false
	}
	return true
}

// write is a line that was allowed. It says how many were left out before it.
func (r *refusals) write(msg string, args ...any) {
	if n := r.skipped.Swap(0); n > 0 {
		args = append(args, "skipped", n)
	}
	r.logger.Warn(msg, args...)
}

// flush tells at the end how many were left out since the last line.
func (r *refusals) flush() {
	if n := r.skipped.Swap(0); n > 0 {
		r.logger.Warn("more orders refused, not logged one by one", "skipped", n)
	}
}
