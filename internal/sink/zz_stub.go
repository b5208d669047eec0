package sink

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

type URL string

func (u URL) String() string { return string(u) }

type Config struct {
	URL            URL           `mapstructure:"url"`
	EventRetention time.Duration `mapstructure:"event-retention"`
}

func DefaultConfig() Config     { return Config{} }
func (c Config) Validate() error { return nil }

type OpenOptions struct {
	ReadOnly bool
	Log      *slog.Logger
}

type Error struct {
	Err   error
	Class Class
}

func (e *Error) Error() string { return e.Err.Error() }
func ClassOf(err error) Class {
	var c *Error
	if errors.As(err, &c) {
		return c.Class
	}
	return ClassOutage
}
func Open(context.Context, Config, OpenOptions) (Store, error)             { return nil, errors.New("stub") }
func Migrate(context.Context, Config, *slog.Logger) (a, b int64, err error) { return }
func Schema(context.Context, Config) (a, b int64, err error)               { return }
