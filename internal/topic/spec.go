package topic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	cleanupPolicy     = "cleanup.policy"
	maxMessageBytes   = "max.message.bytes"
	minInsyncReplicas = "min.insync.replicas"
	retentionBytes    = "retention.bytes"
	retentionMS       = "retention.ms"

	// Kafka's default of max.message.bytes: 1 MiB and the overhead of a batch.
	defaultMaxMessageBytes = 1048588
	// A dead letter is its record and at most 64 KiB of headers that say why.
	deadLetterOverhead = 64 << 10
)

// Spec is what a topic should be. Configs that it does not name are the
// broker's to choose.
type Spec struct {
	Name       string
	Partitions int
	Replicas   int
	Configs    []ConfigEntry
}

// ConfigEntry is one setting of a topic.
type ConfigEntry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// ParseConfigEntry reads "key=value".
func ParseConfigEntry(s string) (ConfigEntry, error) {
	key, value, ok := strings.Cut(s, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	switch {
	case !ok, key == "":
		return ConfigEntry{}, fmt.Errorf("%q is not a setting, wants key=value like retention.ms=86400000", s)
	case value == "":
		return ConfigEntry{}, fmt.Errorf("%q sets no value", s)
	}
	return ConfigEntry{key, value}, nil
}

// ParseConfigEntries reads many; a key that is set twice is a mistake.
func ParseConfigEntries(list []string) ([]ConfigEntry, error) {
	var entries []ConfigEntry
	for _, s := range list {
		e, err := ParseConfigEntry(s)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(entries, func(have ConfigEntry) bool { return have.Key == e.Key }) {
			return nil, fmt.Errorf("%s is set twice", e.Key)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// DLQSpec is the dead letter topic of main: as many partitions and replicas,
// kept for ever, and room for each record of main with its reason. It goes by
// what main asks for; [DLQSpecOf] by what main has.
func DLQSpec(main Spec, name string) Spec {
	return dlqSpec(main, name, cmp.Or(limitIn(main.Configs), defaultMaxMessageBytes))
}

// DLQSpecOf is DLQSpec where main may have inherited a limit from the brokers,
// or been there before with another one. Where it is not there yet the brokers
// are asked what it would inherit; where they do not tell, the spec names no
// max.message.bytes.
func DLQSpecOf(ctx context.Context, adm *kadm.Client, main Spec, name string) (Spec, error) {
	asked := limitIn(main.Configs)
	have, err := configsOf(ctx, adm, main.Name)
	switch {
	case err == nil:
		return dlqSpec(main, name, max(asked, cmp.Or(limitOf(have, maxMessageBytes), defaultMaxMessageBytes))), nil
	case !errors.Is(err, kerr.UnknownTopicOrPartition):
		return Spec{}, err
	case asked > 0:
		return dlqSpec(main, name, asked), nil
	}
	return dlqSpec(main, name, brokersLimit(ctx, adm)), nil
}

// dlqSpec leaves max.message.bytes out where limit is 0, not known.
func dlqSpec(main Spec, name string, limit int64) Spec {
	// Without a bound on bytes of its own the topic has the broker's.
	configs := []ConfigEntry{{retentionMS, "-1"}, {retentionBytes, "-1"}}
	if limit > 0 {
		// Kafka keeps it in 32 bits.
		configs = append(configs, ConfigEntry{maxMessageBytes, strconv.FormatInt(min(limit+deadLetterOverhead, math.MaxInt32), 10)})
	}
	for _, c := range main.Configs {
		if c.Key == minInsyncReplicas {
			configs = append(configs, c)
		}
	}
	return Spec{Name: name, Partitions: main.Partitions, Replicas: main.Replicas, Configs: configs}
}

// limitIn is the max.message.bytes that was asked for, 0 where none was.
func limitIn(configs []ConfigEntry) int64 {
	for _, c := range configs {
		if n, err := strconv.ParseInt(c.Value, 10, 64); c.Key == maxMessageBytes && err == nil {
			return n
		}
	}
	return 0
}

func limitOf(configs []kadm.Config, key string) int64 {
	for _, c := range configs {
		if n, err := strconv.ParseInt(c.MaybeValue(), 10, 64); c.Key == key && err == nil {
			return n
		}
	}
	return 0
}

// brokersLimit is the largest that a broker gives a new topic, 0 where one of
// them does not tell: reading it needs a right that creating topics does not.
func brokersLimit(ctx context.Context, adm *kadm.Client) int64 {
	m, err := adm.BrokerMetadata(ctx)
	if err != nil {
		return 0
	}
	rs, err := adm.DescribeBrokerConfigs(ctx, m.Brokers.NodeIDs()...)
	if err != nil {
		return 0
	}
	var limit int64
	for _, r := range rs {
		n := limitOf(r.Configs, "message.max.bytes")
		if r.Err != nil || n == 0 {
			return 0
		}
		limit = max(limit, n)
	}
	return limit
}

func (s Spec) configMap() map[string]*string {
	m := make(map[string]*string, len(s.Configs))
	for _, c := range s.Configs {
		m[c.Key] = &c.Value
	}
	return m
}
