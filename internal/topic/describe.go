package topic

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeOptions say what Describe looks at beside the topic itself.
type DescribeOptions struct {
	Partitioner string // what places our keys, for the one who reads
	Group       string // whose lag to show
	// Database gives the group's offsets in the database, by which the lag goes
	// then; nil, or an empty answer, where there are none. It is asked last.
	Database func(ctx context.Context, topicID string) map[int32]int64
	Interval time.Duration // over which the rate of writes is measured; 0 measures none
}

// Description is a topic as it is. What is not known is nil.
type Description struct {
	Name              string        `json:"name"`
	ID                string        `json:"id"`
	PartitionCount    int           `json:"partition_count"`
	Replication       string        `json:"replication"` // "3", or "2..3" where partitions differ
	MinInsyncReplicas *int64        `json:"min_insync_replicas"`
	Partitioner       string        `json:"key_partitioner"`
	CleanupPolicy     string        `json:"cleanup_policy"`
	RetentionMS       *int64        `json:"retention_ms"`
	RetentionBytes    *int64        `json:"retention_bytes_per_partition"`
	Configs           []ConfigEntry `json:"non_default_configs"` // set on this very topic
	Partitions        []Partition   `json:"partitions"`
	Records           *int64        `json:"records"`
	SizeBytes         *int64        `json:"size_bytes"`
	WritePerSecond    *float64      `json:"write_per_second"`
	RateSeconds       float64       `json:"rate_interval_seconds"`
	LagGroup          string        `json:"lag_group"` // "" where the group has committed nothing here
	Lag               *int64        `json:"lag"`
	LagBy             string        `json:"lag_by"`    // whose offsets: "kafka" or "database"
	Agreement         *Agreement    `json:"agreement"` // of the two, where the database has some
	Problems          []string      `json:"problems"`
}

// Partition is one partition of a Description.
type Partition struct {
	Partition      int32    `json:"partition"`
	Leader         *int32   `json:"leader"` // nil: there is none
	Replicas       []int32  `json:"replicas"`
	ISR            []int32  `json:"isr"`
	Offline        []int32  `json:"offline_replicas"`
	StartOffset    *int64   `json:"start_offset"`
	EndOffset      *int64   `json:"end_offset"`
	Records        *int64   `json:"records"`    // offsets between the two; compaction and transactions leave gaps
	SizeBytes      *int64   `json:"size_bytes"` // of the leader's copy
	WritePerSecond *float64 `json:"write_per_second"`
	Lag            *int64   `json:"lag"`
}

// Missing are the replicas that are not in sync.
func (p Partition) Missing() []int32 {
	var out []int32
	for _, r := range p.Replicas {
		if !slices.Contains(p.ISR, r) {
			out = append(out, r)
		}
	}
	return out
}

// Describe looks at a topic. With an interval it takes as long as that.
func Describe(ctx context.Context, adm *kadm.Client, name string, opts DescribeOptions) (*Description, error) {
	_, detail, err := find(ctx, adm, name)
	if err != nil {
		return nil, err
	}
	d := newDescription(detail, opts)
	configs, err := configsOf(ctx, adm, name)
	if err != nil {
		return nil, err
	}
	d.setConfigs(configs)
	logs, err := spans(ctx, adm, detail)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	d.setSizes(leaderSizes(ctx, adm, kadm.TopicDetails{name: detail})[name])
	if opts.Interval > 0 {
		select {
		case <-time.After(opts.Interval):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		ends, err := listOffsets(ctx, detail, adm.ListEndOffsets)
		if err != nil {
			return nil, err
		}
		d.setRates(logs, ends, time.Since(began))
		for p, end := range ends {
			if log, ok := logs[p]; ok {
				logs[p] = span{log.start, max(log.start, end)}
			}
		}
	}
	d.setOffsets(logs)
	d.findLag(ctx, adm, opts, logs)
	d.Problems = problems(d)
	return d, nil
}

func newDescription(detail kadm.TopicDetail, opts DescribeOptions) *Description {
	d := &Description{
		Name:           detail.Topic,
		ID:             FormatID(detail.ID),
		PartitionCount: len(detail.Partitions),
		Replication:    replication(detail),
		Partitioner:    opts.Partitioner,
		Configs:        []ConfigEntry{},
		Partitions:     []Partition{},
		Problems:       []string{},
	}
	for _, p := range detail.Partitions.Sorted() {
		part := Partition{Partition: p.Partition, Replicas: orEmpty(p.Replicas), ISR: orEmpty(p.ISR), Offline: orEmpty(p.OfflineReplicas)}
		if p.Leader >= 0 {
			part.Leader = &p.Leader
		}
		d.Partitions = append(d.Partitions, part)
	}
	return d
}

func orEmpty(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}

func (d *Description) setConfigs(configs []kadm.Config) {
	number := func(c kadm.Config) *int64 {
		n, err := strconv.ParseInt(c.MaybeValue(), 10, 64)
		if err != nil {
			return nil
		}
		return &n
	}
	for _, c := range configs {
		switch c.Key {
		case minInsyncReplicas:
			d.MinInsyncReplicas = number(c)
		case retentionMS:
			d.RetentionMS = number(c)
		case retentionBytes:
			d.RetentionBytes = number(c)
		case cleanupPolicy:
			d.CleanupPolicy = c.MaybeValue()
		}
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			value := c.MaybeValue()
			if c.Sensitive {
				value = "***"
			}
			d.Configs = append(d.Configs, ConfigEntry{c.Key, value})
		}
	}
	slices.SortFunc(d.Configs, func(a, b ConfigEntry) int { return strings.Compare(a.Key, b.Key) })
}

func (d *Description) setSizes(sizes map[int32]int64) {
	for i := range d.Partitions {
		if size, ok := sizes[d.Partitions[i].Partition]; ok {
			d.Partitions[i].SizeBytes = &size
		}
	}
	d.SizeBytes = total(d.Partitions, func(p Partition) *int64 { return p.SizeBytes })
}

func (d *Description) setRates(before map[int32]span, ends map[int32]int64, took time.Duration) {
	d.RateSeconds = took.Round(time.Millisecond).Seconds()
	for i := range d.Partitions {
		p := &d.Partitions[i]
		log, ok := before[p.Partition]
		end, okEnd := ends[p.Partition]
		if !ok || !okEnd {
			continue
		}
		// A log may be cut back after an unclean election; nothing was written then.
		rate := float64(max(0, end-log.end)) / took.Seconds()
		p.WritePerSecond = &rate
	}
	d.WritePerSecond = total(d.Partitions, func(p Partition) *float64 { return p.WritePerSecond })
}

func (d *Description) setOffsets(logs map[int32]span) {
	for i := range d.Partitions {
		p := &d.Partitions[i]
		if log, ok := logs[p.Partition]; ok {
			records := log.records()
			p.StartOffset, p.EndOffset, p.Records = &log.start, &log.end, &records
		}
	}
	d.Records = total(d.Partitions, func(p Partition) *int64 { return p.Records })
}

// findLag goes by the database's offsets where there are some.
func (d *Description) findLag(ctx context.Context, adm *kadm.Client, opts DescribeOptions, logs map[int32]span) {
	kafka := map[int32]int64{}
	// Kafka's are asked first: they follow the database's, and would else look ahead.
	if rs, err := adm.FetchOffsets(ctx, opts.Group); err == nil {
		if at, err := committed(rs, d.Name); err == nil {
			kafka = at
		}
	}
	var database map[int32]int64
	if opts.Database != nil {
		database = opts.Database(ctx, d.ID)
	}
	switch {
	case len(database) > 0:
		a := Agree(database, kafka)
		d.LagBy, d.Agreement = "database", &a
		d.setLag(opts.Group, database, logs)
	case len(kafka) > 0:
		d.LagBy = "kafka"
		d.setLag(opts.Group, kafka, logs)
	}
}

func (d *Description) setLag(group string, committed map[int32]int64, logs map[int32]span) {
	d.LagGroup = group
	for i := range d.Partitions {
		p := &d.Partitions[i]
		log, ok := logs[p.Partition]
		at, okAt := committed[p.Partition]
		if ok && okAt {
			n := lag(at, log)
			p.Lag = &n
		}
	}
	d.Lag = total(d.Partitions, func(p Partition) *int64 { return p.Lag })
}

// total is the sum, nil where a part of it is not known: half a sum misleads.
func total[N int64 | float64](parts []Partition, of func(Partition) *N) *N {
	var sum N
	for _, p := range parts {
		n := of(p)
		if n == nil {
			return nil
		}
		sum += *n
	}
	return &sum
}

// leaderSizes gives, by topic and partition, the bytes of the leader's copy.
// Brokers that can't be asked, or refuse, are left out.
func leaderSizes(ctx context.Context, adm *kadm.Client, topics kadm.TopicDetails) map[string]map[int32]int64 {
	// A broker that has just died is still asked, for as long as we let it.
	ctx, cancel := context.WithTimeout(ctx, 2*leaderlessTimeout)
	defer cancel()
	dirs, _ := adm.DescribeAllLogDirs(ctx, topics.TopicsSet())
	sizes := map[string]map[int32]int64{}
	for name, t := range topics {
		sizes[name] = map[int32]int64{}
		for _, p := range t.Partitions {
			if found, ok := dirs[p.Leader].LookupPartition(name, p.Partition); ok && !found.IsFuture {
				sizes[name][p.Partition] = found.Size
			}
		}
	}
	return sizes
}
