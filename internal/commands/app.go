package commands

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/tail"
	"github.com/ordersctl/ordersctl/internal/telemetry"
)

// IO is what a command talks to: a terminal, pipes, or a test's buffers.
type IO struct {
	In     io.Reader
	Out    io.Writer // data
	Err    io.Writer // talk
	InTTY  bool
	OutTTY bool
	ErrTTY bool
	Width  int  // columns of the terminal, 0 where there is none
	Color  bool // on Out
}

func processIO() IO {
	s := IO{
		In: os.Stdin, Out: &stdout{file: os.Stdout}, Err: os.Stderr,
		InTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		OutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		ErrTTY: term.IsTerminal(int(os.Stderr.Fd())),
	}
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		s.Width = width
	}
	s.Color = s.OutTTY && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}

// stdout tells its own broken pipe from those of sockets and other files: it
// alone means that a reader has had enough. The file is not embedded: its
// WriteString and ReadFrom would go past Write.
type stdout struct{ file *os.File }

func (s *stdout) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		err = &goneError{err}
	}
	return n, err
}

// goneError says that nobody reads stdout any more.
type goneError struct{ err error }

func (e *goneError) Error() string { return e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

// withoutGone leaves out that a reader went away, which is no fault: nil where
// that is all there is. What failed beside it counts.
func withoutGone(err error) error {
	var gone *goneError
	if !errors.As(err, &gone) && !errors.Is(err, tail.ErrGone) {
		return err
	}
	var several interface{ Unwrap() []error }
	if !errors.As(err, &several) {
		return nil
	}
	var rest []error
	for _, err := range several.Unwrap() {
		rest = append(rest, withoutGone(err))
	}
	return errors.Join(rest...)
}

// App is what every command can ask for. What costs something (configuration,
// a client) is made at first use, so that --help works with a broken file.
type App struct {
	IO
	Build   Build
	Sources config.Sources

	global globalFlags
}

type globalFlags struct {
	config   string
	context  string
	noColor  bool
	verbose  bool
	warnings bool // the environment's warnings were printed
}

const keyAnnotation = "ordersctl-config-key"

// bind makes a flag the first source of a key of the configuration.
func bind(fs *pflag.FlagSet, name, key string) {
	if err := fs.SetAnnotation(name, keyAnnotation, []string{key}); err != nil {
		panic(err) //nolint:forbidigo // a flag that was not defined: a mistake of ours, found by any test
	}
}

// Load reads the configuration with the flags of cmd as its first source.
func (a *App) Load(cmd *cobra.Command) (*config.Loaded, error) {
	s := a.Sources
	s.File, s.Context = a.global.config, a.global.context
	s.Flags, s.FlagOf = map[string]string{}, map[string]string{}
	if a.global.verbose {
		s.Flags["log.level"], s.FlagOf["log.level"] = "debug", "verbose"
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		keys := f.Annotations[keyAnnotation]
		if len(keys) == 0 {
			return
		}
		s.Flags[keys[0]], s.FlagOf[keys[0]] = f.Value.String(), f.Name
		if list, ok := f.Value.(pflag.SliceValue); ok {
			s.Flags[keys[0]] = strings.Join(list.GetSlice(), ",")
		}
	})
	l, err := config.Load(s)
	if l != nil && !a.global.warnings {
		a.global.warnings = true
		for _, w := range l.Warnings {
			a.say("warning: %s", w)
		}
	}
	return l, err
}

// Logger writes to stderr as the configuration says.
func (a *App) Logger(l *config.Loaded) *slog.Logger { return telemetry.NewLogger(a.Err, l.Log) }

// Dial makes the command's own client and its first contact.
func (a *App) Dial(ctx context.Context, l *config.Loaded, opts ...kgo.Opt) (*kgo.Client, error) {
	return client.Dial(ctx, l.Kafka, a.Logger(l), opts...)
}

// say talks to the person; it is not data.
func (a *App) say(format string, args ...any) {
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		_, _ = fmt.Fprintln(a.Err, printable(line)) // stderr gone: nobody is left to tell
	}
}

// confirm asks before something is destroyed. In a protected context the name
// has to be typed; elsewhere y is enough, and --yes (yes) skips the question.
// named is the name given by --confirm.
func (a *App) confirm(ctx context.Context, l *config.Loaded, question, name string, yes bool, named string) error {
	switch {
	case l.Protected && named == name, !l.Protected && yes:
		return nil
	case l.Protected && !a.InTTY:
		return usageError(fmt.Sprintf("add --confirm %s if that is what you mean", name), "context %s is protected: %s", l.Context, question)
	case !a.InTTY:
		return usageError("add --yes if that is what you mean", "not a terminal, so nobody can be asked: %s", question)
	case l.Protected:
		_, _ = fmt.Fprintf(a.Err, "%s\ncontext %s is protected: type %s to go on: ", question, l.Context, name)
	default:
		_, _ = fmt.Fprintf(a.Err, "%s [y/N] ", question)
	}
	line, err := a.readLine(ctx)
	if err != nil {
		return err
	}
	answer := strings.TrimSpace(line)
	if l.Protected && answer == name || !l.Protected && (strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes")) {
		return nil
	}
	return &failure{err: errors.New("not confirmed, nothing was changed"), code: exitFailed}
}

// readLine ends with ctx, which a read of a terminal does not: the goroutine
// stays behind in it while the process ends.
func (a *App) readLine(ctx context.Context) (string, error) {
	type read struct {
		line string
		err  error
	}
	done := make(chan read, 1)
	go func() {
		line, err := bufio.NewReader(a.In).ReadString('\n')
		done <- read{line, err}
	}()
	select {
	case r := <-done:
		if r.err != nil && !errors.Is(r.err, io.EOF) {
			return "", fmt.Errorf("read the answer: %w", r.err)
		}
		return r.line, nil
	case <-ctx.Done():
		_, _ = fmt.Fprintln(a.Err)
		return "", ctx.Err()
	}
}

// now is the clock of everything that is shown or sent.
func (a *App) now() time.Time { return time.Now().UTC() }
