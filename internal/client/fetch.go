package client

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fetch is a question for what stands in a partition from an offset on, without
// a consumer: that one goes on elsewhere where a log was cut off, and keeps to
// itself how far it is where offsets hold no records.
type Fetch struct {
	Topic     string
	TopicID   [16]byte
	Partition int32
	Offset    int64
	Bytes     int32         // most of an answer, compressed
	Wait      time.Duration // for the first record; 0: the answer is what there is
}

// Ask asks the partition's leader, once. The answer has committed records only
// (and its own error code); [kgo.ProcessFetchPartition] reads it.
func (f Fetch) Ask(ctx context.Context, cl *kgo.Client, leader int32) (*kmsg.FetchResponseTopicPartition, error) {
	req := kmsg.NewPtrFetchRequest()
	if f.Wait > 0 {
		req.MaxWaitMillis, req.MinBytes = int32(f.Wait.Milliseconds()), 1
	}
	req.MaxBytes = f.Bytes
	req.IsolationLevel = 1 // read committed
	req.SessionEpoch = -1  // KIP-227: no session
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = f.Topic, f.TopicID
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.Partition, partition.FetchOffset, partition.PartitionMaxBytes = f.Partition, f.Offset, f.Bytes
	topic.Partitions = append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)

	resp, err := req.RequestWith(ctx, cl.Broker(int(leader)))
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, kerr.UnknownTopicOrPartition
	}
	return &resp.Topics[0].Partitions[0], nil
}
