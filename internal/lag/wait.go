package lag

import (
	"context"
	"slices"
	"time"

	"github.com/ordersctl/ordersctl/internal/sink"
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

// pollEvery is how often the database is asked: a batch is committed some
// milliseconds after its records have come.
const pollEvery = 50 * time.Millisecond

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
// has not when ctx ends or it does not answer any more.
func Await(ctx context.Context, db Database, group, name, id string, places *Places) (int64, error) {
	left := places.Left(nil)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for left > 0 {
		next, err := Committed(ctx, db, group, name, id)
		if ctx.Err() != nil {
			return left, ctx.Err()
		}
		if err != nil {
			return left, err
		}
		if left = places.Left(next); left == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return left, ctx.Err()
		case <-tick.C:
		}
	}
	return left, nil
}

var _ Database = sink.Store(nil)
