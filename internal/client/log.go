package client

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// slogger hands the client library's log to slog one level lower: what it
// calls a warning (a connection that broke, a leader that moved) it heals by
// itself, and what it can't heal comes back as an error to the caller.
type slogger struct {
	log *slog.Logger
	// Set during the first contact: its error goes to the caller, explained, and
	// would else be told twice, the second time in the library's words.
	quiet *atomic.Bool
}

func (s slogger) Level() kgo.LogLevel {
	ctx := context.Background() //nolint:forbidigo // the library gives none, and slog wants one
	switch {
	case s.log.Enabled(ctx, slog.LevelDebug-4):
		return kgo.LogLevelDebug
	case s.log.Enabled(ctx, slog.LevelDebug):
		return kgo.LogLevelInfo
	case s.log.Enabled(ctx, slog.LevelWarn):
		return kgo.LogLevelError
	}
	return kgo.LogLevelNone
}

func (s slogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug - 4
	switch level {
	case kgo.LogLevelError:
		if to = slog.LevelWarn; s.quiet.Load() {
			to = slog.LevelDebug
		}
	case kgo.LogLevelWarn, kgo.LogLevelInfo:
		to = slog.LevelDebug
	}
	ctx := context.Background() //nolint:forbidigo // as above
	s.log.Log(ctx, to, msg, append([]any{"from", "kafka client"}, keyvals...)...)
}
