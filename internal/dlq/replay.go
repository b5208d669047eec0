package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/unit"
)

// ReplayOptions say what to replay, and how.
type ReplayOptions struct {
	Topic          string // letters of other topics are left alone
	TopicID        string // letters of an earlier topic of that name are stale; "" where that is not known
	Rules          order.Rules
	Rows           Rows   // nil where there is no database: nothing is called stale
	IncludeStale   bool   // also what is stale or may be
	IncludeInvalid bool   // also what would be refused again
	Closed         bool   // the letters were named: tell of those that are not open
	Edits          *Edits // the orders that take the place of the letters'; nil for the records as they are
	Execute        bool   // else nothing is sent
	Rate           unit.Rate
	Patience       time.Duration // how long to wait for the last answers
	Tell           func(string)  // lines for a person; called by several goroutines
}

// What says what is done with a letter, or why it is not replayed.
type What string

// The fates of letters. Those but Replay and Closed were asked for and are not
// replayed.
const (
	Replay     What = "replay"
	Stale      What = "stale"
	Unsure     What = "unsure"    // whether it is stale
	Earlier    What = "old topic" // of the same name
	Invalid    What = "invalid"
	TooOften   What = "too often"
	OtherTopic What = "other topic"
	Closed     What = "closed"
	Gone       What = "gone"
)

// Cause is letters of one fate.
type Cause struct {
	What    What
	Why     string
	Letters int
	First   Place // one of them
}

// ReplayResult is how a replay went.
type ReplayResult struct {
	Causes      []Cause // those that are replayed first, then by number
	Sent        Sent    // zero without Execute
	BadLines    int     // of the edits
	Over        int     // of those that are replayed: over a row that may be newer
	NotReached  int     // letters that were not looked at, since the run was ended
	Interrupted bool
	GaveUp      bool
}

// Count is how many letters are of that fate.
func (r *ReplayResult) Count(w What) int {
	n := 0
	for _, c := range r.Causes {
		if c.What == w {
			n += c.Letters
		}
	}
	return n
}

// Left is how many were asked for and are not replayed, of those looked at.
func (r *ReplayResult) Left() int {
	n := r.BadLines
	for _, c := range r.Causes {
		if c.What != Replay && c.What != Closed {
			n += c.Letters
		}
	}
	return n
}

const (
	// The database is asked about so many letters at a time.
	chunkLetters = 500
	chunkBytes   = 8 << 20
)

var errGaveUp = errors.New("too many letters failed")

// Replayer brings letters back into their topic.
type Replayer struct {
	queue  *Queue
	opts   ReplayOptions
	dec    *order.Decoder
	send   *sender
	result ReplayResult
	chunk  []*replayed
	bytes  int
	seen   int
}

// replayed is one letter on its way through.
type replayed struct {
	letter  *Letter
	record  *kgo.Record
	orderID string
	what    What
	why     string
	over    bool // as in ReplayResult
}

// NewReplayer replays by cl, which has to be made with [ClientOptions].
func NewReplayer(cl *kgo.Client, q *Queue, opts ReplayOptions) *Replayer {
	if opts.Tell == nil {
		opts.Tell = func(string) {}
	}
	return &Replayer{queue: q, opts: opts, dec: order.NewDecoder(opts.Rules), send: newSender(cl, opts.Rate, opts.Tell)}
}

// Run replays the letters of x in the order in which they stand there, so that
// letters of one order keep theirs. Letters that are not open are passed over. A
// ctx that ends is no error: what was handed over is waited for and marked.
func (r *Replayer) Run(ctx context.Context, x *Index) (*ReplayResult, error) {
	state := Open
	if r.opts.Closed || r.opts.Edits != nil {
		state = ""
	}
	gone, err := r.queue.Each(ctx, x, state, func(l *Letter, s State) error { return r.take(ctx, l, s) })
	if err == nil {
		err = r.flush(ctx)
	}
	if gone > 0 {
		r.count(Gone, "deleted from "+x.Topic, gone, Place{Topic: x.Topic})
	}
	r.result.Sent = r.send.drain(r.opts.Patience)
	total := x.Len()
	if state == Open {
		total = x.Count(Open)
	}
	r.result.NotReached = total - r.seen - gone
	switch {
	case ctx.Err() != nil:
		r.result.Interrupted, err = true, nil
	case errors.Is(err, errGaveUp):
		r.result.GaveUp, err = true, nil
	case err == nil && r.opts.Edits != nil:
		r.badLines()
	}
	r.sort()
	return &r.result, err
}

func (r *Replayer) badLines() {
	bad := append(slices.Clone(r.opts.Edits.Bad), r.opts.Edits.unused()...)
	for _, err := range bad {
		r.opts.Tell(err.Error())
	}
	r.result.BadLines += len(bad)
}

// take gathers letters, so that the database is asked about many at a time.
func (r *Replayer) take(ctx context.Context, l *Letter, s State) error {
	r.chunk = append(r.chunk, r.judge(l, s))
	r.bytes += len(l.Value)
	if len(r.chunk) < chunkLetters && r.bytes < chunkBytes {
		return nil
	}
	return r.flush(ctx)
}

// flush sends what is gathered.
func (r *Replayer) flush(ctx context.Context) error {
	chunk := r.chunk
	r.chunk, r.bytes = nil, 0
	if err := r.findStale(ctx, chunk); err != nil {
		return err
	}
	for _, p := range chunk {
		if p.what == Replay && r.opts.Execute {
			if err := r.send.hold(ctx); err != nil {
				return err
			}
			if r.send.gaveUp() {
				<-r.send.slots
				return errGaveUp
			}
			r.send.replay(ctx, p.letter, p.record)
		}
		r.seen++
		if p.over {
			r.result.Over++
		}
		r.count(p.what, p.why, 1, p.letter.Place)
	}
	return nil
}

// BlindError is of a database that stopped telling which letters are stale.
type BlindError struct{ Err error }

func (e *BlindError) Error() string { return "which letters are stale is not known: " + e.Err.Error() }
func (e *BlindError) Unwrap() error { return e.Err }

// findStale asks the database. Where that can't tell any more, a dry run says so
// once and calls nothing stale; else it is the end: process leaves a newer row of
// the same partition alone, but not one of another.
func (r *Replayer) findStale(ctx context.Context, chunk []*replayed) error {
	if r.opts.Rows == nil {
		return ctx.Err()
	}
	var ids []string
	for _, p := range chunk {
		if p.what == Replay {
			ids = append(ids, p.orderID)
		}
	}
	if len(ids) == 0 {
		return ctx.Err()
	}
	rows, err := r.opts.Rows.Rows(ctx, ids)
	if err != nil {
		if ctx.Err() == nil {
			if r.opts.Execute && !r.opts.IncludeStale {
				return &BlindError{err}
			}
			r.opts.Tell("the database does not tell which letters are stale: " + err.Error())
			r.opts.Rows = nil
		}
		return ctx.Err()
	}
	for _, p := range chunk {
		row, ok := rows[p.orderID]
		if !ok || p.what != Replay {
			continue
		}
		switch newer := IsNewer(row, p.letter.first()); {
		case newer == NewerUnknown && r.opts.IncludeStale:
			p.over = true
		case newer == NewerUnknown:
			p.what, p.why = Unsure, "the order's row comes from another partition or topic"
		case newer == NewerYes && !r.opts.IncludeStale:
			p.what, p.why = Stale, "a later event of the order is applied"
		}
	}
	return nil
}

// judge decides by the letter alone.
func (r *Replayer) judge(l *Letter, s State) *replayed {
	p := &replayed{letter: l, orderID: l.OrderID(r.dec), what: Replay, why: l.Class + ": " + l.Reason}
	not := func(what What, format string, args ...any) *replayed {
		p.what, p.why = what, fmt.Sprintf(format, args...)
		return p
	}
	if r.opts.Edits != nil {
		r.opts.Edits.lines[l.Place].used = true
	}
	switch {
	case s != Open:
		return not(Closed, "%s already", s)
	case l.Origin.Topic != r.opts.Topic:
		return not(OtherTopic, "of topic %s", l.Origin.Topic)
	case l.Origin.TopicID == "":
		return not(Invalid, "%s", ErrNoTopicID)
	case r.opts.TopicID != "" && l.Origin.TopicID != r.opts.TopicID && !r.opts.IncludeStale:
		return not(Earlier, "of a topic %s that was deleted since", l.Origin.Topic)
	case l.Replays >= MaxReplays:
		return not(TooOften, "replayed %d times already", l.Replays)
	}
	if r.opts.Edits != nil {
		return r.judgeEdit(p, not)
	}
	record, err := l.Replay()
	if err != nil {
		return not(Invalid, "%s", err)
	}
	p.record = record
	if why := r.refusedAgain(l); why != "" && !r.opts.IncludeInvalid {
		return not(Invalid, "%s", why)
	}
	return p
}

func (r *Replayer) judgeEdit(p *replayed, not func(What, string, ...any) *replayed) *replayed {
	l := p.letter
	o, same, err := r.opts.Edits.order(l, r.dec)
	if err != nil {
		r.opts.Tell(err.Error())
		return not(Invalid, "%s", whyNot(err))
	}
	p.orderID = o.ID
	if !same || needsNewID(l) {
		p.record = l.ReplayAs(&o)
		return p
	}
	if p.record, err = l.Replay(); err != nil {
		return not(Invalid, "%s", err)
	}
	return p
}

// refusedAgain tells why the record as it is would become a letter again.
func (r *Replayer) refusedAgain(l *Letter) string {
	_, err := client.FromRecord(&kgo.Record{Key: l.Key, Value: l.Value}, r.dec)
	var faults order.Faults
	switch {
	case errors.As(err, &faults):
		return faults[0].Reason()
	case err != nil:
		return err.Error()
	case l.Class == sink.RefusedEventConflict:
		return l.Reason
	}
	return ""
}

func (r *Replayer) count(what What, why string, n int, p Place) {
	i := slices.IndexFunc(r.result.Causes, func(c Cause) bool { return c.What == what && c.Why == why })
	if i < 0 {
		if len(r.result.Causes) >= maxCauses {
			why = "other causes"
			i = slices.IndexFunc(r.result.Causes, func(c Cause) bool { return c.What == what && c.Why == why })
		}
		if i < 0 {
			r.result.Causes = append(r.result.Causes, Cause{What: what, Why: why, First: p})
			i = len(r.result.Causes) - 1
		}
	}
	r.result.Causes[i].Letters += n
}

// maxCauses bounds what is told and looked through for each letter: with made-up
// field names every letter has a cause of its own.
const maxCauses = 100

func (r *Replayer) sort() {
	slices.SortStableFunc(r.result.Causes, func(a, b Cause) int {
		if (a.What == Replay) != (b.What == Replay) {
			if a.What == Replay {
				return -1
			}
			return 1
		}
		if a.Letters != b.Letters {
			return b.Letters - a.Letters
		}
		return strings.Compare(a.Why, b.Why)
	})
}
