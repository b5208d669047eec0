package bench

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/client"
)

const ms = time.Millisecond

// answer is a sample of an order that was due, sent and answered then.
func answer(seq uint64, due, answered time.Duration, o client.Outcome, cause string) sample {
	return sample{seq: seq, due: due, Reply: Reply{Outcome: o, Cause: cause, Sent: due, Answered: answered, Partition: -1, Offset: -1}}
}

func TestCollectorLeavesWarmUpOut(t *testing.T) {
	c := newCollector(time.Second)
	c.absorb([]start{{at: 0, due: 0, lag: ms, orders: 1}, {at: 1001 * ms, due: time.Second, lag: ms, orders: 2}}, []sample{
		answer(0, 0, 900*ms, client.Acked, "202"),
		answer(1, 999*ms, 1200*ms, client.Unknown, "timeout"), // due before it ended
		answer(2, time.Second, 1010*ms, client.Acked, "202"),
		answer(3, 1100*ms, 1300*ms, client.NotWritten, "503"),
	})
	c.finish(1300 * ms)
	if diff := cmp.Diff([3]uint64{1, 1, 0}, c.settled); diff != "" {
		t.Error(diff)
	}
	// The one that was refused is no latency.
	if c.refused.Count() != 1 || c.refused.Max() != 200*ms {
		t.Errorf("%d refused to %s", c.refused.Count(), c.refused.Max())
	}
	if c.latency.Count() != 1 || c.latency.Max() != 10*ms || c.lag.Count() != 2 || c.firstSeq != 2 {
		t.Errorf("%d latencies to %s, %d lags, first %d", c.latency.Count(), c.latency.Max(), c.lag.Count(), c.firstSeq)
	}
	if diff := cmp.Diff([]causeCount{{client.Acked, "202", 1}, {client.NotWritten, "503", 1}}, c.causes, cmp.AllowUnexported(causeCount{})); diff != "" {
		t.Error(diff)
	}
	want := []Second{
		{At: 0, Width: time.Second, Sent: 1, Acked: 1, P50: 900 * ms, P99: 900 * ms, Max: 900 * ms, LagP50: ms, LagP99: ms, LagMax: ms},
		{At: time.Second, Width: 300 * ms, Sent: 2, Acked: 1, NotWritten: 1, Unknown: 1, P50: 10 * ms, P99: 201 * ms, Max: 201 * ms, LagP50: ms, LagP99: ms, LagMax: ms},
	}
	for i := range c.series.points { // three digits
		c.series.points[i].P50 = c.series.points[i].P50.Round(ms)
		c.series.points[i].P99 = c.series.points[i].P99.Round(ms)
	}
	if diff := cmp.Diff(want, c.series.points); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestCollectorKeepsTheSlowest(t *testing.T) {
	c := newCollector(0)
	for i := range uint64(1000) {
		latency := time.Duration(mix(3, i)%1000) * ms
		if i == 500 {
			latency = 2 * time.Second
		}
		c.absorb(nil, []sample{answer(i, 0, latency, client.Acked, "202")})
	}
	if len(c.slowest) != keptSlowest || c.slowest[0].Seq != 500 || c.slowest[0].Latency != 2*time.Second {
		t.Fatalf("got %+v", c.slowest)
	}
	for i := 1; i < len(c.slowest); i++ {
		if c.slowest[i].Latency > c.slowest[i-1].Latency || c.slowest[i].Latency < 980*ms {
			t.Errorf("the %dth is %s", i, c.slowest[i].Latency)
		}
	}
}

// Refusals are quick: among the latencies they would make a server that is down
// a fast one. What only waited is no refusal.
func TestCollectorKeepsRefusalsApart(t *testing.T) {
	c := newCollector(0)
	waited := answer(3, 0, 2*time.Second, client.NotWritten, causeNeverSent)
	waited.Sent = -1
	refused := answer(4, 0, ms, client.NotWritten, "refused")
	refused.Sent = -1
	c.absorb(nil, []sample{
		answer(0, 0, 300*ms, client.Acked, "202"), answer(1, 0, ms, client.NotWritten, "503"), answer(2, 0, 400*ms, client.Unknown, "500"),
		waited, refused, answer(5, 0, time.Second, client.NotWritten, causeTimeout),
	})
	if c.latency.Count() != 4 || c.refused.Count() != 2 || c.refused.Max() != ms || c.service.Count() != 3 {
		t.Errorf("%d latencies, %d refused to %s, %d service times", c.latency.Count(), c.refused.Count(), c.refused.Max(), c.service.Count())
	}
	for _, s := range c.slowest {
		if never := s.Seq == 3 || s.Seq == 4; never != (s.Service < 0) {
			t.Errorf("order %d has a service time of %s", s.Seq, s.Service)
		}
	}
}

func TestCollectorBoundsCauses(t *testing.T) {
	c := newCollector(0)
	for i := range uint64(1000) {
		c.absorb(nil, []sample{answer(i, 0, ms, client.Unknown, time.Duration(i).String())})
	}
	if n := len(c.causes); n > keptCauses+1 {
		t.Errorf("%d causes", n)
	}
	total := uint64(0)
	for _, k := range c.causes {
		total += k.n
	}
	if total != 1000 {
		t.Errorf("%d counted", total)
	}
}

// What a lane hands on late, and long silences, must neither be lost nor crash.
func TestCollectorTakesWhatComesLate(t *testing.T) {
	c := newCollector(0)
	c.absorb(nil, []sample{answer(0, 0, 10*ms, client.Acked, "202")})
	c.tick(100 * time.Second)
	c.absorb(nil, []sample{answer(1, 0, 20*ms, client.Acked, "202"), answer(2, 0, 99900*ms, client.Acked, "202")})
	c.finish(101 * time.Second)
	acked := uint64(0)
	for i, p := range c.series.points {
		acked += p.Acked
		if p.At != time.Duration(i)*time.Second {
			t.Fatalf("point %d is at %s", i, p.At)
		}
	}
	if acked != 3 || len(c.series.points) != 102 {
		t.Errorf("%d acked in %d points", acked, len(c.series.points))
	}
}

func TestSeriesIsBounded(t *testing.T) {
	var s series
	const seconds = 10*seriesMost + 3
	for i := range seconds {
		s.add(Second{At: time.Duration(i) * time.Second, Width: time.Second, Acked: 1, P99: time.Duration(i)})
	}
	if len(s.points) > seriesMost {
		t.Errorf("%d points", len(s.points))
	}
	at, acked := time.Duration(0), uint64(0)
	for _, p := range s.points {
		if p.At != at {
			t.Fatalf("a point is at %s, want %s", p.At, at)
		}
		at += p.Width
		acked += p.Acked
		if p.P99 != time.Duration(at/time.Second)-1 {
			t.Fatalf("the point at %s has p99 %d, want the largest", p.At, p.P99)
		}
	}
	if acked != seconds || at != seconds*time.Second {
		t.Errorf("%d acked in %s", acked, at)
	}
}

func TestGaps(t *testing.T) {
	const failedOrder = -2
	type ack struct {
		at, due   time.Duration
		partition int32
	}
	every := func(from, to, step time.Duration, partition int32) (list []ack) {
		for at := from; at < to; at += step {
			list = append(list, ack{at + 5*ms, at, partition})
		}
		return list
	}
	join := func(lists ...[]ack) (all []ack) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	for _, tt := range []struct {
		name string
		acks []ack // of partition failedOrder: not acknowledged
		want []Gap
	}{
		{
			"an outage that is refused is one", join(every(0, time.Second, 10*ms, -1), every(time.Second, 4*time.Second, 10*ms, failedOrder), every(4*time.Second, 5*time.Second, 10*ms, -1)),
			[]Gap{{1000 * ms, 3000 * ms, -1}},
		},
		{
			"one that does not end is one", join(every(0, time.Second, 10*ms, -1), every(time.Second, 4*time.Second, 10*ms, failedOrder)),
			[]Gap{{1000 * ms, 2990 * ms, -1}},
		},
		{
			"one that does not answer is one", join(every(0, time.Second, 10*ms, -1), []ack{{11 * time.Second, time.Second, failedOrder}, {11500 * ms, 1500 * ms, failedOrder}}),
			[]Gap{{1000 * ms, 10500 * ms, -1}},
		},
		{"refusals among acknowledgements have none", join(every(0, 3*time.Second, 20*ms, -1), every(10*ms, 3*time.Second, 20*ms, failedOrder)), nil},
		{"steady answers have none", every(0, 3*time.Second, 10*ms, -1), nil},
		{"nor has a slow schedule", every(0, 30*time.Second, 3*time.Second, -1), nil},
		{
			"a stall is one", join(every(0, time.Second, 10*ms, -1), []ack{{2500 * ms, time.Second, -1}}, every(2500*ms, 4*time.Second, 10*ms, -1)),
			[]Gap{{1000 * ms, 1500 * ms, -1}},
		},
		{
			"a stall longer than the ring is one", join(every(0, time.Second, 10*ms, -1), []ack{{31 * time.Second, time.Second, -1}}),
			[]Gap{{1000 * ms, 30 * time.Second, -1}},
		},
		{
			"a partition without its leader is named", join(every(0, 3*time.Second, 10*ms, 0), every(0, time.Second, 10*ms, 1), []ack{{1800 * ms, time.Second, 1}}, every(1800*ms, 3*time.Second, 10*ms, 1)),
			[]Gap{{1000 * ms, 800 * ms, 1}},
		},
		{
			"where all are silent none is named", join(every(0, time.Second, 10*ms, 0), every(0, time.Second, 10*ms, 1), []ack{{2 * time.Second, time.Second, 0}, {2 * time.Second, time.Second, 1}}),
			[]Gap{{1000 * ms, 1000 * ms, -1}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGaps()
			for now := time.Duration(0); now < 40*time.Second; now += tick {
				for _, a := range tt.acks {
					if a.at >= now && a.at < now+tick {
						if a.partition == failedOrder {
							g.failed(a.at, a.due)
							continue
						}
						g.ack(a.at, a.due, a.partition)
					}
				}
				g.closeTo(now)
			}
			g.end()
			if diff := cmp.Diff(tt.want, g.found); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whose is the waiting? Two lanes; jobs are due, taken and answered as the row says.
func TestQueueTellsWhoseTheWaitingIs(t *testing.T) {
	q := newQueue(newFlow())
	take := func(freed time.Duration) time.Duration {
		t.Helper()
		j, ok := q.pop(freed)
		if !ok {
			t.Fatal("queue is closed")
		}
		return j.available
	}
	q.push([]Job{{0, 1, 0}, {1, 1, ms}, {2, 1, 2 * ms}, {3, 1, 3 * ms}}, 3*ms)
	if q.waiting() != 4 {
		t.Errorf("%d wait", q.waiting())
	}
	// One of the lanes is so busy that it takes all: the other one has been free
	// since the start, and so the second job has waited for us, not for a lane.
	q.mu.Lock()
	q.free.push(0)
	q.mu.Unlock()
	for i, tt := range []struct{ freed, available time.Duration }{{0, 0}, {5 * ms, 0}, {6 * ms, 5 * ms}, {9 * ms, 6 * ms}} {
		if got := take(tt.freed); got != tt.available {
			t.Errorf("job %d could be taken from %s on, want %s", i, got, tt.available)
		}
	}
	q.close()
	if _, ok := q.pop(0); ok {
		t.Error("a closed queue gave a job")
	}
}

func TestQueueKeepsTheOrderAndGivesBackTheRest(t *testing.T) {
	f := newFlow()
	q := newQueue(f)
	for i := range uint64(100) {
		q.push([]Job{{i, 2, 0}}, 0)
	}
	for i := range uint64(40) {
		if j, _ := q.pop(0); j.Seq != i {
			t.Fatalf("job %d came as the %dth", j.Seq, i)
		}
	}
	left := q.abandon()
	if len(left) != 60 || left[0].Seq != 40 || left[59].Seq != 99 {
		t.Errorf("%d left", len(left))
	}
	if f.maxWaiting.Load() != 200 || f.taken.Load() != 80 {
		t.Errorf("%d waited, %d taken", f.maxWaiting.Load(), f.taken.Load())
	}
}
