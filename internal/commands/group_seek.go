package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/sink"
)

type groupSeekOptions struct {
	app     *App
	cmd     *cobra.Command
	group   string
	to      []string
	execute bool
	newDB   bool
	confirm string
	output  string
}

func newGroupSeek(app *App, runF func(context.Context, *groupSeekOptions) error) *cobra.Command {
	opts := &groupSeekOptions{app: app}
	cmd := &cobra.Command{
		Use:   "seek GROUP --to start|end|TIME|PLACE",
		Short: "Send a group elsewhere in the topic: it reads on from there",
		Long: `Send a group elsewhere in the topic (-t): to the start or the end of each log, to
the first record that is not older than a time (2026-11-01T12:00, 2h), or one
partition to a place (orders/1@884, 1@884; --to may be repeated).

Of process's group the offsets in the database are set, which it goes by, and
Kafka's. A database that has none, where Kafka has some, is refused as a wrong one,
unless --new-database says that it is to begin there. What is read again is not applied again: its events and places are booked,
and the rows stay as they are. What is skipped is applied by nobody.

Of another group that the database does not know Kafka's offsets are set. A group
with members is refused: they would go on from where they are. Nothing is changed
without --execute; in a protected context that asks for the topic's name.`,
		Example: `  ordersctl group seek orders-process --to 2026-11-01T12:00
  ordersctl group seek orders-process --to 0@884 --to 1@901 --execute
  ordersctl group seek other-group --to end --execute`,
		Args: exactly(1, "one group"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd, opts.group = cmd, args[0]
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runGroupSeek(cmd.Context(), opts)
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&opts.to, "to", nil, "`start|end|TIME|PLACE`; may be repeated, and a later one that speaks of a partition counts for it")
	fs.BoolVar(&opts.execute, "execute", false, "do it; without it only said")
	fs.BoolVar(&opts.newDB, "new-database", false, "the database has no offsets of the topic, and is to begin there")
	fs.StringVar(&opts.confirm, "confirm", "", "in a protected context: the topic's name, instead of being asked for it")
	addTopicFlag(cmd)
	addDBFlag(cmd)
	addOutputFlag(cmd, &opts.output, "text", "json")
	return cmd
}

func (o *groupSeekOptions) targets(name string, now time.Time) ([]lag.Target, error) {
	if len(o.to) == 0 {
		return nil, usageError("such as --to start, --to 2h, --to orders/1@884", "--to is missing: where is the group to go?")
	}
	var targets []lag.Target
	for _, s := range o.to {
		t, err := lag.ParseTarget(s, name, now)
		if err != nil {
			return nil, usageError("", "--to %s", err)
		}
		targets = append(targets, t)
	}
	return targets, nil
}

func runGroupSeek(ctx context.Context, opts *groupSeekOptions) error {
	if err := checkOutput(opts.output, "text", "json"); err != nil {
		return err
	}
	return opts.app.onCluster(ctx, opts.cmd, func(c cluster) error {
		targets, err := opts.targets(c.config.Topic, opts.app.now())
		if err != nil {
			return err
		}
		db, owner, err := opts.database(ctx, c)
		if err != nil {
			return err
		}
		if db != nil {
			defer func() { _ = db.Close() }() // it was only read
		}
		return opts.seek(ctx, c, targets, db, owner)
	})
}

// database opens it where the group's offsets may stand in it. Process's group
// can't do without: set in Kafka alone, the offsets would have no effect.
func (o *groupSeekOptions) database(ctx context.Context, c cluster) (db sink.Store, owner bool, err error) {
	own := o.group == c.config.Process.Group
	// Only looked into so far: opened to be written, a file that is missing would
	// be made.
	db, err = o.app.openDatabase(ctx, c.config, true)
	switch {
	case err != nil && own:
		return nil, false, fmt.Errorf("group %s goes by the offsets in the database: %w", o.group, err)
	case err != nil:
		o.app.say("note: without the database it is not known whether it has offsets of group %s: %s", o.group, err)
		return nil, false, nil
	case own:
		return db, true, nil
	}
	rows, err := db.Committed(ctx, o.group)
	if err != nil {
		_ = db.Close()
		return nil, false, err
	}
	return db, len(rows) > 0, nil
}

func (o *groupSeekOptions) seek(ctx context.Context, c cluster, targets []lag.Target, db sink.Store, owner bool) error {
	options := lag.Options{Group: o.group, Topic: c.config.Topic}
	if db != nil {
		options.Database = db
	}
	look, err := lag.Take(ctx, c.Client, options)
	switch {
	case err != nil:
		return err
	case look.DatabaseErr != nil && owner:
		return look.DatabaseErr
	case !look.Group.Exists() && look.By() == "" && !owner:
		return noSuchGroup(ctx, c.Client, o.group)
	}
	s, err := lag.PlanSeek(ctx, c.Client, look, targets, o.owner(owner))
	if err != nil {
		return err
	}
	if err := withoutGone(o.print(s, c)); err != nil {
		return err
	}
	if !o.execute {
		o.app.say("dry run: nothing was changed; --execute does it")
		return nil
	}
	question := fmt.Sprintf("Send group %s to other offsets of topic %s?", o.group, s.Topic)
	if err := o.app.confirm(ctx, c.config, question, s.Topic, true, o.confirm); err != nil {
		return err
	}
	if err := o.apply(ctx, c, s); err != nil {
		return err
	}
	where := "in Kafka"
	if s.Database {
		where = "in the database and in Kafka"
	}
	o.app.say("set %s of group %s %s", count(len(s.Parts), "partition"), o.group, where)
	return nil
}

func (o *groupSeekOptions) owner(database bool) lag.Owner {
	switch {
	case !database:
		return lag.OfKafka
	case o.newDB:
		return lag.OfNewDatabase
	}
	return lag.OfDatabase
}

func (o *groupSeekOptions) apply(ctx context.Context, c cluster, s *lag.Seek) error {
	if !s.Database {
		return s.Apply(ctx, c.Client, nil)
	}
	db, err := o.app.openDatabase(ctx, c.config, false)
	if err != nil {
		return err
	}
	err = s.Apply(ctx, c.Client, db)
	return errors.Join(err, db.Close())
}

func (o *groupSeekOptions) print(s *lag.Seek, c cluster) error {
	where := "Kafka's offsets"
	if s.Database {
		where = "offsets of " + databaseName(c.config) + " and Kafka"
	}
	if o.output == "json" {
		if err := printJSON(o.app.Out, s); err != nil {
			return err
		}
	} else if err := printSeek(o.app.planWriter(!o.execute), s, where); err != nil {
		return err
	}
	switch {
	case !s.Database:
		o.app.say("note: the database does not know group %s: only Kafka's offsets are set", o.group)
	case s.Again > 0:
		o.app.say("note: %s again; what is applied is not applied a second time, since event ids and places are booked", read(s.Again))
	}
	if s.Skipped > 0 {
		o.app.say("warning: %s by nobody in group %s", read(s.Skipped), o.group)
	}
	return nil
}

// read is "1 record is read", "20 records are read".
func read(n int64) string {
	if n == 1 {
		return "1 record is read"
	}
	return count(n, "record") + " are read"
}

func printSeek(w io.Writer, s *lag.Seek, where string) error {
	if _, err := fmt.Fprintf(w, "group %s in topic %s   %s   %s\n\n", printable(s.Group.Name), s.Topic, members(s.Group), where); err != nil {
		return err
	}
	t := newTable("PART", ">DATABASE", ">KAFKA", ">TO", ">AGAIN", ">SKIPPED")
	for _, p := range s.Parts {
		t.add(fmt.Sprint(p.Partition), orDash(p.Database), orDash(p.Kafka), thousands(p.To), thousands(p.Again), thousands(p.Skipped))
	}
	t.add("all", "", "", "", thousands(s.Again), thousands(s.Skipped))
	return t.print(w)
}
