package commands

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/sink"
)

func newDB(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Make the tables, and see what is in them",
		Long: `Make the tables that process writes, and see what is in them.

The database is --db or db.url: postgres://USER@HOST/DATABASE, sqlite:PATH or a
path, which has to be written with sqlite: where it begins like a server (a @ or
: in its first part); without one it is dev's file. docs/database.md tells the
tables.`,
		Example: `  ordersctl db migrate --db postgres://orders@localhost/orders
  ordersctl db status`,
	}
	asGroup(cmd)
	cmd.AddCommand(newDBMigrate(app, nil), newDBStatus(app, nil))
	return cmd
}

// addDBFlag gives a command --db.
func addDBFlag(cmd *cobra.Command) {
	cmd.Flags().String("db", "", "database: postgres://USER@HOST/DATABASE, sqlite:PATH or a path (default dev's file)")
	bind(cmd.Flags(), "db", "db.url")
}

// database is the db section with dev's database where no other is named.
func database(l *config.Loaded) (sink.Config, error) {
	cfg := l.DB
	if cfg.URL != "" {
		return cfg, nil
	}
	if l.Dev.DB != "" {
		cfg.URL = l.Dev.DB
		return cfg, nil
	}
	dir, err := l.Dev.Dir()
	if err != nil {
		return cfg, err
	}
	cfg.URL = sink.URL("sqlite:" + filepath.Join(dir, "orders.db"))
	return cfg, nil
}

// openDB opens the database for a command that only reads.
func (a *App) openDB(ctx context.Context, l *config.Loaded) (sink.Store, sink.Config, error) {
	cfg, err := database(l)
	if err != nil {
		return nil, cfg, err
	}
	s, err := sink.Open(ctx, cfg, sink.OpenOptions{ReadOnly: true, Log: a.Logger(l)})
	return s, cfg, err
}
