package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	headerReplayed       = "Idempotent-Replayed"
	maxIdempotencyKey    = 128

	// How long a repeat is answered from here. Later the database knows the
	// event by its id, which follows from the key.
	replyWindow = 10 * time.Minute
	// At about 200 bytes an entry this is 200 MiB at the most.
	maxReplies  = 1_000_000
	replyShards = 64
)

// replies remembers what became of orders that came with an Idempotency-Key,
// so that a repeat is answered as the first was and produces nothing. Its
// memory is bounded; it is this instance's alone and gone with it.
type replies struct {
	window   time.Duration
	perShard int
	shards   [replyShards]replyShard
}

type replyShard struct {
	mu    sync.Mutex // taken alone
	byKey map[digest]*reply
	aging []aged // settled ones, oldest first
}

// digest stands for what it is the SHA-256 of: 128 bits, so that no two keys
// of anybody meet.
type digest [16]byte

type aged struct {
	key     digest
	of      *reply
	settled time.Time
}

// reply is what is known under one key. The fields above done are written
// before done is closed and read by others only afterwards, or with the
// shard's lock.
type reply struct {
	key       digest
	content   digest // of the order's canonical form
	outcome   client.Outcome
	partition int32
	offset    int64
	settled   time.Time     // zero while the promise is outstanding
	before    *reply        // of an attempt under the key that ended unknown: never "not written" again
	aging     bool          // stands among the aging
	done      chan struct{} // closed when the promise came
}

// tainted says that an earlier attempt may be in the log.
func (r *reply) tainted() bool { return r.before != nil }

// verdict is what a request with a key has to do.
type verdict string

const (
	verdictFresh    verdict = "fresh"    // hand it to Kafka, then settle
	verdictReplay   verdict = "replayed" // answer as the first was answered
	verdictWait     verdict = "waited"   // the first one's promise is outstanding
	verdictConflict verdict = "conflict" // the key came with another order
	verdictFull     verdict = "full"     // nothing can be let go
)

func verdicts() []verdict {
	return []verdict{verdictFresh, verdictReplay, verdictWait, verdictConflict, verdictFull}
}

func newReplies(window time.Duration, most int) *replies {
	r := &replies{window: window, perShard: max(1, most/replyShards)}
	for i := range r.shards {
		r.shards[i].byKey = map[digest]*reply{}
	}
	return r
}

// begin books the key for this request, or says what became of it.
func (r *replies) begin(key, content digest, now time.Time) (*reply, verdict) {
	s := r.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.age(now.Add(-r.window))
	at := s.byKey[key]
	switch {
	case at == nil:
		if len(s.byKey) >= r.perShard && !s.letOneGo() {
			return nil, verdictFull
		}
		at = &reply{key: key, content: content, done: make(chan struct{})}
		s.byKey[key] = at
		return at, verdictFresh
	case at.content != content:
		return at, verdictConflict
	case at.settled.IsZero():
		return at, verdictWait
	case at.outcome == client.Acked:
		return at, verdictReplay
	}
	// Unknown, and its promise has come: tried again, under the same event id.
	again := &reply{key: key, content: content, before: at, done: make(chan struct{})}
	s.byKey[key] = again
	return again, verdictFresh
}

// settle is told once what became of a fresh one.
func (r *replies) settle(at *reply, outcome client.Outcome, partition int32, offset int64, now time.Time) {
	s := r.shard(at.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(at.done)
	if outcome == client.NotWritten && at.tainted() {
		// This attempt is not, the one before may be: all is as it was before this
		// one. It takes no place among the aging, or a key that is repeated while
		// Kafka is away would take one each time.
		at.outcome, at.settled = client.Unknown, now
		s.byKey[at.key] = at.before
		s.grow(at.before)
		return
	}
	at.before = nil
	at.outcome, at.partition, at.offset, at.settled = outcome, partition, offset, now
	if outcome == client.NotWritten {
		delete(s.byKey, at.key) // the key is free
		return
	}
	s.grow(at)
}

// grow puts a settled entry among the aging, once.
func (s *replyShard) grow(r *reply) {
	if !r.aging {
		r.aging = true
		s.aging = append(s.aging, aged{r.key, r, r.settled})
	}
}

func (r *replies) shard(key digest) *replyShard { return &r.shards[key[0]%replyShards] }

// age forgets what was settled before.
func (s *replyShard) age(before time.Time) {
	n := 0
	for n < len(s.aging) && s.aging[n].settled.Before(before) {
		s.forget(s.aging[n])
		n++
	}
	s.aging = s.aging[n:]
}

// letOneGo forgets the oldest; those whose promise is outstanding stay.
func (s *replyShard) letOneGo() bool {
	for len(s.aging) > 0 {
		oldest := s.aging[0]
		s.aging = s.aging[1:]
		if s.forget(oldest) {
			return true
		}
	}
	return false
}

// forget drops an entry unless another attempt took its place.
func (s *replyShard) forget(a aged) bool {
	a.of.aging = false
	if s.byKey[a.key] != a.of {
		return false
	}
	delete(s.byKey, a.key)
	return true
}

// digestOf is the first 128 bits of SHA-256 over the parts, each followed by a
// zero byte, which none of them can hold.
func digestOf(parts ...string) digest {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return digest(h.Sum(nil)[:len(digest{})])
}

// eventID names the event that a client's key stands for, the same in every
// instance and at any time.
func eventID(clientName, orderID, key string) string {
	d := digestOf(clientName, orderID, key)
	return hex.EncodeToString(d[:])
}

func validKey(key string) bool {
	if key == "" || len(key) > maxIdempotencyKey {
		return false
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}
