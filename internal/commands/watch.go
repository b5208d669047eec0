package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8/cwriter"
)

// screen shows one frame after another: redrawn in its place on a terminal, one
// below the other elsewhere.
type screen struct {
	app    *App
	term   *cwriter.Writer // nil without a terminal
	drawn  bool
	spaced bool // an empty line between two frames
}

func newScreen(app *App, spaced bool) *screen {
	s := &screen{app: app, spaced: spaced}
	if out, ok := app.Out.(*stdout); ok && app.OutTTY && os.Getenv("TERM") != "dumb" {
		s.term = cwriter.New(out.File)
	}
	return s
}

func (s *screen) show(frame []byte) error {
	if s.term != nil && s.spaced {
		return s.redraw(frame)
	}
	if s.drawn && s.spaced {
		frame = append([]byte("\n"), frame...)
	}
	s.drawn = true
	_, err := s.app.Out.Write(frame)
	return err
}

func (s *screen) redraw(frame []byte) error {
	width, height, err := s.term.GetTermSize()
	if err != nil {
		return err
	}
	if width <= 0 || height <= 0 { // a terminal that does not tell
		width, height = 80, 24
	}
	lines := bytes.Split(bytes.TrimSuffix(frame, []byte("\n")), []byte("\n"))
	lines = lines[:min(len(lines), max(height-1, 1))] // what scrolls away can't be redrawn
	for _, line := range lines {
		_, _ = s.term.Write(append(line[:min(len(line), width):min(len(line), width)], '\n')) // a buffer
	}
	return s.term.Flush(len(lines))
}

// every calls show at once and then in every interval, until ctx ends: that is
// how one ends a watch, and no error.
func every(ctx context.Context, interval time.Duration, show func() error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := show(); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// jsonLine is v in one line, as a stream has it.
func jsonLine(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&jsonWriter{&b})
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}
