package bench

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// tables is a database that booked a topic: what VerifyDatabase asks of one.
type tables struct {
	sink.Store
	topicID string
	next    map[int32]int64
	booked  map[int32][]sink.Booking
	ahead   time.Duration
}

func (d *tables) Committed(context.Context, string) ([]sink.Committed, error) {
	var rows []sink.Committed
	for p, next := range d.next {
		rows = append(rows, sink.Committed{TopicID: d.topicID, Partition: p, Next: next})
	}
	return rows, nil
}

func (d *tables) Clock(context.Context) (ahead, give time.Duration, err error) {
	return d.ahead, 300 * time.Microsecond, nil
}

func (d *tables) Walk(_ context.Context, topicID string, p int32, from, to int64, fn func(*sink.Booking) error) error {
	if topicID != d.topicID {
		return errors.New("another topic")
	}
	for _, b := range d.booked[p] {
		if b.Offset >= from && b.Offset < to {
			if err := fn(&b); err != nil {
				return err
			}
		}
	}
	return nil
}

// loaded is a run in Kafka and in the database, as it should be: two records a
// partition of somebody else stand before it.
func loaded(t *testing.T) (*world, *tables, DatabaseOptions) {
	t.Helper()
	_, cl := kafkaWith(t, 3)
	mark, err := TakeMark(t.Context(), cl, "orders", true)
	if err != nil {
		t.Fatal(err)
	}
	w := honest(rand.New(rand.NewPCG(5, 6)), 2000, 100, 3, false)
	w.write(t, cl)
	opts := DatabaseOptions{VerifyOptions: w.options(mark), Group: "orders-process", Lull: 100 * time.Millisecond}
	opts.Keep = new(Kept)
	if sum, err := Verify(t.Context(), cl, opts.VerifyOptions); err != nil || sum.Breaches() > 0 {
		t.Fatalf("the log itself: %+v, %v", sum, err)
	}
	db := &tables{topicID: topic.FormatID(mark.ID), next: map[int32]int64{}, booked: map[int32][]sink.Booking{}}
	for p, records := range w.log {
		for i, r := range records {
			db.booked[int32(p)] = append(db.booked[int32(p)], sink.Booking{
				Place: sink.Place{TopicID: db.topicID, Partition: int32(p), Offset: int64(i)},
				Hash:  sha256.Sum256(r.value), Outcome: sink.Inserted, At: opts.Start.Add(time.Hour),
			})
		}
		db.next[int32(p)] = int64(len(records))
	}
	return w, db, opts
}

func TestTheDatabaseIsHeldAgainstTheLedger(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(w *world, list []sink.Booking) []sink.Booking // of partition 0
		want  Integrity                                          // beside expected and acked
		told  string
	}{
		{"all is there", func(_ *world, list []sink.Booking) []sink.Booking { return list }, Integrity{Records: 2000}, ""},
		{"one was never booked", func(_ *world, list []sink.Booking) []sink.Booking { return list[1:] }, Integrity{Records: 1999, Lost: 1}, "lost"},
		{"one is a dead letter", func(_ *world, list []sink.Booking) []sink.Booking {
			list[3].Outcome, list[3].Reason = sink.DeadLettered, "database: 23514 orders_total_check"
			return list
		}, Integrity{Records: 2000, Lost: 1}, "dead-lettered: database: 23514 orders_total_check"},
		{"one left its row alone", func(_ *world, list []sink.Booking) []sink.Booking {
			list[3].Outcome = sink.Stale
			return list
		}, Integrity{Records: 2000}, ""},
		{"one has another content", func(_ *world, list []sink.Booking) []sink.Booking {
			list[5].Hash[0] ^= 1
			return list
		}, Integrity{Records: 2000, Corrupted: 1}, "another content"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, db, opts := loaded(t)
			db.booked[0] = test.spoil(w, db.booked[0])
			test.want.Expected, test.want.Acked = w.n, w.n
			got, _, err := VerifyDatabase(t.Context(), db, opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, onlyCounts(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if test.told != "" && !slices.ContainsFunc(got.Examples, func(b Breach) bool { return strings.Contains(b.Kind+" "+b.Detail, test.told) }) {
				t.Errorf("no example says %q: %+v", test.told, got.Examples)
			}
		})
	}
}

// An order that stands twice in the log as two events is applied twice.
func TestAnOrderThatTheDatabaseAppliedTwice(t *testing.T) {
	w, db, opts := loaded(t)
	first := db.booked[0][0]
	seq, _ := opts.Keep.at(0, 0)
	opts.Keep.seqs[1][0] = seq + 1 // as if the record at 1@0 were the same order once more
	db.booked[1][0].Hash = first.Hash
	got, _, err := VerifyDatabase(t.Context(), db, opts)
	if err != nil {
		t.Fatal(err)
	}
	if got.Duplicated != 1 || got.Lost != 1 || got.Expected != w.n {
		t.Errorf("duplicated %d, lost %d: wants 1 and 1 (the order whose record it stands for)", got.Duplicated, got.Lost)
	}
}

func TestTheSpanToTheCommitIsByTheDatabasesClock(t *testing.T) {
	w, db, opts := loaded(t)
	db.ahead = 2 * time.Second
	for p := range db.booked {
		for i := range db.booked[p] {
			seq, _ := opts.Keep.at(p, int64(i))
			sent := w.ledger.Entry(seq).Sent
			db.booked[p][i].At = opts.Start.Add(sent + 2*time.Second + 15*time.Millisecond)
		}
	}
	_, span, err := VerifyDatabase(t.Context(), db, opts)
	if err != nil {
		t.Fatal(err)
	}
	p99, known := span.Times.At(99)
	if !known || p99 < 14900*time.Microsecond || p99 > 15100*time.Microsecond || span.Clock != "db +2000.0+-0.3 ms" {
		t.Errorf("p99 %s (%v) by %q, wants 15 ms by the database's clock", p99, known, span.Clock)
	}
	db.ahead += time.Minute // it says that they were committed before they were sent
	if _, span, err = VerifyDatabase(t.Context(), db, opts); err != nil || span.Times != nil || span.Absent == "" {
		t.Errorf("times that can't be are told: %+v, %v", span, err)
	}
}

func TestADatabaseThatNobodyFillsIsNotJudged(t *testing.T) {
	_, db, opts := loaded(t)
	db.next[2]--
	said := ""
	opts.Say = func(line string) { said = line }
	_, _, err := VerifyDatabase(t.Context(), db, opts)
	var e *client.Error
	if !errors.As(err, &e) || e.Msg != "group orders-process stopped 1 record before the run's end" {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(said, "1 record not in the database yet") {
		t.Errorf("said %q", said)
	}
}
