//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordersctl/ordersctl/e2e/kafka"
	"github.com/ordersctl/ordersctl/e2e/traffic"
)

// clients post as fast as they are answered, every order an order of its own,
// until the function that is given is called; it gives all samples.
func clients(s *server, n int, name string, accepted *atomic.Int64) (stop func() []sample) {
	var (
		mu      sync.Mutex
		all     []sample
		working sync.WaitGroup
		over    atomic.Bool
	)
	for i := range n {
		working.Go(func() {
			c := traffic.Conn{Addr: s.addr()}
			defer c.Close()
			var mine []sample
			for seq := 0; !over.Load(); seq++ {
				one := order(s.t.Context(), &c, fmt.Sprintf("%s-%d-%d", name, i, seq), "")
				mine = append(mine, one)
				if one.err != nil {
					break // nobody is there any more
				}
				if one.code == 202 {
					accepted.Add(1)
				}
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	return func() []sample {
		over.Store(true)
		working.Wait()
		return all
	}
}

func TestKilledTwentyTimesUnderLoadEveryAcceptedOrderIsThere(t *testing.T) {
	t.Parallel()
	const rounds, least = 20, 200
	k := kafka.Start(t, kafka.Options{Brokers: 1})
	run(t, k.Bootstrap(), "topic", "create", "orders")
	config := settings(t, "")
	var all []sample
	inTheMiddle := 0
	for round := range rounds {
		s := serve(t, k.Bootstrap(), "--config", config)
		var accepted atomic.Int64
		stop := clients(s, 32, fmt.Sprint("kill", round), &accepted)
		eventually(t, fmt.Sprintf("%d orders are accepted in round %d", least, round), func() bool { return accepted.Load() >= least })
		pause(t, time.Duration(rand.Int64N(int64(300*time.Millisecond))))
		if err := s.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = s.end() // collects it; it was killed
		for _, one := range stop() {
			if one.err != nil {
				inTheMiddle++
			}
			all = append(all, one)
		}
	}
	records := readAll(t, k.Bootstrap(), "orders")
	acked, _, _ := judge(t, attemptsOf(all), records)
	everyAcceptedOrderIsThere(t, all, records)
	t.Logf("%d rounds: %d orders accepted, %d requests without an answer, %d records", rounds, acked, inTheMiddle, len(records))
	if acked < rounds*least || inTheMiddle < rounds {
		t.Errorf("%d accepted, %d without an answer: it was not killed in the middle", acked, inTheMiddle)
	}
}
