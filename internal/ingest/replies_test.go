package ingest

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

func TestWhatARepeatIsToldFollowsFromTheFirst(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	key, order, other := digestOf("k"), digestOf("order"), digestOf("other")
	for name, c := range map[string]struct {
		first func(*replies, *reply)
		same  verdict
		other verdict
		after time.Duration
	}{
		"outstanding":       {func(*replies, *reply) {}, verdictWait, verdictConflict, 0},
		"outstanding, aged": {func(*replies, *reply) {}, verdictWait, verdictConflict, time.Hour},
		"acknowledged":      {func(r *replies, at *reply) { r.settle(at, client.Acked, 1, 2, now) }, verdictReplay, verdictConflict, time.Minute},
		"forgotten":         {func(r *replies, at *reply) { r.settle(at, client.Acked, 1, 2, now) }, verdictFresh, verdictWait, 11 * time.Minute},
		"not written":       {func(r *replies, at *reply) { r.settle(at, client.NotWritten, 0, 0, now) }, verdictFresh, verdictConflict, 0},
		"unknown":           {func(r *replies, at *reply) { r.settle(at, client.Unknown, 0, 0, now) }, verdictFresh, verdictConflict, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplies(10*time.Minute, 1000)
			at, v := r.begin(key, order, now)
			if v != verdictFresh {
				t.Fatalf("the first is %s", v)
			}
			c.first(r, at)
			if _, v := r.begin(key, order, now.Add(c.after)); v != c.same {
				t.Errorf("the same order is %s, want %s", v, c.same)
			}
			if name == "forgotten" {
				return // the repeat has booked the key anew
			}
			if _, v := r.begin(key, other, now.Add(c.after)); v != c.other {
				t.Errorf("another order is %s, want %s", v, c.other)
			}
		})
	}
}

func TestAfterUnknownNothingIsNotWrittenAnyMore(t *testing.T) {
	now := time.Now()
	r := newReplies(time.Minute, 1000)
	key, order := digestOf("k"), digestOf("o")
	at, _ := r.begin(key, order, now)
	r.settle(at, client.Unknown, 0, 0, now)
	for range 3 {
		again, v := r.begin(key, order, now)
		if v != verdictFresh || !again.tainted() {
			t.Fatalf("the repeat is %s, %+v", v, again)
		}
		r.settle(again, client.NotWritten, 0, 0, now)
		if again.outcome != client.Unknown {
			t.Fatalf("it ended as %s", again.outcome)
		}
	}
	last, _ := r.begin(key, order, now)
	r.settle(last, client.Acked, 2, 7, now)
	if got, v := r.begin(key, order, now); v != verdictReplay || got.partition != 2 || got.offset != 7 {
		t.Errorf("got %s %+v", v, got)
	}
}

func TestMemoryIsBoundedAndTheOutstandingStay(t *testing.T) {
	const most = 10 * replyShards
	now := time.Now()
	r := newReplies(time.Hour, most)
	open := map[digest]*reply{}
	for i := 0; len(open) < most/2; i++ {
		key := digestOf("open", strconv.Itoa(i))
		if at, v := r.begin(key, key, now); v == verdictFresh {
			open[key] = at
		}
	}
	full := 0
	for i := range 10 * most {
		key := digestOf("done", strconv.Itoa(i))
		at, v := r.begin(key, key, now)
		if v == verdictFull {
			full++
			continue
		}
		r.settle(at, client.Acked, 0, 0, now)
	}
	held := 0
	for i := range r.shards {
		held += len(r.shards[i].byKey)
	}
	if held > most {
		t.Errorf("%d are held, the limit is %d", held, most)
	}
	for key := range open {
		if _, v := r.begin(key, key, now); v != verdictWait {
			t.Errorf("one that is outstanding is %s", v)
		}
	}
	t.Logf("%d held, %d refused", held, full)
}

func TestOneOfManyAtOnceIsFresh(t *testing.T) {
	r := newReplies(time.Minute, 1000)
	key := digestOf("k")
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		count = map[verdict]int{}
	)
	for range 64 {
		wg.Go(func() {
			_, v := r.begin(key, key, time.Now())
			mu.Lock()
			defer mu.Unlock()
			count[v]++
		})
	}
	wg.Wait()
	if count[verdictFresh] != 1 || count[verdictWait] != 63 {
		t.Errorf("got %v", count)
	}
}

func TestTheEventIDFollowsFromClientOrderAndKey(t *testing.T) {
	// SHA-256 of "anonymous\x00a-1\x00k1\x00", its first 128 bits.
	const want = "a09df0abe16a2defb0debd3bbac4d280"
	if got := eventID("anonymous", "a-1", "k1"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	seen := map[string]bool{}
	for _, parts := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}} {
		seen[eventID(parts[0], parts[1], parts[2])] = true
	}
	if len(seen) != 4 {
		t.Errorf("parts run into each other: %v", seen)
	}
}

func TestKeysArePrintable(t *testing.T) {
	for key, ok := range map[string]bool{"": false, "k": true, "8e03978e-40d5-43dd-bc93-6894a57f9324": true, `"quoted"`: true, "a b": true,
		"tab\t": false, "\x00": false, "é": false, strings.Repeat("k", 128): true, strings.Repeat("k", 129): false} {
		if validKey(key) != ok {
			t.Errorf("key %q: want %v", key, ok)
		}
	}
}

func BenchmarkReplies(b *testing.B) {
	r := newReplies(time.Minute, maxReplies)
	now := time.Now()
	for i := 0; b.Loop(); i++ {
		key := digestOf("anonymous", strconv.Itoa(i))
		at, _ := r.begin(key, key, now)
		r.settle(at, client.Acked, 0, int64(i), now)
	}
}

func TestAKeyThatIsRepeatedWhileKafkaIsAwayTakesOnePlace(t *testing.T) {
	r := newReplies(10*time.Minute, 64)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	key, content := digestOf("c", "k"), digestOf("order")
	first, _ := r.begin(key, content, now)
	r.settle(first, client.Unknown, 0, 0, now)
	for range 1000 {
		again, what := r.begin(key, content, now)
		if what != verdictFresh || !again.tainted() {
			t.Fatalf("a repeat: %s, tainted %t", what, again.tainted())
		}
		r.settle(again, client.NotWritten, 0, 0, now) // refused before it was tried
		if again.outcome != client.Unknown {
			t.Fatalf("a repeat after unknown ended %s", again.outcome)
		}
	}
	s := r.shard(key)
	if len(s.aging) != 1 || len(s.byKey) != 1 {
		t.Errorf("%d aging and %d by key, want one", len(s.aging), len(s.byKey))
	}
	// It is forgotten in its time, also where that came while a repeat was under way.
	again, _ := r.begin(key, content, now)
	later := now.Add(11 * time.Minute)
	s.age(later.Add(-r.window))
	r.settle(again, client.NotWritten, 0, 0, later)
	s.age(later.Add(-r.window))
	if len(s.aging) != 0 || len(s.byKey) != 0 {
		t.Errorf("%d aging and %d by key after the window, want none", len(s.aging), len(s.byKey))
	}
}
