//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/e2e/kafka"
)

// back waits until a producer that is not ours has written to the topic
// "probe", and gives the moment. It begins anew at each try: what it measures
// is the broker, not the patience of a client that has seen it fail.
func back(t *testing.T, brokers string) <-chan time.Time {
	t.Helper()
	at := make(chan time.Time, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	go func() {
		defer close(at)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if writes(ctx, brokers) {
				at <- time.Now()
				return
			}
			<-tick.C
		}
	}()
	return at
}

func writes(ctx context.Context, brokers string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// Not idempotent: that asks for a producer id first.
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.DefaultProduceTopic("probe"), kgo.ProducerLinger(0),
		kgo.DisableIdempotentWrite(), kgo.MetadataMinAge(20*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
	if err != nil {
		return false
	}
	defer cl.Close()
	return cl.ProduceSync(ctx, kgo.StringRecord("are you there")).FirstErr() == nil
}

// TestABrokerAway offers 2,000 orders a second throughout.
func TestABrokerAway(t *testing.T) {
	for _, c := range []struct {
		name         string
		away         time.Duration
		leave, again func(*kafka.Cluster) error
	}{
		{"stopped where it stands", either(15*time.Second, 30*time.Second), func(k *kafka.Cluster) error { return k.Pause(1) }, func(k *kafka.Cluster) error { return k.Resume(1) }},
		// Its start takes 10 s and more beside this load.
		{"killed and started again", 15 * time.Second, func(k *kafka.Cluster) error { return k.Kill(1) }, func(k *kafka.Cluster) error { return k.Restart(t.Context(), 1) }},
	} {
		t.Run(c.name, func(t *testing.T) { outage(t, c.away, c.leave, c.again) })
	}
}

func outage(t *testing.T, away time.Duration, leave, again func(*kafka.Cluster) error) {
	const (
		rate  = 2000
		timer = 4 * time.Second
	)
	wantFiles(t, 12_000)
	k := kafka.Start(t, kafka.Options{Brokers: 1})
	run(t, k.Bootstrap(), "topic", "create", "orders")
	run(t, k.Bootstrap(), "topic", "create", "probe", "-p", "1")
	s := serve(t, k.Bootstrap(), "--timeout", timer.String(), "--config", settings(t, "serve:\n  breaker-after: 1s\nadmin:\n  pprof: true\n"))
	watch := s.watchMemory()
	begin := time.Now()
	end := s.offer(rate, rate*int(timer/time.Second))

	pause(t, 3*time.Second)
	gone := time.Now()
	if err := leave(k); err != nil {
		t.Fatal(err)
	}
	pause(t, away/2)
	middle := s.live(t)
	pause(t, away/2)
	still := s.live(t)
	returns := time.Now()
	probe := back(t, k.Bootstrap())
	if err := again(k); err != nil {
		t.Fatal(err)
	}
	there, ok := <-probe
	if !ok {
		t.Fatal("the broker did not come back")
	}
	pause(t, 5*time.Second)
	last := time.Now()
	offered := end()
	samples := offered.samples
	watch.end()
	records := readAll(t, k.Bootstrap(), "orders")

	acked, notWritten, unknown := judge(t, attemptsOf(samples), records)
	everyAcceptedOrderIsThere(t, samples, records)
	slowest := quantile(samples, 1, sample.answerTime)
	calm, peak := watch.peak(begin, gone), watch.peak(gone, last)
	t.Logf("%d orders offered, %d not; %d acked, %d not_written, %d unknown; slowest answer %s; broker back after %s, 202s from then on after %s; resident %.0f MiB, then at most %.0f; live in the middle %.1f MiB, at the end %.1f",
		len(samples), offered.skipped, acked, notWritten, unknown, slowest, there.Sub(returns), acceptingFrom(samples, returns).Sub(there), calm, peak, middle, still)
	phases(t, samples, watch, begin, gone, returns, there)
	if offered.skipped > len(samples)/100 {
		t.Errorf("%d orders were not offered, %d were: all connections waited", offered.skipped, len(samples))
	}
	if n := answersBy(samples)["no answer"]; n > 0 {
		t.Errorf("%d requests had no answer", n)
	}
	if slowest > timer+slack {
		t.Errorf("the slowest answer took %s, the timer is %s", slowest, timer)
	}
	if peak > calm+150 || still > middle+3 {
		t.Errorf("memory grew from %.0f MiB to %.0f; live in the middle of the outage %.1f MiB, at its end %.1f", calm, peak, middle, still)
	}
	if notWritten+unknown < rate {
		t.Error("hardly anything was refused: the broker was not away")
	}
	if after := acceptingFrom(samples, returns).Sub(there); after > 2*time.Second {
		t.Errorf("orders are accepted again %s after the broker was back", after)
	}
}

// acceptingFrom is the first moment from which on all that was sent for a second
// was accepted.
func acceptingFrom(samples []sample, from time.Time) time.Time {
	slices.SortFunc(samples, func(a, b sample) int { return a.sent.Compare(b.sent) })
	since := time.Time{}
	for _, s := range samples {
		switch {
		case s.sent.Before(from):
		case s.err != nil || s.code != 202:
			since = time.Time{}
		case since.IsZero():
			since = s.sent
		case s.sent.Sub(since) > time.Second:
			return since
		}
	}
	return time.Now()
}

// phases tells the answers second by second around the turns, for whoever
// reads a failure.
func phases(t *testing.T, samples []sample, watch *memory, begin, gone, returns, there time.Time) {
	t.Helper()
	seconds := map[int][]sample{}
	most := 0
	for _, s := range samples {
		at := int(s.sent.Sub(begin) / time.Second)
		seconds[at] = append(seconds[at], s)
		most = max(most, at)
	}
	var text strings.Builder
	for at := range most + 1 {
		from := begin.Add(time.Duration(at) * time.Second)
		fmt.Fprintf(&text, "\n%3d s: %v, slowest %s, %.0f MiB", at, answersBy(seconds[at]),
			quantile(seconds[at], 1, sample.answerTime).Round(time.Millisecond), watch.peak(from, from.Add(time.Second)))
	}
	t.Logf("gone at %s, let back at %s, there at %s%s", gone.Sub(begin), returns.Sub(begin), there.Sub(begin), text.String())
}
