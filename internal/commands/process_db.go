package commands

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/dev"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// addDBFlag gives a command --db.
func addDBFlag(cmd *cobra.Command) {
	cmd.Flags().String("db", "", "database: postgres://..., or a SQLite file (default orders.db in dev's data folder)")
	bind(cmd.Flags(), "db", "db.url")
}

// databaseOf is the database that is meant: where none is named, dev's.
func databaseOf(l *config.Loaded) (sink.Config, error) {
	db := l.DB
	if db.URL == "" {
		dir, err := l.Dev.Dir()
		if err != nil {
			return db, err
		}
		db.URL = sink.URL(filepath.Join(dir, dev.DBFile))
	}
	return db, nil
}
