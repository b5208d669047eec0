package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/sink"
)

type dbMigrateOptions struct {
	app    *App
	cfg    *config.Loaded
	dryRun bool
}

func newDBMigrate(app *App, runF func(context.Context, *dbMigrateOptions) error) *cobra.Command {
	opts := &dbMigrateOptions{app: app}
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make the tables, or bring them up to date",
		Long: `Make the tables, or bring them to the version that this program wants. One
process does it at a time, the others wait. Nothing is deleted; a database that
is newer than this program is left alone. A SQLite file that is not there is made.`,
		Example: `  ordersctl db migrate
  ordersctl db migrate --db postgres://orders@db.prod/orders --dry-run`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if opts.cfg, err = app.Load(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runDBMigrate(cmd.Context(), opts)
		},
	}
	addDBFlag(cmd)
	cmd.Flags().BoolVar(&opts.dryRun, "dry-run", false, "say what would be done; change nothing")
	return cmd
}

func runDBMigrate(ctx context.Context, opts *dbMigrateOptions) error {
	app := opts.app
	cfg, err := database(opts.cfg)
	if err != nil {
		return err
	}
	if opts.dryRun {
		return opts.plan(ctx, cfg)
	}
	from, to, err := sink.Migrate(ctx, cfg, app.Logger(opts.cfg))
	if err != nil {
		return err
	}
	done := fmt.Sprintf("migrated from version %d to %d", from, to)
	if from == to {
		done = fmt.Sprintf("is at version %d, nothing to do", to)
	}
	_, err = fmt.Fprintf(app.Out, "%s   %s\n", cfg.URL, done)
	return err
}

func (o *dbMigrateOptions) plan(ctx context.Context, cfg sink.Config) error {
	have, want, err := sink.Schema(ctx, cfg)
	if err != nil {
		return err
	}
	text, next := planned(have, want), ""
	if have == 0 {
		var name string
		if name, next, err = sink.Occupied(ctx, cfg); err != nil {
			return err
		}
		if name != "" {
			text = fmt.Sprintf("is at version 0 and has %s already: would fail", name)
		} else {
			next = ""
		}
	}
	if _, err = fmt.Fprintf(o.app.Out, "%s   %s\n", cfg.URL, text); err == nil && next != "" {
		o.app.say("hint: %s", next)
	}
	return err
}

func planned(have, want int64) string {
	switch {
	case have < want:
		return fmt.Sprintf("would migrate from version %d to %d", have, want)
	case have > want:
		return fmt.Sprintf("is at version %d, newer than this program's %d: would refuse", have, want)
	}
	return fmt.Sprintf("is at version %d, nothing to do", have)
}
