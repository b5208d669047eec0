package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/topic"
)

type topicDeleteOptions struct {
	app     *App
	cmd     *cobra.Command
	names   []string
	consent consent
}

func newTopicDelete(app *App, runF func(context.Context, *topicDeleteOptions) error) *cobra.Command {
	opts := &topicDeleteOptions{app: app}
	cmd := &cobra.Command{
		Use:   "delete TOPIC...",
		Short: "Delete topics with their records",
		Long: `Delete topics with their records. What goes with them, and which groups read
them, is said before. One that can't be deleted does not keep the others from
being deleted; the exit code is 1 then.

In a protected context the names are typed, or given by --confirm, as one list
with commas: a,b. Kafka's own topics are refused.`,
		Example: `  ordersctl topic delete orders-test
  ordersctl topic delete a b c --dry-run
  ordersctl topic delete orders orders.dlq --yes`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(seeHelp(cmd), "%s takes the topics to delete", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd, opts.names = cmd, args
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runTopicDelete(cmd.Context(), opts)
		},
	}
	addConsentFlags(cmd, &opts.consent)
	return cmd
}

func runTopicDelete(ctx context.Context, opts *topicDeleteOptions) error {
	var names []string
	for _, name := range opts.names {
		if err := checkTopicName(name); err != nil {
			return err
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return opts.app.onCluster(ctx, opts.cmd, func(c cluster) error {
		return deleteTopics(ctx, opts, c, names)
	})
}

func deleteTopics(ctx context.Context, opts *topicDeleteOptions, c cluster, names []string) error {
	app := opts.app
	var there []string
	var failures []error
	w := app.planWriter(opts.consent.dryRun)
	for _, name := range names {
		doomed, err := topic.PlanDelete(ctx, c.Client, name)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failures = append(failures, err)
			continue
		}
		there = append(there, name)
		if _, err := fmt.Fprintln(w, describeDoomed(doomed)); err != nil {
			return err
		}
	}
	if len(there) > 0 && !opts.consent.dryRun {
		question := fmt.Sprintf("Delete %s: %s?", count(len(there), "topic"), strings.Join(there, ", "))
		if err := app.confirm(ctx, c.config, question, strings.Join(there, ","), opts.consent.yes, opts.consent.confirm); err != nil {
			return failAll(opts, c, append(failures, err))
		}
		failed := topic.Delete(ctx, c.Client, there...)
		for _, name := range there {
			if err, ok := failed[name]; ok {
				failures = append(failures, err)
			} else {
				app.say("deleted topic %s", name)
			}
		}
	}
	if opts.consent.dryRun {
		app.say("dry run: nothing was deleted")
	}
	return failAll(opts, c, failures)
}

// failAll prints all errors but the last, which is returned.
func failAll(opts *topicDeleteOptions, c cluster, errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	last := len(errs) - 1
	for _, err := range errs[:last] {
		printError(opts.app.Err, explainTopic(err, c.config))
	}
	return errs[last]
}

func describeDoomed(d *topic.Doomed) string {
	records := "an unknown number of records"
	if d.Records != nil {
		records = count(*d.Records, "record")
	}
	by := describeReaders(d.Readers)
	if d.ReadersErr != nil {
		by = "groups that can't be seen: " + d.ReadersErr.Error()
	}
	return fmt.Sprintf("topic %s: %s, %s, read by %s", d.Name, count(d.Partitions, "partition"), records, by)
}
