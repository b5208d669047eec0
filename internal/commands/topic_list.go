package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/topic"
	"github.com/ordersctl/ordersctl/internal/unit"
)

type topicListOptions struct {
	app      *App
	cmd      *cobra.Command
	internal bool
	output   string
}

func newTopicList(app *App, runF func(context.Context, *topicListOptions) error) *cobra.Command {
	opts := &topicListOptions{app: app}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the topics with their records and size",
		Long: `List the topics that this user may see. RECORDS counts offsets: compaction and
transactions leave gaps in them. SIZE is that of one copy, the leaders'; "-"
where a partition has no leader or the brokers do not tell.`,
		Example: `  ordersctl topic list
  ordersctl topic list --internal -o wide
  ordersctl topic list -o json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.cmd = cmd
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runTopicList(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.internal, "internal", false, "list Kafka's own topics too")
	addOutputFlag(cmd, &opts.output, "text", "wide", "json")
	return cmd
}

func runTopicList(ctx context.Context, opts *topicListOptions) error {
	if err := checkOutput(opts.output, "text", "wide", "json"); err != nil {
		return err
	}
	return opts.app.onCluster(ctx, opts.cmd, func(c cluster) error {
		list, err := topic.List(ctx, c.Client, opts.internal)
		if err != nil {
			return err
		}
		return printTopics(opts, list)
	})
}

func printTopics(opts *topicListOptions, list []topic.Summary) error {
	if opts.output == "json" {
		return printJSON(opts.app.Out, list)
	}
	if len(list) == 0 {
		opts.app.say("there are no topics; create one with \"ordersctl topic create\"")
		return nil
	}
	head := []string{"NAME", ">PARTITIONS", ">REPLICAS", ">RECORDS", ">SIZE"}
	if opts.output == "wide" {
		head = append(head, ">LEADERLESS", ">UNDER-REPLICATED", "ID")
	}
	t := newTable(head...)
	for _, s := range list {
		row := []string{s.Name, fmt.Sprint(s.Partitions), s.Replication, orDash(s.Records), sizeOrDash(s.SizeBytes)}
		if opts.output == "wide" {
			row = append(row, fmt.Sprint(s.Leaderless), fmt.Sprint(s.UnderReplicated), s.ID)
		}
		t.add(row...)
	}
	return t.print(opts.app.Out)
}

func sizeOrDash(bytes *int64) string {
	if bytes == nil {
		return "-"
	}
	return unit.Size(*bytes).Human()
}
