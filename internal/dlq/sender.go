package dlq

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/time/rate"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/unit"
)

const (
	// sendWindow is how many letters may be under way: enough to fill batches,
	// and what a kill may send twice.
	sendWindow = 512
	// maxFailures ends a run against a broker that takes nothing, where each
	// letter would wait for the delivery timeout.
	maxFailures = 10
)

// ClientOptions are what the client of a [Replayer] or of [Discard] has to be
// made with.
func ClientOptions(cfg client.Config, dlqTopic string) ([]kgo.Opt, error) {
	p, err := client.Partitioner(cfg)
	if err != nil {
		return nil, err
	}
	return []kgo.Opt{
		// Room for each letter's record and mark, so that Produce never blocks in
		// a promise.
		kgo.MaxBufferedRecords(2*sendWindow + 1),
		kgo.RecordPartitioner(partitioner{p, dlqTopic}),
	}, nil
}

// partitioner places marks in the partition that they name, all else by key.
type partitioner struct {
	byKey kgo.Partitioner
	dlq   string
}

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.dlq {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return p.byKey.ForTopic(topic)
}

// sender produces records and then their marks, so many at a time.
type sender struct {
	cl    *kgo.Client
	tell  func(string)
	pace  *rate.Limiter // nil for none
	slots chan struct{}

	mu   sync.Mutex
	sent Sent // guarded by mu
}

// Sent is what became of what was produced.
type Sent struct {
	Marked     int // acknowledged, and so is the mark
	Unmarked   int // the replay is acknowledged, the mark is not: the letter shows as open
	NotWritten int
	Unknown    int
}

// Failed is how many letters are not settled.
func (s Sent) Failed() int { return s.Unmarked + s.NotWritten + s.Unknown }

func newSender(cl *kgo.Client, r unit.Rate, tell func(string)) *sender {
	s := &sender{cl: cl, tell: tell, slots: make(chan struct{}, sendWindow)}
	if r > 0 {
		// A timer is exact to a millisecond or so.
		s.pace = rate.NewLimiter(rate.Limit(r), max(1, int(r)/500))
	}
	return s
}

// hold waits for its turn and a free slot; an error is that of ctx.
func (s *sender) hold(ctx context.Context) error {
	if s.pace != nil {
		if err := s.pace.Wait(ctx); err != nil {
			return err
		}
	}
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replay produces r and, once that is acknowledged, the letter's mark. A ctx that
// ends does not call back what was handed over.
func (s *sender) replay(ctx context.Context, l *Letter, r *kgo.Record) {
	ctx = context.WithoutCancel(ctx)
	s.cl.Produce(ctx, r, func(r *kgo.Record, err error) {
		if err != nil {
			s.failed(l, r, err)
			return
		}
		to := Place{r.Topic, r.Partition, r.Offset}
		s.cl.Produce(ctx, l.Mark(Replayed, to.String()), func(_ *kgo.Record, err error) {
			if err != nil {
				s.tell("letter " + l.Place.String() + " was replayed to " + to.String() + ", but that is not marked: " + err.Error())
			}
			s.settled(func(sent *Sent) {
				if err != nil {
					sent.Unmarked++
				} else {
					sent.Marked++
				}
			})
		})
	})
}

// mark produces a mark alone.
func (s *sender) mark(ctx context.Context, l *Letter, state State) {
	s.cl.Produce(context.WithoutCancel(ctx), l.Mark(state, ""), func(r *kgo.Record, err error) {
		if err != nil {
			s.failed(l, r, err)
			return
		}
		s.settled(func(sent *Sent) { sent.Marked++ })
	})
}

func (s *sender) failed(l *Letter, r *kgo.Record, err error) {
	outcome := client.OutcomeOf(s.cl, r, err)
	s.tell("letter " + l.Place.String() + ": " + string(outcome) + ": " + err.Error())
	s.settled(func(sent *Sent) {
		if outcome == client.NotWritten {
			sent.NotWritten++
		} else {
			sent.Unknown++
		}
	})
}

func (s *sender) settled(count func(*Sent)) {
	s.mu.Lock()
	count(&s.sent)
	s.mu.Unlock()
	<-s.slots
}

// gaveUp tells that too much failed to go on.
func (s *sender) gaveUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent.Failed() >= maxFailures
}

// drain waits for what is under way. What has no answer in that time is unknown.
func (s *sender) drain(patience time.Duration) Sent {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	free := 0
	for open := true; open && free < cap(s.slots); {
		select {
		case s.slots <- struct{}{}:
			free++
		case <-timer.C:
			open = false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.sent
	sent.Unknown += cap(s.slots) - free
	return sent
}
