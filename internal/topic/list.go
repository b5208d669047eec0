package topic

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Summary is one topic of a list. What is not known is nil.
type Summary struct {
	Name            string `json:"name"`
	ID              string `json:"id"`
	Internal        bool   `json:"internal"`
	Partitions      int    `json:"partition_count"`
	Replication     string `json:"replication"`
	Records         *int64 `json:"records"`
	SizeBytes       *int64 `json:"size_bytes"` // of the leaders' copies
	Leaderless      int    `json:"leaderless_partitions"`
	UnderReplicated int    `json:"under_replicated_partitions"`
}

// List lists the topics by name, the cluster's own ones only with internal.
func List(ctx context.Context, adm *kadm.Client, internal bool) ([]Summary, error) {
	topics, err := adm.ListTopicsWithInternal(fresh(ctx))
	if err != nil {
		return nil, err
	}
	for name, t := range topics {
		if t.Err != nil || !internal && (t.IsInternal || isInternal(name)) {
			delete(topics, name)
		}
	}
	records, err := countRecords(ctx, adm, topics)
	if err != nil {
		return nil, err
	}
	sizes := leaderSizes(ctx, adm, topics)
	list := []Summary{}
	for _, t := range topics.Sorted() {
		s := Summary{
			Name: t.Topic, ID: FormatID(t.ID), Internal: t.IsInternal || isInternal(t.Topic),
			Partitions: len(t.Partitions), Replication: replication(t),
			Records:   sum(t, records[t.Topic]),
			SizeBytes: sum(t, sizes[t.Topic]),
		}
		for _, p := range t.Partitions {
			if p.Leader < 0 {
				s.Leaderless++
			}
			if len(p.ISR) < len(p.Replicas) {
				s.UnderReplicated++
			}
		}
		list = append(list, s)
	}
	return list, nil
}

// isInternal knows the cluster's own topics that its flag does not mark.
func isInternal(name string) bool {
	return name == "__cluster_metadata" || name == "__share_group_state" || name == "__remote_log_metadata"
}

func sum(t kadm.TopicDetail, by map[int32]int64) *int64 {
	var n int64
	for p := range t.Partitions {
		part, ok := by[p]
		if !ok {
			return nil
		}
		n += part
	}
	return &n
}

// countRecords asks for all topics at once; where some partition has no
// leader, the topics that can answer are asked alone.
func countRecords(ctx context.Context, adm *kadm.Client, topics kadm.TopicDetails) (map[string]map[int32]int64, error) {
	var names []string
	for name, t := range topics {
		if ledPartitions(t) == len(t.Partitions) {
			names = append(names, name)
		}
	}
	counts := map[string]map[int32]int64{}
	if len(names) == 0 {
		return counts, nil // without a name kadm would ask for all
	}
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	starts, err := adm.ListStartOffsets(bounded, names...)
	if isFinal(err) {
		return nil, err
	}
	ends, err := adm.ListEndOffsets(bounded, names...)
	if isFinal(err) {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, name := range names {
		counts[name] = map[int32]int64{}
		for p, start := range starts[name] {
			if end, ok := ends.Lookup(name, p); ok && start.Err == nil && end.Err == nil {
				counts[name][p] = max(0, end.Offset-start.Offset)
			}
		}
	}
	return counts, nil
}
