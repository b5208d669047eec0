package sink

import (
	"context"
	"log/slog"
)

// OpenOptions are what differs from one opener to another.
type OpenOptions struct {
	ReadOnly bool // write nothing, and make no file
	Log      *slog.Logger
}

// Open reaches the database, or says why it can't be reached. It does not look
// whether the tables are there: see [Schema].
func Open(ctx context.Context, cfg Config, opts OpenOptions) (Store, error) {
	t, err := cfg.URL.parse()
	if err != nil {
		return nil, &Error{Err: err, Class: ClassDeploy, Next: "set db.url or --db"}
	}
	if t.file != "" {
		return openSQLite(ctx, cfg, t, opts)
	}
	return openPostgres(ctx, cfg, t, opts)
}
