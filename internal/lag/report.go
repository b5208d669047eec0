package lag

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/topic"
)

// Report is how far a group is behind and how fast it goes. What is not known
// is nil.
type Report struct {
	At          time.Time        `json:"at"`
	Topic       string           `json:"topic"`
	TopicID     string           `json:"topic_id"`
	Group       Group            `json:"group"`
	By          string           `json:"offsets_by"` // "database", "kafka", "" where the group has none
	Agreement   *topic.Agreement `json:"agreement"`  // of the two, where the database has some
	RateSeconds float64          `json:"rate_interval_seconds"`
	Partitions  []Partition      `json:"partitions"`
	All         Flow             `json:"all"`
	Problems    []string         `json:"problems"`
}

// Partition is one partition of a Report.
type Partition struct {
	Partition int32  `json:"partition"`
	Start     *int64 `json:"start_offset"`
	End       *int64 `json:"end_offset"`
	Next      *int64 `json:"next_offset"` // what the group reads on at
	Database  *int64 `json:"database_offset"`
	Kafka     *int64 `json:"kafka_offset"`
	Flow
	Member   *Member    `json:"member"`
	State    string     `json:"state"`  // as the process says: claiming, running, paused; "" where it can't be asked
	Reason   string     `json:"reason"` // of paused
	Detail   string     `json:"detail"` // of the reason
	PausedAt *time.Time `json:"paused_at"`
}

// Flow is what goes in and out of one partition, or of all of them.
type Flow struct {
	Lag   *int64   `json:"lag_records"`
	In    *float64 `json:"in_per_second"`
	Out   *float64 `json:"out_per_second"`
	Drain Drain    `json:"drain"`
}

// Drain is when a backlog will be gone at the speed of the moment.
type Drain struct {
	State   string   `json:"state"` // DrainUnknown …
	Seconds *float64 `json:"seconds"`
}

// The states of a Drain.
const (
	DrainUnknown = "unknown"
	DrainIdle    = "drained"  // there is no backlog
	DrainSteady  = "steady"   // what waits is done within a second: it keeps up
	DrainSome    = "draining" // in Seconds
	DrainNever   = "never"    // at this speed
)

// drain counts on more coming in as fast as now.
func drain(lag *int64, in, out *float64) Drain {
	switch {
	case lag == nil:
		return Drain{State: DrainUnknown}
	case *lag == 0:
		return Drain{State: DrainIdle, Seconds: new(float64)}
	case in == nil || out == nil:
		return Drain{State: DrainUnknown}
	case float64(*lag) <= *out:
		// With orders coming in there is always some lag, and whether that grew or
		// shrank between two looks is chance.
		seconds := float64(*lag) / *out
		return Drain{State: DrainSteady, Seconds: &seconds}
	case *out <= *in:
		return Drain{State: DrainNever}
	}
	seconds := float64(*lag) / (*out - *in)
	return Drain{State: DrainSome, Seconds: &seconds}
}

// Between makes a Report of a look and the one before it; without that (nil)
// there are no rates.
func Between(before, now *Look) *Report {
	r := &Report{
		At: now.At.UTC(), Topic: now.Topic, TopicID: now.Logs.ID, Group: now.Group, By: now.By(),
		Partitions: []Partition{}, Problems: []string{},
	}
	if before != nil && (before.Logs.ID != now.Logs.ID || before.By() != now.By()) {
		before = nil // not the same log, or not the same offsets
	}
	if before != nil {
		r.RateSeconds = now.At.Sub(before.At).Seconds()
	}
	if now.By() == ByDatabase {
		a := topic.Agree(now.Database, now.Kafka)
		r.Agreement = &a
	}
	for _, number := range now.Logs.Partitions {
		r.Partitions = append(r.Partitions, partition(before, now, number))
	}
	r.All = r.sum()
	r.Problems = problems(now)
	return r
}

func partition(before, now *Look, number int32) Partition {
	p := Partition{Partition: number, Database: at(now.Database, number), Kafka: at(now.Kafka, number), Next: at(now.Next(), number)}
	if m, ok := now.Group.Reader(now.Topic, number); ok {
		p.Member = &m
	}
	log, ok := now.Logs.Of[number]
	if ok {
		p.Start, p.End = &log.Start, &log.End
	}
	if ok && p.Next != nil {
		n := log.Lag(*p.Next)
		p.Lag = &n
	}
	if before != nil {
		took := now.At.Sub(before.At).Seconds()
		if was, had := before.Logs.Of[number]; had && ok {
			p.In = perSecond(log.End-was.End, took)
		}
		if was := at(before.Next(), number); was != nil && p.Next != nil {
			p.Out = perSecond(*p.Next-*was, took)
		}
	}
	p.Drain = drain(p.Lag, p.In, p.Out)
	return p
}

func at(offsets map[int32]int64, partition int32) *int64 {
	if n, ok := offsets[partition]; ok {
		return &n
	}
	return nil
}

// perSecond is never negative: an offset that went back was set so.
func perSecond(n int64, seconds float64) *float64 {
	if seconds <= 0 {
		return nil
	}
	rate := max(0, float64(n)/seconds)
	return &rate
}

// sum is that of all partitions, unknown where a part of it is: half a sum
// misleads. It is drained when its slowest partition is.
func (r *Report) sum() Flow {
	f := Flow{
		Lag: total(r.Partitions, func(p Partition) *int64 { return p.Lag }),
		In:  total(r.Partitions, func(p Partition) *float64 { return p.In }),
		Out: total(r.Partitions, func(p Partition) *float64 { return p.Out }),
	}
	f.Drain = Drain{State: DrainUnknown}
	if len(r.Partitions) == 0 {
		return f
	}
	worst := r.Partitions[0].Drain
	for _, p := range r.Partitions[1:] {
		if p.Drain.weight() > worst.weight() {
			worst = p.Drain
		}
	}
	f.Drain = worst
	return f
}

// weight orders by when the backlog is gone. What is not known counts most:
// nothing can be said then of all.
func (d Drain) weight() float64 {
	switch d.State {
	case DrainUnknown:
		return math.Inf(1)
	case DrainNever:
		return math.MaxFloat64
	}
	return *d.Seconds
}

func total[N int64 | float64](parts []Partition, of func(Partition) *N) *N {
	var sum N
	for _, p := range parts {
		n := of(p)
		if n == nil {
			return nil
		}
		sum += *n
	}
	return &sum
}

// problems are what the offsets tell of trouble, in words.
func problems(l *Look) []string {
	out := []string{}
	if l.OtherID != "" {
		out = append(out, fmt.Sprintf("the database's offsets are of a topic %s with the id %s, which is not there any more: process stops there", l.Topic, l.OtherID))
	}
	var silent []string
	for _, p := range l.Logs.Partitions {
		log, ok := l.Logs.Of[p]
		if !ok {
			silent = append(silent, fmt.Sprint(p))
			continue
		}
		next, ok := l.Next()[p]
		switch {
		case !ok:
		case next > log.End:
			out = append(out, fmt.Sprintf("partition %d ends at %d, before the group's offset %d: its log was cut off or restored", p, log.End, next))
		case next < log.Start:
			out = append(out, fmt.Sprintf("partition %d begins at %d, after the group's offset %d: %d offsets are gone unread", p, log.Start, next, log.Start-next))
		}
	}
	if len(silent) > 0 {
		out = append(out, fmt.Sprintf("no answer from the leader of partition %s", strings.Join(silent, ",")))
	}
	return out
}

// Tell adds what the processes say of their partitions.
func (r *Report) Tell(answers []Answer) {
	for _, a := range answers {
		if a.Process == nil || a.Process.Group != r.Group.Name || a.Process.TopicID != r.TopicID {
			continue
		}
		if a.Process.State == "ended" {
			r.Problems = append(r.Problems, fmt.Sprintf("process at %s has ended: %s", a.Addr, a.Process.Detail))
		}
		for _, s := range a.Process.Partitions {
			i := slices.IndexFunc(r.Partitions, func(p Partition) bool { return p.Partition == s.Partition })
			if i < 0 {
				continue
			}
			p := &r.Partitions[i]
			p.State, p.Reason, p.Detail, p.PausedAt = s.State, s.Reason, s.Detail, s.Since
		}
	}
}

// Unread are the partitions with something to read that no member has while
// the group has members, and how many records those are. While it is dealt out
// anew nothing is said: nobody has anything then.
func (r *Report) Unread() (partitions []int32, records int64) {
	if len(r.Group.Members) == 0 || r.Group.State != stateStable {
		return nil, 0
	}
	for _, p := range r.Partitions {
		waits := p.Lag
		if waits == nil && p.Start != nil && p.End != nil { // nobody has ever read it
			n := *p.End - *p.Start
			waits = &n
		}
		if p.Member == nil && waits != nil && *waits > 0 {
			partitions, records = append(partitions, p.Partition), records+*waits
		}
	}
	return partitions, records
}

// Paused counts the partitions that stand still, by reason. known is false
// where no process of the group was asked for some partition.
func (r *Report) Paused() (by map[string]int, known bool) {
	by, known = map[string]int{}, true
	for _, p := range r.Partitions {
		switch {
		case p.State == "":
			known = false
		case p.Reason != "":
			by[p.Reason]++
		}
	}
	return by, known
}
