package commands

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/tail"
)

// parseTail runs the command line up to the options of the reading.
func parseTail(t *testing.T, tty bool, args ...string) (tail.Options, error) {
	t.Helper()
	app := &App{IO: IO{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}, OutTTY: tty, ErrTTY: tty}}
	var got tail.Options
	cmd := newTail(app, func(_ context.Context, o *tailOptions) (err error) {
		got, err = o.resolve()
		return err
	})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	return got, cmd.ExecuteContext(t.Context())
}

func TestTailFlags(t *testing.T) {
	// view is what of the options can be compared.
	type view struct {
		Topic      string
		Partitions []int32
		Key        string
		Group      string
		Range      tail.Range
		Last, Num  int
		Timeout    time.Duration
		Layout     string
	}
	end, start := tail.Bound{Kind: tail.End}, tail.Bound{Kind: tail.Start}
	live := tail.Range{From: end}
	for _, tt := range []struct {
		args string
		tty  bool
		want view
	}{
		{"", false, view{Range: live, Layout: "value"}},
		{"", true, view{Range: live, Layout: "table"}},
		{"-f json", true, view{Range: live, Layout: "json"}},
		{"--from-beginning", false, view{Range: tail.Range{From: start}, Layout: "value"}},
		{"-F -o start", false, view{Range: tail.Range{From: start}, Layout: "value"}},
		{"-o -10", false, view{Range: tail.Range{From: tail.Bound{Kind: tail.Relative, N: -10}}, Layout: "value"}},
		{"-o start --follow=false", false, view{Range: tail.Range{From: start, To: end}, Layout: "value"}},
		{"--last 5", false, view{Last: 5, Range: live, Layout: "value"}},
		{"--last 5 -o :end", false, view{Last: 5, Range: tail.Range{From: start, To: end}, Layout: "value"}},
		{"-n 3 --timeout 2s -p 0,2 -p 1", false, view{Num: 3, Timeout: 2 * time.Second, Partitions: []int32{0, 2, 1}, Range: live, Layout: "value"}},
		{"--key ord-1", false, view{Key: "ord-1", Range: live, Layout: "value"}},
		{"-g me -o start", false, view{Group: "me", Range: tail.Range{From: start}, Layout: "value"}},
		{"orders.dlq/1@884 -n 1", false, view{Topic: "orders.dlq", Partitions: []int32{1}, Num: 1, Range: tail.Range{From: tail.Bound{Kind: tail.Exact, N: 884}}, Layout: "value"}},
		{"2@7 --follow=false", false, view{Partitions: []int32{2}, Range: tail.Range{From: tail.Bound{Kind: tail.Exact, N: 7}, To: end}, Layout: "value"}},
	} {
		o, err := parseTail(t, tt.tty, strings.Fields(tt.args)...)
		if err != nil {
			t.Errorf("tail %s: %v", tt.args, err)
			continue
		}
		got := view{o.Topic, o.Partitions, "", o.Group, o.Range, o.Last, o.Num, o.Timeout, o.Format.Layout}
		if o.Key != nil {
			got.Key = *o.Key
		}
		if len(got.Partitions) == 0 {
			got.Partitions = nil
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("tail %s (-want +got):\n%s", tt.args, diff)
		}
	}
}

func TestTailRefusesWithAHint(t *testing.T) {
	for _, tt := range []struct {
		args      []string
		msg, hint string
	}{
		{[]string{"-f"}, "needs an argument", "tail follows already"},
		{[]string{"-f", "-n", "5"}, "begins with -", "tail follows already"},
		{[]string{"-f", ""}, "empty", "tail follows already"},
		{[]string{"-f", "yaml"}, "none of table, json, value", "verbs"},
		{[]string{"-f", "%s"}, "format", "%v value"},
		{[]string{"-o", "json"}, "not an offset", "-f json"},
		{[]string{"-o", "sometime"}, "not an offset", ""},
		{[]string{"-o", "start", "--from-beginning"}, "--from-beginning", "leave one"},
		{[]string{"--last", "5", "-o", "start"}, "--offset start", ":end"},
		{[]string{"--last", "0"}, "nothing", ""},
		{[]string{"--last", "100001"}, "100,000", "-o @-2h"},
		{[]string{"-n", "-1"}, "negative", ""},
		{[]string{"--timeout", "-1s"}, "negative", ""},
		{[]string{"--where", "total>ten"}, "JSON number", ""},
		{[]string{"-G", "x:y"}, "none of k:", ""},
		{[]string{"orders"}, "not a position", "-t"},
		{[]string{"orders/1@5", "-o", "3"}, "--offset", "leave one"},
		{[]string{"orders/1@5", "-t", "other"}, "--topic other", "leave one"},
		{[]string{"orders/1@5", "orders/1@6"}, "at most one", "--help"},
		{[]string{"-g", "me", "-p", "1"}, "partitions", "hands out"},
		{[]string{"-g", "me", "--key", "a"}, "--key", "--where key=a"},
		{[]string{"-g", "me", "-o", ":end"}, "end offset", "-n"},
		{[]string{"-g", "me", "-o", "5"}, "offset 5", "new group"},
		{[]string{"-g", "me", "--last", "5"}, "--last", "where it stopped"},
	} {
		_, err := parseTail(t, false, tt.args...)
		if err == nil {
			t.Errorf("tail %q passes", tt.args)
			continue
		}
		hint := ""
		var hinted interface{ Hint() string }
		if errors.As(err, &hinted) {
			hint = hinted.Hint()
		}
		if code := exitCode(t.Context(), err); code != exitUsage || !strings.Contains(err.Error(), tt.msg) || !strings.Contains(hint, tt.hint) {
			t.Errorf("tail %q: exit %d, %v, hint %q; wants 2, %q, %q", tt.args, code, err, hint, tt.msg, tt.hint)
		}
	}
}
