package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/topic"
	"github.com/ordersctl/ordersctl/internal/unit"
)

type dlqReplayOptions struct {
	app            *App
	cmd            *cobra.Command
	args           []string
	sel            selection
	input          string
	execute        bool
	rate           unit.Rate
	includeStale   bool
	includeInvalid bool
	confirm        string
}

func newDLQReplay(app *App, runF func(context.Context, *dlqReplayOptions) error) *cobra.Command {
	opts := &dlqReplayOptions{app: app}
	cmd := &cobra.Command{
		Use:   "replay [LETTER...]",
		Short: "Bring dead letters back into their topic, as they were or edited",
		Long: `Bring open dead letters back into their topic. It says what it would do and sends
nothing until --execute.

As they were: records keep their bytes, key and event id. What would be refused
again as it is, is left out; so is one that was replayed ` + fmt.Sprint(dlq.MaxReplays) + ` times already, and, where
the database can be asked, a letter of an order of which a later event is applied
(stale) or may be (unsure): the order's row comes from another partition or topic
than the letter, and a replay would be applied over it. --include-stale sends these,
and those of an earlier topic of that name, too.

Edited (--input): the lines of an export, edited and checked again. The order of a
line takes the place of the letter's, as an event of its own.

A letter is marked as replayed once its record is acknowledged. After Ctrl-C or a
kill run the same command again: what is marked is passed over, and what was sent
without its mark goes once more under the same event id and is applied once.`,
		Example: `  ordersctl dlq replay --reason '23514*'
  ordersctl dlq replay --reason '23514*' --execute --rate 500
  ordersctl dlq replay 1@884 2@790 --execute
  ordersctl dlq replay --input fixed.ndjson --execute`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd, opts.args = cmd, args
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runDLQReplay(cmd.Context(), opts)
		},
	}
	addSelectionFlags(cmd, &opts.sel)
	addDBFlag(cmd)
	addTopicFlag(cmd)
	fs := cmd.Flags()
	fs.StringVar(&opts.input, "input", "", "replay the lines of this edited export (`FILE`, or - for the standard input)")
	fs.BoolVar(&opts.execute, "execute", false, "do it; else only say what would be done")
	fs.Var(&opts.rate, "rate", "letters per second: 500, 5k (default: as fast as they are taken)")
	fs.BoolVar(&opts.includeStale, "include-stale", false, "replay letters too of whose order a later event is applied, or may be")
	fs.BoolVar(&opts.includeInvalid, "include-invalid", false, "replay letters too that would be refused again as they are")
	fs.StringVar(&opts.confirm, "confirm", "", "in a protected context: the topic's name, instead of being asked for it")
	return cmd
}

func runDLQReplay(ctx context.Context, opts *dlqReplayOptions) error {
	app := opts.app
	return app.onLetters(ctx, opts.cmd, opts.args, &opts.sel, func(l *letters) (err error) {
		edits, done, err := opts.readEdits(l)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done()) }()
		l.filter.Edits = edits
		id, _, err := topic.Exists(ctx, l.queue.Admin(), l.config.Topic)
		if err != nil {
			return err
		}
		if opts.execute {
			if err := l.notCompacted(ctx); err != nil {
				return err
			}
		}
		x, err := l.queue.Scan(ctx, l.filter)
		if err != nil {
			return err
		}
		if opts.execute && l.config.Protected {
			question := fmt.Sprintf("Replay up to %s of %s to topic %s?", count(x.Count(dlq.Open), "letter"), x.Topic, l.config.Topic)
			if err := app.confirm(ctx, l.config, question, l.config.Topic, false, opts.confirm); err != nil {
				return err
			}
		}
		return opts.replay(ctx, l, x, topic.FormatID(id))
	})
}

func (o *dlqReplayOptions) replay(ctx context.Context, l *letters, x *dlq.Index, topicID string) error {
	app := o.app
	talk := &teller{app: app}
	rows, closeRows, why := app.orderRows(ctx, l)
	defer closeRows()
	switch {
	case rows != nil || x.Len() == 0:
	case o.execute && !o.includeStale && l.config.DB.URL != "":
		return o.blind(ctx, why)
	default:
		app.say("which letters are stale is not known, so none is left out for it: %s", why)
	}
	stop := talk.waiting(ctx)
	result, err := dlq.NewReplayer(l.client, l.queue, dlq.ReplayOptions{
		Topic: l.config.Topic, TopicID: topicID, Rules: l.config.Order, Rows: rows,
		IncludeStale: o.includeStale, IncludeInvalid: o.includeInvalid,
		Closed: len(o.sel.letters) > 0, Edits: l.filter.Edits,
		Execute: o.execute, Rate: o.rate, Patience: patience(l.config.Kafka), Tell: talk.tell,
	}).Run(ctx, x)
	stop()
	talk.end()
	if printErr := printReplay(app.Out, x.Topic, l.config.Topic, result, o.execute); err == nil {
		err = withoutGone(printErr) // how it went still has to be told
	}
	var blind *dlq.BlindError
	if errors.As(err, &blind) {
		err = o.blind(ctx, blind.Err)
	}
	if err != nil {
		if o.execute {
			app.say("%s", describeSent(result))
		}
		return err
	}
	return o.verdict(result)
}

// blind is the end of a replay that can't see which letters are stale, where a
// database was named that should tell: what is stale of another partition would
// overwrite a newer row.
func (o *dlqReplayOptions) blind(ctx context.Context, why error) error {
	return &failure{
		err:  fmt.Errorf("which letters are stale is not known: %w", why),
		hint: "run it again when the database answers: what is marked is passed over; --include-stale replays without asking",
		code: exitCode(ctx, why),
	}
}

// readEdits opens the file of --input.
func (o *dlqReplayOptions) readEdits(l *letters) (*dlq.Edits, func() error, error) {
	none := func() error { return nil }
	if o.input == "" {
		return nil, none, nil
	}
	if !o.sel.isEmpty() {
		return nil, nil, usageError("the lines of the file are what is replayed", "--input goes neither with letters nor with filters")
	}
	f, err := o.openInput()
	if err != nil {
		return nil, nil, fmt.Errorf("read the edited letters: %w", err)
	}
	edits, err := dlq.ReadEdits(f, l.config.DLQTopic)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read the edited letters of %s: %w", o.input, err), f.Close())
	}
	return edits, f.Close, nil
}

// openInput opens what is read at any place and more than once: a pipe (- or
// <(jq ...)) is copied first.
func (o *dlqReplayOptions) openInput() (*os.File, error) {
	if o.input == "-" {
		return spool(o.app.In)
	}
	f, err := os.Open(o.input)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err == nil && info.Mode().IsRegular():
		return f, nil
	case err == nil && info.IsDir():
		err = fmt.Errorf("%s is a folder", o.input)
	}
	var copied *os.File
	if err == nil {
		copied, err = spool(f)
	}
	if err = errors.Join(err, f.Close()); err != nil && copied != nil {
		return nil, errors.Join(err, copied.Close())
	}
	return copied, err
}

// spool copies what can be read once into a file that goes when it is closed.
func spool(in io.Reader) (*os.File, error) {
	f, err := os.CreateTemp("", "ordersctl-letters-")
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(f, in); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if removeErr := os.Remove(f.Name()); err == nil && removeErr != nil {
		err = removeErr
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func printReplay(w io.Writer, from, to string, r *dlq.ReplayResult, executed bool) error {
	if len(r.Causes) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "%s -> %s\n\n", from, to); err != nil {
		return err
	}
	t := newTable(">LETTERS", "WHAT", "WHY", "LETTER")
	for _, c := range r.Causes {
		what := string(c.What)
		if executed && c.What == dlq.Replay {
			what = "sent"
		}
		letter := "-"
		if c.What != dlq.Gone {
			letter = c.First.Short()
		}
		t.add(thousands(int64(c.Letters)), what, cutText(printable(c.Why), 64), letter)
	}
	return t.print(w)
}

// verdict says how it ended, in its last line.
func (o *dlqReplayOptions) verdict(r *dlq.ReplayResult) error {
	app := o.app
	left := r.Left()
	if o.input != "" {
		left -= r.Count(dlq.Stale) // a later event took its place; unsure ones are open and applied by nobody
	}
	if !o.execute {
		if r.Interrupted {
			return context.Canceled
		}
		app.say("dry run: nothing was sent; --execute replays %s", count(r.Count(dlq.Replay), "letter"))
		o.hints(r)
		if o.input != "" && left > 0 {
			return failed("", "%s of %s can't be replayed", count(left, "line"), o.input)
		}
		return nil
	}
	app.say("%s", describeSent(r))
	o.hints(r)
	again := "run the same command again: what is marked is passed over"
	switch {
	case r.Sent.Failed() > 0 || r.GaveUp:
		return failed(again, "%s of %s not replayed for certain%s", thousands(int64(r.Sent.Failed()+r.NotReached)), count(r.Count(dlq.Replay)+r.NotReached, "letter"), givenUp(r))
	case left > 0 && (o.input != "" || len(o.sel.letters) > 0):
		return failed("", "%s not replayed", count(left, "letter"))
	case r.Interrupted:
		app.say("hint: %s", again)
		return &doneError{exitInterrupted}
	}
	return nil
}

func givenUp(r *dlq.ReplayResult) string {
	if r.GaveUp {
		return ", given up after the first ones failed"
	}
	return ""
}

// describeSent is "replayed 72 letters; 3 unknown; 13 not reached, interrupted".
func describeSent(r *dlq.ReplayResult) string {
	parts := []string{"replayed " + count(r.Sent.Marked, "letter")}
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, thousands(int64(n))+" "+what)
		}
	}
	add(r.Sent.Unmarked, "replayed without a mark (they show as open)")
	add(r.Sent.NotWritten, "not written")
	add(r.Sent.Unknown, "unknown (they may be written; not marked)")
	if r.Interrupted {
		parts = append(parts, "interrupted")
	}
	add(r.NotReached, "not reached")
	return strings.Join(parts, "; ")
}

// hints says what to do about letters that were left out.
func (o *dlqReplayOptions) hints(r *dlq.ReplayResult) {
	app := o.app
	for _, c := range r.Causes {
		if c.What == dlq.Invalid && o.input == "" {
			app.say("hint: what is invalid has to be edited: ordersctl dlq export ... > letters.ndjson, then dlq replay --input letters.ndjson")
			break
		}
	}
	if r.Over > 0 {
		app.say("warning: of %s the order's row comes from another partition or topic: applied later, the letter wins, newer or not", count(r.Over, "letter"))
	}
	if r.Count(dlq.Unsure) > 0 {
		app.say("hint: what is unsure would be applied over the order's row, newer or not: compare them (dlq show); --include-stale replays them")
	}
	if r.Count(dlq.Earlier) > 0 {
		app.say("hint: what is of an earlier topic may be older than all that is applied; --include-stale replays it all the same")
	}
	if r.Count(dlq.Stale) > 0 {
		app.say("hint: stale letters change no row; --include-stale replays them all the same")
	}
	if r.Count(dlq.TooOften) > 0 {
		app.say("hint: what came back %d times needs another way: \"ordersctl send\" sends an order as a new event", dlq.MaxReplays)
	}
	if r.Count(dlq.OtherTopic) > 0 {
		app.say("hint: -t names the topic whose letters are replayed")
	}
}
