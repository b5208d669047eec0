package lag

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Places are offsets of one topic, of which those count that the database has
// not passed.
type Places struct {
	runs map[int32][]run // by partition, as they came
}

// run is offsets that follow one another: of a sender that is alone all are one.
type run struct{ from, to int64 } // to is not in it

// Add takes a place.
func (p *Places) Add(partition int32, offset int64) {
	if p.runs == nil {
		p.runs = map[int32][]run{}
	}
	runs := p.runs[partition]
	if n := len(runs); n > 0 && runs[n-1].to == offset {
		runs[n-1].to++
		return
	}
	p.runs[partition] = append(runs, run{offset, offset + 1})
}

// Left is how many of them lie at or behind next. Those that don't are let go.
func (p *Places) Left(next map[int32]int64) int64 {
	var left int64
	for partition, runs := range p.runs {
		passed := next[partition]
		runs = slices.DeleteFunc(runs, func(r run) bool { return r.to <= passed })
		p.runs[partition] = runs
		for _, r := range runs {
			left += r.to - max(r.from, passed)
		}
	}
	return left
}

// The database is asked often at first, since a batch is committed some
// milliseconds after its records have come, and then ever more seldom.
const (
	pollFirst = 5 * time.Millisecond
	pollEvery = 100 * time.Millisecond
)

// Committed is a database's answer for one topic; id is "" where the topic's id
// is not known, and the offsets that moved last count then.
func Committed(ctx context.Context, db Database, group, name, id string) (map[int32]int64, error) {
	rows, err := db.Committed(ctx, group)
	if err != nil {
		return nil, err
	}
	if id == "" {
		var newest time.Time
		for _, r := range rows {
			if r.Topic == name && !r.At.Before(newest) {
				newest, id = r.At, r.TopicID
			}
		}
	}
	offsets, _ := OfTopic(rows, name, id)
	return offsets, nil
}

// Await returns when the database has passed all places, or with how many it
// has not when ctx ends. A database that does not answer is asked again; the
// error is what it said last.
func Await(ctx context.Context, db Database, group, name, id string, places *Places) (left int64, err error) {
	left = places.Left(nil)
	for pause := pollFirst; left > 0; pause = min(2*pause, pollEvery) {
		next, askErr := Committed(ctx, db, group, name, id)
		switch {
		case ctx.Err() != nil:
			return left, err
		case askErr == nil && next == nil:
			askErr = fmt.Errorf("the database has no offsets of group %s in this topic %s", group, name)
		case askErr == nil:
			left = places.Left(next)
		}
		if err = askErr; left == 0 {
			return 0, nil
		}
		select {
		case <-ctx.Done():
			return left, err
		case <-time.After(pause):
		}
	}
	return 0, nil
}

// AwaitReader returns nil as soon as somebody processes: the group has a
// member, or its offsets move.
func AwaitReader(ctx context.Context, adm *kadm.Client, db Database, group, name, id string) error {
	before, err := Committed(ctx, db, group, name, id)
	if err != nil {
		return err
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		g, err := DescribeGroup(ctx, adm, group)
		if err == nil && len(g.Members) > 0 {
			return nil
		}
		now, err := Committed(ctx, db, group, name, id)
		if err == nil && !maps.Equal(before, now) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
