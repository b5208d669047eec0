package sink

import (
	"context"
	"errors"
	"log/slog"
)

type Config struct{ URL string }
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
