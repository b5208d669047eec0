package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/time/rate"
)

// logger carries kfake's log into slog. For a damaged file or a full disk kfake
// has no other voice.
type logger struct {
	log *slog.Logger
	// A full disk is reported with every batch, into a log that may be on it.
	limit   *rate.Limiter
	skipped atomic.Int64

	mu      sync.Mutex
	closing bool    // under mu
	errs    []error // under mu; what kfake could not do while closing
}

func newLogger(log *slog.Logger) *logger {
	const perSecond, burst = 2, 20
	return &logger{log: log, limit: rate.NewLimiter(perSecond, burst)}
}

// Logf keeps kfake's errors and warnings at their level. Its INFO tells of
// single requests and group members, which is DEBUG to us.
func (l *logger) Logf(level kfake.LogLevel, format string, args ...any) {
	if level == kfake.LogLevelError && l.keepWhileClosing(format, args) {
		return
	}
	at := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		at = slog.LevelError
	case kfake.LogLevelWarn:
		at = slog.LevelWarn
	}
	ctx := context.Background() //nolint:forbidigo // kfake gives none, and slog wants one
	if l.log.Enabled(ctx, at) {
		if at > slog.LevelDebug && !l.limit.Allow() {
			l.skipped.Add(1)
			return
		}
		if n := l.skipped.Swap(0); n > 0 {
			l.log.Warn("more reports of the embedded broker, left out", slog.Int64("count", n))
		}
		l.log.Log(ctx, at, "embedded broker reports", slog.String("report", fmt.Sprintf(format, args...)))
	}
}

// keepWhileClosing keeps an error for Close to return: kfake's own Close
// returns none.
func (l *logger) keepWhileClosing(format string, args []any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		l.errs = append(l.errs, fmt.Errorf(format, args...))
	}
	return l.closing
}

// duringClose runs fn and returns the errors that kfake logs meanwhile.
func (l *logger) duringClose(fn func()) error {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()

	fn()

	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = false
	return errors.Join(l.errs...)
}
