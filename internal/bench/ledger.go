package bench

import (
	"sync/atomic"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

const (
	chunkBits = 16
	chunkSize = 1 << chunkBits // entries
	chunkMask = chunkSize - 1

	// LedgerLimit bounds a ledger whose run has no end of its own: 1.5 GiB.
	LedgerLimit = 64 << 20

	// LedgerBytes is what the ledger keeps of one order: 22.9 MiB a million.
	LedgerBytes = 24
)

// State is what became of one order.
type State uint8

// The states. Open is sent and not answered yet; what is still open when a run
// has ended counts as unknown. Dropped was due and never sent, because too many
// were in flight.
const (
	Unsent State = iota
	Open
	Acked
	NotWritten
	Unknown
	Dropped
)

// String is the state as results write it.
func (s State) String() string {
	switch s {
	case Open:
		return "open"
	case Acked:
		return string(client.Acked)
	case NotWritten:
		return string(client.NotWritten)
	case Unknown:
		return string(client.Unknown)
	case Dropped:
		return "dropped"
	default:
		return "unsent"
	}
}

func stateOf(o client.Outcome) State {
	switch o {
	case client.Acked:
		return Acked
	case client.NotWritten:
		return NotWritten
	}
	return Unknown
}

// Ledger holds what became of every order of a run, by its number. It is safe
// for concurrent use and takes no lock: an entry is written by one goroutine at
// a time, and may be read by others meanwhile.
type Ledger struct {
	max    uint64
	chunks []atomic.Pointer[chunk]

	// Orders whose receipts name another topic than the one that is read back,
	// and the first such topic.
	elsewhere atomic.Uint64
	other     atomic.Pointer[string]
}

type chunk [chunkSize]entry

// entry is three words. Times are nanoseconds since the start of the run.
type entry struct {
	sent     atomic.Uint64 // sent << 8 | elsewhere << 6 | found << 4 | state; 56 bits are two years
	answered atomic.Uint64
	place    atomic.Uint64 // (partition + 1) << 48 | offset; 0 where no place was told
}

const (
	stateBits  = 0x0f
	foundBits  = 0x30
	foundShift = 4
	otherTopic = 0x40 // its receipt names another topic
	sentShift  = 8
	placeShift = 48
)

// found is what the log had of an order.
type found uint8

const (
	foundNot     found = iota
	foundDamaged       // only with other content than was sent
	foundIntact
)

// Entry is one order's line in the ledger.
type Entry struct {
	State          State
	Sent, Answered time.Duration // since the run's start; Answered is 0 where no answer came
	Partition      int32         // -1 where the answer did not tell the place
	Offset         int64
}

// NewLedger has room for max orders, or for LedgerLimit where max is 0.
// Memory is taken as the run goes on.
func NewLedger(limit uint64) *Ledger {
	if limit == 0 {
		limit = LedgerLimit
	}
	l := &Ledger{max: limit, chunks: make([]atomic.Pointer[chunk], (limit+chunkMask)>>chunkBits)}
	l.prepare(0)
	l.prepare(1)
	return l
}

// Max is how many orders there is room for. What is beyond it is not kept: a
// run ends before.
func (l *Ledger) Max() uint64 { return l.max }

// Sent books that an order is about to leave.
func (l *Ledger) Sent(seq uint64, at time.Duration) {
	e := l.at(seq)
	if e == nil {
		return
	}
	e.sent.Store(uint64(max(at, 0))<<sentShift | uint64(Open))
	if seq&chunkMask == chunkSize/2 {
		// The next chunk while this one has room, so that nobody waits for it
		// when it is needed.
		l.prepare(seq>>chunkBits + 1)
	}
}

// Settle books what became of an order. Without a place offset is -1.
func (l *Ledger) Settle(seq uint64, o client.Outcome, at time.Duration, partition int32, offset int64) {
	e := l.at(seq)
	if e == nil {
		return
	}
	const widest = 1<<(64-placeShift) - 2
	if offset >= 0 && offset < 1<<placeShift && partition >= 0 && partition <= widest {
		e.place.Store(uint64(partition+1)<<placeShift | uint64(offset))
	}
	e.answered.Store(uint64(max(at, 0)))
	e.sent.Store(e.sent.Load()&^stateBits | uint64(stateOf(o)))
}

// Elsewhere books that an order was acknowledged in another topic.
func (l *Ledger) Elsewhere(seq uint64, topic string) {
	if e := l.at(seq); e != nil {
		e.sent.Or(otherTopic)
	}
	if l.elsewhere.Add(1) == 1 {
		l.other.Store(&topic)
	}
}

// inTopic books that an order was found whatever its receipt has named.
func (e *entry) inTopic() {
	if e.sent.Load()&otherTopic != 0 {
		e.sent.And(^uint64(otherTopic))
	}
}

// Drop books that an order was due and not sent.
func (l *Ledger) Drop(seq uint64) {
	if e := l.at(seq); e != nil {
		e.sent.Store(e.sent.Load()&^stateBits | uint64(Dropped))
	}
}

// Entry reads an order's line. One that was never booked is Unsent.
func (l *Ledger) Entry(seq uint64) Entry {
	e := l.look(seq)
	if e == nil {
		return Entry{Partition: -1, Offset: -1}
	}
	return e.read()
}

func (e *entry) read() Entry {
	out := Entry{Partition: -1, Offset: -1}
	word := e.sent.Load()
	out.State = State(word & stateBits)
	out.Sent = time.Duration(word >> sentShift)
	out.Answered = time.Duration(e.answered.Load())
	if place := e.place.Load(); place != 0 {
		out.Partition = int32(place>>placeShift) - 1
		out.Offset = int64(place & (1<<placeShift - 1))
	}
	return out
}

// find books that the log has the order and gives what was booked before.
// Intact outranks damaged.
func (e *entry) find(as found) (before found) {
	for {
		word := e.sent.Load()
		before = found(word & foundBits >> foundShift)
		if before >= as || e.sent.CompareAndSwap(word, word&^foundBits|uint64(as)<<foundShift) {
			return before
		}
	}
}

func (e *entry) found() found { return found(e.sent.Load() & foundBits >> foundShift) }

// forget takes back what find booked, for another reading of the log.
func (l *Ledger) forget() {
	for i := range l.chunks {
		if c := l.chunks[i].Load(); c != nil {
			for k := range c {
				c[k].sent.And(^uint64(foundBits))
			}
		}
	}
}

// look gives the entry where there is one.
func (l *Ledger) look(seq uint64) *entry {
	if seq >= l.max {
		return nil
	}
	c := l.chunks[seq>>chunkBits].Load()
	if c == nil {
		return nil
	}
	return &c[seq&chunkMask]
}

// at gives the entry, and makes its chunk where that is not there.
func (l *Ledger) at(seq uint64) *entry {
	if seq >= l.max {
		return nil
	}
	c := l.chunks[seq>>chunkBits].Load()
	if c == nil {
		c = l.prepare(seq >> chunkBits)
	}
	return &c[seq&chunkMask]
}

// prepare makes a chunk. Of several goroutines at once one wins.
func (l *Ledger) prepare(i uint64) *chunk {
	if i >= uint64(len(l.chunks)) {
		return nil
	}
	if c := l.chunks[i].Load(); c != nil {
		return c
	}
	l.chunks[i].CompareAndSwap(nil, new(chunk))
	return l.chunks[i].Load()
}
