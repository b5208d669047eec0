package topic

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Reader is a group that reads a topic: it committed an offset there, or has a
// member that is subscribed to it.
type Reader struct {
	Group string `json:"group"`
	State string `json:"state"`
	Lag   int64  `json:"lag"` // records behind; where nothing is committed, all there are
}

// readers lists the groups that read the topic, by name. A group that can't be
// looked into is an error: who asks is about to break something for it.
func readers(ctx context.Context, adm *kadm.Client, name string, logs map[int32]span) ([]Reader, error) {
	listed, err := adm.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	names := listed.Groups()
	if len(names) == 0 {
		return nil, nil
	}
	subscribed := subscribers(ctx, adm, name, names)
	var all []Reader
	for _, r := range adm.FetchManyOffsets(ctx, names...) {
		if r.Err != nil {
			return nil, fmt.Errorf("read the offsets of group %s: %w", r.Group, r.Err)
		}
		commits, err := committed(r.Fetched, name)
		if err != nil {
			return nil, fmt.Errorf("read the offsets of group %s: %w", r.Group, err)
		}
		if len(commits) == 0 && !subscribed[r.Group] {
			continue
		}
		reader := Reader{Group: r.Group, State: listed[r.Group].State}
		for p, log := range logs {
			at, ok := commits[p]
			if !ok {
				at = log.start
			}
			reader.Lag += lag(at, log)
		}
		all = append(all, reader)
	}
	slices.SortFunc(all, func(a, b Reader) int { return cmp.Compare(a.Group, b.Group) })
	return all, nil
}

// subscribers are the groups of which a member wants the topic. Groups of
// either protocol are asked in its own way, and refused in the other: a refusal
// tells nothing, so errors are left aside and the committed offsets decide.
func subscribers(ctx context.Context, adm *kadm.Client, name string, groups []string) map[string]bool {
	found := map[string]bool{}
	classic, _ := adm.DescribeGroups(ctx, groups...)
	for group, g := range classic {
		of := kadm.DescribedGroups{group: g}
		if _, assigned := of.AssignedPartitions()[name]; assigned || slices.Contains(of.JoinTopics(), name) {
			found[group] = true
		}
	}
	modern, _ := adm.DescribeConsumerGroups(ctx, groups...)
	for group, g := range modern {
		of := kadm.DescribedConsumerGroups{group: g}
		if _, assigned := of.AssignedPartitions()[name]; assigned || slices.Contains(of.SubscribedTopics(), name) {
			found[group] = true
		}
	}
	return found
}

// committed gives the offsets that a group committed in the topic.
func committed(rs kadm.OffsetResponses, name string) (map[int32]int64, error) {
	offsets := map[int32]int64{}
	for p, o := range rs[name] {
		switch {
		case o.Err != nil:
			return nil, o.Err
		case o.At >= 0:
			offsets[p] = o.At
		}
	}
	return offsets, nil
}

// lag is what is left to read from at on. An offset that retention has
// overtaken goes on at the start, one beyond the end has nothing to read.
func lag(at int64, log span) int64 {
	return max(0, log.end-max(at, log.start))
}
