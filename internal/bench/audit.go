package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
)

const (
	// denseKeys is up to where each key has a place of its own in an array (16
	// bytes); with more keys than orders a map of those that occur is smaller.
	denseKeys = 4 << 20
	// suspectsKept bounds the records of the run that can't be told whose they are.
	suspectsKept = 64 << 10
	noOrder      = math.MaxUint64
)

// audit holds records against the ledger. Its readers work at the same time,
// each on partitions of its own; when they have ended, verdict counts.
type audit struct {
	topic  string
	run    string
	n      uint64 // orders of the run
	ledger *Ledger
	source Source

	idStart []byte // `{"id":"b-RUN-`, how every canonical order of the run begins
	user    []byte // `"b-RUN-`, a user id or an order id of the run anywhere
	keyOf   []byte // `b-RUN-k`, how the key of every record begins
	ordered bool   // orders share keys
	steady  bool   // the topic kept its number of partitions, so no key may move
	dense   []keyState
	firstIn []atomic.Int32 // partition + 1 of each order's first intact record, where keys may be scattered
	kept    *Kept          // nil where no database is audited
}

// keyState is what was read of one key: the latest sent of its orders. It is
// written by the reader of the partition that it was first seen in.
type keyState struct {
	owner  atomic.Int32 // partition + 1
	first  uint32       // orders whose first intact record stands there
	latest time.Duration
}

// reader is the part of an audit that one goroutine has for itself.
type reader struct {
	*audit
	dec *order.Decoder
	buf []byte

	sparse   map[partKey]int // of keys that dense has no room for, where parts has theirs
	parts    []part
	copies   map[copyIn]uint64 // their keys
	suspects map[spot]uint64   // damaged, and whose is not certain

	records, others                  uint64
	duplicated, reordered, corrupted uint64
	elsewhere                        int64 // orders
	examples                         []Breach
	told                             map[string]int // examples of each kind
}

type partKey struct {
	partition int32
	key       uint64
}

// newAudit judges the n first orders of source. keys is how many keys they
// have, 0 where every order has one of its own.
func newAudit(topic, run string, n, keys uint64, l *Ledger, src Source) *audit {
	l.forget()
	a := &audit{
		topic: topic, run: run, n: n, ledger: l, source: src, ordered: keys > 0,
		idStart: []byte(`{"id":"b-` + run + `-k`),
		user:    []byte(`"b-` + run + `-`),
		keyOf:   []byte(`b-` + run + `-k`),
	}
	if a.ordered {
		a.firstIn = make([]atomic.Int32, n) // untouched memory costs nothing
	}
	if keys <= denseKeys {
		a.dense = make([]keyState, keys)
	}
	return a
}

func (a *audit) newReader() *reader {
	return &reader{
		audit: a, dec: order.NewDecoder(order.Rules{}),
		sparse: map[partKey]int{}, copies: map[copyIn]uint64{}, suspects: map[spot]uint64{}, told: map[string]int{},
	}
}

// record judges one record. Those of a partition have to come in their order.
func (r *reader) record(at spot, key, value []byte) {
	r.records++
	id, seq, ok := r.canonical(value)
	if ok && seq < r.n {
		// Orders are a function of their number: what was sent is made again and
		// compared, nothing of it was stored and nothing need be decoded.
		r.buf = r.source.Append(r.buf[:0], seq)
		if bytes.Equal(value, r.buf) && bytes.Equal(key, id) {
			r.intact(at, seq, keyNumber(id[len(r.keyOf):]))
			return
		}
	}
	r.odd(at, key, value)
}

// canonical finds id and number of an order of the run in canonical form.
func (r *reader) canonical(value []byte) (id []byte, seq uint64, ok bool) {
	if !bytes.HasPrefix(value, r.idStart) {
		return nil, 0, false
	}
	const before, between = `{"id":"`, `,"user_id":`
	end := bytes.IndexByte(value[len(before):], '"')
	if end < 0 {
		return nil, 0, false
	}
	id = value[len(before) : len(before)+end]
	rest := value[len(before)+end+1:]
	if !bytes.HasPrefix(rest, []byte(between)) || !bytes.HasPrefix(rest[len(between):], r.user) {
		return nil, 0, false
	}
	digits := rest[len(between)+len(r.user):]
	end = bytes.IndexByte(digits, '"')
	if end <= 0 {
		return nil, 0, false
	}
	return id, number(digits[:end]), true
}

// number reads digits, with any zeros in front; what is not a number is larger
// than any order's.
func number(b []byte) uint64 {
	if len(b) == 0 {
		return math.MaxUint64
	}
	n := uint64(0)
	for _, c := range b {
		if c < '0' || c > '9' || n > math.MaxUint64/20 {
			return math.MaxUint64
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// keyNumber reads the number that an order's id has behind b-RUN-k.
func keyNumber(b []byte) uint64 {
	end := 0
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		end++ // what follows only fills the id up to a size
	}
	return number(b[:end])
}

// intact is a record that is what was sent.
func (r *reader) intact(at spot, seq, key uint64) {
	e := r.ledger.look(seq)
	if e == nil {
		r.corrupt(at, seq, "the run sent no such order")
		return
	}
	r.kept.set(at, seq)
	line := e.read()
	told := spot{line.Partition, line.Offset}
	switch e.find(foundIntact) {
	case foundNot:
		if line.Offset >= 0 && told != at {
			r.elsewhere++
		}
		r.promised(at, seq, e)
		r.inOrder(at, seq, key, e)
		r.count(at.partition, seq, key, false)
	case foundDamaged:
		r.follow(at.partition, key, line.Sent)
		r.count(at.partition, seq, key, false)
	case foundIntact:
		if told == at {
			r.elsewhere-- // the other one was the copy
		}
		r.duplicated++
		r.count(at.partition, seq, key, true)
		r.example(kindDuplicated, at, seq, "")
	}
}

// promised names an order that is there though the client was told that it is
// not. The verdict counts them.
func (r *reader) promised(at spot, seq uint64, e *entry) {
	switch state := e.read().State; state {
	case NotWritten, Dropped, Unsent:
		r.example(kindNotWrittenFound, at, seq, "was "+state.String())
	}
}

// inOrder holds an order's first record against those of its key that stand
// before it in the partition.
func (r *reader) inOrder(at spot, seq, key uint64, e *entry) {
	if !r.ordered {
		return
	}
	line := e.read()
	latest, found := r.latestOf(at.partition, key)
	if line.State == Acked && found && *latest > line.Answered {
		if r.reordered++; r.told[kindReordered] < examplesOfKind { // a log of breaches is no reason to be slow
			r.example(kindReordered, at, seq, fmt.Sprintf("acknowledged %s before an order of its key was sent that stands before it", *latest-line.Answered))
		}
	}
	*latest = max(*latest, line.Sent)
}

// follow holds what stands behind a record against it, though itself it is held
// against nothing.
func (r *reader) follow(partition int32, key uint64, sent time.Duration) {
	if !r.ordered {
		return
	}
	latest, _ := r.latestOf(partition, key)
	*latest = max(*latest, sent)
}

// latestOf is the latest time at which an order of the key was sent, of those
// read so far in the partition. It is good until the next call.
func (r *reader) latestOf(partition int32, key uint64) (latest *time.Duration, found bool) {
	if key < uint64(len(r.dense)) {
		k := &r.dense[key]
		// A key in two partitions (their number was changed meanwhile) is judged
		// in each by itself: the second one's goes to the map.
		if k.owner.CompareAndSwap(0, partition+1) {
			return &k.latest, false
		}
		if k.owner.Load() == partition+1 {
			return &k.latest, true
		}
	}
	i, found := r.sparse[partKey{partition, key}]
	if !found {
		i = len(r.parts)
		r.parts = append(r.parts, part{})
		r.sparse[partKey{partition, key}] = i
	}
	return &r.parts[i].latest, found
}

// odd is a record that is not, byte for byte, an order of the run: somebody
// else's, one of ours in another writing of the same, or a damaged one.
func (r *reader) odd(at spot, key, value []byte) {
	o, err := r.dec.Decode(value)
	if err != nil {
		r.broken(at, key, value, "not an order: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	run, seq, ok := ParseUserID(o.UserID)
	switch {
	case !ok || run != r.run:
		r.broken(at, key, value, "user_id is not one of the run")
	case seq >= r.n || r.ledger.look(seq) == nil:
		r.corrupt(at, seq, "the run sent no such order")
	default:
		r.compare(at, seq, key, &o)
	}
}

// compare holds an order against the one that was sent. A server that writes
// the same order another way did nothing wrong.
func (r *reader) compare(at spot, seq uint64, key []byte, o *order.Order) {
	sent := r.source.Order(seq)
	if diff := difference(&sent, o); diff != "" {
		r.damaged(at, seq, diff)
		return
	}
	if string(key) != o.ID {
		r.damaged(at, seq, fmt.Sprintf("key is %q, not the order's id %q", cut(key), o.ID))
		return
	}
	r.intact(at, seq, r.source.Key(seq))
}

// difference names the first field that is not as it was sent.
func difference(sent, got *order.Order) string {
	field := func(name string, sent, got any) string {
		return fmt.Sprintf("%s: sent %v, log %v", name, sent, got)
	}
	switch {
	case sent.ID != got.ID:
		return field("id", sent.ID, got.ID)
	case sent.UserID != got.UserID:
		return field("user_id", sent.UserID, got.UserID)
	case sent.Total != got.Total:
		return field("total", sent.Total, got.Total)
	case sent.Status != got.Status:
		return field("status", sent.Status, got.Status)
	case !sent.Timestamp.Equal(got.Timestamp):
		return field("timestamp", sent.Timestamp.Format(time.RFC3339Nano), got.Timestamp.Format(time.RFC3339Nano))
	}
	return ""
}

// broken is a record that names no order of the run as a user id. Where
// anything in it names the run it is one of ours.
func (r *reader) broken(at spot, key, value []byte, why string) {
	ours := bytes.HasPrefix(key, r.keyOf)
	for rest := value; ; {
		_, after, found := bytes.Cut(rest, r.user)
		if !found {
			break
		}
		ours, rest = true, after
		if end := bytes.IndexByte(rest, '"'); end > 0 && number(rest[:end]) < r.n {
			r.damaged(at, number(rest[:end]), why)
			return
		}
	}
	if !ours {
		r.others++
		return
	}
	r.suspect(at, noOrder, why)
}

// damaged is a record that says which order it is and is not what was sent. It
// counts as found, unless the acknowledgement told another place: then it may
// be the name that was altered.
func (r *reader) damaged(at spot, seq uint64, why string) {
	e := r.ledger.look(seq)
	if e == nil {
		r.corrupt(at, seq, why)
		return
	}
	if line := e.read(); line.Offset >= 0 && (spot{line.Partition, line.Offset}) != at {
		r.suspect(at, seq, why)
		return
	}
	if e.find(foundDamaged) == foundNot {
		r.promised(at, seq, e)
	}
	// Its place in the order of its key is judged for the others' sake.
	r.follow(at.partition, r.source.Key(seq), e.read().Sent)
	r.corrupt(at, seq, why)
}

// suspect is a damaged record of which it is not certain whose it is; the
// verdict looks whether an order was acknowledged at its place.
func (r *reader) suspect(at spot, seq uint64, why string) {
	if len(r.suspects) < suspectsKept {
		r.suspects[at] = seq
	}
	r.corrupt(at, seq, why)
}

func (r *reader) corrupt(at spot, seq uint64, why string) {
	r.corrupted++
	if seq == noOrder {
		r.tell(Breach{Kind: kindCorrupted, Where: at.in(r.topic), Detail: why})
		return
	}
	r.example(kindCorrupted, at, seq, why)
}

func (r *reader) example(kind string, at spot, seq uint64, why string) {
	if r.told[kind] < examplesOfKind {
		r.tell(r.named(kind, at, seq, why))
	}
}

func (r *reader) tell(b Breach) {
	if r.told[b.Kind]++; r.told[b.Kind] <= examplesOfKind {
		r.examples = append(r.examples, b)
	}
}

func (a *audit) named(kind string, at spot, seq uint64, why string) Breach {
	user := fmt.Sprintf("b-%s-%d", a.run, seq)
	if seq < a.n {
		o := a.source.Order(seq)
		user = o.UserID
	}
	return Breach{Kind: kind, UserID: user, Where: at.in(a.topic), Detail: why}
}

// cut is the beginning of bytes from outside, for a message.
func cut(b []byte) []byte { return b[:min(len(b), 64)] }

// verdict counts, when every record was given to one of the readers.
func (a *audit) verdict(readers []*reader) Integrity {
	var sum Integrity
	elsewhere := int64(0)
	suspects := map[spot]uint64{}
	for _, r := range readers {
		sum.Records += r.records
		sum.Others += r.others
		sum.Duplicated += r.duplicated
		sum.Reordered += r.reordered
		sum.Corrupted += r.corrupted
		elsewhere += r.elsewhere
		sum.Examples = append(sum.Examples, r.examples...)
		maps.Copy(suspects, r.suspects)
	}
	a.identify(suspects)
	for seq := range a.n {
		a.settle(seq, &sum)
	}
	a.scattered(readers, &sum)
	sum.Elsewhere = uint64(max(elsewhere, 0))
	sum.Expected = sum.Acked - sum.NotJudged + sum.UnknownWritten
	if other := a.ledger.other.Load(); other != nil && sum.NotJudged > 0 {
		sum.OtherTopic = *other
	}
	sum.Examples = firstOfEachKind(sum.Examples)
	return sum
}

// identify finds out whose the damaged records are: the order's that was
// acknowledged at their place, else the one's that they name.
func (a *audit) identify(suspects map[spot]uint64) {
	for seq := uint64(0); seq < a.n && len(suspects) > 0; seq++ {
		e := a.ledger.look(seq)
		if e == nil || e.found() != foundNot {
			continue
		}
		line := e.read()
		at := spot{line.Partition, line.Offset}
		if _, there := suspects[at]; there && line.Offset >= 0 {
			e.find(foundDamaged)
			delete(suspects, at)
		}
	}
	for _, seq := range suspects {
		if e := a.ledger.look(seq); e != nil {
			e.find(foundDamaged)
		}
	}
}

// settle holds one order of the ledger against what was found.
func (a *audit) settle(seq uint64, sum *Integrity) {
	e := a.ledger.look(seq)
	if e == nil {
		return
	}
	line := e.read()
	at := spot{line.Partition, line.Offset}
	found := e.found() != foundNot
	switch line.State {
	case Acked:
		sum.Acked++
		if found {
			e.inTopic() // the database is held against what the log has
			return
		}
		if e.sent.Load()&otherTopic != 0 {
			sum.NotJudged++
			return
		}
		if sum.Lost++; sum.Lost <= examplesOfKind {
			sum.Examples = append(sum.Examples, a.named(kindLost, at, seq, "acknowledged "+short(line.Answered)+" after the start"))
		}
	case Unknown, Open:
		if found {
			sum.UnknownWritten++
		} else {
			sum.UnknownAbsent++
		}
	default:
		if found {
			sum.NotWrittenFound++
		}
	}
}

// firstOfEachKind sorts examples by kind and keeps some of each.
func firstOfEachKind(all []Breach) []Breach {
	order := kinds()
	slices.SortStableFunc(all, func(a, b Breach) int {
		return cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind))
	})
	kept, of := make([]Breach, 0, len(all)), map[string]int{}
	for _, b := range all {
		if of[b.Kind]++; of[b.Kind] <= examplesOfKind {
			kept = append(kept, b)
		}
	}
	return kept
}
