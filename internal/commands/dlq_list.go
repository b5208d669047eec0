package commands

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/process"
	"github.com/ordersctl/ordersctl/internal/sink"
)

type dlqListOptions struct {
	app    *App
	cmd    *cobra.Command
	args   []string
	sel    selection
	all    bool
	limit  int
	output string
}

const (
	defaultLimit = 10
	maxGroups    = 20
)

func newDLQList(app *App, runF func(context.Context, *dlqListOptions) error) *cobra.Command {
	opts := &dlqListOptions{app: app}
	cmd := &cobra.Command{
		Use:     "list [LETTER...]",
		Aliases: []string{"ls"},
		Short:   "List open dead letters by cause, and the newest of them",
		Long: `List open dead letters by cause, and the newest of them. A letter that a crash
wrote twice is one. --all lists replayed and discarded ones too.

VIA is the client that sent the records, by their header of that name. TRIES is how
often the record was tried, REPLAYS how often it had been replayed when it failed.
NEWER says whether a later event of the order is applied, which makes a replay
stale; "-" where the database can't be asked or can't tell: the order's row comes
from another partition or topic, and a replay is applied over it. -o json prints all that match, unless
--limit is given.`,
		Example: `  ordersctl dlq list --since 6h
  ordersctl dlq list --class validation --reason '/total*' --limit 0
  ordersctl dlq list --key ord-77ab0c12 --all -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd, opts.args = cmd, args
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runDLQList(cmd.Context(), opts)
		},
	}
	addSelectionFlags(cmd, &opts.sel)
	addDBFlag(cmd)
	addAdminFlag(cmd)
	cmd.Flags().BoolVar(&opts.all, "all", false, "list replayed and discarded letters too")
	cmd.Flags().IntVar(&opts.limit, "limit", defaultLimit, "list at most `N` letters, the newest; 0 for all")
	addOutputFlag(cmd, &opts.output, "text", "wide", "json")
	return cmd
}

func runDLQList(ctx context.Context, opts *dlqListOptions) error {
	if err := checkOutput(opts.output, "text", "wide", "json"); err != nil {
		return err
	}
	if opts.limit < 0 {
		return usageError("0 lists all", "--limit %d is negative", opts.limit)
	}
	if opts.output == "json" && !opts.cmd.Flags().Changed("limit") {
		opts.limit = 0
	}
	app := opts.app
	return app.onLetters(ctx, opts.cmd, opts.args, &opts.sel, func(l *letters) error {
		breaker := make(chan string, 1)
		go func() { breaker <- opts.breaker(ctx, l.config) }()
		x, err := l.queue.Scan(ctx, l.filter)
		if err != nil {
			return err
		}
		rows := newLetterRows(ctx, app, l, x.Newest(opts.limit, opts.all))
		if opts.output == "json" {
			return printJSON(app.Out, rows.list)
		}
		v := &dlqList{index: x, rows: rows, all: opts.all, wide: opts.output == "wide", now: app.now(), topic: l.config.Topic, breaker: <-breaker}
		if v.share, err = l.queue.Share(ctx, x, l.config.Topic, l.filter); err != nil {
			v.share = nil // the topic of the letters is not ours to miss
		}
		if x.Len() > 0 || x.Foreign > 0 {
			if err := v.print(app.Out); err != nil {
				return err
			}
		}
		if l.queue.Compacted(ctx) {
			app.say("warning: %s is compacted: Kafka deletes all letters of a key but the last", x.Topic)
		}
		opts.hints(v)
		return nil
	})
}

// breaker is how process's breaker on dead letters stands, "" where no process
// can be asked.
func (o *dlqListOptions) breaker(ctx context.Context, l *config.Loaded) string {
	if o.output == "json" {
		return ""
	}
	return breakerText(lag.Ask(ctx, adminAddrs(l), l.Status.Timeout), l)
}

// breakerText goes by what the processes say of themselves: they may be set
// otherwise than this command.
func breakerText(answers []lag.Answer, l *config.Loaded) string {
	seen, open := 0, 0
	set := map[string]int{}
	for _, a := range answers {
		if a.Process == nil || a.Process.Group != l.Process.Group || a.Process.Topic != l.Topic {
			continue
		}
		seen++
		set[a.Process.DLQBreaker]++
		for _, p := range a.Process.Partitions {
			if p.Reason == "breaker" {
				open++
			}
		}
	}
	switch off := set[process.BreakerOff]; {
	case open > 0:
		return "breaker open: " + count(open, "partition") + " paused (ordersctl lag)"
	case seen == 0:
		return ""
	case off == seen:
		return "breaker off"
	case off > 0:
		return fmt.Sprintf("breaker closed, off at %d of %d processes", off, seen)
	case set[process.BreakerOn] == seen:
		return "breaker closed (opens at 5 %, or 50 in a row)"
	}
	return "breaker closed"
}

// letterRow is one letter of the list.
type letterRow struct {
	Letter        string     `json:"letter"`
	State         dlq.State  `json:"state"`
	Class         string     `json:"class"`
	Reason        string     `json:"reason"`
	Client        string     `json:"client"`
	Group         string     `json:"group"`
	Origin        string     `json:"origin"`
	OriginTopicID string     `json:"origin_topic_id"`
	OriginTime    *time.Time `json:"origin_timestamp"`
	OrderID       string     `json:"order_id"`
	FailedAt      time.Time  `json:"failed_at"`
	Attempts      *int       `json:"attempts"`
	Replays       int        `json:"replays"`
	Newer         *bool      `json:"newer"` // a later event of the order is applied; null where it is not known
	short         string
	newerWhy      string // it is not known though the database was asked
}

type letterRows struct {
	list []letterRow
	why  string // newer is not known
}

func newLetterRows(ctx context.Context, app *App, l *letters, found []dlq.Summary) letterRows {
	out := letterRows{list: make([]letterRow, len(found))}
	for i := range found {
		s := &found[i]
		out.list[i] = letterRow{
			Letter: s.Place.String(), State: s.State, Class: s.Class, Reason: s.Reason, Client: s.Client, Group: s.Group,
			Origin: s.Origin.String(), OriginTopicID: s.Origin.TopicID, OrderID: s.OrderID, FailedAt: s.Failed,
			Replays: s.Replays, short: s.Place.Short(),
		}
		if !s.Origin.Timestamp.IsZero() {
			out.list[i].OriginTime = &s.Origin.Timestamp
		}
		if s.Attempts > 0 {
			out.list[i].Attempts = &s.Attempts
		}
	}
	if len(found) == 0 {
		return out
	}
	rows, done, why := app.orderRows(ctx, l)
	defer done()
	if rows == nil {
		out.why = why.Error()
		return out
	}
	out.why = out.askNewer(ctx, rows, found)
	return out
}

// askNewer asks the database about many at a time.
func (r *letterRows) askNewer(ctx context.Context, rows dlq.Rows, found []dlq.Summary) (why string) {
	const at = 500
	for from := 0; from < len(found); from += at {
		part := found[from:min(from+at, len(found))]
		ids := make([]string, len(part))
		for i := range part {
			ids[i] = part[i].OrderID
		}
		have, err := rows.Rows(ctx, ids)
		if err != nil {
			return err.Error()
		}
		for i := range part {
			row, ok := have[part[i].OrderID]
			r.list[from+i].setNewer(&part[i], row, ok)
		}
	}
	return ""
}

func (r *letterRow) setNewer(s *dlq.Summary, row sink.Row, has bool) {
	newer := dlq.NewerNo
	switch {
	case s.Origin.TopicID == "":
		newer, r.newerWhy = dlq.NewerUnknown, "the letter does not tell its topic's id"
	case s.OrderID == "":
		newer, r.newerWhy = dlq.NewerUnknown, "the letter does not tell its order's id"
	case has:
		newer = dlq.IsNewer(row, s.First)
	}
	if has && newer == dlq.NewerUnknown && r.newerWhy == "" {
		r.newerWhy = fmt.Sprintf("the order's row (%s %s) comes from elsewhere, %s, applied %s: a replay is applied over it, newer or not",
			row.Order.Status, row.Order.Total, row.From, momentOr(row.At))
	}
	if newer != dlq.NewerUnknown {
		yes := newer == dlq.NewerYes
		r.Newer = &yes
	}
}

// dlqList is what list prints as text.
type dlqList struct {
	index   *dlq.Index
	rows    letterRows
	share   *dlq.Share
	topic   string
	breaker string
	all     bool
	wide    bool
	now     time.Time
}

func (v *dlqList) print(w io.Writer) error {
	if _, err := io.WriteString(w, v.heading()); err != nil {
		return err
	}
	for _, part := range []func(io.Writer) error{v.printGroups, v.printNewest} {
		if err := part(w); err != nil {
			return err
		}
	}
	return nil
}

func (v *dlqList) heading() string {
	x := v.index
	parts := []string{
		thousands(int64(x.Count(dlq.Open))) + " open", thousands(int64(x.Count(dlq.Replayed))) + " replayed",
		thousands(int64(x.Count(dlq.Discarded))) + " discarded",
	}
	name := max(len(x.Topic), len(v.topic))
	line := fmt.Sprintf("%-*s  %s: %s", name, x.Topic, count(x.Len(), "letter"), strings.Join(parts, ", "))
	if first, last := x.Span(); !first.IsZero() {
		line += "   " + dayTime(first, v.now) + "Z .. " + dayTime(last, v.now) + "Z"
		if rate := perTime(x.Len(), last.Sub(first)); rate != "" {
			line += "   " + rate
		}
	}
	if x.Foreign > 0 {
		line += "   " + count(x.Foreign, "record") + " that are no letters"
	}
	line += "\n"
	ours := ""
	if v.share != nil && v.share.Records > 0 {
		ours = fmt.Sprintf("   %s of the %s written in that time", percent(v.share.Letters, v.share.Records), count(v.share.Records, "record"))
		if n := v.share.Deleted; n > 0 {
			ours += fmt.Sprintf("   the records of %s are deleted and not counted", count(n, "letter"))
		}
	}
	if v.breaker != "" {
		ours += "   " + v.breaker
	}
	if ours != "" {
		line += fmt.Sprintf("%-*s%s\n", name, v.topic, ours[1:])
	}
	return line
}

// percent has three significant digits at most.
func percent(part int, of int64) string {
	p := 100 * float64(part) / float64(of)
	if p >= 99.95 {
		return "100 %"
	}
	return figure(p) + " %"
}

func (v *dlqList) printGroups(w io.Writer) error {
	groups := v.index.Groups()
	if len(groups) == 0 {
		return nil
	}
	open := int64(v.index.Count(dlq.Open))
	t := newTable(">OPEN", ">SHARE", "CLASS", "REASON", "VIA", "FIRST", "LAST", "LETTER")
	for i := range groups[:min(len(groups), maxGroups)] {
		g := &groups[i]
		t.add(thousands(int64(g.Open)), percent(g.Open, open), dashed(g.Class), v.text(g.Reason, 44), via(g.Clients),
			dayTime(g.First, v.now), dayTime(g.Last, v.now), g.Letter.Short())
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	if err := t.print(w); err != nil {
		return err
	}
	if more := len(groups) - maxGroups; more > 0 {
		_, err := fmt.Fprintf(w, "%s more\n", count(more, "cause"))
		return err
	}
	return nil
}

func (v *dlqList) printNewest(w io.Writer) error {
	if len(v.rows.list) == 0 {
		return nil
	}
	head := []string{"FAILED", "LETTER", "ORIGIN", "ORDER-ID", "REASON", ">TRIES", ">REPLAYS", "NEWER"}
	if v.all {
		head = append(head, "STATE")
	}
	if v.wide {
		head = append(head, "CLASS", "VIA", "GROUP", "TOPIC-ID")
	}
	t := newTable(head...)
	newer, unsure := false, false
	for i := range v.rows.list {
		r := &v.rows.list[i]
		newer = newer || r.Newer != nil && *r.Newer
		unsure = unsure || r.newerWhy != "" && r.OriginTopicID != "" && r.OrderID != ""
		cells := []string{
			dayTime(r.FailedAt, v.now), r.short, r.Origin, v.text(dashed(r.OrderID), 36), v.text(r.Reason, 26),
			orUnknown(r.Attempts), fmt.Sprint(r.Replays), yesNo(r.Newer),
		}
		if v.all {
			cells = append(cells, string(r.State))
		}
		if v.wide {
			cells = append(cells, dashed(r.Class), v.text(r.Client, 36), dashed(r.Group), dashed(r.OriginTopicID))
		}
		t.add(cells...)
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	if err := t.print(w); err != nil {
		return err
	}
	return v.printFoot(w, newer, unsure)
}

func (v *dlqList) printFoot(w io.Writer, newer, unsure bool) error {
	total := v.index.Count(dlq.Open)
	if v.all {
		total = v.index.Len()
	}
	var foot []string
	if more := total - len(v.rows.list); more > 0 {
		foot = append(foot, thousands(int64(more))+" more (--limit 0)")
	}
	if newer {
		foot = append(foot, "NEWER yes: a later event of this order is applied, a replay is stale")
	}
	if unsure {
		foot = append(foot, "NEWER -: the order's row comes from another partition or topic, a replay is applied over it")
	}
	if len(foot) == 0 {
		return nil
	}
	line := strings.Join(foot, "     ")
	if utf8.RuneCountInString(line) > 120 {
		line = strings.Join(foot, "\n")
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

func (v *dlqList) text(s string, n int) string {
	if v.wide {
		return printable(s)
	}
	return cutText(printable(s), n)
}

func via(clients []string) string {
	switch len(clients) {
	case 1:
		return cutText(printable(clients[0]), 24)
	case 2:
		return cutText(printable(clients[0]), 16) + ", " + cutText(printable(clients[1]), 16)
	}
	return fmt.Sprintf("%d clients", len(clients))
}

func dashed(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}

func orUnknown(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func yesNo(b *bool) string {
	switch {
	case b == nil:
		return "-"
	case *b:
		return "yes"
	}
	return "no"
}
