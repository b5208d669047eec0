// Package lag tells where the pipeline stands: how far a group is behind its
// topic, how fast it goes, who reads what, and how a group is sent elsewhere.
// Start at [Take], [Between] and [PlanSeek]; the processes themselves are asked
// by [Ask].
//
// Where the group's offsets stand in a database those count, and Kafka's are
// only compared with them. It changes nothing but by [Seek.Apply].
package lag

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// Database is what is asked of a [sink.Store].
type Database interface {
	Committed(ctx context.Context, group string) ([]sink.Committed, error)
}

// Options say whose lag is looked at.
type Options struct {
	Group    string
	Topic    string
	Database Database // nil: there is none
}

// Whose offsets the lag goes by.
const (
	ByDatabase = "database"
	ByKafka    = "kafka"
)

// Look is where a group stands in a topic at one moment.
type Look struct {
	At          time.Time
	Group       Group
	Topic       string
	Logs        topic.Logs
	Kafka       map[int32]int64 // committed there
	Database    map[int32]int64 // committed there in the topic of that id; nil where there are none
	OtherID     string          // of a topic of that name that was deleted: the database's offsets are of it
	DatabaseErr error           // why it could not be asked; the rest holds
}

// Take looks once. Only what Kafka does not answer is an error.
func Take(ctx context.Context, adm *kadm.Client, o Options) (*Look, error) {
	l := &Look{Topic: o.Topic}
	// The offsets in the order in which they follow one another: read the other
	// way round, what is applied meanwhile would look like a negative lag.
	var err error
	if l.Group, err = DescribeGroup(ctx, adm, o.Group); err != nil {
		return nil, err
	}
	kafka, err := Commits(ctx, adm, o.Group)
	if err != nil {
		return nil, err
	}
	l.Kafka = kafka[o.Topic]
	var rows []sink.Committed
	if o.Database != nil {
		rows, l.DatabaseErr = o.Database.Committed(ctx, o.Group)
	}
	if l.Logs, err = topic.ListLogs(ctx, adm, o.Topic); err != nil {
		return nil, err
	}
	l.Database, l.OtherID = OfTopic(rows, o.Topic, l.Logs.ID)
	l.At = time.Now()
	return l, ctx.Err()
}

// OfTopic takes the offsets of one topic from a group's. other is the id of a
// topic of that name that has been deleted, where only that is known.
func OfTopic(rows []sink.Committed, name, id string) (at map[int32]int64, other string) {
	for _, r := range rows {
		switch {
		case r.TopicID == id:
			if at == nil {
				at = map[int32]int64{}
			}
			at[r.Partition] = r.Next
		case r.Topic == name:
			other = r.TopicID
		}
	}
	if at != nil {
		other = ""
	}
	return at, other
}

// Commits are the offsets that a group has committed to Kafka, by topic.
func Commits(ctx context.Context, adm *kadm.Client, group string) (map[string]map[int32]int64, error) {
	var rs kadm.OffsetResponses
	err := coordinated(ctx, func() (err error) {
		rs, err = adm.FetchOffsets(ctx, group)
		return err
	})
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // nobody was ever in it
		return nil, fmt.Errorf("read the offsets of group %s: %w", group, err)
	}
	all := map[string]map[int32]int64{}
	for name, partitions := range rs {
		for p, r := range partitions {
			switch {
			case r.Err != nil:
				return nil, fmt.Errorf("read the offsets of group %s: %w", group, r.Err)
			case r.At < 0:
				continue
			case all[name] == nil:
				all[name] = map[int32]int64{}
			}
			all[name][p] = r.At
		}
	}
	return all, nil
}

// By tells whose offsets count, "" where there are none.
func (l *Look) By() string {
	switch {
	case len(l.Database) > 0:
		return ByDatabase
	case len(l.Kafka) > 0:
		return ByKafka
	}
	return ""
}

// Next is where the group reads on, in the partitions of which that is known.
func (l *Look) Next() map[int32]int64 {
	if l.By() == ByDatabase {
		return l.Database
	}
	return l.Kafka
}
