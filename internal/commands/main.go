// Package commands is the command line: flags become options, options become
// one call, the answer is printed. Start at [Main] and [App]; each command has
// a file of its own with an options struct, newX and runX.
//
// It decides nothing about orders, topics or HTTP: that is the packages' below.
package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ordersctl/ordersctl/internal/config"
)

// The exit codes. Of several causes the first of 6, 5, 3, 1, 130 counts; 6
// (integrity) and 5 (an invalid run) are bench's.
const (
	exitOK          = 0
	exitFailed      = 1 // failed, or any item failed
	exitUsage       = 2 // usage or configuration
	exitCheck       = 3 // a check was not met: drift, threshold
	exitUnreachable = 4 // broker or database unreachable
	exitInterrupted = 130
)

// Main runs the command line of this process and gives its exit code. Only it
// knows the arguments, the standard streams and the signals.
func Main(version string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks to end; with our handler gone the second one kills.
	context.AfterFunc(ctx, stop)
	// A reader that went away (| head -1) is told by EPIPE, so that the command
	// can end in order and not in the middle of a group's commit.
	signal.Ignore(syscall.SIGPIPE)

	app := &App{IO: processIO(), Build: readBuild(version), Sources: config.DefaultSources()}
	return Run(ctx, app, os.Args[1:])
}

// Run runs one command line and gives its exit code. Errors are printed here
// and nowhere else.
func Run(ctx context.Context, app *App, args []string) int {
	root := newRoot(app)
	root.SetArgs(args)
	root.SetIn(app.In)
	root.SetOut(app.Out)
	root.SetErr(app.Err)
	err := withoutGone(root.ExecuteContext(ctx))
	if err == nil {
		return exitOK
	}
	code := exitCode(ctx, err)
	var done *doneError
	if !errors.As(err, &done) {
		printError(app.Err, err)
	}
	return code
}

func exitCode(ctx context.Context, err error) int {
	var coded interface{ ExitCode() int }
	err = withoutGone(err)
	switch {
	case err == nil:
		return exitOK // nobody reads on: that is the reader's right
	case errors.As(err, &coded):
		return coded.ExitCode()
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitInterrupted
	}
	return exitFailed
}

func printError(w io.Writer, err error) {
	if errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintln(w, "interrupted")
		return
	}
	_, _ = fmt.Fprintf(w, "error: %s\n", printable(strings.ReplaceAll(err.Error(), "\n", " ")))
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		_, _ = fmt.Fprintf(w, "hint: %s\n", printable(strings.ReplaceAll(hinted.Hint(), "\n", " ")))
	}
}

// failure is an error with its hint and exit code.
type failure struct {
	err  error
	hint string
	code int
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }
func (f *failure) Hint() string  { return f.hint }
func (f *failure) ExitCode() int { return f.code }

// usageError is a command line that can't be run as it is.
func usageError(hint, format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), hint: hint, code: exitUsage}
}

// failed is an error of the work itself, with its next step.
func failed(hint, format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), hint: hint, code: exitFailed}
}

// doneError sets the exit code; what there was to say is said.
type doneError struct{ code int }

func (e *doneError) Error() string { return fmt.Sprintf("exit code %d", e.code) }
func (e *doneError) ExitCode() int { return e.code }

// exactly and atMostOne check positional arguments with our words.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError(seeHelp(cmd), "%s takes %s, got %d arguments", cmd.CommandPath(), what, len(args))
		}
		return noEmptyArg(cmd, args)
	}
}

func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usageError(seeHelp(cmd), "%s takes %s, got %d arguments", cmd.CommandPath(), what, len(args))
		}
		return noEmptyArg(cmd, args)
	}
}

// noEmptyArg refuses what a script's variable that is not set leaves behind. In
// the offsets of groups "" means all of them.
func noEmptyArg(cmd *cobra.Command, args []string) error {
	if slices.Contains(args, "") {
		return usageError(notSet, "an argument of %s is empty", cmd.CommandPath())
	}
	return nil
}

const notSet = "is a variable of the script not set? Leave it out if that is what you mean"

// notEmpty refuses flags that were given without a value, as a script does whose
// variable is not set: what a missing flag means, everything, was not asked for.
func notEmpty(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		f := cmd.Flags().Lookup(name)
		if f == nil || !f.Changed {
			continue
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if len(values) == 0 || slices.Contains(values, "") {
			return usageError(notSet, "--%s is empty", name)
		}
	}
	return nil
}

func seeHelp(cmd *cobra.Command) string {
	return fmt.Sprintf("%q shows what it takes", cmd.CommandPath()+" --help")
}
