package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
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

// changes are those that may have made the gap.
func (g Gap) changes(of []LeaderChange) string {
	var list []string
	for _, c := range of {
		if (g.Partition < 0 || g.Partition == c.Partition) && c.between(g.At, g.At+g.For) {
			list = append(list, c.String())
		}
	}
	return strings.Join(list, ", ")
}

// LeaderWatch looks once a second who leads the partitions of a topic.
type LeaderWatch struct {
	adm     *kadm.Client
	topic   string
	start   time.Time
	end     context.CancelFunc
	ended   chan struct{}
	leaders map[int32]int32
	at      time.Duration // when they were that

	mu      sync.Mutex
	changes []LeaderChange // guarded by mu
}

const (
	leadersEvery = time.Second
	// keptChanges bounds what a cluster that never settles leaves.
	keptChanges = 1000
)

// WatchLeaders looks until Close. Times count from start.
func WatchLeaders(ctx context.Context, cl *kgo.Client, topic string, start time.Time) *LeaderWatch {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &LeaderWatch{
		adm: client.Admin(cl), topic: topic, start: start,
		end: cancel, ended: make(chan struct{}), leaders: map[int32]int32{},
	}
	go func() {
		defer close(w.ended)
		for ctx.Err() == nil {
			w.look(ctx)
			_ = pause(ctx, leadersEvery)
		}
	}()
	return w
}

// look compares with the last time. A cluster that does not answer is asked
// again at the next.
func (w *LeaderWatch) look(ctx context.Context) {
	now := time.Since(w.start)
	ctx, cancel := context.WithTimeout(ctx, 5*leadersEvery)
	defer cancel()
	m, err := w.adm.Metadata(kadm.WithAuthorizedOps(ctx), w.topic)
	if err != nil {
		return
	}
	for id, p := range m.Topics[w.topic].Partitions {
		before, known := w.leaders[id]
		if known && before != p.Leader {
			w.keep(LeaderChange{id, before, p.Leader, w.at, now})
		}
		w.leaders[id] = p.Leader
	}
	w.at = now
}

func (w *LeaderWatch) keep(c LeaderChange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.changes) < keptChanges {
		w.changes = append(w.changes, c)
	}
}

// Seen are the changes so far.
func (w *LeaderWatch) Seen() []LeaderChange {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.changes)
}

// Close looks once more and gives the changes, by partition and time.
func (w *LeaderWatch) Close(ctx context.Context) []LeaderChange {
	w.end()
	<-w.ended
	w.look(ctx)
	changes := w.Seen()
	slices.SortStableFunc(changes, func(a, b LeaderChange) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Until, b.Until))
	})
	return changes
}
