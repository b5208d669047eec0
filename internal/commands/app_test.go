package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/config"
)

func TestExitCodesRideOnErrors(t *testing.T) {
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want int
	}{
		"a plain error":                   {t.Context(), errors.New("x"), 1},
		"usage":                           {t.Context(), usageError("", "x"), 2},
		"wrapped usage":                   {t.Context(), fmt.Errorf("y: %w", usageError("", "x")), 2},
		"items that failed":               {t.Context(), &doneError{exitFailed}, 1},
		"an interrupted command":          {stopped, fmt.Errorf("send: %w", context.Canceled), 130},
		"cancelled, but not by a signal":  {t.Context(), context.Canceled, 1},
		"a reader that went away":         {t.Context(), fmt.Errorf("write: %w", &goneError{syscall.EPIPE}), 0},
		"a broken pipe of another kind":   {t.Context(), fmt.Errorf("send: %w", syscall.EPIPE), 1},
		"a configuration that is not one": {t.Context(), &config.Error{Msg: "x"}, 2},
	} {
		if got := exitCode(c.ctx, c.err); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestErrorsAreOneLineAndTheHintAnother(t *testing.T) {
	var out bytes.Buffer
	printError(&out, usageError("do this\nthen that", "line one\nline two"))
	if got, want := out.String(), "error: line one line two\nhint: do this then that\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDestructionIsConfirmed(t *testing.T) {
	for name, c := range map[string]struct {
		protected, tty, yes bool
		typed, named        string
		ok                  bool
	}{
		"y on a terminal":                        {tty: true, typed: "y\n", ok: true},
		"Enter on a terminal is No":              {tty: true, typed: "\n"},
		"end of input is No":                     {tty: true},
		"--yes asks nothing":                     {yes: true, ok: true},
		"off a terminal nobody can be asked":     {typed: "y\n"},
		"protected: y is not enough":             {protected: true, tty: true, typed: "y\n"},
		"protected: the name is":                 {protected: true, tty: true, typed: "orders\n", ok: true},
		"protected: --yes is not enough":         {protected: true, yes: true},
		"protected: --confirm with the name is":  {protected: true, named: "orders", ok: true},
		"protected: --confirm with another name": {protected: true, named: "order"},
	} {
		t.Run(name, func(t *testing.T) {
			app := &App{IO: IO{In: strings.NewReader(c.typed), Out: io.Discard, Err: io.Discard, InTTY: c.tty}}
			l := &config.Loaded{Context: "prod"}
			l.Protected = c.protected
			if err := app.confirm(t.Context(), l, "delete topic orders?", "orders", c.yes, c.named); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestASignalEndsAQuestion(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, typed := io.Pipe() // a terminal at which nobody types
	defer typed.Close()
	app := &App{IO: IO{In: in, Out: io.Discard, Err: io.Discard, InTTY: true}}
	done := make(chan error, 1)
	go func() { done <- app.confirm(ctx, &config.Loaded{}, "delete topic orders?", "orders", false, "") }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheRestGoesWhereTheBeginningWent(t *testing.T) {
	var got string
	app := &App{IO: IO{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}}
	cmd := newSend(app, func(_ context.Context, o *sendOptions) error {
		got = o.again
		return nil
	})
	cmd.SetArgs([]string{"orders.ndjson", "-t", "my-orders", "--rate", "5k", "--rejects", "bad lines", "--dry-run"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = "ordersctl send --dry-run=true --rate 5k/s --rejects 'bad lines.2' --topic my-orders -"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, &goneError{syscall.EPIPE} }

func TestAKeyThatNobodyHasSeenIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	err := runServeKey(&App{IO: IO{Out: full{}, Err: io.Discard}}, "shop", file)
	if err == nil || exitCode(t.Context(), err) != exitFailed {
		t.Fatalf("got %v", err)
	}
	line, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatal(readErr)
	}
	var out bytes.Buffer
	printError(&out, err)
	if want := "hint: delete its line from " + file + ": it begins with " + string(line[:len("shop:")+8]) + "\n"; !strings.Contains(out.String(), want) {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestEveryCommandHelpsAndShowsHow(t *testing.T) {
	var out bytes.Buffer
	app := &App{IO: IO{In: strings.NewReader(""), Out: &out, Err: &out}}
	root := newRoot(app)
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		for _, c := range append(cmd.Commands(), cmd) {
			if c.Short == "" || strings.HasSuffix(c.Short, ".") || c.Example == "" {
				t.Errorf("%s: Short %q, Example %q", c.CommandPath(), c.Short, c.Example)
			}
			for line := range strings.Lines(c.Example) {
				if !strings.Contains(line, "ordersctl") && !strings.HasPrefix(strings.TrimSpace(line), "#") {
					t.Errorf("%s: example %q is not a command line", c.CommandPath(), line)
				}
			}
		}
	}
}

func TestNoTextMovesTheCursor(t *testing.T) {
	for in, want := range map[string]string{
		"plain":        "plain",
		"käse":         "käse",
		"a\x1b[2Jb":    `a\x1b[2Jb`,
		"a\nb\t":       `a\nb\t`,
		"bad\xff":      `bad\xff`,
		"say \"hi\"\r": `say "hi"\r`,
		"c1\u009b":     `c1\u009b`,
		"rtl\u202eb":   `rtl\u202eb`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSayKeepsItsLines(t *testing.T) {
	var talk bytes.Buffer
	app := &App{IO: IO{Err: &talk}}
	app.say("ready\n  http  %s", "a\x1b[2Jb")
	if want := "ready\n  http  a\\x1b[2Jb\n"; talk.String() != want {
		t.Errorf("%q, want %q", talk.String(), want)
	}
}

func TestNoJSONMovesTheCursor(t *testing.T) {
	in := map[string]any{"k": "a\u009b31mRED\x7f\u202e\x1b]0;x\a\n\u00e4", "raw": json.RawMessage("\"\u009b31m\"")}
	var got bytes.Buffer
	if err := printJSON(&got, in); err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"k\": \"a\\u009b31mRED\\u007f\\u202e\\u001b]0;x\\u0007\\n\u00e4\",\n  \"raw\": \"\\u009b31m\"\n}\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	var back map[string]string
	if err := json.Unmarshal(got.Bytes(), &back); err != nil || back["k"] != in["k"] {
		t.Errorf("it says %q now, %v", back["k"], err)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 4118204: "4,118,204", -1234: "-1,234"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}
