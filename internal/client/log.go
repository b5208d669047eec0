package client

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
)

// slogger hands the client library's log to slog one level lower: what it
// calls a warning (a connection that broke, a leader that moved) it heals by
// itself, and what it can't heal comes back as an error to the caller.
type slogger struct{ log *slog.Logger }

func (s slogger) Level() kgo.LogLevel {
	ctx := context.Background()
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
		to = slog.LevelWarn
	case kgo.LogLevelWarn, kgo.LogLevelInfo:
		to = slog.LevelDebug
	}
	s.log.Log(context.Background(), to, msg, append([]any{"from", "kafka client"}, keyvals...)...)
}
