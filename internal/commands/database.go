package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// openDatabase opens the database that is meant.
func (a *App) openDatabase(ctx context.Context, l *config.Loaded, readOnly bool) (sink.Store, error) {
	cfg, err := database(l)
	if err != nil {
		return nil, err
	}
	return sink.Open(ctx, cfg, sink.OpenOptions{ReadOnly: readOnly, Log: a.Logger(l)})
}

// readDatabase opens the database for what can do without it. Where there is
// none nobody has asked for one; else it is said why it can't be had.
func (a *App) readDatabase(ctx context.Context, l *config.Loaded) (sink.Store, func()) {
	db, err := a.openDatabase(ctx, l, true)
	switch {
	case err == nil:
		return db, func() { _ = db.Close() }
	case l.DB.URL != "" || !errors.Is(err, fs.ErrNotExist):
		a.say("note: by Kafka's offsets alone: %s", err)
	}
	return nil, func() {}
}

// byKafka says why a lag goes by Kafka's offsets though there is a database.
func byKafka(lag string, err error) string {
	if sink.NoTables(err) {
		return fmt.Sprintf("the database has no tables, so %s goes by Kafka's offsets: \"ordersctl db migrate\" makes them", lag)
	}
	return fmt.Sprintf("the database does not answer, so %s goes by Kafka's offsets: %s", lag, err)
}

// databaseName is the database for people, without its password.
func databaseName(l *config.Loaded) string {
	cfg, err := database(l)
	if err != nil {
		return "-"
	}
	return tilde(cfg.URL.String())
}
