package bench

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/unit"
)

// Stage is a part of a schedule: a steady rate, or a ramp from one to another.
type Stage struct {
	For      time.Duration // 0: until the run is stopped; the last stage only
	From, To unit.Rate     // orders a second; 0 is a pause
}

// ParseStage reads "30s@1k", "1m@1k..10k" (a ramp) and "10s@0" (a pause).
func ParseStage(s string) (Stage, error) {
	bad := fmt.Errorf("%q is not a stage, wants one like 30s@1k, 1m@1k..10k", s)
	length, rates, ok := strings.Cut(s, "@")
	if !ok {
		return Stage{}, bad
	}
	d, err := unit.ParseDuration(length)
	if err != nil || d <= 0 {
		return Stage{}, bad
	}
	from, to, ramp := strings.Cut(rates, "..")
	if !ramp {
		to = from
	}
	st := Stage{For: d}
	if st.From, err = parseStageRate(from); err == nil {
		st.To, err = parseStageRate(to)
	}
	if err != nil {
		return Stage{}, fmt.Errorf("stage %q: %w", s, err)
	}
	return st, nil
}

// parseStageRate differs from [unit.ParseRate] in zero, which a stage may have,
// and in "max", which it can't: a schedule says when.
func parseStageRate(s string) (unit.Rate, error) {
	if text := strings.TrimSuffix(s, "/s"); text == "0" {
		return 0, nil
	}
	r, err := unit.ParseRate(s)
	if err == nil && r == 0 {
		err = fmt.Errorf("%q is no rate of a stage, wants one like 0, 500, 5k", s)
	}
	return r, err
}

// String writes what ParseStage reads.
func (st Stage) String() string {
	rate := func(r unit.Rate) string {
		if r == 0 {
			return "0"
		}
		return strings.TrimSuffix(r.String(), "/s")
	}
	text := st.For.String() + "@" + rate(st.From)
	if st.To != st.From {
		text += ".." + rate(st.To)
	}
	return text
}

// Plan is how much is sent when. Either Stages (open loop: orders come when
// they come, whatever the server does) or Concurrency (closed loop: so many
// wait for their answer, and the next begins when one has it).
type Plan struct {
	Stages      []Stage
	Concurrency int
	Max         bool          // closed loop by --rate max: as fast as the connections take it
	Duration    time.Duration // of a closed loop, without warm-up; 0: until stopped
	Warmup      time.Duration // before it, at the first stage's first rate; not measured
	Count       uint64        // measured orders; 0: as many as the time gives
	Limit       uint64        // orders in all, as the ledger has room; 0: none
	Batch       int           // orders that are due together, one request; 0 is 1
	Arrivals    Arrivals
	Seed        uint64 // of Poisson arrivals
}

// Open tells whether there is a schedule.
func (p Plan) Open() bool { return p.Concurrency == 0 && !p.Max }

// Validate names what can't be run.
func (p Plan) Validate() error {
	switch {
	case p.Warmup < 0 || p.Duration < 0 || p.Concurrency < 0 || p.Batch < 0:
		return errors.New("plan has a negative duration or number")
	case !p.Open():
		if len(p.Stages) > 0 {
			return errors.New("plan has stages and a closed loop, wants one of them")
		}
		return nil
	case len(p.Stages) == 0:
		return errors.New("plan has neither stages nor a closed loop")
	}
	busy := false
	for i, st := range p.Stages {
		if st.From < 0 || st.To < 0 || math.IsNaN(float64(st.From+st.To)) || math.IsInf(float64(st.From+st.To), 0) {
			return fmt.Errorf("stage %s has no rate", st)
		}
		if st.For < 0 || st.For == 0 && i < len(p.Stages)-1 {
			return fmt.Errorf("stage %d of %d has no end", i+1, len(p.Stages))
		}
		if st.For == 0 && st.From != st.To {
			return errors.New("a ramp has no end")
		}
		busy = busy || st.From+st.To > 0
	}
	if !busy {
		return errors.New("all stages are pauses")
	}
	if p.Warmup > 0 && p.Stages[0].From+p.Stages[0].To == 0 {
		return errors.New("warm-up has no rate: the first stage is a pause")
	}
	return nil
}

// Length is the schedule's, warm-up included; 0 where it has no end in time.
func (p Plan) Length() time.Duration {
	if !p.Open() {
		if p.Duration == 0 {
			return 0
		}
		return p.Warmup + p.Duration
	}
	total := p.Warmup
	for _, st := range p.Stages {
		if st.For == 0 {
			return 0
		}
		total += st.For
	}
	return total
}

// Schedule is an arrival schedule as a function: number to time, time to
// number. It knows no clock, and no chance.
type Schedule struct {
	pieces []piece
}

// piece is a stage with what came before it.
type piece struct {
	start  float64 // seconds
	length float64 // seconds; +Inf without an end
	from   float64 // per second
	slope  float64 // per second, each second
	before float64 // orders of all pieces before
	area   float64 // orders of this one
}

// NewSchedule takes a plan that is valid.
func NewSchedule(p Plan) *Schedule {
	stages := p.Stages
	if p.Warmup > 0 {
		rate := stages[0].From
		if rate == 0 {
			rate = stages[0].To // a ramp from nothing would warm nothing up
		}
		stages = append([]Stage{{For: p.Warmup, From: rate, To: rate}}, stages...)
	}
	s := &Schedule{}
	start, before := 0.0, 0.0
	for _, st := range stages {
		x := piece{start: start, length: st.For.Seconds(), from: float64(st.From), before: before}
		if st.For == 0 {
			x.length = math.Inf(1)
			x.area = math.Inf(1)
		} else {
			x.slope = float64(st.To-st.From) / x.length
			x.area = float64(st.From+st.To) / 2 * x.length
		}
		s.pieces = append(s.pieces, x)
		start, before = start+x.length, before+x.area
	}
	return s
}

// At is when order n is due; n may be a fraction, as Poisson arrivals want it.
// false: the schedule has ended before.
func (s *Schedule) At(n float64) (time.Duration, bool) {
	for i := range s.pieces {
		x := &s.pieces[i]
		if n < x.before+x.area-slack {
			return seconds(x.start + min(x.inverse(n-x.before), x.length)), true
		}
	}
	return 0, false
}

// slack is what the sum of areas may be off by rounding: 0.1 s of 0.7/s must
// not make an order of its own at the very end.
const slack = 1e-6

// inverse is the time in the piece at which m orders were due before. The form
// of the quadratic's root that does not lose digits where the slope is small.
func (x *piece) inverse(m float64) float64 {
	if m <= 0 {
		return 0
	}
	root := math.Sqrt(max(x.from*x.from+2*x.slope*m, 0))
	return 2 * m / (x.from + root)
}

// Asked is how many orders are due before t.
func (s *Schedule) Asked(t time.Duration) float64 {
	at := t.Seconds()
	total := 0.0
	for i := range s.pieces {
		x := &s.pieces[i]
		in := min(at-x.start, x.length)
		if in <= 0 {
			break
		}
		total = x.before + (x.from+x.slope*in/2)*in
	}
	return total
}

// Rate is what is asked at t.
func (s *Schedule) Rate(t time.Duration) float64 {
	at := t.Seconds()
	for i := range s.pieces {
		x := &s.pieces[i]
		if at < x.start+x.length {
			return x.from + x.slope*(at-x.start)
		}
	}
	return 0
}

func seconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }
