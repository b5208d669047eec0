package commands

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/topic"
)

type topicPurgeOptions struct {
	app     *App
	cmd     *cobra.Command
	name    string
	before  []string
	consent consent
}

func newTopicPurge(app *App, runF func(context.Context, *topicPurgeOptions) error) *cobra.Command {
	opts := &topicPurgeOptions{app: app}
	cmd := &cobra.Command{
		Use:   "purge TOPIC",
		Short: "Delete a topic's records, up to now or before an offset or a time",
		Long: `Delete a topic's records: all that are there now, or with --before those that lie
before an offset (5000, in each partition), a place (1@5000 or orders/1@5000, in
that one alone) or a time (@2026-11-01, @2026-11-01T12:00, @-1d12h, @1793534400).

The topic stays, its offsets go on where they are. What is written after the
question was asked is kept. Deleted records can't be had back.`,
		Example: `  ordersctl topic purge orders --dry-run
  ordersctl topic purge orders --before @-36h
  ordersctl topic purge orders --before 0@5000 --before 1@4800 --yes`,
		Args: exactly(1, "one topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd, opts.name = cmd, args[0]
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runTopicPurge(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringArrayVar(&opts.before, "before", nil, "delete only what lies before this `OFFSET|PLACE|@TIME`; may be repeated")
	addConsentFlags(cmd, &opts.consent)
	return cmd
}

func runTopicPurge(ctx context.Context, opts *topicPurgeOptions) error {
	app := opts.app
	if err := checkTopicName(opts.name); err != nil {
		return err
	}
	var befores []topic.Before
	for _, s := range opts.before {
		b, err := topic.ParseBefore(s, opts.name, app.now())
		if err != nil {
			return usageError("", "--before: %s", err)
		}
		befores = append(befores, b)
	}
	return app.onCluster(ctx, opts.cmd, func(c cluster) error {
		plan, err := topic.PlanPurge(ctx, c.Client, opts.name, befores)
		if err != nil {
			return err
		}
		if err := printPurge(app.planWriter(opts.consent.dryRun), plan); err != nil {
			return err
		}
		switch {
		case opts.consent.dryRun:
			app.say("dry run: nothing was deleted")
			return nil
		case plan.Records == 0:
			app.say("topic %s has nothing to delete there", opts.name)
			return nil
		}
		question := fmt.Sprintf("Delete %s of topic %s?", count(plan.Records, "record"), opts.name)
		if err := app.confirm(ctx, c.config, question, opts.name, opts.consent.yes, opts.consent.confirm); err != nil {
			return err
		}
		gone, err := plan.Apply(ctx, c.Client)
		if gone > 0 || err == nil {
			app.say("deleted %s of topic %s", count(gone, "record"), opts.name)
		}
		return err
	})
}

func printPurge(w io.Writer, plan *topic.Purge) error {
	t := newTable("PART", ">START", ">NEW START", ">END", ">DELETED", ">LEFT")
	var left int64
	for _, p := range plan.Parts {
		left += p.End - p.Before
		t.add(fmt.Sprint(p.Partition), thousands(p.Start), thousands(p.Before), thousands(p.End), thousands(p.Records()), thousands(p.End-p.Before))
	}
	t.add("all", "", "", "", thousands(plan.Records), thousands(left))
	return t.print(w)
}
