package bench

import (
	"slices"
	"strings"
)

// Account is all that a result is made of.
type Account struct {
	Run       string
	Setup     Setup
	Build     Build
	Source    Source
	Measured  Measured
	Integrity *Integrity
	// Unverified says why there is no integrity.
	Unverified  string
	Interrupted bool       // the verification was, not the run
	Database    *Integrity // nil without --verify db, or where NoDatabase says why
	NoDatabase  string
	Committed   *Span
	Stages      []Span
	Leaders     []LeaderChange
	Thresholds  []Threshold
	// Failed are other things that make the run a failure.
	Failed []string
}

// NewResult makes the document of a run, and judges it.
func NewResult(a Account) (*Result, error) {
	m := &a.Measured
	r := &Result{
		SchemaVersion: SchemaVersion, Run: a.Run, StartedAt: m.Start.UTC(),
		Warmup: m.Warmup, Span: m.Span, Took: m.Took, CutShort: m.CutShort && !m.Full, Full: m.Full, Interrupted: a.Interrupted,
		Setup: a.Setup, Build: a.Build, Machine: thisMachine(),
		Orders:    ordersOf(m),
		Stages:    a.stages(),
		Generator: generatorOf(m.Generator),
		Integrity: a.Integrity, Unverified: a.Unverified, Database: a.Database, NoDatabase: a.NoDatabase,
		Slowest: a.slowest(), Gaps: a.gaps(), GapsMissed: m.GapsMore, Series: pointsOf(m.Series),
	}
	for _, d := range []struct {
		of   *Histogram
		into **Distribution
	}{{m.Latency, &r.Latency}, {m.Service, &r.Service}, {m.Lag, &r.Lag}, {m.Refused, &r.Refused}} {
		if d.of == nil {
			continue
		}
		made, err := NewDistribution(d.of)
		if err != nil {
			return nil, err
		}
		*d.into = made
	}
	r.Latency.leaveOut(m.Dropped)
	if r.Thresholds = []Checked{}; !r.early() {
		r.Check(a.Thresholds)
	}
	if m.Aborted != "" {
		r.Aborted = m.Aborted
	}
	r.Judge(a.Failed...)
	return r, nil
}

// stages has the span to the commit, which is known last, in its place.
func (a *Account) stages() []Span {
	list := append([]Span{}, a.Stages...)
	if a.Committed == nil {
		return list
	}
	if i := slices.IndexFunc(list, func(s Span) bool { return s.Name == stageCommitted }); i >= 0 {
		list[i] = *a.Committed
		return list
	}
	return append(list, *a.Committed)
}

func ordersOf(m *Measured) Orders {
	o := Orders{Scheduled: m.Scheduled, Acked: m.Acked, NotWritten: m.NotWritten, Unknown: m.Unknown, Dropped: m.Dropped, Causes: []Cause{}}
	for name, n := range m.Causes {
		outcome, cause, _ := strings.Cut(name, " ")
		o.Causes = append(o.Causes, Cause{outcome, cause, n})
	}
	sortCauses(o.Causes)
	return o
}

func generatorOf(j Judgement) Generator {
	notes := j.Notes
	if notes == nil {
		notes = []string{}
	}
	return Generator{
		Valid: j.Valid, Reason: j.Reason, Hint: j.Hint, Since: j.At, Notes: notes, LagP99: j.LagP99, LagLimit: j.LagLimit,
		CPUs: j.CPUs, CPU: j.CPU, MachineCPU: j.MachineCPU, WaitedForCPU: j.WaitedForCPU, WaitedEach: j.WaitedEach, ShortOfCPU: j.ShortOfCPU,
		GCPauses: j.GCPauses, GCPauseMax: j.GCPauseMax, OpenFiles: j.OpenFiles,
	}
}

func (a *Account) slowest() []Slowest {
	list := []Slowest{}
	for _, s := range a.Measured.Slowest {
		o := a.Source.Order(s.Seq)
		list = append(list, Slowest{
			Latency: s.Latency, Service: s.Service, At: s.At, Outcome: string(s.Outcome), Cause: s.Cause,
			Where: spot{s.Partition, s.Offset}.in(a.Setup.Topic), UserID: o.UserID,
		})
	}
	return list
}

// gaps tells silences with what changed meanwhile.
func (a *Account) gaps() []Silence {
	list := []Silence{}
	for _, g := range a.Measured.Gaps {
		s := Silence{At: g.At, For: g.For}
		if g.Partition >= 0 {
			s.Partition = &g.Partition
		}
		s.What = g.changes(a.Leaders)
		list = append(list, s)
	}
	return list
}

func pointsOf(series []Second) []Point {
	list := make([]Point, len(series))
	for i, s := range series {
		list[i] = Point{
			At: s.At, Width: s.Width, Sent: s.Sent, Acked: s.Acked, NotWritten: s.NotWritten, Unknown: s.Unknown,
			P50: s.P50, P99: s.P99, Max: s.Max, LagP99: s.LagP99, LagMax: s.LagMax,
		}
	}
	return list
}
