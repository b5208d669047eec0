package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/sink"
)

type dbStatusOptions struct {
	app    *App
	cfg    *config.Loaded
	output string
}

func newDBStatus(app *App, runF func(context.Context, *dbStatusOptions) error) *cobra.Command {
	opts := &dbStatusOptions{app: app}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the schema's version, the tables' counts and the offsets",
		Long: `Show the schema's version, the tables' counts and where each consumer group goes
on. It only reads; counting takes a while in a large database. The exit code is 3
where the tables are not of the version that this program wants. "-" is what is not
known: tables that "ordersctl db migrate" did not make are not counted.`,
		Example: `  ordersctl db status
  ordersctl db status --db postgres://orders@db.prod/orders -o json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(opts.output, "text", "json"); err != nil {
				return err
			}
			var err error
			if opts.cfg, err = app.Load(cmd); err != nil {
				return err
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runDBStatus(cmd.Context(), opts)
		},
	}
	addDBFlag(cmd)
	addOutputFlag(cmd, &opts.output, "text", "json")
	return cmd
}

// dbStatus is what is shown. Nil is what is not known: without a schema of ours
// a table called orders is somebody else's.
type dbStatus struct {
	URL           string     `json:"url"`
	SchemaVersion int64      `json:"schema_version"`
	SchemaWanted  int64      `json:"schema_wanted"`
	ClockOffsetNs int64      `json:"clock_offset_ns"`
	ClockErrorNs  int64      `json:"clock_uncertainty_ns"`
	Orders        *int64     `json:"orders"`
	Events        *int64     `json:"order_events"`
	Stale         *int64     `json:"stale"`
	Duplicates    *int64     `json:"duplicates"`
	DeadLettered  *int64     `json:"dead_lettered"`
	Skipped       *int64     `json:"skipped_offsets"`
	Offsets       []dbOffset `json:"offsets"`
}

type dbOffset struct {
	Group     string    `json:"group"`
	Topic     string    `json:"topic"`
	TopicID   string    `json:"topic_id"`
	Partition int32     `json:"partition"`
	Next      int64     `json:"next_offset"`
	UpdatedAt time.Time `json:"updated_at"`
}

func runDBStatus(ctx context.Context, opts *dbStatusOptions) error {
	app := opts.app
	store, cfg, err := app.openDB(ctx, opts.cfg)
	if err != nil {
		return err
	}
	view, err := readDBStatus(ctx, store, cfg)
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	if opts.output == "json" {
		err = printJSON(app.Out, view)
	} else {
		err = printDBStatus(app.Out, view, app.now())
	}
	return errors.Join(err, checkSchema(view))
}

func checkSchema(view *dbStatus) error {
	hint := ""
	switch {
	case view.SchemaVersion < view.SchemaWanted:
		hint = `"ordersctl db migrate" makes and changes the tables`
	case view.SchemaVersion > view.SchemaWanted:
		hint = "use the version of ordersctl that migrated them, or a newer one"
	default:
		return nil
	}
	return &failure{
		err:  fmt.Errorf("the schema is at version %d, this program wants %d", view.SchemaVersion, view.SchemaWanted),
		hint: hint, code: exitCheck,
	}
}

func readDBStatus(ctx context.Context, store sink.Store, cfg sink.Config) (*dbStatus, error) {
	view := &dbStatus{URL: cfg.URL.String(), Offsets: []dbOffset{}}
	var err error
	if view.SchemaVersion, view.SchemaWanted, err = sink.Schema(ctx, cfg); err != nil {
		return nil, err
	}
	offset, uncertainty, err := store.Clock(ctx)
	if err != nil {
		return nil, err
	}
	view.ClockOffsetNs, view.ClockErrorNs = offset.Nanoseconds(), uncertainty.Nanoseconds()
	if view.SchemaVersion == 0 {
		return view, nil // what is there, if anything, is not ours to count
	}
	n, err := store.Totals(ctx)
	if drift := checkSchema(view); err != nil && drift != nil && view.SchemaVersion > view.SchemaWanted {
		return nil, drift // a newer one may have other tables
	}
	if err != nil {
		return nil, err
	}
	view.Orders, view.Events, view.Stale = &n.Orders, &n.Events, &n.Stale
	view.Duplicates, view.DeadLettered, view.Skipped = &n.Duplicates, &n.DeadLettered, &n.Skipped
	list, err := store.Committed(ctx, "")
	for _, c := range list {
		view.Offsets = append(view.Offsets, dbOffset{c.Group, c.Topic, c.TopicID, c.Partition, c.Next, c.At})
	}
	return view, err
}

func printDBStatus(w io.Writer, view *dbStatus, now time.Time) error {
	clock := fmt.Sprintf("%+.1f ms (+-%.1f)", float64(view.ClockOffsetNs)/1e6, float64(view.ClockErrorNs)/1e6)
	if view.ClockErrorNs == 0 {
		clock = "ours"
	}
	fmt.Fprintf(w, "%s   schema %d of %d   clock %s\n\n", view.URL, view.SchemaVersion, view.SchemaWanted, clock)
	t := newTable("TABLE", ">RECORDS", "OF THEM")
	view.addTables(t)
	if err := t.print(w); err != nil || view.Orders == nil {
		return err
	}
	if len(view.Offsets) == 0 {
		_, err := fmt.Fprintln(w, "\nno group has offsets here yet")
		return err
	}
	fmt.Fprintln(w)
	t = newTable("GROUP", "TOPIC", ">PARTITION", ">NEXT", "MOVED")
	for _, o := range view.Offsets {
		ago := max(0, now.Sub(o.UpdatedAt.Add(-time.Duration(view.ClockOffsetNs)))).Truncate(time.Second)
		t.add(printable(o.Group), printable(o.Topic), fmt.Sprint(o.Partition), thousands(o.Next), ago.String()+" ago")
	}
	return t.print(w)
}

func (v *dbStatus) addTables(t *table) {
	if v.Orders == nil {
		for _, name := range []string{"orders", "order_events", "record_outcomes"} {
			t.add(name, "-", "")
		}
		return
	}
	t.add("orders", thousands(*v.Orders), "")
	t.add("order_events", thousands(*v.Events), thousands(*v.Stale)+" stale")
	t.add("record_outcomes", thousands(*v.Duplicates+*v.DeadLettered+*v.Skipped), fmt.Sprintf("%s, %s dead-lettered, %s skipped",
		count(*v.Duplicates, "duplicate"), thousands(*v.DeadLettered), count(*v.Skipped, "offset")))
}
