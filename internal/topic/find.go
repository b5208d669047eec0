package topic

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/ordersctl/ordersctl/internal/unit"
)

// Exists tells a topic's id and number of partitions. A topic that is not
// there is a [*MissingError] whose hint creates it.
func Exists(ctx context.Context, adm *kadm.Client, name string) (id [16]byte, partitions int, err error) {
	_, d, err := lookUp(ctx, adm, name)
	var missing *MissingError
	if errors.As(err, &missing) {
		missing.Next = fmt.Sprintf("create it with \"ordersctl topic create %s\"", name)
	}
	return d.ID, len(d.Partitions), err
}

// FormatID writes a topic's id as Kafka's own tools do.
func FormatID(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// find is lookUp for what is done to a topic that should be there: one that is
// not was probably misspelt.
func find(ctx context.Context, adm *kadm.Client, name string) (kadm.Metadata, kadm.TopicDetail, error) {
	m, d, err := lookUp(ctx, adm, name)
	var missing *MissingError
	if errors.As(err, &missing) {
		missing.Next = `"ordersctl topic list" shows what is there`
		if all, listErr := adm.ListTopics(fresh(ctx)); listErr == nil {
			if near := unit.Nearest(name, all.Names()); near != "" {
				missing.Next = fmt.Sprintf("did you mean %q? %s", near, missing.Next)
			}
		}
	}
	return m, d, err
}

func lookUp(ctx context.Context, adm *kadm.Client, name string) (kadm.Metadata, kadm.TopicDetail, error) {
	m, err := adm.Metadata(fresh(ctx), name)
	if err != nil {
		return m, kadm.TopicDetail{}, &BrokerError{Op: "look up", Topic: name, Err: err}
	}
	d := m.Topics[name]
	switch {
	case errors.Is(d.Err, kerr.UnknownTopicOrPartition):
		return m, d, &MissingError{Name: name}
	case d.Err != nil:
		return m, d, &BrokerError{Op: "look up", Topic: name, Err: d.Err}
	}
	return m, d, nil
}

// fresh makes kadm ask a broker: without it an answer may be 5 s old and not
// know what we have just made.
func fresh(ctx context.Context) context.Context { return kadm.WithAuthorizedOps(ctx) }
