package topic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	maxMessageBytes = "max.message.bytes"
	retentionMS     = "retention.ms"

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
// kept for ever, and room for each record of main with its reason.
func DLQSpec(main Spec, name string) Spec {
	limit := int64(defaultMaxMessageBytes)
	for _, c := range main.Configs {
		if n, err := strconv.ParseInt(c.Value, 10, 64); c.Key == maxMessageBytes && err == nil {
			limit = n
		}
	}
	return Spec{
		Name:       name,
		Partitions: main.Partitions,
		Replicas:   main.Replicas,
		Configs: []ConfigEntry{
			{retentionMS, "-1"},
			{maxMessageBytes, strconv.FormatInt(limit+deadLetterOverhead, 10)},
		},
	}
}

func (s Spec) configMap() map[string]*string {
	m := make(map[string]*string, len(s.Configs))
	for _, c := range s.Configs {
		m[c.Key] = &c.Value
	}
	return m
}
