package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
)

// LeaderChange is a partition whose leader is another broker than a moment ago.
type LeaderChange struct {
	Partition    int32
	From, To     int32 // brokers; -1: none
	After, Until time.Duration
}

// String is "leader of partition 2: 1 -> 3".
func (c LeaderChange) String() string {
	name := func(id int32) string {
		if id < 0 {
			return "none"
		}
		return fmt.Sprint(id)
	}
	return fmt.Sprintf("leader of partition %d: %s -> %s", c.Partition, name(c.From), name(c.To))
}

// between tells whether the change may lie in a time.
func (c LeaderChange) between(from, to time.Duration) bool { return c.After <= to && c.Until >= from }

// LeaderWatch looks once a second who leads the partitions of a topic.
type LeaderWatch struct {
	mu      sync.Mutex
	changes []LeaderChange // guarded by mu
	end     context.CancelFunc
	ended   chan struct{}
}

const (
	leadersEvery = time.Second
	// keptChanges bounds what a cluster that never settles leaves.
	keptChanges = 1000
)

// WatchLeaders looks until Close. Times count from start.
func WatchLeaders(ctx context.Context, cl *kgo.Client, topic string, start time.Time) *LeaderWatch {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &LeaderWatch{end: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		w.watch(ctx, client.Admin(cl), topic, start)
	}()
	return w
}

func (w *LeaderWatch) watch(ctx context.Context, adm *kadm.Client, topic string, start time.Time) {
	known, at := map[int32]int32{}, time.Since(start)
	for ctx.Err() == nil {
		now := time.Since(start)
		asked, cancel := context.WithTimeout(ctx, 5*leadersEvery)
		m, err := adm.Metadata(kadm.WithAuthorizedOps(asked), topic)
		cancel()
		if err == nil {
			for id, p := range m.Topics[topic].Partitions {
				if before, ok := known[id]; ok && before != p.Leader {
					w.add(LeaderChange{id, before, p.Leader, at, now})
				}
				known[id] = p.Leader
			}
			at = now
		}
		if pause(ctx, leadersEvery) != nil {
			return
		}
	}
}

func (w *LeaderWatch) add(c LeaderChange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.changes) < keptChanges {
		w.changes = append(w.changes, c)
	}
}

// Changes are those so far.
func (w *LeaderWatch) Changes() []LeaderChange {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]LeaderChange(nil), w.changes...)
}

// Close ends the watching.
func (w *LeaderWatch) Close() {
	w.end()
	<-w.ended
}
