package commands

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/tail"
)

type tailOptions struct {
	app *App
	cmd *cobra.Command

	place         string // topic/partition@offset, "" without
	offset        string
	fromBeginning bool
	last          int
	follow        bool
	num           int
	timeout       time.Duration
	partitions    []int32
	key           string
	where         []string
	grep          []string
	format        string
	group         string
}

func newTail(app *App, runF func(context.Context, *tailOptions) error) *cobra.Command {
	opts := &tailOptions{app: app}
	cmd := &cobra.Command{
		Use:   "tail [TOPIC/PARTITION@OFFSET]",
		Short: "Print orders from the topic, from anywhere, filtered, live",
		Long: `Print orders from the topic, from anywhere, filtered, live.

It starts at the end and follows until Ctrl-C. --offset says otherwise, for each
partition: start, end, +10 (after the start), -10 (before the end), 884, 884:900,
:end (all there is now, then end), @2024-10-01, @-10m, @-2h:-1h. --last counts
over all partitions together, before filters, in the order of time.

--where takes id, user_id, total, status, timestamp, key and header.NAME, with
= != > >= < <= and ~ (a regular expression); several must all hold. A record that
is no order can't be judged by a field: it is shown and marked, never dropped.
Records of transactions that are open or aborted are not shown.

--format is table (on a terminal), value (in a pipe), json (one object a line,
which "send" takes back), or verbs such as '%p %o %k %v\n': docs/tail.md.

With --group it reads as that group and commits what it has written out; else it
moves no offsets of anybody.`,
		Example: `  ordersctl tail --from-beginning
  ordersctl tail --last 20 --where 'total>100' --where status=pending
  ordersctl tail -o @-1h:end -f json > last-hour.ndjson
  ordersctl tail orders/1@884 -n 1`,
		Args: atMostOne("at most one position (topic/partition@offset)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd = cmd
			if len(args) == 1 {
				opts.place = args[0]
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runTail(cmd.Context(), opts)
		},
	}
	addTopicFlag(cmd)
	fs := cmd.Flags()
	fs.StringVarP(&opts.offset, "offset", "o", "end", "where to start, and to end")
	fs.BoolVar(&opts.fromBeginning, "from-beginning", false, "start with the oldest record, as -o start")
	fs.IntVar(&opts.last, "last", 0, "start with the newest `N` records of all partitions together")
	fs.BoolVarP(&opts.follow, "follow", "F", true, "go on at the end of the log; --follow=false ends there")
	fs.IntVarP(&opts.num, "num", "n", 0, "end after `N` records were printed")
	fs.DurationVar(&opts.timeout, "timeout", 0, "end after this time without a record; fails where -n was not reached")
	fs.Int32SliceVarP(&opts.partitions, "partition", "p", nil, "only these `partitions`, comma separated")
	fs.StringVar(&opts.key, "key", "", "only records of this order `ID`, from the partition that it lives in")
	fs.StringArrayVar(&opts.where, "where", nil, "only records for which this `condition` holds (repeatable)")
	fs.StringArrayVarP(&opts.grep, "grep", "G", nil, "only records that match `[!]PLACE:REGEXP`; k: v: hk: hv: h:NAME= t: (repeatable)")
	fs.StringVarP(&opts.format, "format", "f", "", "table, json, value, or verbs as in '%p %o %k %v\\n'")
	fs.StringVarP(&opts.group, "group", "g", "", "read as this consumer group and commit")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		hint := seeHelp(cmd)
		if strings.Contains(err.Error(), "needs an argument: 'f'") {
			hint = hintFollows
		}
		return usageError(hint, "%s", err)
	})
	return cmd
}

const hintFollows = "tail follows already; -f is the format: table, json, value, or verbs as in '%p %o %k %v\\n'"

func runTail(ctx context.Context, opts *tailOptions) error {
	app := opts.app
	to, err := opts.resolve()
	if err != nil {
		return err
	}
	l, err := app.Load(opts.cmd)
	if err != nil {
		return err
	}
	if to.Topic == "" {
		to.Topic = l.Topic
	}
	to.Kafka, to.Rules = l.Kafka, l.Order
	t, err := tail.New(to)
	if err != nil {
		return usageError(seeHelp(opts.cmd), "%s", err)
	}
	cl, err := app.Dial(ctx, l, t.ClientOptions()...)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // a tail is ended by a signal, that is its way
	}
	if err != nil {
		return err
	}
	defer cl.Close()
	return t.Run(ctx, cl, app.Out)
}

// resolve reads the flags; what the configuration knows is still missing.
func (o *tailOptions) resolve() (tail.Options, error) {
	to := tail.Options{
		Partitions: o.partitions,
		Group:      o.group,
		Last:       o.last,
		Num:        o.num,
		Timeout:    o.timeout,
		Gone:       readerGone(o.app.Out),
		Talk:       func(line string) { o.app.say("%s", line) },
	}
	if o.app.OutTTY && o.app.ErrTTY {
		to.Status = func(line string) { o.app.say("%s", line) }
	}
	for _, step := range []func(*tail.Options) error{
		o.checkNumbers, o.readFormat, o.readRange, o.readPlace, o.readFilter, o.checkGroup,
	} {
		if err := step(&to); err != nil {
			return to, err
		}
	}
	return to, nil
}

func (o *tailOptions) checkNumbers(*tail.Options) error {
	switch {
	case o.num < 0:
		return usageError("", "--num %d is negative", o.num)
	case o.last < 0 || o.last > tail.MaxLast:
		return usageError("for more, start by offset or time: -o -1000000 (each partition), -o @-2h", "--last %d is not between 1 and %s", o.last, thousands(tail.MaxLast))
	case o.changed("last") && o.last == 0:
		return usageError("-o end starts with what comes next", "--last 0 asks for nothing")
	case o.timeout < 0:
		return usageError("", "--timeout %s is negative", o.timeout)
	}
	return nil
}

func (o *tailOptions) readFormat(to *tail.Options) error {
	layout := o.format
	switch {
	case strings.HasPrefix(layout, "-"):
		return usageError(hintFollows, "format %q begins with -", layout)
	case layout == "" && o.changed("format"):
		return usageError(hintFollows, "the format is empty")
	case layout == "" && o.app.OutTTY:
		layout = tail.Table
	case layout == "":
		layout = tail.Value
	}
	to.Format = tail.Format{Layout: layout, Terminal: o.app.OutTTY, Width: o.app.Width, Color: o.app.Color}
	if err := to.Format.Validate(); err != nil {
		return usageError(`the verbs are %t topic, %p partition, %o offset, %d time, %k key, %v value, %h{%k=%v} headers: docs/tail.md`, "%s", err)
	}
	return nil
}

func (o *tailOptions) readRange(to *tail.Options) error {
	if slices.Contains([]string{tail.JSON, tail.Table, tail.Value}, o.offset) {
		return usageError("-o is the offset; the format is -f "+o.offset, "%q is not an offset", o.offset)
	}
	if o.fromBeginning {
		if o.changed("offset") || o.last > 0 {
			return usageError("leave one of them out", "--from-beginning goes neither with --offset nor with --last")
		}
		o.offset = "start"
	}
	var err error
	if to.Range, err = tail.ParseRange(o.offset, o.app.now()); err != nil {
		return usageError("", "%s", err)
	}
	if o.last > 0 && o.changed("offset") && o.offset != ":end" && o.offset != "end" {
		return usageError("--last N -o :end ends at the end of the log", "--last says where to start, and so does --offset %s", o.offset)
	}
	if !o.follow && to.Range.To.Kind == tail.Unset {
		to.Range.To.Kind = tail.End
	}
	return nil
}

func (o *tailOptions) readPlace(to *tail.Options) error {
	if o.place == "" {
		return nil
	}
	topic, partition, offset, err := tail.ParsePlace(o.place)
	if err != nil {
		return usageError("the topic is named with -t, the partition with -p", "%s", err)
	}
	for _, flag := range []string{"offset", "from-beginning", "last", "partition"} {
		if o.changed(flag) {
			return usageError("leave one of them out", "--%s does not go with the position %s", flag, o.place)
		}
	}
	if topic != "" && o.changed("topic") && o.cmd.Flag("topic").Value.String() != topic {
		return usageError("leave one of them out", "--topic %s is not the topic of %s", o.cmd.Flag("topic").Value, o.place)
	}
	to.Topic, to.Partitions = topic, []int32{partition}
	to.Range.From = tail.Bound{Kind: tail.Exact, N: offset}
	return nil
}

func (o *tailOptions) readFilter(to *tail.Options) error {
	if o.changed("key") {
		to.Key = &o.key
		to.Filter.Key(o.key)
	}
	for _, text := range o.where {
		if err := to.Filter.Where(text, o.app.now()); err != nil {
			return usageError("", "%s", err)
		}
	}
	for _, text := range o.grep {
		if err := to.Filter.Grep(text); err != nil {
			return usageError("", "%s", err)
		}
	}
	return nil
}

// checkGroup refuses what a group's members can't choose.
func (o *tailOptions) checkGroup(to *tail.Options) error {
	if o.group == "" {
		return nil
	}
	switch {
	case len(to.Partitions) > 0:
		return usageError("the group hands out the partitions", "--group does not go with chosen partitions")
	case to.Key != nil:
		return usageError("--where key="+o.key+" filters without choosing the partition", "--group does not go with --key")
	case o.last > 0:
		return usageError("a group goes on where it stopped", "--group does not go with --last")
	case to.Range.To.Kind != tail.Unset:
		return usageError("end it with -n or --timeout", "--group does not go with an end offset")
	case to.Range.From.Kind == tail.Exact:
		return usageError("start, end, +N, -N or @TIME say where a new group begins", "--group does not go with offset %s", o.offset)
	}
	return nil
}

func (o *tailOptions) changed(flag string) bool { return o.cmd.Flags().Changed(flag) }
