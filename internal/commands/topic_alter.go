package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/topic"
)

type topicAlterOptions struct {
	app        *App
	cmd        *cobra.Command
	name       string
	partitions int
	configs    []string
	reset      []string
	force      bool
	consent    consent
}

func newTopicAlter(app *App, runF func(context.Context, *topicAlterOptions) error) *cobra.Command {
	opts := &topicAlterOptions{app: app}
	cmd := &cobra.Command{
		Use:   "alter TOPIC",
		Short: "Change a topic's configs, or add partitions",
		Long: `Change a topic's configs, or add partitions.

-c sets a config, --reset takes it back to the broker's default; others stay.

More partitions move keys: the share that moves is printed, and so are the
barrier offsets, the end of each old partition right before. What lies before
them was placed by the old count; a key's events before and after may stand in
two partitions, and a reader may see the newer one first. It is therefore
refused while a group has records left to read (--force goes on).
Partitions are never taken away: Kafka can't.`,
		Example: `  ordersctl topic alter orders -c min.insync.replicas=2
  ordersctl topic alter orders -c retention.ms=86400000 --reset max.message.bytes --yes
  ordersctl topic alter orders -p 12 --dry-run`,
		Args: exactly(1, "one topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd, opts.name = cmd, args[0]
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runTopicAlter(cmd.Context(), opts)
		},
	}
	fs := cmd.Flags()
	fs.IntVarP(&opts.partitions, "partitions", "p", 0, "new `number` of partitions, more than there are")
	fs.StringArrayVarP(&opts.configs, "topic-config", "c", nil, "set a config, `key=value`; may be repeated")
	fs.StringArrayVar(&opts.reset, "reset", nil, "take a config back to its default, `key`; may be repeated")
	fs.BoolVar(&opts.force, "force", false, "add partitions although a group has lag")
	addConsentFlags(cmd, &opts.consent)
	return cmd
}

func runTopicAlter(ctx context.Context, opts *topicAlterOptions) error {
	if err := checkTopicName(opts.name); err != nil {
		return err
	}
	set, err := parseConfigs(opts.configs, "--reset KEY takes a config back to its default")
	if err != nil {
		return err
	}
	for _, c := range set {
		if slices.Contains(opts.reset, c.Key) {
			return usageError("", "%s is both set and reset", c.Key)
		}
	}
	switch {
	case opts.cmd.Flags().Changed("partitions") && opts.partitions < 1:
		return usageError("", "--partitions %d is not a number of partitions", opts.partitions)
	case opts.partitions == 0 && len(set)+len(opts.reset) == 0:
		return usageError(seeHelp(opts.cmd), "nothing to change: give -p, -c or --reset")
	}
	return opts.app.onCluster(ctx, opts.cmd, func(c cluster) error {
		return alterTopic(ctx, opts, c, topic.Alteration{
			Name: opts.name, Partitions: opts.partitions, Set: set, Reset: opts.reset, Force: opts.force,
		})
	})
}

func alterTopic(ctx context.Context, opts *topicAlterOptions, c cluster, alteration topic.Alteration) error {
	app := opts.app
	plan, err := topic.PlanAlter(ctx, c.Client, alteration)
	if err != nil {
		return err
	}
	if len(plan.Changes) == 0 {
		app.say("topic %s is so already, nothing to change", opts.name)
		return nil
	}
	if err := printPlan(app.planWriter(opts.consent.dryRun), plan); err != nil {
		return err
	}
	if opts.consent.dryRun {
		app.say("dry run: nothing was changed")
		return nil
	}
	if err := app.confirm(ctx, c.config, fmt.Sprintf("Change topic %s?", opts.name), opts.name, opts.consent.yes, opts.consent.confirm); err != nil {
		return err
	}
	barriers, err := plan.Apply(ctx, c.Client)
	err = errors.Join(err, withoutGone(printBarriers(app.Out, opts.name, barriers)))
	if err != nil {
		return err
	}
	app.say("changed topic %s", opts.name)
	return nil
}

func printPlan(w io.Writer, plan *topic.Plan) error {
	t := newTable("TOPIC", "SETTING", "FROM", "TO")
	for _, c := range plan.Changes {
		t.add(plan.Topic, c.What, printable(c.From), printable(c.To))
	}
	if err := t.print(w); err != nil || !plan.Grows() {
		return err
	}
	_, err := fmt.Fprintf(w, `%.1f %% of the keys move to another partition
order per key is broken across the barrier: of a key that moves, a newer event may be read before
an older one. Read by %s.
`, 100*plan.Moved, describeReaders(plan.Readers))
	return err
}

// printBarriers prints places: what lies before them was placed by the old
// count.
func printBarriers(w io.Writer, name string, barriers []topic.Barrier) error {
	if len(barriers) == 0 {
		return nil
	}
	t := newTable("PART", "BARRIER")
	for _, b := range barriers {
		t.add(fmt.Sprint(b.Partition), fmt.Sprintf("%s/%d@%d", name, b.Partition, b.Offset))
	}
	return t.print(w)
}
