package commands

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// addDatabaseFlag: branch sink.
func addDatabaseFlag(*cobra.Command) {}

func databaseName(*config.Loaded) string { return "-" }

func (a *App) openDatabase(context.Context, *config.Loaded, bool) (sink.Store, error) {
	return nil, errors.New("there is no database")
}

func groupName(*config.Loaded) string { return processGroup }

// readDatabase opens the database to look into it. Without one there is none,
// and it is said why where somebody has named one.
func (a *App) readDatabase(ctx context.Context, l *config.Loaded) (sink.Store, func()) {
	db, err := a.openDatabase(ctx, l, true)
	if err != nil {
		a.say("note: without the database's offsets: %s", err)
		return nil, func() {}
	}
	return db, func() { _ = db.Close() }
}

// letterCount is how many dead letters there are, and are open.
type letterCount struct{ all, open int64 }

func (s *statusRun) countLetters(context.Context) (letterCount, error) {
	return letterCount{}, errors.New("the dead letters can't be counted yet")
}

func (s *statusRun) dial(ctx context.Context) (*kgo.Client, error) {
	return s.opts.app.Dial(ctx, s.config)
}
