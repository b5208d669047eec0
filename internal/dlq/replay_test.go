package dlq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// causes is "3 replay database: x, 1 stale ...".
func causes(r *ReplayResult) string {
	var out []string
	for _, c := range r.Causes {
		out = append(out, fmt.Sprintf("%d %s (%s)", c.Letters, c.What, c.Why))
	}
	return strings.Join(out, ", ")
}

// export writes the letters that f means into a file, changed by edit.
func (k *kafka) export(f Filter, edit func(line string) string) *os.File {
	k.t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	q, x := k.scan(f)
	if _, err := q.Each(k.t.Context(), x, Open, func(l *Letter, s State) error { return enc.Encode(Export(l, s)) }); err != nil {
		k.t.Fatal(err)
	}
	return k.file(edit(b.String()))
}

func (k *kafka) file(text string) *os.File {
	k.t.Helper()
	path := filepath.Join(k.t.TempDir(), "letters.ndjson")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { f.Close() })
	return f
}

func (k *kafka) edits(f *os.File) *Edits {
	k.t.Helper()
	if _, err := f.Seek(0, 0); err != nil {
		k.t.Fatal(err)
	}
	e, err := ReadEdits(f, "orders.dlq")
	if err != nil {
		k.t.Fatal(err)
	}
	return e
}

func TestReplayIsDryUntilItIsExecuted(t *testing.T) {
	k := startKafka(t)
	k.produce(k.bury(k.record(1, 20, "c", good("c")), "database", "23514 orders_total_check"))
	r, _ := k.replay(t.Context(), Filter{}, ReplayOptions{})
	if got := causes(r); got != "1 replay (database: 23514 orders_total_check)" || r.Sent != (Sent{}) {
		t.Errorf("%s, sent %+v", got, r.Sent)
	}
	if n, marks := len(k.log("orders")), len(k.log("orders.dlq"))-1; n+marks > 0 {
		t.Errorf("%d records and %d marks were written", n, marks)
	}
}

func TestReplayJudgesEachLetter(t *testing.T) {
	k := startKafka(t)
	tired := k.record(2, 7, "t", good("t"))
	tired.Headers = append(tired.Headers, headers("ordersctl.replay-count", "3", "ordersctl.origin", k.id+"/2@1")...)
	nameless := k.record(2, 8, "n", good("n"))
	nameless.Headers = headers("event-id", "")
	elsewhere := k.record(2, 9, "e", good("e"))
	elsewhere.Topic = "payments"
	replayedOnce := k.record(2, 40, "r", good("r"))
	replayedOnce.Headers = append(replayedOnce.Headers, headers("ordersctl.replay-count", "1", "ordersctl.origin", k.id+"/2@3")...)
	discarded := k.bury(k.record(0, 5, "d", good("d")), "database", "x")
	k.produce(
		k.bury(k.record(0, 1, "ok", good("ok")), "database", "x"),
		k.bury(k.record(0, 2, "bad", bad("bad")), "validation", "/total: is a string, wants a number"),
		k.bury(k.record(0, 3, "s", good("s")), "database", "x"),
		k.bury(k.record(0, 4, "not-stale", good("not-stale")), "database", "x"),
		discarded,
		k.bury(k.record(1, 1, "k", good("other")), "key_mismatch", "key is not the order's id"),
		k.bury(k.record(1, 2, "gone", ""), "tombstone", "null value (tombstone)"),
		k.bury(k.record(1, 3, "c", good("c")), "event_id_conflict", "another content"),
		k.bury(tired, "database", "x"), k.bury(nameless, "event_id_invalid", "y"), k.bury(elsewhere, "database", "x"),
		k.bury(replayedOnce, "database", "x"),
		&kgo.Record{Topic: "orders.dlq", Headers: headers("__connect.errors.topic", "orders", "__connect.errors.partition", "2", "__connect.errors.offset", "17")},
	)
	k.produce(letterOf(t, discarded).Mark(Discarded, ""))
	row := func(partition int32, offset int64, id string) sink.Row {
		return sink.Row{From: sink.Place{TopicID: id, Partition: partition, Offset: offset}}
	}
	db := rows{
		"s": row(0, 4, k.id), "not-stale": row(0, 4, k.id), "ok": row(1, 99, k.id),
		"r": row(2, 30, k.id), // later than its first place, though not than the second
	}
	want := []string{
		"1 replay (database: x)",
		"1 unsure (the order's row comes from another partition or topic)",
		"1 invalid (/total: is a string, wants a number)",
		"1 invalid (another content)",
		"1 invalid (event-id is not 1 to 128 printable ASCII characters)",
		"1 invalid (key is not the order's id)",
		"1 invalid (null value (tombstone))",
		"1 other topic (of topic payments)",
		"1 too often (replayed 3 times already)",
		"1 invalid (the letter does not tell its topic's id)",
		"2 stale (a later event of the order is applied)",
	}
	sorted := func(s string) []string {
		parts := strings.Split(s, ", ")
		out := parts[:1:1]
		for _, p := range parts[1:] {
			if !strings.Contains(p, "(") { // a comma of a cause
				out[len(out)-1] += ", " + p
				continue
			}
			out = append(out, p)
		}
		slices.Sort(out)
		return out
	}
	slices.Sort(want)
	r, _ := k.replay(t.Context(), Filter{}, ReplayOptions{Rows: db})
	if diff := cmp.Diff(want, sorted(causes(r))); diff != "" {
		t.Error(diff)
	}
	if r.Causes[0].What != Replay || r.Left() != 11 {
		t.Errorf("first %v, left %d", r.Causes[0], r.Left())
	}
	// Whoever asks for it gets it, but for what can't be.
	r, _ = k.replay(t.Context(), Filter{}, ReplayOptions{Rows: db, IncludeStale: true, IncludeInvalid: true})
	if r.Count(Replay) != 8 || r.Count(Invalid) != 2 || r.Count(Stale) != 0 || r.Over != 1 {
		t.Error(causes(r))
	}
	// A letter that was named is told of though it is not open.
	if r, _ = k.replay(t.Context(), Filter{Letters: []Place{{"orders.dlq", 0, 4}}}, ReplayOptions{Closed: true}); causes(r) != "1 closed (discarded already)" || r.Left() != 0 {
		t.Error(causes(r))
	}
}

func TestReplayBringsRecordsBackAndMarksThem(t *testing.T) {
	k := startKafka(t)
	for n := range 30 {
		k.produce(k.bury(k.record(int32(n%3), int64(100+n), fmt.Sprint("o", n%3), good(fmt.Sprint("o", n%3))), "database", "x"))
	}
	r, said := k.replay(t.Context(), Filter{}, ReplayOptions{Execute: true})
	if r.Sent != (Sent{Marked: 30}) || len(said) > 0 {
		t.Errorf("%+v %q", r.Sent, said)
	}
	seen := map[string]string{} // first place by key
	for _, rec := range k.log("orders") {
		origin := header(rec.Headers, "ordersctl.origin")
		key := string(rec.Key)
		if len(seen[key]) > 0 && seen[key] >= origin {
			t.Errorf("order %s: %s comes after %s", key, origin, seen[key])
		}
		seen[key] = origin
		if string(rec.Value) != good(key) {
			t.Errorf("%s", rec.Value)
		}
	}
	_, x := k.scan(Filter{})
	if x.Count(Replayed) != 30 || len(k.log("orders")) != 30 {
		t.Errorf("%d marked, %d records", x.Count(Replayed), len(k.log("orders")))
	}
	// There is nothing left to do.
	if r, _ := k.replay(t.Context(), Filter{}, ReplayOptions{Execute: true}); len(r.Causes) != 0 || len(k.log("orders")) != 30 {
		t.Error(causes(r))
	}
	for _, rec := range k.log("orders.dlq") {
		if _, m := Parse(rec); m != nil && !strings.HasPrefix(m.To, "orders/") {
			t.Errorf("the mark tells %q", m.To)
		}
	}
}

func TestReplayThatIsInterruptedGoesOnLater(t *testing.T) {
	k := startKafka(t)
	var all []*kgo.Record
	for n := range 500 {
		all = append(all, k.bury(k.record(int32(n%3), int64(n), fmt.Sprint("o", n), good(fmt.Sprint("o", n))), "database", "x"))
	}
	k.produce(all...)
	ctx, cancel := context.WithCancel(t.Context())
	var produced atomic.Int32
	k.broker.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.broker.Cluster().KeepControl()
		if produced.Add(1) == 5 {
			cancel()
		}
		return nil, nil, false
	})
	r, _ := k.replay(ctx, Filter{}, ReplayOptions{Execute: true, Rate: 5000})
	if !r.Interrupted || r.Sent.Failed() > 0 || r.Sent.Marked == 0 || r.Sent.Marked+r.NotReached != 500 {
		t.Fatalf("interrupted %v, %+v, %d not reached", r.Interrupted, r.Sent, r.NotReached)
	}
	if n := len(k.log("orders")); n != r.Sent.Marked {
		t.Errorf("%d records, %d marks", n, r.Sent.Marked)
	}
	r, _ = k.replay(t.Context(), Filter{}, ReplayOptions{Execute: true})
	if n := len(k.log("orders")); n != 500 || r.Sent.Failed() > 0 {
		t.Errorf("%d records, %+v", n, r.Sent)
	}
}

func TestReplayOfWhatIsNotAcknowledgedIsNotMarked(t *testing.T) {
	k := startKafka(t)
	k.produce(
		k.bury(k.record(0, 1, "a", good("a")), "database", "x"),
		k.bury(k.record(1, 2, "b", good("b")), "database", "x"),
	)
	k.refuse("orders")
	r, said := k.replay(t.Context(), Filter{}, ReplayOptions{Execute: true})
	if r.Sent != (Sent{Unknown: 2}) || len(said) != 2 || !strings.Contains(strings.Join(said, "\n"), "letter orders.dlq/0@0: unknown: ") {
		t.Errorf("%+v %q", r.Sent, said)
	}
	if _, x := k.scan(Filter{}); x.Count(Open) != 2 {
		t.Errorf("%d open", x.Count(Open))
	}
}

func TestReplayWhoseMarkFailsIsSaid(t *testing.T) {
	k := startKafka(t)
	k.produce(k.bury(k.record(0, 1, "a", good("a")), "database", "x"))
	heal := k.refuse("orders.dlq")
	r, said := k.replay(t.Context(), Filter{}, ReplayOptions{Execute: true})
	if r.Sent != (Sent{Unmarked: 1}) || len(said) != 1 || !strings.Contains(said[0], "was replayed to orders/") {
		t.Errorf("%+v %q", r.Sent, said)
	}
	if _, x := k.scan(Filter{}); x.Count(Open) != 1 || len(k.log("orders")) != 1 {
		t.Errorf("%d open, %d records", x.Count(Open), len(k.log("orders")))
	}
	// As after a kill between the two: it goes once more, as the same event.
	heal()
	if r, _ = k.replay(t.Context(), Filter{}, ReplayOptions{Execute: true}); r.Sent != (Sent{Marked: 1}) {
		t.Errorf("%+v", r.Sent)
	}
	log := k.log("orders")
	if len(log) != 2 || !slices.EqualFunc(log[0].Headers, log[1].Headers, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }) {
		t.Errorf("%d records, or they differ", len(log))
	}
}

// refuse makes the broker refuse what is produced to a topic.
func (k *kafka) refuse(name string) (heal func()) {
	var healed atomic.Bool
	k.broker.Cluster().ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.broker.Cluster().KeepControl()
		in := req.(*kmsg.ProduceRequest)
		out := in.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range in.Topics {
			info := k.broker.Cluster().TopicInfo(name)
			if healed.Load() || t.Topic != name && t.TopicID != info.TopicID {
				return nil, nil, false
			}
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			out.Topics = append(out.Topics, rt)
		}
		return out, nil, true
	})
	return func() { healed.Store(true) }
}

func TestReplayGivesUpOnABrokerThatTakesNothing(t *testing.T) {
	k := startKafka(t)
	var all []*kgo.Record
	for n := range 3 * sendWindow {
		all = append(all, k.bury(k.record(0, int64(n), "o", good("o")), "database", "x"))
	}
	k.produce(all...)
	k.refuse("orders")
	r, _ := k.replay(t.Context(), Filter{}, ReplayOptions{Execute: true})
	if !r.GaveUp || r.Sent.Marked > 0 || r.Sent.Failed()+r.NotReached != len(all) || r.NotReached == 0 {
		t.Errorf("gave up %v, %+v, %d not reached", r.GaveUp, r.Sent, r.NotReached)
	}
}

func TestThousandLettersAreExportedFixedAndReplayed(t *testing.T) {
	k := startKafka(t)
	var all []*kgo.Record
	for n := range 1000 {
		all = append(all, k.bury(k.record(int32(n%3), int64(n), fmt.Sprint("o", n), bad(fmt.Sprint("o", n))), "validation", "/total: is a string, wants a number"))
	}
	k.produce(all...)
	// sed 's/"total":"1"/"total":1/'
	f := k.export(Filter{}, func(s string) string { return strings.ReplaceAll(s, `"total":"1"`, `"total":1`) })
	r, said := k.replay(t.Context(), Filter{}, ReplayOptions{Execute: true, Edits: k.edits(f)})
	if r.Sent != (Sent{Marked: 1000}) || r.Left() > 0 {
		t.Fatalf("%+v, %s %q", r.Sent, causes(r), said)
	}
	ids := map[string]bool{}
	for _, rec := range k.log("orders") {
		o, err := order.NewDecoder(order.Rules{}).Decode(rec.Value)
		if err != nil || o.ID != string(rec.Key) || o.Total.String() != "1" {
			t.Fatalf("%s: %v", rec.Value, err)
		}
		ids[header(rec.Headers, "event-id")] = true
	}
	if len(ids) != 1000 {
		t.Errorf("%d event ids", len(ids))
	}
	// Again: all are passed over.
	r, _ = k.replay(t.Context(), Filter{}, ReplayOptions{Execute: true, Edits: k.edits(f)})
	if got := causes(r); got != "1000 closed (replayed already)" || r.Left() > 0 || len(k.log("orders")) != 1000 {
		t.Error(got)
	}
}

func TestEditedLines(t *testing.T) {
	k := startKafka(t)
	key := k.record(0, 2, "wrong", good("b"))
	k.produce(
		k.bury(k.record(0, 1, "a", bad("a")), "validation", "x"),
		k.bury(key, "key_mismatch", "key is not the order's id"),
		k.bury(k.record(0, 3, "c", good("c")), "database", "x"),
		k.bury(k.record(0, 4, "d", good("d")), "event_id_conflict", "x"),
		k.bury(k.record(0, 5, "e", ""), "tombstone", "x"),
	)
	other := func(s, part, with string) string { return strings.Replace(s, part, with, 1) }
	lines := strings.Split(readAll(t, k.export(Filter{}, func(s string) string { return s })), "\n")
	for _, test := range []struct {
		name, line string
		want, said string
		id         string // of the event; "new" for one by content
	}{
		{"fixed", other(lines[0], `"total":"1"`, `"total":1`), "1 replay (validation: x)", "", "new"},
		{"not fixed", lines[0], "1 invalid (the edited line is no order)", "line 1: /total: is a string, wants a number", ""},
		{"the key made the id", other(lines[1], `"key":"wrong"`, `"key":"b"`), "1 replay (key_mismatch: key is not the order's id)", "", "new"},
		{"the key left as it was", lines[1], "1 invalid (the edited line's key is not the order's id)", `line 1: key is not the order's id: the key is "wrong", the id "b"; make them one`, ""},
		{"nothing changed", lines[2], "1 replay (database: x)", "", "e-0-3"},
		{"nothing but spaces changed", other(lines[2], `"total":1`, `"total": 1.0`), "1 replay (database: x)", "", "e-0-3"},
		{"an id that is taken makes way for a new one", lines[3], "1 replay (event_id_conflict: x)", "", "new"},
		{"a tombstone made an order", other(lines[4], `"value":null`, `"value":`+good("e")), "1 replay (tombstone: x)", "", "new"},
		{"a tombstone as it was", lines[4], "1 invalid (the edited line is no order)", "line 1: null value (tombstone)", ""},
		{"an order as text", other(lines[4], `"value":null`, fmt.Sprintf(`"value_text":%q`, good("e"))), "1 replay (tombstone: x)", "", "new"},
		{"two values", other(lines[4], `"value":null`, `"value":{},"value_text":""`), "1 invalid (the edited line is no order)", `line 1: it wants one of "value", "value_text" and "value_base64"`, ""},
		{"other headers", other(lines[2], `"e-0-3"`, `"e-0-9"`), "1 invalid (the edited line's headers are not the letter's)", "line 1: its headers were edited; only key and value can be", ""},
		{"another origin", other(lines[2], `orders/0@3`, `orders/0@9`), "1 invalid (the edited line's origin is not the letter's)", "line 1: letter orders.dlq/0@2 is of orders/0@3, topic id " + k.id + ", now: the file is of another topic of that name, or its origin was edited", ""},
		{"another topic's id", other(lines[2], k.id, "AAAAAAAAAAAAAAAAAAAAAA"), "1 invalid (the edited line's origin_topic_id is not the letter's)", "line 1: letter orders.dlq/0@2 is of orders/0@3, topic id " + k.id + ", now: the file is of another topic of that name, or its origin_topic_id was edited", ""},
		{"no such letter", other(lines[2], `orders.dlq/0@2`, `orders.dlq/0@99`), "", "line 1: there is no letter orders.dlq/0@99, or it is a second copy of one", ""},
		{"not a letter's line", `{"id":"a"}`, "", `line 1: it has no "letter": it is not a line of "ordersctl dlq export"`, ""},
		{"not JSON", `{"letter"`, "", "line 1: it is not JSON of one line: unexpected end of JSON input", ""},
		{"the same letter twice", lines[2] + "\n\n" + lines[2], "1 replay (database: x)", "line 3: it is of letter orders.dlq/0@2, as is line 1", "e-0-3"},
		{"a letter of another topic", other(lines[2], `orders.dlq/0@2`, `x.dlq/0@2`), "", `line 1: "x.dlq/0@2" is in topic "x.dlq", and the letters are in "orders.dlq"`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			k.t = t
			edits := k.edits(k.file(test.line))
			r, said := k.replay(t.Context(), Filter{}, ReplayOptions{Edits: edits})
			if got := causes(r); got != test.want || strings.Join(said, "; ") != test.said {
				t.Errorf("%s; said %q", got, said)
			}
			if failed := r.Left() > 0; failed != (test.said != "") {
				t.Errorf("%d left", r.Left())
			}
			if test.id == "" {
				return
			}
			q, x := k.scan(Filter{Edits: edits})
			_, err := q.Each(t.Context(), x, Open, func(l *Letter, s State) error {
				rp := &Replayer{opts: ReplayOptions{Topic: "orders", Edits: edits}, dec: q.dec}
				id := header(rp.judge(l, s).record.Headers, "event-id")
				if len(id) == 32 {
					id = "new"
				}
				if id != test.id {
					t.Errorf("event id %q, want %q", id, test.id)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func readAll(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRateIsKept(t *testing.T) {
	k := startKafka(t)
	var all []*kgo.Record
	for n := range 60 {
		all = append(all, k.bury(k.record(0, int64(n), "o", good("o")), "database", "x"))
	}
	k.produce(all...)
	begin := time.Now()
	r, _ := k.replay(t.Context(), Filter{}, ReplayOptions{Execute: true, Rate: 100})
	if took := time.Since(begin); took < 580*time.Millisecond || r.Sent.Marked != 60 {
		t.Errorf("60 letters at 100/s took %s, %+v", took, r.Sent)
	}
}

func TestDatabaseThatFailsIsToldAndNotWaitedFor(t *testing.T) {
	k := startKafka(t)
	k.produce(k.bury(k.record(0, 1, "a", good("a")), "database", "x"))
	r, said := k.replay(t.Context(), Filter{}, ReplayOptions{Rows: broken{}})
	if causes(r) != "1 replay (database: x)" || strings.Join(said, "") != "the database does not tell which letters are stale: connection refused" {
		t.Errorf("%s %q", causes(r), said)
	}
}

func TestNothingIsReplayedBlindly(t *testing.T) {
	k := startKafka(t)
	k.produce(k.bury(k.record(0, 1, "a", good("a")), "database", "x"))
	q, x := k.scan(Filter{})
	r, err := NewReplayer(k.cl, q, ReplayOptions{Topic: "orders", Rows: broken{}, Execute: true}).Run(t.Context(), x)
	var blind *BlindError
	if !errors.As(err, &blind) || r.Sent.Marked != 0 {
		t.Errorf("error %v, %+v", err, r.Sent)
	}
	if r, _ := k.replay(t.Context(), Filter{}, ReplayOptions{Rows: broken{}, Execute: true, IncludeStale: true}); r.Sent.Marked != 1 {
		t.Errorf("with --include-stale: %+v", r.Sent)
	}
}

type broken struct{}

func (broken) Rows(context.Context, []string) (map[string]sink.Row, error) {
	return nil, fmt.Errorf("connection refused")
}

func TestDiscard(t *testing.T) {
	k := startKafka(t)
	k.produce(
		k.bury(k.record(0, 1, "a", bad("a")), "validation", "x"), k.bury(k.record(1, 2, "b", ""), "tombstone", "y"),
		&kgo.Record{Topic: "orders.dlq", Partition: 2, Headers: headers("__connect.errors.topic", "orders", "__connect.errors.partition", "2", "__connect.errors.offset", "17")},
	)
	q, x := k.scan(Filter{Classes: []string{"tombstone", "connect"}})
	copts, err := ClientOptions(k.cfg, "orders.dlq")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Discard(t.Context(), k.dial(copts...), q, x, 10*time.Second, func(s string) { t.Error(s) })
	if err != nil || r.Sent != (Sent{Marked: 2}) || r.Gone+r.NotReached > 0 {
		t.Errorf("%+v %v", r, err)
	}
	if _, x := k.scan(Filter{}); names(x) != "0@0" || x.Count(Discarded) != 2 {
		t.Errorf("open %s, discarded %d", names(x), x.Count(Discarded))
	}
}
