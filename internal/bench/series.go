package bench

import "time"

// Second is one point of a run's series. What was answered is counted where
// its answer came, what was sent where it was sent.
type Second struct {
	At    time.Duration // its begin, from the run's start
	Width time.Duration // 1 s, more where a long run's points were put together

	Sent, Acked, NotWritten, Unknown uint64

	// Of put together points the largest: an upper bound.
	P50, P99, Max          time.Duration // latency
	LagP50, LagP99, LagMax time.Duration
}

// seriesMost bounds a series: beyond it two neighbours become one. An hour and
// eight minutes keep their seconds.
const seriesMost = 4096

// series keeps a bounded number of points, all of one width but the last.
type series struct {
	points []Second
	width  int // points of a second in one of ours
	held   int // of them in the last one so far
}

func (s *series) add(p Second) {
	if s.width == 0 {
		s.width = 1
	}
	if s.held > 0 && s.held < s.width {
		s.points[len(s.points)-1] = joined(s.points[len(s.points)-1], p)
		s.held++
		return
	}
	if len(s.points) == seriesMost {
		for i := range seriesMost / 2 {
			s.points[i] = joined(s.points[2*i], s.points[2*i+1])
		}
		s.points = s.points[:seriesMost/2]
		s.width *= 2
	}
	s.points = append(s.points, p)
	s.held = 1
}

func joined(a, b Second) Second {
	a.Width += b.Width
	a.Sent += b.Sent
	a.Acked += b.Acked
	a.NotWritten += b.NotWritten
	a.Unknown += b.Unknown
	a.P50, a.P99, a.Max = max(a.P50, b.P50), max(a.P99, b.P99), max(a.Max, b.Max)
	a.LagP50, a.LagP99, a.LagMax = max(a.LagP50, b.LagP50), max(a.LagP99, b.LagP99), max(a.LagMax, b.LagMax)
	return a
}

// last gives the last n points.
func (s *series) last(n int) []Second {
	return append([]Second(nil), s.points[max(len(s.points)-n, 0):]...)
}
