package commands

import (
	"bytes"
	"io"
	"os"
	"sync"

	"github.com/vbauerster/mpb/v8/cwriter"

	"github.com/ordersctl/ordersctl/internal/bench"
)

// benchLive redraws the view of a run in its place on a terminal's stderr, and
// lets log lines pass above it. In a pipe it draws nothing.
type benchLive struct {
	err io.Writer

	mu     sync.Mutex
	screen *cwriter.Writer // nil without a terminal; guarded by mu, as is lines
	lines  int             // on the screen now
}

func newBenchLive(app *App) *benchLive {
	l := &benchLive{err: app.Err}
	if _, ok := app.Err.(*os.File); ok && app.ErrTTY && os.Getenv("TERM") != "dumb" {
		l.screen = cwriter.New(app.Err)
	}
	return l
}

func (l *benchLive) draw(run string, s bench.Setup, now bench.Snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.screen == nil {
		return
	}
	width, height, err := l.screen.GetTermSize()
	if err != nil {
		return
	}
	lines := bench.Frame(run, s, now, width-1)
	lines = lines[:min(len(lines), max(height-1, 1))] // what scrolls away can't be redrawn
	var frame bytes.Buffer
	for _, line := range lines {
		frame.WriteString(line + "\n")
	}
	l.rewind()
	_, _ = l.screen.Write(frame.Bytes()) // a buffer
	_ = l.screen.Flush(len(lines))       // stderr gone: nobody is left to show it to
	l.lines = len(lines)
}

// Write lets a log line pass. The view is drawn again below it.
func (l *benchLive) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	return l.err.Write(p)
}

// clear takes the view away.
func (l *benchLive) clear() {
	if l.screen != nil && l.lines > 0 {
		l.rewind()
		_ = l.screen.Flush(0)
		l.lines = 0
	}
}

// rewind goes to the line's start: a terminal echoes Ctrl-C as "^C", and what is
// left of the cursor would stay.
func (l *benchLive) rewind() { _, _ = io.WriteString(l.err, "\r") }

// stop ends the view.
func (l *benchLive) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	l.screen = nil
}
