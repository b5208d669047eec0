//go:build unix

package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ordersctl/ordersctl/internal/config"
)

// unread is a stdout whose reader is gone.
func unread(t *testing.T) *stdout {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return &stdout{file: w}
}

// However a command writes: io.WriteString and io.Copy look for methods of their
// own.
func TestStdoutTellsThatItsReaderIsGone(t *testing.T) {
	out := unread(t)
	for name, write := range map[string]func() error{
		"Write":          func() error { _, err := out.Write([]byte("x")); return err },
		"io.WriteString": func() error { _, err := io.WriteString(out, "x"); return err },
		"io.Copy":        func() error { _, err := io.Copy(out, strings.NewReader("x")); return err },
		"fmt.Fprintln":   func() error { _, err := fmt.Fprintln(out, "x"); return err },
	} {
		if err, gone := write(), (*goneError)(nil); !errors.As(err, &gone) {
			t.Errorf("%s: %T %v", name, err, err)
		}
	}
}

// A reader that goes away has seen enough, whichever command it is.
func TestNoCommandFailsForAReaderThatWentAway(t *testing.T) {
	k := startLettered(t, 3)
	db := k.database(k.id, 0, 0)
	run := func(args ...string) (int, string) {
		t.Helper()
		var talk bytes.Buffer
		app := &App{IO: IO{In: strings.NewReader(""), Out: unread(t), Err: &talk}, Sources: config.Sources{Environ: []string{"ORDERSCTL_KAFKA_BROKERS=" + k.addr, "ORDERSCTL_DB_URL=" + db}, WorkDir: t.TempDir()}}
		return Run(t.Context(), app, args), talk.String()
	}
	for _, line := range []string{
		"dlq list", "dlq list -o json", "dlq show 0@0", "dlq export", "dlq replay", "lag --no-rate", "lag --no-rate -o json",
		"topic list", "topic describe", "db status", "db status -o json", "config show", "version", "tail --from-beginning --follow=false", "--help", "dlq --help",
	} {
		if code, talk := run(strings.Fields(line)...); code != exitOK || strings.Contains(talk, "error: ") {
			t.Errorf("%s: exit %d\n%s", line, code, talk)
		}
	}
	// What was asked for is done all the same, and what failed is told.
	if code, talk := run("dlq", "replay", "0@1", "--execute"); code != exitOK || !strings.Contains(talk, "replayed 1 letter\n") {
		t.Errorf("replay: exit %d\n%s", code, talk)
	}
	if code, talk := run("topic", "create", "orders", "--partitions", "7", "--if-not-exists"); code != exitCheck || !strings.Contains(talk, "not as asked for") {
		t.Errorf("topic create: exit %d\n%s", code, talk)
	}
}

func TestWhatFailedBesideAReaderThatWentAwayCounts(t *testing.T) {
	gone := fmt.Errorf("write: %w", &goneError{syscall.EPIPE})
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"nothing":           {errors.Join(gone, nil), 0},
		"a check":           {errors.Join(gone, &failure{err: errors.New("drift"), code: exitCheck}), exitCheck},
		"both ways round":   {errors.Join(usageError("", "x"), gone), exitUsage},
		"an error below it": {fmt.Errorf("close: %w", errors.Join(gone, errors.New("x"))), 1},
	} {
		if got := exitCode(t.Context(), c.err); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
