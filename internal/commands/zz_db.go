package commands

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/sink"
)

func addDBFlag(cmd *cobra.Command) {
	cmd.Flags().String("db", "", "database")
	bind(cmd.Flags(), "db", "db.url")
}

func databaseOf(l *config.Loaded) (sink.Config, error) {
	db := l.DB
	if db.URL == "" {
		dir, err := l.Dev.Dir()
		if err != nil {
			return db, err
		}
		db.URL = sink.URL(filepath.Join(dir, "orders.db"))
	}
	return db, nil
}
