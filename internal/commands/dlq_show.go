package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/order"
)

type dlqShowOptions struct {
	app    *App
	cmd    *cobra.Command
	letter string
	output string
}

func newDLQShow(app *App, runF func(context.Context, *dlqShowOptions) error) *cobra.Command {
	opts := &dlqShowOptions{app: app}
	cmd := &cobra.Command{
		Use:   "show LETTER",
		Short: "Show a dead letter, its faults pointed at",
		Long: `Show a dead letter: why it failed, where its record stood, its headers, and its
value with the faults pointed at. What is no text is shown in hex.

The letter is named by its place, orders.dlq/1@884 or 1@884.`,
		Example: `  ordersctl dlq show 1@884
  ordersctl dlq show orders.dlq/1@884 -o json`,
		Args: exactly(1, "one letter"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd, opts.letter = cmd, args[0]
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runDLQShow(cmd.Context(), opts)
		},
	}
	addDBFlag(cmd)
	addOutputFlag(cmd, &opts.output, "text", "json")
	return cmd
}

func runDLQShow(ctx context.Context, opts *dlqShowOptions) error {
	if err := checkOutput(opts.output, "text", "json"); err != nil {
		return err
	}
	app := opts.app
	var sel selection
	return app.onLetters(ctx, opts.cmd, []string{opts.letter}, &sel, func(l *letters) error {
		place := l.filter.Letters[0]
		letter, err := l.queue.Letter(ctx, place)
		if err != nil {
			return failed(`"ordersctl dlq list" shows what is there`, "%w", err)
		}
		x, err := l.queue.Scan(ctx, l.filter)
		if err != nil {
			return err
		}
		found := x.Newest(1, true)
		if len(found) == 0 {
			return failed("", "letter %s was deleted while it was read", place)
		}
		if opts.output == "json" {
			document := dlq.Export(letter, found[0].State)
			document.ReplayedTo = found[0].To
			return printJSON(app.Out, document)
		}
		v := &shownLetter{
			letter: letter, state: found[0].State, to: found[0].To, orderID: found[0].OrderID, now: app.now(),
			faults: faultsNow(letter, l.config.Order), rows: newLetterRows(ctx, app, l, found),
		}
		if err := v.print(app.Out); err != nil {
			return err
		}
		v.hints(app, opts.cmd)
		return nil
	})
}

// faultsNow are the letter's own faults. One that was cut short has them from
// the value itself.
func faultsNow(l *dlq.Letter, rules order.Rules) order.Faults {
	if len(l.Faults) > 0 {
		return l.Faults
	}
	var faults order.Faults
	if _, err := order.NewDecoder(rules).Decode(l.Value); l.Value != nil && errors.As(err, &faults) {
		return faults
	}
	return nil
}

type shownLetter struct {
	letter  *dlq.Letter
	state   dlq.State
	to      string // where the replayed record stands
	orderID string
	faults  order.Faults
	rows    letterRows
	now     time.Time
}

func (v *shownLetter) print(w io.Writer) error {
	l := v.letter
	var b strings.Builder
	fmt.Fprintf(&b, "%s   %s   %s: %s\n\n", l.Place, v.state, dashed(l.Class), dashed(l.Reason))
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-8s "+format+"\n", append([]any{name}, args...)...)
	}
	if l.Detail != "" && l.Detail != l.Reason {
		row("detail", "%s", printable(l.Detail))
	}
	row("origin", "%s   %s   topic id %s", l.Origin, momentOr(l.Origin.Timestamp), dashed(l.Origin.TopicID))
	if l.First != nil {
		row("first", "%s, its place before it was replayed", l.First)
	}
	row("failed", "%s   group %s   %s, replayed %s before", momentOr(l.Failed), dashed(l.Group), tries(l.Attempts), count(l.Replays, "time"))
	event, err := l.EventID()
	if err != nil || l.Origin.TopicID == "" {
		event = "-" // what is wrong with it is the letter's reason
	}
	if v.to != "" {
		row("replayed", "to %s", printable(v.to))
	}
	row("order", "%s   key %s   client %s   event %s", dashed(v.orderID), keyOf(l.Key), printable(l.Client()), printable(event))
	row("newer", "%s", newerText(v.rows))

	fmt.Fprintf(&b, "\nVALUE   %s\n", count(len(l.Value), "byte"))
	for _, line := range pointedValue(l.Value, v.faults) {
		b.WriteString(strings.TrimRight("  "+line, " ") + "\n")
	}
	b.WriteString("\nHEADERS\n")
	if err := headerTable(&b, l.Headers); err != nil {
		return err
	}
	_, err = io.WriteString(w, b.String())
	return err
}

func headerTable(w io.Writer, headers []kgo.RecordHeader) error {
	if len(headers) == 0 {
		_, err := io.WriteString(w, "  none\n")
		return err
	}
	width := 0
	for _, h := range headers {
		width = max(width, len(printable(h.Key)))
	}
	for _, h := range headers {
		if _, err := fmt.Fprintf(w, "  %-*s  %s\n", width, printable(h.Key), cutText(printable(string(h.Value)), 4096)); err != nil {
			return err
		}
	}
	return nil
}

func newerText(r letterRows) string {
	if len(r.list) == 0 || r.list[0].Newer == nil {
		why := r.why
		if len(r.list) > 0 && r.list[0].newerWhy != "" {
			why = r.list[0].newerWhy
		}
		return "-   (" + printable(why) + ")"
	}
	if *r.list[0].Newer {
		return "yes: a later event of this order is applied, a replay is stale"
	}
	return "no"
}

func keyOf(key []byte) string {
	if key == nil {
		return "null"
	}
	return fmt.Sprintf("%q", cutText(printable(string(key)), 128))
}

func tries(n int) string {
	switch n {
	case 0:
		return "tries not known"
	case 1:
		return "1 try"
	}
	return thousands(int64(n)) + " tries"
}

func momentOr(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000Z")
}
