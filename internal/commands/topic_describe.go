package commands

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

type topicDescribeOptions struct {
	app      *App
	cmd      *cobra.Command
	name     string // "" is the configured topic
	interval time.Duration
	noRate   bool
	output   string
}

func newTopicDescribe(app *App, runF func(context.Context, *topicDescribeOptions) error) *cobra.Command {
	opts := &topicDescribeOptions{app: app}
	cmd := &cobra.Command{
		Use:   "describe [TOPIC]",
		Short: "Show a topic's partitions, replicas, offsets, size and lag",
		Long: `Show a topic (the configured one where none is named): what it is set to, and per
partition its leader, its replicas, those in sync ("!" where one is missing),
its offsets, the size of the leader's copy, the writes per second and the lag of
process's group, by the offsets in the database where it has some, else by Kafka's.
What is not known is "-".

The rate comes from two looks at the offsets, --interval apart.`,
		Example: `  ordersctl topic describe
  ordersctl topic describe orders --no-rate
  ordersctl topic describe orders -o json --interval 10s`,
		Args: atMostOne("one topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd = cmd
			if len(args) > 0 {
				opts.name = args[0]
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runTopicDescribe(cmd.Context(), opts)
		},
	}
	cmd.Flags().DurationVar(&opts.interval, "interval", 2*time.Second, "time over which the writes are counted")
	cmd.Flags().BoolVar(&opts.noRate, "no-rate", false, "do not count the writes: answer at once")
	addDBFlag(cmd)
	addOutputFlag(cmd, &opts.output, "text", "wide", "json")
	return cmd
}

func runTopicDescribe(ctx context.Context, opts *topicDescribeOptions) error {
	if err := checkOutput(opts.output, "text", "wide", "json"); err != nil {
		return err
	}
	if opts.interval <= 0 {
		return usageError("--no-rate leaves the rate out", "--interval %s is not more than 0", opts.interval)
	}
	if opts.noRate {
		opts.interval = 0
	}
	if opts.name != "" {
		if err := checkTopicName(opts.name); err != nil {
			return err
		}
	}
	return opts.app.onCluster(ctx, opts.cmd, func(c cluster) error {
		name := opts.name
		if name == "" {
			name = c.config.Topic
		}
		group := c.config.Process.Group
		db, closeDB := opts.app.readDatabase(ctx, c.config)
		defer closeDB()
		d, err := topic.Describe(ctx, c.Client, name, topic.DescribeOptions{
			Partitioner: c.config.Kafka.Partitioner,
			Group:       group,
			Database:    opts.app.offsetsOf(db, group, name),
			Interval:    opts.interval,
		})
		if err != nil {
			return err
		}
		if opts.output == "json" {
			return printJSON(opts.app.Out, d)
		}
		return printDescription(opts.app.Out, d, group, opts.output == "wide")
	})
}

// offsetsOf asks the database for a group's offsets in one topic; nil without a
// database.
func (a *App) offsetsOf(db sink.Store, group, name string) func(context.Context, string) map[int32]int64 {
	if db == nil {
		return nil
	}
	return func(ctx context.Context, id string) map[int32]int64 {
		rows, err := db.Committed(ctx, group)
		if err != nil {
			a.say("note: %s", byKafka("LAG", err))
		}
		at, _ := lag.OfTopic(rows, name, id)
		return at
	}
}

func printDescription(w io.Writer, d *topic.Description, group string, wide bool) error {
	var b strings.Builder
	printTopicHead(&b, d, wide)
	b.WriteString("\n")
	if err := partitionTable(d, wide).print(&b); err != nil {
		return err
	}
	for _, p := range d.Problems {
		fmt.Fprintf(&b, "! %s\n", p)
	}
	text := "LAG: group " + group + " has committed nothing here"
	switch {
	case d.Agreement != nil:
		text = fmt.Sprintf("LAG is group %s, by the database's offsets (%s)", d.LagGroup, agreement(d.Agreement))
	case d.LagGroup != "":
		text = "LAG is group " + d.LagGroup + ", by Kafka's offsets"
	}
	if d.RateSeconds > 0 {
		text += fmt.Sprintf("   WRITE/s over the last %s s", strings.TrimSuffix(fmt.Sprintf("%.1f", d.RateSeconds), ".0"))
	}
	b.WriteString(text + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func printTopicHead(w io.Writer, d *topic.Description, wide bool) {
	label := max(len(d.Name), len("config")) + 3
	if !wide {
		label = max(len(d.Name), len("keys")) + 3
	}
	// Enough to tell topics apart; the whole of it does not fit.
	id := d.ID[:min(12, len(d.ID))]
	if wide {
		id = d.ID
	}
	_, _ = fmt.Fprintf(w, "%-*sid %s   %s   replication %s   min.insync.replicas %s\n",
		label, d.Name, id, count(d.PartitionCount, "partition"), d.Replication, orDash(d.MinInsyncReplicas))
	line := fmt.Sprintf("%-*sorder id, %s     %s", label, "keys", d.Partitioner, retention(d))
	if wide {
		_, _ = fmt.Fprintln(w, line)
		for _, c := range d.Configs {
			_, _ = fmt.Fprintf(w, "%-*s%s=%s\n", label, "config", c.Key, printable(c.Value))
		}
		return
	}
	names := make([]string, len(d.Configs))
	for i, c := range d.Configs {
		names[i] = c.Key
	}
	own := "non-default: none"
	if len(names) > 0 {
		own = "non-default: " + strings.Join(names, ", ")
	}
	if len(line)+5+len(own) <= 100 {
		_, _ = fmt.Fprintf(w, "%s     %s\n", line, own)
		return
	}
	_, _ = fmt.Fprintf(w, "%s\n%*s%s\n", line, label, "", own)
}

func partitionTable(d *topic.Description, wide bool) *table {
	head := []string{"PART", ">LEADER", "REPLICAS", "ISR", ">START", ">END", ">RECORDS", ">SIZE", ">WRITE/s", ">LAG"}
	if wide {
		head = append(head, "OFFLINE")
	}
	t := newTable(head...)
	width := 0
	for _, p := range d.Partitions {
		width = max(width, len(topic.JoinIDs(p.ISR)))
	}
	for _, p := range d.Partitions {
		leader, mark := "-", " "
		if p.Leader != nil {
			leader = fmt.Sprint(*p.Leader)
		}
		if len(p.Missing()) > 0 {
			mark = "!"
		}
		row := []string{
			fmt.Sprint(p.Partition), leader, topic.JoinIDs(p.Replicas), fmt.Sprintf("%-*s %s", width, topic.JoinIDs(p.ISR), mark),
			orDash(p.StartOffset), orDash(p.EndOffset), orDash(p.Records), sizeOrDash(p.SizeBytes), perSecond(p.WritePerSecond), orDash(p.Lag),
		}
		if wide {
			row = append(row, topic.JoinIDs(p.Offline))
		}
		t.add(row...)
	}
	row := []string{"all", "", "", "", "", "", orDash(d.Records), sizeOrDash(d.SizeBytes), perSecond(d.WritePerSecond), orDash(d.Lag)}
	if wide {
		row = append(row, "")
	}
	t.add(row...)
	return t
}

// perSecond is a rate: whole where it is large, 3 digits where it is small.
func perSecond(rate *float64) string {
	switch {
	case rate == nil:
		return "-"
	case *rate >= 100 || *rate == 0:
		return thousands(int64(*rate + 0.5))
	}
	return figure(*rate)
}

// retention is "retention 7 d, unbounded size".
func retention(d *topic.Description) string {
	var parts []string
	if strings.Contains(d.CleanupPolicy, "compact") {
		parts = append(parts, "compacted")
	}
	if d.CleanupPolicy == "" || strings.Contains(d.CleanupPolicy, "delete") {
		parts = append(parts, age(d.RetentionMS), sizeLimit(d.RetentionBytes))
	}
	return "retention " + strings.Join(parts, ", ")
}

func age(ms *int64) string {
	if ms == nil {
		return "-"
	}
	if *ms < 0 {
		return "for ever"
	}
	for _, u := range []struct {
		ms   int64
		name string
	}{{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}} {
		if *ms >= u.ms && *ms%u.ms == 0 {
			return fmt.Sprintf("%s %s", thousands(*ms/u.ms), u.name)
		}
	}
	return thousands(*ms) + " ms"
}

func sizeLimit(bytes *int64) string {
	switch {
	case bytes == nil:
		return "-"
	case *bytes < 0:
		return "unbounded size"
	}
	return sizeOrDash(bytes) + " a partition"
}
