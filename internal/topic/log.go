package topic

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Log is a partition's log, from its first offset to the next one to be
// written.
type Log struct{ Start, End int64 }

// Lag is what is left to read from at on. An offset that retention has
// overtaken goes on at the start, one beyond the end has nothing to read.
func (l Log) Lag(at int64) int64 { return lag(at, span{l.Start, l.End}) }

// Logs is a topic with the logs of those partitions that answer.
type Logs struct {
	ID         string // as FormatID writes it
	Partitions []int32
	Of         map[int32]Log
}

// ListLogs looks at where a topic's logs begin and end. A topic that is not
// there is a [*MissingError].
func ListLogs(ctx context.Context, adm *kadm.Client, name string) (Logs, error) {
	_, d, err := find(ctx, adm, name)
	if err != nil {
		return Logs{}, err
	}
	found, err := spans(ctx, adm, d)
	if err != nil {
		return Logs{}, err
	}
	logs := Logs{ID: FormatID(d.ID), Partitions: d.Partitions.Numbers(), Of: map[int32]Log{}}
	for p, s := range found {
		logs.Of[p] = Log{s.start, s.end}
	}
	return logs, nil
}

// OffsetsAt finds for each partition of a topic the first offset that is not
// older than milli (since 1970); the end where all are older. Partitions that
// don't answer are missing.
func OffsetsAt(ctx context.Context, adm *kadm.Client, name string, milli int64) (map[int32]int64, error) {
	_, d, err := find(ctx, adm, name)
	if err != nil {
		return nil, err
	}
	return listOffsets(ctx, d, func(ctx context.Context, names ...string) (kadm.ListedOffsets, error) {
		return adm.ListOffsetsAfterMilli(ctx, milli, names...)
	})
}
