package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
)

const size = 1000 // records in a batch

const topicID = "bench-sink-topic-id-00"

// source makes new orders, no two alike.
type source struct{ rand *rand.Rand }

func newSource(seed uint64) *source { return &source{rand.New(rand.NewPCG(seed, seed))} }

// batches are those of one partition from its beginning.
func (s *source) batches(partition int32, count int) []*sink.Batch {
	list := make([]*sink.Batch, count)
	for i := range list {
		b := &sink.Batch{
			Group: "bench", Topic: "orders", TopicID: topicID, Partition: partition,
			First: int64(i * size), Next: int64((i + 1) * size), Entries: make([]sink.Entry, size),
		}
		for j := range b.Entries {
			b.Entries[j] = s.entry(b.First + int64(j))
		}
		list[i] = b
	}
	return list
}

func (s *source) entry(offset int64) sink.Entry {
	now := time.Now().UTC()
	o := order.Order{
		ID: fmt.Sprintf("ord-%016x", s.rand.Uint64()), UserID: fmt.Sprintf("u-%d", s.rand.IntN(100_000)),
		Total: order.Total(s.rand.Uint64N(10_000_000)), Status: []string{"pending", "paid", "shipped"}[s.rand.IntN(3)], Timestamp: now,
	}
	// As UUIDv7: the time first.
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(now.UnixNano()))
	binary.BigEndian.PutUint64(id[8:], s.rand.Uint64())
	return sink.Entry{
		Offset: offset, Order: o, EventID: fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]),
		Hash: sha256.Sum256(order.Append(nil, &o)), Received: now,
	}
}
