package topic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Purge is what is to be deleted of one topic's records.
type Purge struct {
	Topic   string    `json:"topic"`
	Parts   []PurgeOf `json:"partitions"`
	Records int64     `json:"records"` // all that go
	detail  kadm.TopicDetail
}

// PurgeOf is one partition of a Purge.
type PurgeOf struct {
	Partition int32 `json:"partition"`
	Start     int64 `json:"start_offset"`
	Before    int64 `json:"before_offset"` // the new start
	End       int64 `json:"end_offset"`
}

// Records is the number of records that go.
func (p PurgeOf) Records() int64 { return p.Before - p.Start }

// PlanPurge finds out which records lie before what befores say; each
// partition goes by the last of them that speaks of it. What is written after
// this moment is not in it.
func PlanPurge(ctx context.Context, adm *kadm.Client, name string, befores []Before) (*Purge, error) {
	_, d, err := find(ctx, adm, name)
	if err != nil {
		return nil, err
	}
	for _, b := range befores {
		if b.Partition != nil && int(*b.Partition) >= len(d.Partitions) {
			return nil, &BrokerError{Op: "purge", Topic: name, Err: fmt.Errorf("it has partitions 0 to %d, none %d", len(d.Partitions)-1, *b.Partition)}
		}
	}
	logs, err := fullSpans(ctx, adm, d)
	if err != nil {
		return nil, err
	}
	if len(befores) == 0 {
		befores = []Before{{}}
	}
	target := map[int32]int64{}
	for _, b := range befores {
		if err := aim(ctx, adm, d, b, logs, target); err != nil {
			return nil, err
		}
	}
	purge := &Purge{Topic: name, Parts: []PurgeOf{}, detail: d}
	for _, p := range d.Partitions.Sorted() {
		log := logs[p.Partition]
		to, ok := target[p.Partition]
		if !ok {
			continue
		}
		part := PurgeOf{p.Partition, log.start, min(max(to, log.start), log.end), log.end}
		purge.Parts = append(purge.Parts, part)
		purge.Records += part.Records()
	}
	return purge, nil
}

// aim sets the new start of the partitions that b speaks of.
func aim(ctx context.Context, adm *kadm.Client, d kadm.TopicDetail, b Before, logs map[int32]span, target map[int32]int64) error {
	switch {
	case b.All():
		for p, log := range logs {
			target[p] = log.end
		}
	case !b.Time.IsZero():
		at, err := listOffsets(ctx, d, func(ctx context.Context, names ...string) (kadm.ListedOffsets, error) {
			return adm.ListOffsetsAfterMilli(ctx, b.Time.UnixMilli(), names...)
		})
		if err != nil {
			return err
		}
		for p := range logs {
			offset, ok := at[p]
			if !ok {
				return &BrokerError{Op: "purge", Topic: d.Topic, Err: fmt.Errorf("the offset of that time is not known in partition %d", p)}
			}
			target[p] = offset
		}
	case b.Partition != nil:
		if end := logs[*b.Partition].end; b.Offset > end {
			return &BrokerError{Op: "purge", Topic: d.Topic, Err: fmt.Errorf("offset %d is beyond the end of partition %d, %d", b.Offset, *b.Partition, end)}
		}
		target[*b.Partition] = b.Offset
	default:
		for p := range logs {
			target[p] = b.Offset
		}
	}
	return nil
}

// PurgeError tells which partitions were not purged; the others were.
type PurgeError struct {
	Topic  string
	Failed map[int32]error
	Of     int
}

func (e *PurgeError) Error() string {
	parts := slices.Sorted(maps.Keys(e.Failed))
	return fmt.Sprintf("purge topic %s: partition %s of %d not purged: %v", e.Topic, JoinIDs(parts), e.Of, e.Failed[parts[0]])
}

// Unwrap gives the causes.
func (e *PurgeError) Unwrap() []error {
	var errs []error
	for _, err := range e.Failed {
		errs = append(errs, err)
	}
	return errs
}

// Hint is the next step.
func (e *PurgeError) Hint() string {
	if errors.Is(e, kerr.PolicyViolation) {
		return "only a topic with cleanup.policy=delete can be purged; this one is compacted"
	}
	return "run it again: what is purged stays so"
}

var errNoAnswer = errors.New("the broker did not answer for it")

// Apply deletes the records, and tells how many went also where some
// partitions failed.
func (p *Purge) Apply(ctx context.Context, adm *kadm.Client) (int64, error) {
	offsets := kadm.Offsets{}
	for _, part := range p.Parts {
		if part.Records() > 0 {
			offsets.AddOffset(p.Topic, part.Partition, part.Before, -1)
		}
	}
	if len(offsets) == 0 {
		return 0, nil
	}
	rs, err := adm.DeleteRecords(ctx, offsets)
	var shards *kadm.ShardErrors
	if err != nil && !errors.As(err, &shards) {
		return 0, &BrokerError{Op: "purge", Topic: p.Topic, Err: err}
	}
	failed := &PurgeError{Topic: p.Topic, Failed: map[int32]error{}, Of: len(p.detail.Partitions)}
	var gone int64
	for _, part := range p.Parts {
		if part.Records() == 0 {
			continue
		}
		r, ok := rs.Lookup(p.Topic, part.Partition)
		switch {
		case !ok:
			failed.Failed[part.Partition] = cmp.Or(err, errNoAnswer)
		case r.Err != nil:
			failed.Failed[part.Partition] = r.Err
		default:
			gone += part.Records()
		}
	}
	if len(failed.Failed) > 0 {
		return gone, failed
	}
	return gone, nil
}
