package lag

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Group is a consumer group and who is in it.
type Group struct {
	Name        string   `json:"group"`
	State       string   `json:"state"` // "stable", "empty", "preparingrebalance" …; "dead" where Kafka knows none
	Protocol    string   `json:"protocol"`
	Coordinator int32    `json:"coordinator"`
	Members     []Member `json:"members"`
}

// Member is one reader in a group.
type Member struct {
	ID         string             `json:"member_id"`
	ClientID   string             `json:"client_id"`
	InstanceID string             `json:"instance_id,omitempty"`
	Host       string             `json:"host"`
	Partitions map[string][]int32 `json:"partitions"` // by topic
}

// Short names a member in a table: as Kafka made its id, by the client's id
// and eight digits of what makes it unique.
func (m Member) Short() string {
	const digits = 8
	unique, ok := strings.CutPrefix(m.ID, m.ClientID+"-")
	if !ok {
		unique = m.ID
	}
	unique = unique[:min(digits, len(unique))]
	return cut(m.ClientID, 15) + "-" + unique
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n]
}

// stateDead is Kafka's word for a group that it does not know.
const stateDead = "dead"

// stateStable is its word for one whose partitions are dealt out.
const stateStable = "stable"

// Exists tells whether Kafka knows the group.
func (g Group) Exists() bool { return g.State != stateDead }

// Reader is the member that has a partition.
func (g Group) Reader(topic string, partition int32) (Member, bool) {
	for _, m := range g.Members {
		if slices.Contains(m.Partitions[topic], partition) {
			return m, true
		}
	}
	return Member{}, false
}

// DescribeGroup asks for a group in the old protocol and, where that does not
// know it, in the new one (KIP-848). A group that is not there is "dead".
func DescribeGroup(ctx context.Context, adm *kadm.Client, name string) (Group, error) {
	var g kadm.DescribedGroup
	var ok bool
	err := coordinated(ctx, func() error {
		classic, err := adm.DescribeGroups(ctx, name)
		if g, ok = classic[name]; err == nil && ok {
			err = g.Err
		}
		return err
	})
	switch {
	case err == nil && ok && !strings.EqualFold(g.State, stateDead):
		return fromClassic(g), nil
	case err != nil && !isUnknown(err):
		return Group{}, fmt.Errorf("describe group %s: %w", name, err)
	}
	modern, err := adm.DescribeConsumerGroups(ctx, name)
	c, ok := modern[name]
	if err == nil && ok {
		err = c.Err
	}
	switch {
	case err == nil && ok:
		return fromModern(c), nil
	case err == nil || isUnknown(err):
		return Group{Name: name, State: stateDead, Members: []Member{}}, nil
	}
	return Group{}, fmt.Errorf("describe group %s: %w", name, err)
}

// coordinatorTimeout is how long a cluster may take to find a group's
// coordinator: one in which no group has been yet makes its topic for that first.
const coordinatorTimeout = 5 * time.Second

// coordinated asks again while there is no coordinator to answer.
func coordinated(ctx context.Context, ask func() error) error {
	for began := time.Now(); ; {
		err := ask()
		waits := errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.CoordinatorLoadInProgress) || errors.Is(err, kerr.NotCoordinator)
		if !waits || time.Since(began) > coordinatorTimeout {
			return err
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isUnknown tells a broker's answer that there is no such group from a broker
// that can't be asked. One that knows the old protocol alone has none of the
// new one.
func isUnknown(err error) bool {
	return errors.Is(err, kerr.GroupIDNotFound) || errors.Is(err, kerr.UnsupportedVersion) ||
		strings.Contains(err.Error(), "request key is unknown") || strings.Contains(err.Error(), "too old")
}

func fromClassic(g kadm.DescribedGroup) Group {
	out := Group{Name: g.Group, State: strings.ToLower(g.State), Protocol: g.Protocol, Coordinator: g.Coordinator.NodeID, Members: []Member{}}
	for _, m := range g.Members {
		member := Member{ID: m.MemberID, ClientID: m.ClientID, Host: strings.TrimPrefix(m.ClientHost, "/"), Partitions: map[string][]int32{}}
		if m.InstanceID != nil {
			member.InstanceID = *m.InstanceID
		}
		if c, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range c.Topics {
				member.Partitions[t.Topic] = slices.Sorted(slices.Values(t.Partitions))
			}
		}
		out.Members = append(out.Members, member)
	}
	return out
}

func fromModern(g kadm.DescribedConsumerGroup) Group {
	out := Group{Name: g.Group, State: strings.ToLower(g.State), Protocol: g.AssignorName, Coordinator: g.Coordinator.NodeID, Members: []Member{}}
	for _, m := range g.Members {
		member := Member{ID: m.MemberID, ClientID: m.ClientID, Host: strings.TrimPrefix(m.ClientHost, "/"), Partitions: map[string][]int32{}}
		if m.InstanceID != nil {
			member.InstanceID = *m.InstanceID
		}
		for _, t := range m.Assignment.Sorted() {
			member.Partitions[t.Topic] = t.Partitions
		}
		out.Members = append(out.Members, member)
	}
	return out
}
