package process

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/client"
)

// commitEvery is how often offsets are committed to Kafka, for tools that show
// lag. Nothing is read from there.
const commitEvery = time.Second

func (w *Worker) commitLoop(ctx context.Context) {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.commit(ctx, w.all())
		}
	}
}

// commit commits where the database stands, and tells whether Kafka took all of
// it. What it did not take is committed again the next time.
func (w *Worker) commit(ctx context.Context, partitions []*partition) bool {
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	offsets := map[int32]kgo.EpochOffset{}
	open := map[int32]*partition{}
	for _, p := range partitions {
		p.mu.Lock()
		if p.placed && p.next != p.sent {
			offsets[p.number], open[p.number] = kgo.EpochOffset{Epoch: -1, Offset: p.next}, p
		}
		p.mu.Unlock()
	}
	if len(offsets) == 0 {
		return true
	}
	w.kafka.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{w.opts.Topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if err == nil {
				err = taken(resp, func(number int32) {
					if p := open[number]; p != nil {
						p.committed(offsets[number].Offset)
						delete(open, number)
					}
				})
			}
			if len(open) > 0 {
				w.uncommitted(err)
			}
		})
	return len(open) == 0
}

// taken calls done with the partitions whose offset was taken, and gives an
// error of the others.
func taken(resp *kmsg.OffsetCommitResponse, done func(number int32)) (failed error) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				failed = err
				continue
			}
			done(p.Partition)
		}
	}
	return failed
}

// uncommitted tells of a commit that failed. While the group is rebalanced that
// is the usual course of things.
func (w *Worker) uncommitted(err error) {
	level := slog.LevelWarn
	if err == nil || errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.UnknownMemberID) {
		level = slog.LevelDebug
	}
	if err == nil || w.again("commit "+err.Error()) {
		return
	}
	w.log.Log(context.Background(), level, "offsets were not committed to Kafka, tools that go by it show lag that there is not; it is tried again", //nolint:forbidigo // slog wants one
		"group", w.opts.Group, "err", client.Explain(err, w.opts.Kafka))
}

// commitLast commits what nobody will commit after us, and tries again a few
// times, none beyond lastWords in all: the database has it anyway, and somebody
// waits for our end.
func (w *Worker) commitLast(ctx context.Context, partitions []*partition) {
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	for range 4 {
		if w.commit(ctx, partitions) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(commitPause):
		}
	}
}

const commitPause = 250 * time.Millisecond

// committed notes what Kafka has.
func (p *partition) committed(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = offset
}
