package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logger carries kfake's log into slog. For a damaged file or a full disk kfake
// has no other voice.
type logger struct {
	log *slog.Logger

	mu      sync.Mutex
	closing bool    // under mu
	errs    []error // under mu; what kfake could not do while closing
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
