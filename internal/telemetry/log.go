// Package telemetry makes what every long-running command shares: the logger
// ([NewLogger]), the registry of metrics ([NewRegistry]) and the admin server
// ([Admin]). It knows nothing of orders or Kafka and holds no global state.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// LogConfig is the "log" section of the configuration.
type LogConfig struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

// DefaultLogConfig tells what a person has to know and no more.
func DefaultLogConfig() LogConfig { return LogConfig{Level: "info", Format: "text"} }

// Validate names what is wrong with the section.
func (c LogConfig) Validate() error {
	if _, err := c.level(); err != nil {
		return err
	}
	if c.Format != "text" && c.Format != "json" {
		return fmt.Errorf("log.format %q is none of text, json", c.Format)
	}
	return nil
}

func (c LogConfig) level() (slog.Level, error) {
	switch strings.ToLower(c.Level) {
	case "trace":
		return slog.LevelDebug - 4, nil
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log.level %q is none of trace, debug, info, warn, error", c.Level)
}

// NewLogger writes to w as c says, times in UTC. c is valid.
func NewLogger(w io.Writer, c LogConfig) *slog.Logger {
	level, err := c.level()
	if err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			a.Value = slog.StringValue(a.Value.Time().UTC().Format(time.RFC3339Nano))
		}
		return a
	}}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
