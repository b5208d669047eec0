package topic

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Doomed is what a topic takes with it when it is deleted.
type Doomed struct {
	Name       string   `json:"name"`
	Partitions int      `json:"partition_count"`
	Records    *int64   `json:"records"` // nil where not known
	Readers    []Reader `json:"groups"`  // nil where not known
	ReadersErr error    `json:"-"`
}

// PlanDelete looks at what would go with the topic. Neither a partition without
// a leader nor groups that can't be seen keep it from being deleted.
func PlanDelete(ctx context.Context, adm *kadm.Client, name string) (*Doomed, error) {
	_, d, err := find(ctx, adm, name)
	if err != nil {
		return nil, err
	}
	if d.IsInternal {
		return nil, &BrokerError{Op: "delete", Topic: name, Err: errors.New("it is Kafka's own: without it groups or transactions lose their state")}
	}
	doomed := &Doomed{Name: name, Partitions: len(d.Partitions)}
	logs, err := spans(ctx, adm, d)
	if err == nil && len(logs) == len(d.Partitions) {
		var n int64
		for _, log := range logs {
			n += log.records()
		}
		doomed.Records = &n
	}
	found, err := readers(ctx, adm, name, logs)
	if err != nil {
		doomed.ReadersErr = err
		return doomed, nil
	}
	doomed.Readers = append([]Reader{}, found...)
	return doomed, nil
}

// Delete deletes the topics one by one and gives the error of each that is
// still there.
func Delete(ctx context.Context, adm *kadm.Client, names ...string) map[string]error {
	failed := map[string]error{}
	rs, err := adm.DeleteTopics(ctx, names...)
	for _, name := range names {
		r, ok := rs[name]
		switch {
		case err != nil:
			failed[name] = &BrokerError{Op: "delete", Topic: name, Err: err}
		case !ok:
			failed[name] = &BrokerError{Op: "delete", Topic: name, Err: errNoAnswer}
		case r.Err != nil:
			failed[name] = deleteError(name, r)
		}
	}
	return failed
}

func deleteError(name string, r kadm.DeleteTopicResponse) error {
	e := &BrokerError{Op: "delete", Topic: name, Err: r.Err, Msg: r.ErrMessage}
	if errors.Is(r.Err, kerr.TopicDeletionDisabled) {
		e.Next = fmt.Sprintf("the brokers have delete.topic.enable=false; \"ordersctl topic purge %s\" empties it", name)
	}
	return e
}
