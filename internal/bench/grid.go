package bench

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// grid is rows under a heading: numbers to the right, words to the left.
type grid struct {
	left map[int]bool // columns of words; the others are numbers
	rows [][]string
}

func newGrid(left ...int) *grid {
	g := &grid{left: map[int]bool{}}
	for _, column := range left {
		g.left[column] = true
	}
	return g
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

// write writes the rows, two blanks between columns, none at a line's end.
func (g *grid) write(w io.Writer) {
	var width []int
	for _, row := range g.rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range g.rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if g.left[i] {
				line.WriteString(cell + pad + "  ")
			} else {
				line.WriteString(pad + cell + "  ")
			}
		}
		_, _ = fmt.Fprintln(w, strings.TrimRight(line.String(), " ")) // a buffer takes everything
	}
}

// thousands writes 4118204 as 4,118,204.
func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// millis is a time in ms with three digits that mean something.
func millis(d time.Duration) string {
	switch v := float64(d) / 1e6; {
	case d <= 0:
		return "0.00"
	case v < 0.00995:
		return fmt.Sprintf("%.3f", v)
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	default:
		return thousands(uint64(v + 0.5))
	}
}

// perSecond is a rate: 5,000/s.
func perSecond(rate float64) string {
	if rate > 0 && rate < 0.1 {
		return threeDigits(rate) + "/s"
	}
	if rate > 0 && rate < 10 {
		return fmt.Sprintf("%.2f/s", rate)
	}
	return thousands(uint64(rate+0.5)) + "/s"
}
