package lag

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
	"github.com/ordersctl/ordersctl/internal/unit"
)

// Target is where a group, or one partition of it, is sent.
type Target struct {
	Partition *int32 // nil: each
	Start     bool
	End       bool
	Time      time.Time // zero: by one of the others
	Offset    int64
}

// ParseTarget reads "start", "end", a time as [unit.ParseTime] reads it (with
// or without "@" before it), or a place: "orders/1@884", "1@884".
func ParseTarget(s, name string, now time.Time) (Target, error) {
	switch s {
	case "start", "beginning", "earliest":
		return Target{Start: true}, nil
	case "end", "latest":
		return Target{End: true}, nil
	}
	if t, _, err := unit.ParseTime(strings.TrimPrefix(s, "@"), now); err == nil {
		return Target{Time: t}, nil
	}
	place, offset, ok := strings.Cut(s, "@")
	of, number, named := strings.Cut(place, "/")
	if !named {
		of, number = name, place
	}
	p, perr := strconv.ParseUint(number, 10, 31)
	o, oerr := strconv.ParseUint(offset, 10, 63)
	switch {
	case !ok || perr != nil || oerr != nil:
		return Target{}, fmt.Errorf("%q is none of start, end, a time (2026-11-01T12:00, 2h) and a place (%s/1@884)", s, name)
	case of != name:
		return Target{}, fmt.Errorf("%q is in topic %q, not in %q", s, of, name)
	}
	partition := int32(p)
	return Target{Partition: &partition, Offset: int64(o)}, nil
}

// Seek is where a group is to go.
type Seek struct {
	Group    Group  `json:"group"`
	Topic    string `json:"topic"`
	TopicID  string `json:"topic_id"`
	By       string `json:"offsets_by"`      // whose the group's offsets are now: "database", "kafka", ""
	Database bool   `json:"sets_database"`   // beside Kafka's
	Parts    []Move `json:"partitions"`      // those that are spoken of
	Again    int64  `json:"records_again"`   // over all
	Skipped  int64  `json:"records_skipped"` // over all
}

// Move is one partition of a Seek.
type Move struct {
	Partition int32  `json:"partition"`
	Database  *int64 `json:"database_offset"`
	Kafka     *int64 `json:"kafka_offset"`
	To        int64  `json:"to_offset"`
	Again     int64  `json:"records_again"`
	Skipped   int64  `json:"records_skipped"`
}

// ActiveError says that a group has members, whose offsets nobody else may set.
type ActiveError struct{ Group Group }

func (e *ActiveError) Error() string {
	names := make([]string, len(e.Group.Members))
	for i, m := range e.Group.Members {
		names[i] = fmt.Sprintf("%s on %s", m.Short(), m.Host)
	}
	word := "members"
	if len(names) == 1 {
		word = "member"
	}
	if len(names) == 0 {
		return fmt.Sprintf("group %s is %s", e.Group.Name, e.Group.State)
	}
	return fmt.Sprintf("group %s is %s with %d %s, which would go on from where they are: %s", e.Group.Name, e.Group.State, len(names), word, strings.Join(names, ", "))
}

// Hint is the next step.
func (e *ActiveError) Hint() string { return "stop its members first; their offsets stay" }

// AnewError says that the database's offsets are of another topic of that name.
type AnewError struct {
	Group, Topic  string
	Database, Now string // topic ids
}

func (e *AnewError) Error() string {
	return fmt.Sprintf("the offsets of group %s in the database are of another topic %s: its id is %s there, and %s in Kafka", e.Group, e.Topic, e.Database, e.Now)
}

// Hint is the next step.
func (e *AnewError) Hint() string {
	return "is --db the database of this cluster? If the topic was made anew, process it with another --group or into another database"
}

// StrangeError says that the group has been through this topic, and not into this
// database.
type StrangeError struct{ Group, Topic, TopicID string }

func (e *StrangeError) Error() string {
	return fmt.Sprintf("group %s has offsets of topic %s (id %s) in Kafka and none in the database: it is not the one that this topic is read into", e.Group, e.Topic, e.TopicID)
}

// Hint is the next step.
func (e *StrangeError) Hint() string {
	return "is --db right? Where a new database is to begin there, say so: --new-database"
}

// Owner says whether a group's offsets stand in the database too.
type Owner int

// The owners. A group that goes by a database has been there already, unless
// that is new and only to begin.
const (
	OfKafka Owner = iota
	OfDatabase
	OfNewDatabase
)

// PlanSeek finds out where the targets lead to. Each partition goes by the last
// target that speaks of it.
func PlanSeek(ctx context.Context, adm *kadm.Client, l *Look, targets []Target, owner Owner) (*Seek, error) {
	if len(l.Group.Members) > 0 || l.Group.Exists() && l.Group.State != "empty" {
		return nil, &ActiveError{l.Group}
	}
	switch {
	case owner != OfKafka && l.OtherID != "":
		return nil, &AnewError{l.Group.Name, l.Topic, l.OtherID, l.Logs.ID}
	case owner == OfDatabase && len(l.Database) == 0 && len(l.Kafka) > 0:
		return nil, &StrangeError{l.Group.Name, l.Topic, l.Logs.ID}
	}
	to := map[int32]int64{}
	for _, t := range targets {
		if err := aim(ctx, adm, l, t, to); err != nil {
			return nil, err
		}
	}
	s := &Seek{Group: l.Group, Topic: l.Topic, TopicID: l.Logs.ID, By: l.By(), Database: owner != OfKafka, Parts: []Move{}}
	for _, p := range l.Logs.Partitions {
		offset, ok := to[p]
		if !ok {
			continue
		}
		m := Move{Partition: p, Database: at(l.Database, p), Kafka: at(l.Kafka, p), To: offset}
		if next := at(l.Next(), p); next != nil {
			log := l.Logs.Of[p]
			// Between two places of the log there may be less than their distance.
			m.Again = max(0, min(*next, log.End)-max(offset, log.Start))
			m.Skipped = max(0, offset-max(*next, log.Start))
		} else {
			m.Skipped = max(0, offset-l.Logs.Of[p].Start)
		}
		s.Again += m.Again
		s.Skipped += m.Skipped
		s.Parts = append(s.Parts, m)
	}
	return s, nil
}

func aim(ctx context.Context, adm *kadm.Client, l *Look, t Target, to map[int32]int64) error {
	times := map[int32]int64{}
	if !t.Time.IsZero() {
		var err error
		if times, err = topic.OffsetsAt(ctx, adm, l.Topic, t.Time.UnixMilli()); err != nil {
			return err
		}
	}
	for _, p := range l.Logs.Partitions {
		if t.Partition != nil && *t.Partition != p {
			continue
		}
		log, ok := l.Logs.Of[p]
		found, known := times[p]
		switch {
		case !ok || !t.Time.IsZero() && !known:
			return fmt.Errorf("partition %d of topic %s does not answer", p, l.Topic)
		case t.Start:
			to[p] = log.Start
		case t.End:
			to[p] = log.End
		case !t.Time.IsZero():
			to[p] = found
		case t.Offset < log.Start || t.Offset > log.End:
			return fmt.Errorf("%s/%d@%d is not in the log, which has the offsets %d to %d there", l.Topic, p, t.Offset, log.Start, log.End)
		default:
			to[p] = t.Offset
		}
	}
	if t.Partition != nil && !slices.Contains(l.Logs.Partitions, *t.Partition) {
		return fmt.Errorf("topic %s has no partition %d", l.Topic, *t.Partition)
	}
	return nil
}

// Seeker is what is asked of a [sink.Store].
type Seeker interface {
	Seek(ctx context.Context, c sink.Claim, next map[int32]int64) error
}

// HalfError says that Kafka's offsets are set and the database's are not.
type HalfError struct {
	Group string
	Err   error
}

func (e *HalfError) Error() string {
	return fmt.Sprintf("set the offsets of group %s in the database: %s (Kafka's are set)", e.Group, e.Err)
}

// Unwrap gives the cause.
func (e *HalfError) Unwrap() error { return e.Err }

// Hint is the next step.
func (e *HalfError) Hint() string {
	return "run it again: until then process goes on from the database's offsets, as if nothing had been set"
}

// Apply sets the offsets: Kafka's first, as it refuses a group that somebody
// has joined by now; then the database's, which process goes by.
func (s *Seek) Apply(ctx context.Context, adm *kadm.Client, db Seeker) error {
	if len(s.Parts) == 0 {
		return nil
	}
	offsets := kadm.Offsets{}
	next := map[int32]int64{}
	for _, m := range s.Parts {
		offsets.AddOffset(s.Topic, m.Partition, m.To, -1)
		next[m.Partition] = m.To
	}
	err := adm.CommitAllOffsets(ctx, s.Group.Name, offsets)
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.StaleMemberEpoch) {
		g, describeErr := DescribeGroup(ctx, adm, s.Group.Name)
		if describeErr == nil {
			return &ActiveError{g}
		}
	}
	if err != nil {
		return fmt.Errorf("set the offsets of group %s: %w", s.Group.Name, err)
	}
	if !s.Database {
		return nil
	}
	claim := sink.Claim{Group: s.Group.Name, Topic: s.Topic, TopicID: s.TopicID, Start: next}
	if err := db.Seek(ctx, claim, next); err != nil {
		return &HalfError{s.Group.Name, err}
	}
	return nil
}
