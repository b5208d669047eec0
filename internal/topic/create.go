package topic

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
)

const (
	// A leader is elected within a second; a controller that is itself being
	// elected needs a few.
	leaderTimeout = 30 * time.Second
	pollInterval  = 50 * time.Millisecond
)

// Create makes a topic and returns when every partition has a leader. One that
// exists already is an error that matches kerr.TopicAlreadyExists.
func Create(ctx context.Context, adm *kadm.Client, spec Spec) error {
	resp, err := adm.CreateTopic(ctx, int32(spec.Partitions), int16(spec.Replicas), spec.configMap(), spec.Name)
	if err != nil {
		return createError(spec, resp, err)
	}
	return awaitLeaders(ctx, adm, spec.Name, spec.Partitions)
}

// Check asks the broker whether Create would succeed; nothing is made.
func Check(ctx context.Context, adm *kadm.Client, spec Spec) error {
	rs, err := adm.ValidateCreateTopics(ctx, int32(spec.Partitions), int16(spec.Replicas), spec.configMap(), spec.Name)
	if err != nil {
		return createError(spec, kadm.CreateTopicResponse{}, err)
	}
	resp, err := rs.On(spec.Name, nil)
	if err = errors.Join(err, resp.Err); err != nil {
		return createError(spec, resp, err)
	}
	return nil
}

func createError(spec Spec, resp kadm.CreateTopicResponse, err error) error {
	e := &BrokerError{Op: "create", Topic: spec.Name, Err: err, Msg: resp.ErrMessage}
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists):
		e.Msg = "it exists already"
		e.Next = "--if-not-exists takes it as it is, \"ordersctl topic alter\" changes it"
	case errors.Is(err, kerr.InvalidReplicationFactor):
		e.Next = "use a smaller --replicas, or start the brokers that are missing"
	}
	return e
}

// awaitLeaders waits until the brokers know the topic with all its leaders.
func awaitLeaders(ctx context.Context, adm *kadm.Client, name string, partitions int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, leaderTimeout, errNoLeader)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if known, err := knownWithLeaders(ctx, adm, name, partitions); err != nil && ctx.Err() == nil {
			return &BrokerError{Op: "wait for the leaders of", Topic: name, Err: err}
		} else if known && leadersAnswer(ctx, adm, name, partitions) {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return &BrokerError{Op: "wait for the leaders of", Topic: name, Err: context.Cause(ctx), Next: fmt.Sprintf("\"ordersctl topic describe %s\" shows which are missing", name)}
		}
	}
}

// knownWithLeaders tells whether the brokers know the topic with a leader for
// each partition. Each of them learns of it in its own time, and requests go
// round: as many good answers in a row as there are brokers.
func knownWithLeaders(ctx context.Context, adm *kadm.Client, name string, partitions int) (bool, error) {
	for good := 0; ; good++ {
		m, err := adm.Metadata(fresh(ctx), name)
		if err != nil || ledPartitions(m.Topics[name]) < partitions {
			return false, err
		}
		if good >= len(m.Brokers) {
			return true, nil
		}
	}
}

// leadersAnswer tells whether each leader knows that it is one: the controller
// says so a moment before it does.
func leadersAnswer(ctx context.Context, adm *kadm.Client, name string, partitions int) bool {
	ends, err := adm.ListEndOffsets(fresh(ctx), name)
	return err == nil && ends.Error() == nil && len(ends[name]) >= partitions
}

var errNoLeader = fmt.Errorf("the topic is made, but not every partition has a leader after %s", leaderTimeout)

func ledPartitions(d kadm.TopicDetail) int {
	n := 0
	for _, p := range d.Partitions {
		if p.Leader >= 0 && p.Err == nil {
			n++
		}
	}
	return n
}

// Drift is one way in which a topic differs from its Spec.
type Drift struct {
	What string `json:"what"` // "partitions", "replicas" or the key of a config
	Want string `json:"want"`
	Have string `json:"have"` // "-" where the broker knows no such config
}

// Ensure makes the topic where it is missing. Where it is there nothing is
// changed; drift tells how it differs from what spec asks for.
func Ensure(ctx context.Context, adm *kadm.Client, spec Spec) (created bool, drift []Drift, err error) {
	_, d, err := lookUp(ctx, adm, spec.Name)
	var missing *MissingError
	if errors.As(err, &missing) {
		err = Create(ctx, adm, spec)
		if err == nil {
			return true, nil, nil
		}
		if !errors.Is(err, kerr.TopicAlreadyExists) {
			return false, nil, err
		}
		// Someone else was quicker.
		_, d, err = lookUp(ctx, adm, spec.Name)
	}
	if err != nil {
		return false, nil, err
	}
	drift, err = compare(ctx, adm, spec, d)
	return false, drift, err
}

// Compare tells how the topic differs from spec; one that is not there is a
// [*MissingError].
func Compare(ctx context.Context, adm *kadm.Client, spec Spec) ([]Drift, error) {
	_, d, err := lookUp(ctx, adm, spec.Name)
	if err != nil {
		return nil, err
	}
	return compare(ctx, adm, spec, d)
}

func compare(ctx context.Context, adm *kadm.Client, spec Spec, d kadm.TopicDetail) ([]Drift, error) {
	var drift []Drift
	if have := len(d.Partitions); have != spec.Partitions {
		drift = append(drift, Drift{"partitions", strconv.Itoa(spec.Partitions), strconv.Itoa(have)})
	}
	if have := replication(d); have != strconv.Itoa(spec.Replicas) {
		drift = append(drift, Drift{"replicas", strconv.Itoa(spec.Replicas), have})
	}
	if len(spec.Configs) == 0 {
		return drift, nil
	}
	have, err := configsOf(ctx, adm, spec.Name)
	if err != nil {
		return nil, err
	}
	for _, want := range spec.Configs {
		i := slices.IndexFunc(have, func(c kadm.Config) bool { return c.Key == want.Key })
		switch {
		case i < 0:
			drift = append(drift, Drift{want.Key, want.Value, "-"})
		case !sameValue(want.Key, want.Value, have[i].MaybeValue()):
			drift = append(drift, Drift{want.Key, want.Value, have[i].MaybeValue()})
		}
	}
	return drift, nil
}

// replication is "3", or "2..3" where partitions differ.
func replication(d kadm.TopicDetail) string {
	least, most := 1<<15, 0
	for _, p := range d.Partitions {
		least, most = min(least, len(p.Replicas)), max(most, len(p.Replicas))
	}
	switch {
	case most == 0:
		return "-"
	case least == most:
		return strconv.Itoa(most)
	}
	return fmt.Sprintf("%d..%d", least, most)
}

func configsOf(ctx context.Context, adm *kadm.Client, name string) ([]kadm.Config, error) {
	rs, err := adm.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return nil, &BrokerError{Op: "read the configs of", Topic: name, Err: err}
	}
	r, err := rs.On(name, nil)
	if err = errors.Join(err, r.Err); err != nil {
		return nil, &BrokerError{Op: "read the configs of", Topic: name, Err: err, Msg: r.ErrMessage}
	}
	return r.Configs, nil
}

// sameValue compares two values of a config as a broker reads them: numbers by
// value, booleans in any case, lists without the spaces around their commas.
// The policies of cleanup.policy have no order; in other lists it may matter.
func sameValue(key, a, b string) bool { return normal(key, a) == normal(key, b) }

func normal(key, value string) string {
	parts := strings.Split(value, ",")
	for i, p := range parts {
		p = strings.TrimSpace(p)
		if n, err := strconv.ParseInt(p, 10, 64); err == nil {
			p = strconv.FormatInt(n, 10)
		} else if f, err := strconv.ParseFloat(p, 64); err == nil {
			p = strconv.FormatFloat(f, 'g', -1, 64)
		} else if low := strings.ToLower(p); low == "true" || low == "false" {
			p = low
		}
		parts[i] = p
	}
	if key == cleanupPolicy {
		slices.Sort(parts)
	}
	return strings.Join(parts, ",")
}
