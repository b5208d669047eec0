package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
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
		s.term = cwriter.New(out.file)
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

func (s *screen) size() (width, height int, err error) {
	width, height, err = s.term.GetTermSize()
	if width <= 0 || height <= 0 { // a terminal that does not tell
		width, height = 80, 24
	}
	return width, height, err
}

// room is how many lines of a frame are seen, 0 where all of them are.
func (s *screen) room() int {
	if s.term == nil || !s.spaced {
		return 0
	}
	_, height, err := s.size()
	if err != nil {
		return 0
	}
	return max(height-1, 1) // what scrolls away can't be redrawn
}

func (s *screen) redraw(frame []byte) error {
	width, height, err := s.size()
	if err != nil {
		return err
	}
	lines := cutFrame(bytes.Split(bytes.TrimSuffix(frame, []byte("\n")), []byte("\n")), max(height-1, 1))
	for _, line := range lines {
		_, _ = s.term.Write(append(line[:min(len(line), width):min(len(line), width)], '\n')) // a buffer
	}
	return s.term.Flush(len(lines))
}

// cutFrame keeps the heading and the end of a frame that is too long: the end
// has the sums and the verdict.
func cutFrame(lines [][]byte, room int) [][]byte {
	switch {
	case len(lines) <= room:
		return lines
	case room < 3:
		return lines[len(lines)-room:]
	}
	return slices.Concat(lines[:1:1], [][]byte{[]byte("...")}, lines[len(lines)-room+2:])
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
