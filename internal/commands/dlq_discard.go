package commands

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/dlq"
)

type dlqDiscardOptions struct {
	app     *App
	cmd     *cobra.Command
	args    []string
	sel     selection
	consent consent
}

func newDLQDiscard(app *App, runF func(context.Context, *dlqDiscardOptions) error) *cobra.Command {
	opts := &dlqDiscardOptions{app: app}
	cmd := &cobra.Command{
		Use:   "discard [LETTER...]",
		Short: "Give dead letters up",
		Long: `Give open dead letters up: they are marked as discarded, no longer listed and never
replayed. They stay in the topic ("ordersctl dlq list --all").

It asks first; off a terminal it needs --yes, and in a protected context the dead
letter topic's name (--confirm).`,
		Example: `  ordersctl dlq discard 1@884
  ordersctl dlq discard --class tombstone --dry-run
  ordersctl dlq discard --reason '*' --to 30d --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd, opts.args = cmd, args
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runDLQDiscard(cmd.Context(), opts)
		},
	}
	addSelectionFlags(cmd, &opts.sel)
	addConsentFlags(cmd, &opts.consent)
	cmd.Flags().Lookup("confirm").Usage = "in a protected context: the dead letter topic's name, instead of being asked for it"
	cmd.Flags().Lookup("dry-run").Usage = "say what would be discarded; change nothing"
	return cmd
}

func runDLQDiscard(ctx context.Context, opts *dlqDiscardOptions) error {
	app := opts.app
	if err := notEmpty(opts.cmd, "class", "since", "from", "to"); err != nil {
		return err
	}
	if len(opts.args) == 0 && opts.sel.isEmpty() && !opts.cmd.Flags().Changed("key") {
		return usageError("--reason '*' means every open letter", "name the letters to discard, or a filter")
	}
	return app.onLetters(ctx, opts.cmd, opts.args, &opts.sel, func(l *letters) error {
		if !opts.consent.dryRun {
			if err := l.notCompacted(ctx); err != nil {
				return err
			}
		}
		x, err := l.queue.Scan(ctx, l.filter)
		if err != nil {
			return err
		}
		open := x.Count(dlq.Open)
		if err := printDiscard(app.planWriter(opts.consent.dryRun), x); err != nil {
			return err
		}
		switch {
		case open == 0:
			app.say("no open letter of %s matches", x.Topic)
			return nil
		case opts.consent.dryRun:
			app.say("dry run: nothing was discarded")
			return nil
		}
		question := fmt.Sprintf("Discard %s of %s?", count(open, "letter"), x.Topic)
		if err := app.confirm(ctx, l.config, question, x.Topic, opts.consent.yes, opts.consent.confirm); err != nil {
			return err
		}
		talk := &teller{app: app}
		stop := talk.waiting(ctx)
		r, err := dlq.Discard(ctx, l.client, l.queue, x, patience(l.config.Kafka), talk.tell)
		stop()
		talk.end()
		if err != nil {
			return err
		}
		return opts.verdict(r)
	})
}

func printDiscard(w io.Writer, x *dlq.Index) error {
	groups := x.Groups()
	if len(groups) == 0 {
		return nil
	}
	t := newTable(">OPEN", "CLASS", "REASON", "LETTER")
	for i := range groups[:min(len(groups), maxGroups)] {
		g := &groups[i]
		t.add(thousands(int64(g.Open)), dashed(g.Class), cutText(printable(g.Reason), 64), g.Letter.Short())
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

func (o *dlqDiscardOptions) verdict(r *dlq.DiscardResult) error {
	line := "discarded " + count(r.Sent.Marked, "letter")
	if r.Gone > 0 {
		line += fmt.Sprintf("; %s deleted meanwhile", thousands(int64(r.Gone)))
	}
	if n := r.Sent.Failed(); n > 0 {
		line += fmt.Sprintf("; %s not for certain", thousands(int64(n)))
	}
	if r.NotReached > 0 {
		line += fmt.Sprintf("; %s not reached", thousands(int64(r.NotReached)))
	}
	o.app.say("%s", line)
	switch {
	case r.Sent.Failed() > 0 || r.GaveUp:
		return failed("run the same command again: what is marked is passed over", "%s not discarded for certain", count(r.Sent.Failed()+r.NotReached, "letter"))
	case r.Interrupted:
		return &doneError{exitInterrupted}
	}
	return nil
}
