package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// agrees holds what a store has against the straight fold of the log.
func (k *kafka) agrees(w *Worker, f *fold) {
	k.t.Helper()
	rows, places := k.straight(w)
	gotRows, gotPlaces := f.state()
	if diff := cmp.Diff(rows, gotRows); diff != "" {
		k.t.Errorf("orders (-log +database):\n%s", clip(diff))
	}
	if diff := cmp.Diff(places, gotPlaces); diff != "" {
		k.t.Errorf("places (-log +database):\n%s", clip(diff))
	}
	if f.back > 0 || f.twice > 0 {
		k.t.Errorf("offsets went back %d times, %d places were written twice", f.back, f.twice)
	}
}

func clip(s string) string { return s[:min(len(s), 2000)] }

func header(r *kgo.Record, name string) string { return client.HeaderValue(r, name) }

func TestEveryRecordHasItsOutcome(t *testing.T) {
	k := startKafka(t, 1)
	id := k.topicID("orders")
	replayed := named(good(0, "a", "old"), "e-replayed")
	replayed.Headers = append(replayed.Headers, kgo.RecordHeader{Key: "ordersctl.origin", Value: []byte(id + "/0@0")})
	wrongKey := good(0, "a", "paid")
	wrongKey.Key = []byte("b")
	records := k.send(
		named(good(0, "a", "pending"), "e1"),
		named(good(0, "a", "paid"), "e2"),
		named(good(0, "a", "pending"), "e1"), // a duplicate
		replayed,                             // stale
		&kgo.Record{Key: []byte("a"), Value: []byte(`{"id":`)},
		&kgo.Record{Key: []byte("a"), Value: []byte(`[]`)},
		&kgo.Record{Key: []byte("a"), Value: []byte(`{"id":"a","user_id":"u","total":"1","status":"paid","timestamp":"2026-11-22T14:00:00Z"}`)},
		&kgo.Record{Key: []byte("a")},
		wrongKey,
		named(good(0, "a", "paid"), "\x01"),
		named(good(0, "a", "shipped"), "e1"), // a conflict
		good(0, "a", "toolong"),              // what the database refuses
	)
	f := newFold()
	w := k.start(f)
	until(t, "all are booked", func() bool { return f.at(0) == int64(len(records)) })
	k.agrees(w.Worker, f)

	got := map[int64]string{}
	for _, r := range k.read("orders.dlq") {
		var at int64
		if _, err := fmt.Sscan(header(r, "ordersctl.dlq.origin-offset"), &at); err != nil {
			t.Fatal(err)
		}
		if _, twice := got[at]; twice {
			t.Errorf("two letters of offset %d", at)
		}
		got[at] = header(r, "ordersctl.dlq.class") + ": " + header(r, "ordersctl.dlq.reason")
		if string(r.Value) != string(records[at].Value) || string(r.Key) != string(records[at].Key) {
			t.Errorf("the letter of offset %d has another key or value", at)
		}
	}
	want := map[int64]string{
		4:  "decode: the order is not JSON: it ends too early",
		5:  "decode: the order is an array, wants an object",
		6:  "validation: /total: is a string, wants a number",
		7:  "tombstone: null value (tombstone)",
		8:  "key_mismatch: key is not the order's id",
		9:  "event_id_invalid: event-id is not 1 to 128 printable ASCII characters",
		10: "event_id_conflict: this event id has other content",
		11: "database: 23514 orders_status_check",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("letters:\n%s", diff)
	}
	for name, want := range map[string]string{
		`ordersctl_process_records_total{outcome="inserted"}`:      "1",
		`ordersctl_process_records_total{outcome="updated"}`:       "1",
		`ordersctl_process_records_total{outcome="duplicate"}`:     "1",
		`ordersctl_process_records_total{outcome="stale"}`:         "1",
		`ordersctl_process_records_total{outcome="dead_lettered"}`: "8",
		`ordersctl_dlq_records_total{reason="decode"}`:             "2",
		`ordersctl_dlq_records_total{reason="tombstone"}`:          "1",
		`ordersctl_dlq_records_total{reason="database"}`:           "1",
		`ordersctl_consumer_lag_records{partition="0"}`:            "0",
		`ordersctl_consumer_lag_seconds`:                           "0",
		`ordersctl_partitions_paused{reason="outage"}`:             "0",
		`ordersctl_db_errors_total{class="outage"}`:                "0",
		`ordersctl_db_errors_total{class="data"}`:                  "1",
		`ordersctl_end_to_end_seconds`:                             "2",
		`ordersctl_process_bisect_total`:                           "0",
	} {
		if got := w.metric(name); got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
	if w.metric("ordersctl_rebalances_total") == "0" || w.metric("ordersctl_process_batch_records") == "0" || w.metric("ordersctl_process_batch_duration_seconds") == "0" {
		t.Error("rebalances or batches are not counted")
	}
	w.end()
	offsets, err := k.adm().FetchOffsets(t.Context(), "orders-process")
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := offsets.Lookup("orders", 0); !ok || o.At != int64(len(records)) {
		t.Errorf("Kafka has the offset %+v", o)
	}
}

func TestASingleOrderIsCommittedAtOnce(t *testing.T) {
	k := startKafka(t, 3)
	f := newFold()
	w := k.start(f, func(o *Options) { o.BatchWait = DefaultConfig().BatchWait })
	until(t, "it has its partitions", func() bool { return len(w.Status().Partitions) == 3 && w.Status().Partitions[0].State == "running" })
	start := time.Now()
	k.send(good(1, "a", "paid"))
	until(t, "it is booked", func() bool { return f.at(1) == 1 })
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

// Members come and go while records come in: each is applied once.
func TestRebalancesApplyEachRecordOnce(t *testing.T) {
	const partitions, each = 6, 2000
	k := startKafka(t, partitions)
	f := newFold()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range each / 100 {
			var batch []*kgo.Record
			for j := range 100 {
				n := i*100 + j
				for p := range int32(partitions) {
					r := named(good(p, fmt.Sprintf("o-%d-%d", p, n%50), "paid"), fmt.Sprintf("e-%d-%d", p, n))
					if n%97 == 0 {
						r = bad(p)
					}
					batch = append(batch, r)
				}
			}
			for _, r := range batch {
				r.Topic = "orders"
			}
			if err := k.cl.ProduceSync(context.Background(), batch...).FirstErr(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	off := func(o *Options) { o.BatchRecords = 50 }
	a := k.start(f, off)
	b := k.start(f, off)
	until(t, "both have partitions", func() bool { return len(a.Status().Partitions) > 0 && len(b.Status().Partitions) > 0 })
	c := k.start(f, off)
	until(t, "the third has some", func() bool { return len(c.Status().Partitions) > 0 })
	a.end()
	d := k.start(f, off)
	until(t, "the fourth has some", func() bool { return len(d.Status().Partitions) > 0 })
	b.end()
	c.end()
	<-sent
	until(t, "all is applied", func() bool {
		for p := range int32(partitions) {
			if f.at(p) < each {
				return false
			}
		}
		return true
	})
	k.agrees(d.Worker, f)
}

// outage fails as a database does that is away.
func outage() error {
	return &sink.Error{Err: errors.New("connection refused"), Class: sink.ClassOutage}
}

func TestAnOutageDeadLettersNothing(t *testing.T) {
	k := startKafka(t, 2)
	var away atomic.Bool
	f := newFold()
	f.hook = func(context.Context, *sink.Batch) error {
		if away.Load() {
			return outage()
		}
		return nil
	}
	w := k.start(f)
	k.send(good(0, "a", "paid"), good(1, "b", "paid"))
	until(t, "it runs", func() bool { return f.at(0) == 1 && f.at(1) == 1 })
	away.Store(true)
	k.send(good(0, "a", "shipped"), bad(0))
	until(t, "the partition is paused", func() bool { return w.paused(0) == pausedOutage })
	if got := w.metric(`ordersctl_partitions_paused{reason="outage"}`); got != "1" {
		t.Errorf("paused: %s", got)
	}
	if r := w.Readiness(); !r.Ready || r.Detail["paused_0"] != pausedOutage {
		t.Errorf("readiness %+v", r)
	}
	away.Store(false)
	until(t, "it is made up for", func() bool { return f.at(0) == 3 && w.paused(0) == "" })
	k.agrees(w.Worker, f)
	if !strings.Contains(w.log.String(), "waiting for the database") || !strings.Contains(w.log.String(), `msg="going on"`) {
		t.Error("nothing was said of it")
	}
	if got := w.metric(`ordersctl_db_errors_total{class="outage"}`); got == "0" {
		t.Error("no error was counted")
	}
}

func TestAnOutageAtTheStartIsWaitedFor(t *testing.T) {
	k := startKafka(t, 1)
	k.send(good(0, "a", "paid"))
	var away atomic.Bool
	away.Store(true)
	f := newFold()
	f.hook = func(context.Context, *sink.Batch) error {
		if away.Load() {
			return outage()
		}
		return nil
	}
	w := k.start(f)
	until(t, "it waits", func() bool { return w.paused(0) == pausedOutage })
	away.Store(false)
	until(t, "it goes on", func() bool { return f.at(0) == 1 })
	k.agrees(w.Worker, f)
}

func TestAMisdeploymentIsSaidLoudly(t *testing.T) {
	k := startKafka(t, 1)
	k.send(good(0, "a", "paid"))
	var gone atomic.Bool
	gone.Store(true)
	f := newFold()
	f.hook = func(_ context.Context, b *sink.Batch) error {
		if gone.Load() && b != nil {
			return &sink.Error{Err: errors.New(`relation "orders" does not exist`), Class: sink.ClassDeploy}
		}
		return nil
	}
	w := k.start(f)
	until(t, "it waits", func() bool { return w.paused(0) == pausedDeploy })
	if !strings.Contains(w.log.String(), "level=ERROR") {
		t.Error("it is not an error in the log")
	}
	gone.Store(false)
	until(t, "it goes on", func() bool { return f.at(0) == 1 && w.paused(0) == "" })
}

// The COMMIT happened and its answer was lost: nothing is applied twice.
func TestAnAmbiguousCommitIsAskedFor(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	var n atomic.Int32
	f.after = func(*sink.Batch) error {
		if n.Add(1)%3 == 1 {
			return outage()
		}
		return nil
	}
	w := k.start(f, func(o *Options) { o.BatchRecords = 10 })
	k.send(many(100, func(i int) *kgo.Record { return named(good(0, fmt.Sprint("o", i%7), "paid"), fmt.Sprint("e", i)) })...)
	until(t, "all is applied", func() bool { return f.at(0) == 100 })
	k.agrees(w.Worker, f)
}

// A database that failed over to a copy that is behind.
func TestADatabaseThatIsBehindIsReadFrom(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	w := k.start(f, func(o *Options) { o.BatchRecords = 10 })
	k.send(many(50, func(i int) *kgo.Record { return good(0, fmt.Sprint("o", i), "paid") })...)
	until(t, "all is applied", func() bool { return f.at(0) == 50 })
	f.mu.Lock()
	f.next[0] = 20
	for place := range f.places {
		if place.Offset >= 20 {
			delete(f.places, place)
			delete(f.events, place.String())
			delete(f.rows, fmt.Sprint("o", place.Offset))
		}
	}
	f.mu.Unlock()
	k.send(good(0, "last", "paid"))
	until(t, "it is made up for", func() bool { return f.at(0) == 51 })
	k.agrees(w.Worker, f)
}

func TestASerializationFailureIsTriedAgainAtOnce(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	var n atomic.Int32
	f.hook = func(_ context.Context, b *sink.Batch) error {
		if b != nil && n.Add(1) <= 3 {
			return &sink.Error{Err: errors.New("deadlock detected"), Class: sink.ClassRetry}
		}
		return nil
	}
	w := k.start(f)
	k.send(good(0, "a", "paid"))
	until(t, "it is applied", func() bool { return f.at(0) == 1 })
	k.agrees(w.Worker, f)
	if got := w.metric(`ordersctl_db_errors_total{class="retry"}`); got != "3" {
		t.Errorf("%s errors counted", got)
	}
	if strings.Contains(w.log.String(), "waiting for the database") {
		t.Error("it was taken for an outage")
	}
}

func (k *kafka) purge(partition int32, before int64) {
	k.t.Helper()
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: "orders", Partition: partition, At: before})
	rs, err := k.adm().DeleteRecords(k.t.Context(), o)
	if err != nil || rs.Error() != nil {
		k.t.Fatal(err, rs.Error())
	}
}

func TestAGapStops(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	f.next[0], f.topicID = 3, k.topicID("orders")
	k.send(many(20, func(i int) *kgo.Record { return good(0, "a", "paid") })...)
	k.purge(0, 10)
	w := k.start(f)
	err := w.wait()
	if err == nil || !strings.Contains(err.Error(), "orders/0 begins at 10, the database wants 3 next: 7 records are missing") {
		t.Errorf("ended with %v", err)
	}
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "--on-offset-gap skip") {
		t.Errorf("no hint in %v", err)
	}
}

func TestAGapIsSkippedByChoice(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	f.next[0], f.topicID = 3, k.topicID("orders")
	k.send(many(20, func(i int) *kgo.Record { return good(0, "a", "paid") })...)
	k.purge(0, 10)
	k.start(f, func(o *Options) { o.OnOffsetGap = GapSkip })
	until(t, "the rest is applied", func() bool { return f.at(0) == 20 })
	_, places := f.state()
	if got := places[sink.Place{TopicID: k.topicID("orders"), Offset: 3}]; got.Outcome != "skipped" || got.Gap != 9 {
		t.Errorf("the gap is booked as %+v", got)
	}
	if len(places) != 11 {
		t.Errorf("%d places are booked, want the gap and 10 records", len(places))
	}
}

// Retention overtakes a consumer that waits for its database.
func TestAGapThatComesWhileItRuns(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	var away atomic.Bool
	f.hook = func(_ context.Context, b *sink.Batch) error {
		if away.Load() {
			return outage()
		}
		return nil
	}
	w := k.start(f, func(o *Options) { o.OnOffsetGap, o.BatchRecords = GapSkip, 5 })
	k.send(good(0, "a", "paid"))
	until(t, "it runs", func() bool { return f.at(0) == 1 })
	away.Store(true)
	k.send(many(10, func(i int) *kgo.Record { return good(0, "a", "paid") })...)
	until(t, "it waits", func() bool { return w.paused(0) == pausedOutage })
	k.send(many(1000, func(i int) *kgo.Record { return good(0, "a", "paid") })...)
	k.purge(0, 900)
	away.Store(false)
	until(t, "it is at the end", func() bool { return f.at(0) == 1011 })
	_, places := f.state()
	gaps, missing := 0, int64(0)
	for place, b := range places {
		if b.Outcome == "skipped" {
			gaps++
			missing += b.Gap - place.Offset + 1
		}
	}
	if int64(len(places)-gaps)+missing != 1011 || gaps > 1 {
		t.Errorf("%d places, %d gaps of %d offsets; the log has 1011", len(places), gaps, missing)
	}
}

func TestADatabaseBeyondTheLogStops(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	f.next[0], f.topicID = 30, k.topicID("orders")
	k.send(many(20, func(i int) *kgo.Record { return good(0, "a", "paid") })...)
	w := k.start(f, func(o *Options) { o.OnOffsetGap = GapSkip })
	if err := w.wait(); err == nil || !strings.Contains(err.Error(), "ends at 20, the database has records up to 29: Kafka has lost 10 of them") {
		t.Errorf("ended with %v", err)
	}
}

func TestATopicThatWasMadeAnewStops(t *testing.T) {
	t.Parallel()
	anew := func(t *testing.T, k *kafka) {
		if _, err := k.adm().DeleteTopics(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
		if _, err := k.adm().CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
			t.Fatal(err)
		}
		k.cl.PurgeTopicsFromClient("orders")
		k.send(good(0, "new", "paid"))
	}
	for name, start := range map[string]func(t *testing.T, k *kafka, f *fold) *running{
		"while it runs": func(t *testing.T, k *kafka, f *fold) *running {
			w := k.start(f)
			until(t, "it runs", func() bool { return f.at(0) == 1 })
			anew(t, k)
			return w
		},
		"before it starts": func(t *testing.T, k *kafka, f *fold) *running {
			f.next[0], f.topicID = 1, k.topicID("orders")
			anew(t, k)
			return k.start(f)
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := startKafka(t, 1)
			k.send(good(0, "a", "paid"))
			f, had := newFold(), k.topicID("orders")
			err := start(t, k, f).wait()
			if err == nil || !strings.Contains(err.Error(), "was deleted and made anew: its id is "+k.topicID("orders")) || !strings.Contains(err.Error(), had) {
				t.Errorf("ended with %v", err)
			}
			if rows, _ := f.state(); rows["new"].Order != "" {
				t.Error("a record of the new topic was applied")
			}
		})
	}
}

func TestTheBreakerOpensOnARow(t *testing.T) {
	k := startKafka(t, 2)
	f := newFold()
	k.send(many(10, func(i int) *kgo.Record { return good(0, fmt.Sprint("o", i), "paid") })...)
	k.send(many(60, func(i int) *kgo.Record { return bad(0) })...)
	k.send(good(0, "behind", "paid"), good(1, "other", "paid"))
	w := k.start(f)
	until(t, "the breaker opens", func() bool { return w.paused(0) == pausedBreaker && f.at(1) == 1 })
	if f.at(0) != 10 {
		t.Errorf("it stands at %d, want the first of the row", f.at(0))
	}
	if letters := k.read("orders.dlq"); len(letters) > 0 {
		t.Errorf("%d letters were written", len(letters))
	}
	k.send(good(0, "later", "paid"), good(1, "other2", "paid"))
	until(t, "the other partition goes on", func() bool { return f.at(1) == 2 })
	if f.at(0) != 10 || w.paused(0) != pausedBreaker {
		t.Errorf("it went on to %d", f.at(0))
	}
	for _, want := range []string{"the breaker is open", "50 dead letters in a row", "--dlq-breaker off"} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("nothing said of %q", want)
		}
	}
	w.end()
	w = k.start(f, func(o *Options) { o.DLQBreaker = BreakerOff })
	until(t, "all is applied", func() bool { return f.at(0) == 72 })
	if got := w.Status().DLQBreaker; got != "off" {
		t.Errorf("/status says that the breaker is %q", got)
	}
	k.agrees(w.Worker, f)
}

func TestTheBreakerOpensOnAShare(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	k.send(many(3000, func(i int) *kgo.Record {
		if i%10 == 9 {
			return bad(0)
		}
		return good(0, "a", "paid")
	})...)
	w := k.start(f, func(o *Options) { o.BatchRecords = 300 })
	until(t, "the breaker opens", func() bool { return w.paused(0) == pausedBreaker })
	// Judged from the 1,000th record on, which is the 100th bad one.
	if f.at(0) != 999 || len(k.read("orders.dlq")) != 99 {
		t.Errorf("it stands at %d with %d letters, want 999 with 99", f.at(0), len(k.read("orders.dlq")))
	}
}

func TestDeadLettersThatCanNotBeWrittenHoldTheirPartition(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	k.send(good(0, "a", "paid"), bad(0))
	var refuse atomic.Bool
	refuse.Store(true)
	k.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.cluster.KeepControl()
		if !refuse.Load() {
			return nil, nil, false
		}
		r := req.(*kmsg.ProduceRequest)
		resp := r.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range r.Topics {
			st := kmsg.NewProduceResponseTopic()
			st.Topic, st.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				sp := kmsg.NewProduceResponseTopicPartition()
				sp.Partition, sp.ErrorCode = p.Partition, kerr.MessageTooLarge.Code
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	w := k.start(f)
	until(t, "it waits", func() bool { return w.paused(0) == pausedLetters })
	if f.at(0) != 0 {
		t.Errorf("the offset moved to %d before the letter was written", f.at(0))
	}
	refuse.Store(false)
	until(t, "it goes on", func() bool { return f.at(0) == 2 && w.paused(0) == "" })
	k.agrees(w.Worker, f)
	if n := len(k.read("orders.dlq")); n != 1 {
		t.Errorf("%d letters", n)
	}
}

// A member that the group has given up still writes: the database has moved.
func TestAZombieChangesNothing(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	var writes atomic.Int32
	stuck, free := make(chan struct{}), make(chan struct{})
	f.hook = func(_ context.Context, b *sink.Batch) error {
		if b != nil && writes.Add(1) == 1 {
			close(stuck)
			<-free
		}
		return nil
	}
	k.send(many(20, func(i int) *kgo.Record { return named(good(0, "a", "paid"), fmt.Sprint("e", i)) })...)
	zombie := k.start(f)
	<-stuck
	groups, err := k.adm().DescribeGroups(t.Context(), "orders-process")
	if err != nil || len(groups["orders-process"].Members) != 1 {
		t.Fatal(err, groups)
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = "orders-process"
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = groups["orders-process"].Members[0].MemberID
	req.Members = append(req.Members, member)
	if _, err := req.RequestWith(t.Context(), k.cl); err != nil {
		t.Fatal(err)
	}
	other := k.start(f)
	until(t, "another one has taken over", func() bool { return f.at(0) == 20 })
	close(free)
	until(t, "the zombie is back in the group", func() bool {
		return len(zombie.Status().Partitions)+len(other.Status().Partitions) == 1
	})
	k.send(named(good(0, "a", "shipped"), "e-last"))
	until(t, "what comes is applied", func() bool { return f.at(0) == 21 })
	k.agrees(other.Worker, f)
}

func TestTheEndFinishesTheBatchInFlight(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	inFlight, free := make(chan struct{}), make(chan struct{})
	var writes atomic.Int32
	f.hook = func(_ context.Context, b *sink.Batch) error {
		if b != nil && writes.Add(1) == 1 {
			close(inFlight)
			<-free
		}
		return nil
	}
	k.send(many(10, func(i int) *kgo.Record { return good(0, "a", "paid") })...)
	w := k.start(f, func(o *Options) { o.BatchRecords = 4 })
	<-inFlight
	w.stop()
	p := w.ours(0)
	until(t, "it is asked to end", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.gone
	})
	close(free)
	w.end()
	if f.at(0) != 4 {
		t.Errorf("it stands at %d, want the batch in flight and no more", f.at(0))
	}
	k.agreesUpTo(w.Worker, f, 4)
}

func (k *kafka) agreesUpTo(w *Worker, f *fold, n int) {
	k.t.Helper()
	if _, places := f.state(); len(places) != n {
		k.t.Errorf("%d places are booked, want %d", len(places), n)
	}
}

func TestAWriteThatHangsIsAbandonedAtTheEnd(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	hangs := make(chan struct{}, 1)
	f.hook = func(ctx context.Context, b *sink.Batch) error {
		if b == nil {
			return nil
		}
		select {
		case hangs <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return ctx.Err()
	}
	k.send(good(0, "a", "paid"))
	w := k.start(f, func(o *Options) { o.DrainTimeout = 200 * time.Millisecond })
	<-hangs
	w.end()
	if !strings.Contains(w.log.String(), "abandoned_batches=1") {
		t.Errorf("nothing said of it:\n%s", w.log)
	}
}

// A database that is slower than Kafka: what waits here is bounded.
func TestWhatWaitsIsBounded(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	f.hook = func(context.Context, *sink.Batch) error { return nil }
	k.send(many(20_000, func(i int) *kgo.Record { return good(0, fmt.Sprint("o", i%100), "paid") })...)
	most := 0
	var w *running
	began := make(chan struct{})
	f.hook = func(_ context.Context, b *sink.Batch) error {
		<-began
		for _, p := range w.all() {
			most = max(most, p.queued())
		}
		return nil
	}
	w = k.start(f, func(o *Options) { o.BatchRecords, o.BatchWait = 100, 0 })
	close(began)
	until(t, "all is applied", func() bool { return f.at(0) == 20_000 })
	if most > maxPoll+farAhead*400 {
		t.Errorf("%d records waited", most)
	}
	k.agrees(w.Worker, f)
}

func TestWithoutADeadLetterTopicItDoesNotStart(t *testing.T) {
	k := startKafka(t, 1)
	if _, err := k.adm().DeleteTopics(t.Context(), "orders.dlq"); err != nil {
		t.Fatal(err)
	}
	opts := k.options(newFold())
	opts.Log = discard()
	_, err := New(t.Context(), opts)
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "--with-dlq") {
		t.Fatalf("got %v", err)
	}
	opts.CreateDLQ = true
	w, err := New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if info := k.cluster.TopicInfo("orders.dlq"); info == nil || *info.Configs["retention.ms"] != "-1" {
		t.Errorf("the topic was made as %+v", info)
	}
}

func TestOldEventsAreRemovedBelowTheLogAlone(t *testing.T) {
	k := startKafka(t, 2)
	f := newFold()
	k.send(many(20, func(int) *kgo.Record { return good(1, "a", "paid") })...)
	w := k.start(f, func(o *Options) { o.Retention = time.Hour })
	until(t, "all is applied", func() bool { return f.at(1) == 20 })
	k.purge(1, 7)
	w.retain(t.Context(), w.look(t.Context()))
	id := k.topicID("orders")
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff([]sink.Place{{TopicID: id, Partition: 0}, {TopicID: id, Partition: 1, Offset: 7}}, f.floors); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyWhatFollowsIsTaken(t *testing.T) {
	cl, err := client.New(client.DefaultConfig(), discard()) // nobody is asked
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	w := &Worker{opts: Options{Config: DefaultConfig(), Topic: "orders"}, kafka: cl, calls: calls{hungry: make(chan struct{}, 1)}}
	at := func(offsets ...int64) []*kgo.Record {
		list := make([]*kgo.Record, len(offsets))
		for i, o := range offsets {
			list[i] = &kgo.Record{Offset: o}
		}
		return list
	}
	for _, test := range []struct {
		name   string
		before func(p *partition)
		want   []int64
	}{
		{"a gap is what was compacted, what was there before is dropped", func(*partition) {}, []int64{10, 11, 15}},
		{"nothing on the way to another offset", func(p *partition) { p.seek(12) }, nil},
		{"nothing behind an open breaker", func(p *partition) { p.pause(pausedBreaker, "") }, nil},
		{"nothing once it is given away", func(p *partition) { p.stop() }, nil},
		{"but while the database is away", func(p *partition) { p.pause(pausedOutage, "") }, []int64{10, 11, 15}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPartition(w, 0)
			defer p.cancel()
			p.started, p.placed, p.next, p.expect = true, true, 10, 10
			test.before(p)
			p.push(at(8, 9, 10))
			p.push(at(10, 11, 15))
			var got []int64
			for _, r := range p.queue {
				got = append(got, r.Offset)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The markers of transactions are offsets that hold no record.
func TestTransactionMarkersAreMovedPast(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	end, committed := int64(0), 0
	for i := 0; committed < 2 || i%2 == 1; i++ { // the last one is aborted
		if i == 20 {
			t.Fatalf("%d of 10 transactions were committed", committed)
		}
		cl := k.dial(kgo.TransactionalID(fmt.Sprint("tx", i)))
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := good(0, fmt.Sprint("t", i), "paid")
		r.Topic = "orders"
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), i%2 == 0); err != nil {
			t.Fatal(err)
		}
		// On a busy machine a transaction that was to be committed is aborted at times,
		// without an error: what counts is what the log says.
		if end += 2; k.commits(end - 1) {
			committed++
		}
	}
	w := k.start(f)
	until(t, "it is at the end", func() bool { return f.at(0) == end })
	k.agrees(w.Worker, f)
	if rows, _ := f.state(); len(rows) != 2 {
		t.Errorf("%d orders, want the 2 that were committed", len(rows))
	}
	until(t, "nothing is lag", func() bool { return w.metric(`ordersctl_consumer_lag_records{partition="0"}`) == "0" })
	w.end()
	k.purge(0, end)
	w = k.start(f)
	k.send(good(0, "later", "paid"))
	until(t, "it starts although retention took all", func() bool { return f.at(0) == end+1 })
}

// Kafka loses the end of its log (power, an unclean election) and gives its
// offsets to new records, beyond where the database stands.
func TestALogThatWasWrittenAnewStops(t *testing.T) {
	for _, test := range []struct {
		name   string
		booked booking // of the last record that the database has
		says   string
	}{
		{"another event", booking{Outcome: sink.Duplicate, Event: "e-old"}, "event e4, not e-old"},
		{"another order", booking{Outcome: sink.Inserted, Event: "e4", Hash: [32]byte{1}}, "event e4 with other content, not e4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := startKafka(t, 1)
			k.send(many(10, func(i int) *kgo.Record {
				return named(good(0, fmt.Sprint("acknowledged", i), "paid"), fmt.Sprint("e", i))
			})...)
			f, id := newFold(), k.topicID("orders")
			f.topicID, f.next[0] = id, 5
			f.places[sink.Place{TopicID: id, Offset: 4}] = test.booked
			w := k.start(f)
			err := w.wait()
			if err == nil || !strings.Contains(err.Error(), "orders/0@4 is another record than the one that the database has taken from there: "+test.says) {
				t.Errorf("ended with %v", err)
			}
			if rows, _ := f.state(); len(rows) > 0 {
				t.Errorf("%d orders were applied", len(rows))
			}
		})
	}
}

// Each new process would let a few more through.
func TestAnOpenBreakerIsMetAgainAfterARestart(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	for range 8 { // batches of their own: a row is cut off whole in its batch
		k.send(many(20, func(int) *kgo.Record { return bad(0) })...)
	}
	k.send(good(0, "a", "paid"))
	small := func(o *Options) { o.BatchRecords = 20 }
	var stood int64
	for n := range 3 {
		w := k.start(f, small)
		until(t, "the breaker opens", func() bool { return w.paused(0) == pausedBreaker })
		w.end()
		if n > 0 && f.at(0) != stood {
			t.Errorf("process %d went on from %d to %d", n+1, stood, f.at(0))
		}
		stood = f.at(0)
	}
	if letters := len(k.read("orders.dlq")); letters != 40 {
		t.Errorf("%d letters, want those of the two batches before the row was 50 long", letters)
	}
	w := k.start(f, small, func(o *Options) { o.DLQBreaker = BreakerOff })
	until(t, "all is booked", func() bool { return f.at(0) == 161 })
	w.end()
	w = k.start(f, small)
	k.send(good(0, "b", "paid"))
	until(t, "what is good does not open it", func() bool { return f.at(0) == 162 })
	k.agrees(w.Worker, f)
}

// Whoever writes to the topic can say anything of an origin.
func TestAnOriginThatIsNotBeforeItsRecordIsIgnored(t *testing.T) {
	k := startKafka(t, 2)
	id := k.topicID("orders")
	from := func(r *kgo.Record, origin string) *kgo.Record {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "ordersctl.origin", Value: []byte(origin)})
		return r
	}
	k.send(good(1, "x", "paid"), good(1, "x", "paid"))
	k.send(
		from(good(0, "ahead", "old"), id+"/0@1000000000000000"), good(0, "ahead", "new"),
		from(good(0, "itself", "old"), id+"/0@2"), good(0, "itself", "new"),
		from(good(0, "end", "old"), id+"/1@2"), good(0, "end", "new"),
		from(good(0, "nowhere", "old"), id+"/7@0"), good(0, "nowhere", "new"),
		from(good(0, "right", "new"), id+"/1@1"),
		from(good(0, "elsewhere", "new"), "AAAAAAAAAAAAAAAAAAAAAQ/0@999"),
	)
	f := newFold()
	w := k.start(f)
	until(t, "all are booked", func() bool { return f.at(0) == 10 && f.at(1) == 2 })
	rows, _ := f.state()
	want := map[string]sink.Place{
		"x": {TopicID: id, Partition: 1, Offset: 1}, "ahead": {TopicID: id, Offset: 1}, "itself": {TopicID: id, Offset: 3}, "end": {TopicID: id, Offset: 5},
		"nowhere": {TopicID: id, Offset: 7}, "right": {TopicID: id, Partition: 1, Offset: 1}, "elsewhere": {TopicID: "AAAAAAAAAAAAAAAAAAAAAQ", Offset: 999},
	}
	got := map[string]sink.Place{}
	for id, r := range rows {
		got[id] = r.From
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the rows' places (-want +got):\n%s", diff)
	}
	if !strings.Contains(w.log.String(), "records=4 offset=0 origin="+id+"/0@1000000000000000") {
		t.Error("nothing was said of it")
	}
}

// Never what is still in the log: read again it would be taken for new.
func TestOldEventsAreForgottenBelowTheLog(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 2)
	k.send(good(0, "a", "paid"), good(0, "a", "paid"), good(1, "b", "paid"))
	k.purge(0, 1)
	f := newFold()
	k.start(f, func(o *Options) { o.Retention = 24 * time.Hour })
	retained := func() ([]sink.Place, time.Time) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.floors, f.before
	}
	until(t, "old events are removed", func() bool { floors, _ := retained(); return len(floors) > 0 })
	floors, before := retained()
	id := k.topicID("orders")
	if diff := cmp.Diff([]sink.Place{{TopicID: id, Partition: 0, Offset: 1}, {TopicID: id, Partition: 1, Offset: 0}}, floors); diff != "" {
		t.Errorf("floors (-want +got):\n%s", diff)
	}
	if age := time.Since(before); age < 24*time.Hour || age > 25*time.Hour {
		t.Errorf("removed what is older than %s", age)
	}
}

// Set forward by hand, the database makes records vanish: not without a word.
func TestRecordsThatArePassedOverAreSaid(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	k.send(many(20, func(int) *kgo.Record { return good(0, "a", "paid") })...)
	set := false
	f.hook = func(_ context.Context, b *sink.Batch) error {
		if b != nil && !set {
			set = true
			f.mu.Lock()
			f.next[0] = 7
			f.mu.Unlock()
		}
		return nil
	}
	w := k.start(f, func(o *Options) { o.BatchRecords = 5 })
	until(t, "it is at the end", func() bool { return f.at(0) == 20 })
	if log := w.log.String(); !strings.Contains(log, "partition=0 offset=0 next=7 passed_over=5") || strings.Count(log, "passed_over") != 1 {
		t.Error("it was not said, or more than once")
	}
}

func TestADatabaseThatDoesNotAnswerShows(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 1)
	f := newFold()
	free := make(chan struct{})
	f.hook = func(_ context.Context, b *sink.Batch) error {
		if b != nil {
			<-free
		}
		return nil
	}
	k.send(good(0, "a", "paid"))
	w := k.start(f)
	until(t, "it shows", func() bool { return w.paused(0) == pausedOutage })
	close(free)
	until(t, "it goes on", func() bool { return f.at(0) == 1 && w.paused(0) == "" })
}

// SQLite waits for a lock by itself before it says that it is busy.
func TestALockThatIsHeldShows(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 1)
	f := newFold()
	var locked atomic.Bool
	locked.Store(true)
	f.hook = func(_ context.Context, b *sink.Batch) error {
		if b == nil || !locked.Load() {
			return nil
		}
		<-time.After(quickFor) // as long as the busy handler takes
		return &sink.Error{Err: errors.New("database is locked"), Class: sink.ClassRetry}
	}
	k.send(good(0, "a", "paid"))
	w := k.start(f)
	until(t, "it shows", func() bool { return strings.Contains(w.log.String(), "waiting for the database") })
	locked.Store(false)
	until(t, "it goes on", func() bool { return f.at(0) == 1 && w.paused(0) == "" })
	if got := w.metric(`ordersctl_db_errors_total{class="retry"}`); got != "1" && got != "2" {
		t.Errorf("tried %s times", got)
	}
}

func TestABatchThatTakesTooLongIsMadeSmaller(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
	}{
		{"our deadline", fmt.Errorf("write: %w", context.DeadlineExceeded)},
		{"the server's", &pgconn.PgError{Code: "57014", Message: "canceling statement due to statement timeout"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := startKafka(t, 1)
			f := newFold()
			var tries atomic.Int32
			f.hook = func(_ context.Context, b *sink.Batch) error {
				if b != nil && len(b.Entries) > 30 {
					tries.Add(1)
					return &sink.Error{Err: test.err, Class: sink.ClassOutage}
				}
				return nil
			}
			k.send(many(150, func(i int) *kgo.Record { return good(0, fmt.Sprint("o", i%7), "paid") })...)
			w := k.start(f, func(o *Options) { o.BatchRecords, o.BatchWait = 100, 100*time.Millisecond })
			until(t, "all is applied", func() bool { return f.at(0) == 150 })
			k.agrees(w.Worker, f)
			if n := tries.Load(); n > 6 {
				t.Errorf("%d batches were too large", n)
			}
		})
	}
}

func TestABookedPlaceThatHoldsAnotherRecordStops(t *testing.T) {
	k := startKafka(t, 1)
	f := newFold()
	f.hook = func(_ context.Context, b *sink.Batch) error {
		if b == nil {
			return nil
		}
		return &sink.Error{Err: fmt.Errorf("%w: orders/0@0", sink.ErrLogChanged), Class: sink.ClassDeploy, Next: "see docs/database.md"}
	}
	k.send(good(0, "a", "paid"))
	if err := k.start(f).wait(); !errors.Is(err, sink.ErrLogChanged) {
		t.Errorf("ended with %v", err)
	}
}
