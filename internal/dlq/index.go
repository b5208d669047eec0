package dlq

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// Index is what is kept of the letters that a [Filter] means: about 150 bytes
// for each, so a million letters are 150 MB.
type Index struct {
	Topic    string
	Foreign  int // records of the topic that are neither letters nor marks
	Twice    int // letters that a crash wrote again
	entries  []entry
	byOrigin map[originKey]int32
	marks    map[originKey]State // of letters that are not among the entries
	kinds    map[kind]*kindInfo
	topics   map[string]uint32
	// replayedTo is kept where letters are named: nobody asks it of a million.
	replayedTo map[originKey]string
}

// kind is what many letters have in common.
type kind struct {
	Topic, TopicID       string // of the origin
	Class, Reason, Group string
	Client               string
}

type kindInfo struct {
	kind
	matches bool // what the filter says
}

// originKey is an identity with its topic as a number.
type originKey struct {
	topic     uint32
	partition int32
	offset    int64
}

type entry struct {
	kind            *kindInfo
	first           *sink.Place // of a replayed record
	orderID         string
	failed          int64 // ms
	offset          int64 // of the letter
	originOffset    int64
	originTime      int64 // ms, 0 where it is not known
	partition       int32
	originPartition int32
	attempts        uint16
	replays         uint8
	state           State
}

func newIndex(topic string) *Index {
	return &Index{
		Topic: topic, byOrigin: map[originKey]int32{}, marks: map[originKey]State{},
		kinds: map[kind]*kindInfo{}, topics: map[string]uint32{},
	}
}

func (x *Index) keyOf(o Origin) originKey {
	id := identityOf(o)
	n, ok := x.topics[id.topic]
	if !ok {
		n = uint32(len(x.topics))
		x.topics[strings.Clone(id.topic)] = n
	}
	return originKey{n, id.partition, id.offset}
}

// kindOf is the one value that stands for all letters of a kind.
func (x *Index) kindOf(l *Letter, f *Filter) *kindInfo {
	k := kind{l.Origin.Topic, l.Origin.TopicID, l.Class, l.Reason, l.Group, l.Client()}
	info, ok := x.kinds[k]
	if !ok {
		info = &kindInfo{k, f.matchesKind(&k)}
		x.kinds[k] = info
	}
	return info
}

func (x *Index) take(letters []*Letter, marks []*Mark, foreign int, f *Filter, dec *order.Decoder) {
	for _, l := range letters {
		x.letter(l, f, dec)
	}
	for _, m := range marks {
		x.mark(m)
	}
	x.Foreign += foreign
}

func (x *Index) letter(l *Letter, f *Filter, dec *order.Decoder) {
	info := x.kindOf(l, f)
	if !info.matches || !f.matches(l, dec) {
		return
	}
	key := x.keyOf(l.Origin)
	if _, known := x.byOrigin[key]; known {
		x.Twice++
		return
	}
	e := entry{
		kind: info, first: l.First, orderID: strings.Clone(l.OrderID(dec)), failed: l.Failed.UnixMilli(),
		offset: l.Place.Offset, partition: l.Place.Partition,
		originOffset: l.Origin.Offset, originPartition: l.Origin.Partition,
		attempts: uint16(min(l.Attempts, 1<<16-1)), replays: uint8(min(l.Replays, 1<<8-1)), state: Open,
	}
	if !l.Origin.Timestamp.IsZero() {
		e.originTime = l.Origin.Timestamp.UnixMilli()
	}
	if s, marked := x.marks[key]; marked {
		e.state = s
		delete(x.marks, key)
	}
	x.byOrigin[key] = int32(len(x.entries))
	x.entries = append(x.entries, e)
}

// mark takes a mark that was read. Of several the last one counts.
func (x *Index) mark(m *Mark) {
	key := x.keyOf(m.Origin)
	if x.replayedTo != nil {
		x.replayedTo[key] = strings.Clone(m.To)
	}
	if i, known := x.byOrigin[key]; known {
		x.entries[i].state = m.State
		return
	}
	x.marks[key] = m.State
}

// done puts the entries into the order of the topic and lets go of what only
// reading needs.
func (x *Index) done() {
	slices.SortFunc(x.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
	})
	x.byOrigin, x.marks = nil, nil
}

// Summary is what an Index knows of a letter.
type Summary struct {
	Place    Place
	State    State
	Class    string
	Reason   string
	Client   string
	Group    string
	Origin   Origin
	OrderID  string
	Failed   time.Time
	Attempts int
	Replays  int
	To       string     // of a replayed letter that was named: where the record stands, "" where it is not told
	First    sink.Place // the place that its event keeps in the database
}

func (x *Index) summary(e *entry) Summary {
	s := Summary{
		Place: Place{x.Topic, e.partition, e.offset}, State: e.state,
		Class: e.kind.Class, Reason: e.kind.Reason, Client: e.kind.Client, Group: e.kind.Group,
		Origin:  Origin{Topic: e.kind.Topic, TopicID: e.kind.TopicID, Partition: e.originPartition, Offset: e.originOffset},
		OrderID: e.orderID, Failed: time.UnixMilli(e.failed).UTC(), Attempts: int(e.attempts), Replays: int(e.replays),
	}
	if e.originTime > 0 {
		s.Origin.Timestamp = time.UnixMilli(e.originTime).UTC()
	}
	if e.state == Replayed && x.replayedTo != nil {
		s.To = x.replayedTo[x.keyOf(s.Origin)]
	}
	s.First = sink.Place{TopicID: s.Origin.TopicID, Partition: s.Origin.Partition, Offset: s.Origin.Offset}
	if e.first != nil {
		s.First = *e.first
	}
	return s
}

// Count is how many letters are in that state.
func (x *Index) Count(s State) int {
	n := 0
	for i := range x.entries {
		if x.entries[i].state == s {
			n++
		}
	}
	return n
}

// Len is how many letters there are in all states.
func (x *Index) Len() int { return len(x.entries) }

// Span is when the first and the last of the letters failed.
func (x *Index) Span() (first, last time.Time) {
	for i := range x.entries {
		at := time.UnixMilli(x.entries[i].failed).UTC()
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	return first, last
}

// Newest gives at most limit letters, the last that failed first; those that are
// not open only with all. limit 0 gives every one.
func (x *Index) Newest(limit int, all bool) []Summary {
	var picked []*entry
	for i := range x.entries {
		if all || x.entries[i].state == Open {
			picked = append(picked, &x.entries[i])
		}
	}
	slices.SortStableFunc(picked, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.failed, a.failed), cmp.Compare(a.partition, b.partition), cmp.Compare(b.offset, a.offset))
	})
	if limit > 0 && len(picked) > limit {
		picked = picked[:limit]
	}
	out := make([]Summary, len(picked))
	for i, e := range picked {
		out[i] = x.summary(e)
	}
	return out
}

// Group is the open letters of one class and reason.
type Group struct {
	Class, Reason string
	Clients       []string // who sent them, sorted
	Open          int
	First, Last   time.Time
	Letter        Place // the first
}

// Groups lists what is open by cause, the most frequent first.
func (x *Index) Groups() []Group {
	type cause struct{ class, reason string }
	by := map[cause]*Group{}
	for i := range x.entries {
		e := &x.entries[i]
		if e.state != Open {
			continue
		}
		c := cause{e.kind.Class, e.kind.Reason}
		at := time.UnixMilli(e.failed).UTC()
		g := by[c]
		if g == nil {
			g = &Group{Class: c.class, Reason: c.reason, First: at, Last: at, Letter: Place{x.Topic, e.partition, e.offset}}
			by[c] = g
		}
		g.Open++
		if at.Before(g.First) {
			g.First, g.Letter = at, Place{x.Topic, e.partition, e.offset}
		}
		if at.After(g.Last) {
			g.Last = at
		}
		if !slices.Contains(g.Clients, e.kind.Client) {
			g.Clients = append(g.Clients, e.kind.Client)
		}
	}
	out := make([]Group, 0, len(by))
	for _, g := range by {
		slices.Sort(g.Clients)
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Open, a.Open), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

// Topics are the topics that the letters come from, sorted.
func (x *Index) Topics() []string {
	var names []string
	for k := range x.kinds {
		if !slices.Contains(names, k.Topic) && x.kinds[k].matches {
			names = append(names, k.Topic)
		}
	}
	slices.Sort(names)
	return names
}
