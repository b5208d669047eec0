package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

type lagOptions struct {
	app      *App
	cmd      *cobra.Command
	group    string // "" is that of process
	watch    bool
	interval time.Duration
	noRate   bool
	output   string
}

func newLag(app *App, runF func(context.Context, *lagOptions) error) *cobra.Command {
	opts := &lagOptions{app: app}
	cmd := &cobra.Command{
		Use:   "lag [GROUP]",
		Short: "Show how far process is behind, and when it will have caught up",
		Long: `Show per partition how many records the group (process's own where none is named)
is behind, how fast they come in and go out, when the backlog will be gone at that
speed, who reads it, and how that stands: running, or paused and for what reason.

It goes by the database's offsets where the database has some, since those are what
process goes by, and says whether Kafka's agree; else by Kafka's. STATE comes from
process itself: --admin (status.admin) names the admin ports to ask, admin.listen on
this machine by default. What is not known is "-".

The rates come from two looks, --interval apart. --watch looks on until Ctrl-C: in
place on a terminal, elsewhere a block each time (-o json: a line).`,
		Example: `  ordersctl lag
  ordersctl lag --watch
  ordersctl lag --admin process-1:9180,process-2:9180 -o wide
  ordersctl lag other-group --no-rate -o json`,
		Args: atMostOne("one group"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd = cmd
			if len(args) > 0 {
				opts.group = args[0]
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runLag(cmd.Context(), opts)
		},
	}
	addTopicFlag(cmd)
	addDBFlag(cmd)
	addAdminFlag(cmd)
	addWatchFlags(cmd, &opts.watch, &opts.interval)
	cmd.Flags().BoolVar(&opts.noRate, "no-rate", false, "look once and answer at once, without rates")
	addOutputFlag(cmd, &opts.output, "text", "wide", "json")
	return cmd
}

func addWatchFlags(cmd *cobra.Command, watch *bool, interval *time.Duration) {
	cmd.Flags().BoolVarP(watch, "watch", "w", false, "look on until Ctrl-C")
	cmd.Flags().DurationVar(interval, "interval", 2*time.Second, "time from one look to the next, over which the rates are")
}

func addAdminFlag(cmd *cobra.Command) {
	cmd.Flags().StringSlice("admin", nil, "admin ports of serve and process to ask, host:port, comma separated (default admin.listen)")
	bind(cmd.Flags(), "admin", "status.admin")
}

// adminAddrs are the admin ports to ask.
func adminAddrs(l *config.Loaded) []string {
	if len(l.Status.Admin) > 0 {
		return l.Status.Admin
	}
	return []string{l.Admin.Listen}
}

func (o *lagOptions) check() error {
	switch {
	case o.interval <= 0:
		return usageError("--no-rate leaves the rates out", "--interval %s is not more than 0", o.interval)
	case o.watch && o.noRate:
		return usageError("leave one of them out", "--watch has rates from its second look on, and --no-rate has none")
	}
	return checkOutput(o.output, "text", "wide", "json")
}

func runLag(ctx context.Context, opts *lagOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	return opts.app.onCluster(ctx, opts.cmd, func(c cluster) error {
		group := opts.group
		if group == "" {
			group = c.config.Process.Group
		}
		r := &lagRun{opts: opts, cluster: c, look: lag.Options{Group: group, Topic: c.config.Topic}, told: map[string]bool{}}
		defer r.closeDB()
		r.openDB(ctx)
		if err := r.known(ctx); err != nil {
			return err
		}
		if !opts.watch {
			return r.once(ctx)
		}
		return r.watch(ctx)
	})
}

// lagRun is one call of lag.
type lagRun struct {
	opts    *lagOptions
	cluster cluster
	look    lag.Options
	db      sink.Store // nil where there is none; it is tried again at the next look
	before  *lag.Look
	told    map[string]bool // what is amiss and was said
	trouble string          // why there is no table at the moment
}

// openDB opens the database where it is not open. Where there is none nobody has
// asked for one; else it is said why it can't be had.
func (r *lagRun) openDB(ctx context.Context) {
	if r.db != nil {
		return
	}
	l := r.cluster.config
	db, err := r.opts.app.openDatabase(ctx, l, true)
	switch {
	case err == nil:
		r.db, r.look.Database = db, db
	case ctx.Err() == nil && (l.DB.URL != "" || !errors.Is(err, fs.ErrNotExist)):
		r.note(aboutDB, "by Kafka's offsets alone: %s", err)
	}
}

func (r *lagRun) closeDB() {
	if r.db != nil {
		_ = r.db.Close() // it was only read
	}
	r.db, r.look.Database = nil, nil
}

// known refuses a group that was named and that nobody has heard of: its table
// would be dashes. Process's own may be to come.
func (r *lagRun) known(ctx context.Context) error {
	if r.look.Group == r.cluster.config.Process.Group {
		return nil
	}
	look, err := lag.Take(ctx, r.cluster.Client, r.look)
	if err == nil && !look.Group.Exists() && look.By() == "" && look.DatabaseErr == nil {
		return noSuchGroup(ctx, r.cluster.Client, r.look.Group)
	}
	return err
}

func (r *lagRun) once(ctx context.Context) error {
	if !r.opts.noRate {
		var err error
		if r.before, err = lag.Take(ctx, r.cluster.Client, r.look); err != nil {
			return err
		}
		if err := pause(ctx, r.opts.interval); err != nil {
			return err
		}
	}
	report, err := r.report(ctx)
	if err != nil {
		return err
	}
	if r.opts.output == "json" {
		return printJSON(r.opts.app.Out, report)
	}
	return printLag(r.opts.app.Out, report, r.opts.output == "wide")
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch shows trouble in place of the table once it has begun: Kafka may come
// back.
func (r *lagRun) watch(ctx context.Context) error {
	screen := newScreen(r.opts.app, r.opts.output != "json")
	began := false
	return every(ctx, r.opts.interval, func() error {
		r.openDB(ctx)
		report, err := r.report(ctx)
		switch {
		case err != nil && (!began || ctx.Err() != nil):
			return err
		case err != nil:
			r.before = nil
			return r.showTrouble(screen, explainTopic(err, r.cluster.config).Error())
		}
		began, r.trouble = true, ""
		var frame bytes.Buffer
		if r.opts.output == "json" {
			line, err := jsonLine(report)
			if err != nil {
				return err
			}
			return screen.show(line)
		}
		if err := printLagIn(&frame, report, r.opts.output == "wide", screen.room()); err != nil {
			return err
		}
		return screen.show(frame.Bytes())
	})
}

// showTrouble has a block without a table; a stream of JSON has no place for it,
// and it is said once.
func (r *lagRun) showTrouble(s *screen, trouble string) error {
	if r.opts.output != "json" {
		at := r.opts.app.now().Format("2006-01-02 15:04:05Z")
		return s.show(fmt.Appendf(nil, "lag of group %s in %s   not known   %s\n\n! %s\n", printable(r.look.Group), r.look.Topic, at, printable(trouble)))
	}
	if trouble != r.trouble {
		r.opts.app.say("error: %s", trouble)
	}
	r.trouble = trouble
	return nil
}

// report takes a look and compares it with the one before.
func (r *lagRun) report(ctx context.Context) (*lag.Report, error) {
	answers := make(chan []lag.Answer, 1)
	l := r.cluster.config
	go func() { answers <- lag.Ask(ctx, adminAddrs(l), l.Status.Timeout) }()
	now, err := lag.Take(ctx, r.cluster.Client, r.look)
	told := <-answers
	if err != nil {
		return nil, err
	}
	switch {
	case now.DatabaseErr != nil:
		r.note(aboutDB, "%s", byKafka("the lag", now.DatabaseErr))
		r.closeDB() // it may be another file when it comes back
	case r.db != nil:
		delete(r.told, aboutDB)
	}
	report := lag.Between(r.before, now)
	r.before = now
	report.Tell(told)
	r.noteStates(report, told)
	return report, nil
}

// noteStates says why the state of partitions that somebody reads is not known.
func (r *lagRun) noteStates(report *lag.Report, answers []lag.Answer) {
	amiss := slices.ContainsFunc(report.Partitions, func(p lag.Partition) bool { return p.Member != nil && p.State == "" })
	for _, a := range answers {
		switch {
		case !amiss:
			delete(r.told, a.Addr)
		case a.Err != nil:
			r.note(a.Addr, "%s can't be asked for STATE: %s (--admin names where process listens)", a.Addr, a.Err)
		case a.Process == nil || a.Process.Group != report.Group.Name:
			r.note(a.Addr, "no process of group %s at %s to ask for STATE (--admin names where it listens)", report.Group.Name, a.Addr)
		}
	}
}

// aboutDB is what notes of the database are about; those of an admin port are
// about its address.
const aboutDB = "the database"

// note says once what is amiss, and once more when it was well in between.
func (r *lagRun) note(about, format string, args ...any) {
	if r.told[about] {
		return
	}
	r.told[about] = true
	r.opts.app.say("note: "+format, args...)
}

// members is "stable, 2 members".
func members(g lag.Group) string {
	switch {
	case !g.Exists():
		return "Kafka knows no such group"
	case len(g.Members) == 0:
		return printable(g.State)
	}
	return printable(g.State) + ", " + count(len(g.Members), "member")
}

// offsetsBy is "by the database's offsets (Kafka's agree)".
func offsetsBy(r *lag.Report) string {
	switch r.By {
	case lag.ByDatabase:
		return fmt.Sprintf("by the database's offsets (%s)", agreement(r.Agreement))
	case lag.ByKafka:
		return "by Kafka's offsets"
	}
	line := "no offsets: the group has committed nothing here"
	var waits int64
	for _, p := range r.Partitions {
		if p.Start == nil || p.End == nil {
			return line
		}
		waits += *p.End - *p.Start
	}
	if waits > 0 {
		line += fmt.Sprintf("; process would begin at the start, with %s to read", count(waits, "record"))
	}
	return line
}

// agreement is "Kafka's agree", or how they don't.
func agreement(a *topic.Agreement) string {
	var parts []string
	if a.Ahead > 0 {
		parts = append(parts, thousands(a.Ahead)+" ahead")
	}
	if a.Behind > 0 {
		parts = append(parts, thousands(a.Behind)+" behind")
	}
	switch {
	case len(parts) > 0:
		return "Kafka's are " + strings.Join(parts, " and ")
	case a.Missing > 0:
		return "Kafka has none"
	}
	return "Kafka's agree"
}

func overInterval(seconds float64) string {
	if seconds <= 0 {
		return ""
	}
	return fmt.Sprintf("   rates over the last %s s", strings.TrimSuffix(fmt.Sprintf("%.1f", seconds), ".0"))
}
