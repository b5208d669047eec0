package commands

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/dlq"
)

type dlqExportOptions struct {
	app  *App
	cmd  *cobra.Command
	args []string
	sel  selection
	all  bool
	file string
}

func newDLQExport(app *App, runF func(context.Context, *dlqExportOptions) error) *cobra.Command {
	opts := &dlqExportOptions{app: app}
	cmd := &cobra.Command{
		Use:   "export [LETTER...]",
		Short: "Write dead letters as JSON, one a line, to be edited and replayed",
		Long: `Write open dead letters as JSON, one a line (NDJSON): where the record stood, why it
failed, its key, headers and value. The value stands in "value" where it is an
object or array of JSON, else in "value_text" or "value_base64".

An edited line is replayed by "ordersctl dlq replay --input FILE"; what it takes
from the line is the key and the value, which have to be an order again.`,
		Example: `  ordersctl dlq export --reason '/total*' --output-file letters.ndjson
  ordersctl dlq export 1@884 | jq -c '.value.total |= tonumber' > fixed.ndjson
  ordersctl dlq export --all --since 30d | gzip > letters.ndjson.gz`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd, opts.args = cmd, args
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runDLQExport(cmd.Context(), opts)
		},
	}
	addSelectionFlags(cmd, &opts.sel)
	cmd.Flags().BoolVar(&opts.all, "all", false, "export replayed and discarded letters too")
	cmd.Flags().StringVar(&opts.file, "output-file", "", "write to this file; it is overwritten")
	return cmd
}

func runDLQExport(ctx context.Context, opts *dlqExportOptions) error {
	app := opts.app
	return app.onLetters(ctx, opts.cmd, opts.args, &opts.sel, func(l *letters) error {
		x, err := l.queue.Scan(ctx, l.filter)
		if err != nil {
			return err
		}
		state := dlq.Open
		if opts.all {
			state = ""
		}
		written, gone, err := opts.write(ctx, l.queue, x, state)
		if err != nil {
			return err
		}
		app.say("exported %s of %s", count(written, "letter"), x.Topic)
		if closed := x.Len() - x.Count(dlq.Open); closed > 0 && !opts.all {
			app.say("left out %s that are not open (--all)", thousands(int64(closed)))
		}
		if gone > 0 {
			return failed("", "%s were deleted from %s while it was read", count(gone, "letter"), x.Topic)
		}
		return nil
	})
}

func (o *dlqExportOptions) write(ctx context.Context, q *dlq.Queue, x *dlq.Index, state dlq.State) (written, gone int, err error) {
	out := o.app.Out
	if o.file != "" {
		f, err := os.OpenFile(o.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // orders are nobody else's business
		if err != nil {
			return 0, 0, fmt.Errorf("write the export: %w", err)
		}
		defer func() {
			if closeErr := f.Close(); err == nil && closeErr != nil {
				err = fmt.Errorf("write the export: %w", closeErr)
			}
		}()
		out = f
	}
	buf := bufio.NewWriterSize(out, 1<<16)
	lines := &lineEncoder{out: buf, plain: o.file == "" && o.app.OutTTY}
	gone, err = q.Each(ctx, x, state, func(l *dlq.Letter, s dlq.State) error {
		written++
		return lines.encode(dlq.Export(l, s))
	})
	return written, gone, errors.Join(err, buf.Flush())
}

// lineEncoder writes a document a line.
type lineEncoder struct {
	out   io.Writer
	plain bool // escape what a terminal would obey
}

func (e *lineEncoder) encode(v any) error {
	enc := json.NewEncoder(e.out)
	if e.plain {
		enc = json.NewEncoder(&jsonWriter{e.out})
	}
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
