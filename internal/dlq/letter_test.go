package dlq

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
)

const topicID = "7ZqW3nK1Rf2yAAAAAAAAAA"

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func headers(pairs ...string) []kgo.RecordHeader {
	var hs []kgo.RecordHeader
	for i := 0; i < len(pairs); i += 2 {
		hs = append(hs, kgo.RecordHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return hs
}

func asMap(hs []kgo.RecordHeader) map[string]string {
	m := map[string]string{}
	for _, h := range hs {
		m[h.Key] = string(h.Value)
	}
	return m
}

// failing is a record that can't be applied, and why.
func failing() (*kgo.Record, Failure) {
	r := &kgo.Record{
		Topic: "orders", Partition: 1, Offset: 177630, Timestamp: at("2026-11-22T02:41:07.118Z"),
		Key: []byte("ord-1"), Value: []byte(`{"id":"ord-1","total":"149.99"}`),
		Headers: headers("event-id", "e-1", "client", "shop-web", "x", "1", "x", "2"),
	}
	faults := order.Faults{{Pointer: "/total", Detail: "is a string, wants a number"}, {Pointer: "/status", Detail: "is missing"}}
	return r, Failure{
		Refusal: sink.Refusal{Class: sink.RefusedValidation, Reason: "/total: is a string, wants a number", Detail: faults.Error(), Faults: faults},
		TopicID: topicID, Group: "orders-process", Attempts: 2, At: at("2026-11-22T02:41:07.204Z"),
	}
}

func TestLetterTellsAllThatWasWrapped(t *testing.T) {
	r, f := failing()
	made := Wrap("orders.dlq", r, f)
	made.Partition, made.Offset, made.Timestamp = 1, 884, at("2026-11-22T02:41:07.301Z")
	got, mark := Parse(made)
	want := &Letter{
		Place: Place{"orders.dlq", 1, 884}, Written: made.Timestamp,
		Key: r.Key, Value: r.Value, Headers: r.Headers,
		Origin: Origin{"orders", topicID, 1, 177630, r.Timestamp},
		Class:  "validation", Reason: f.Refusal.Reason, Detail: f.Refusal.Detail, Faults: f.Refusal.Faults,
		Group: "orders-process", Attempts: 2, Failed: f.At,
	}
	if diff := cmp.Diff(want, got); diff != "" || mark != nil {
		t.Errorf("mark %v, letter (-want +got):\n%s", mark, diff)
	}
	if id, err := got.EventID(); id != "e-1" || err != nil {
		t.Errorf("event id %q, %v", id, err)
	}
}

func TestLetterIsAsKafkaConnectsForOtherTools(t *testing.T) {
	r, f := failing()
	got := asMap(Wrap("orders.dlq", r, f).Headers)
	for name, want := range map[string]string{"__connect.errors.topic": "orders", "__connect.errors.partition": "1", "__connect.errors.offset": "177630"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

func TestWrapReplacesWhatARecordSaysInOurName(t *testing.T) {
	r, f := failing()
	r.Headers = append(r.Headers, headers(
		"ordersctl.dlq.mark", "discarded", "ordersctl.dlq.reason", "forged", "ordersctl.dlq.origin-offset", "7",
		"__connect.errors.offset", "7", "__connect.errors.exception.message", "of another pipeline")...)
	before := len(r.Headers)
	l, mark := Parse(Wrap("orders.dlq", r, f))
	if mark != nil || l == nil {
		t.Fatalf("a record with a mark's header became the mark %v", mark)
	}
	if l.Reason != f.Refusal.Reason || l.Origin.Offset != 177630 {
		t.Errorf("reason %q, origin %s", l.Reason, l.Origin)
	}
	if len(r.Headers) != before {
		t.Error("the record's own headers were changed")
	}
	for _, name := range []string{headerReason, headerOriginOffset, connectOffset} {
		n := 0
		for _, h := range Wrap("orders.dlq", r, f).Headers {
			if h.Key == name {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is there %d times", name, n)
		}
	}
}

func TestWrapCutsOurHeadersOnly(t *testing.T) {
	r, f := failing()
	long := strings.Repeat("é", 5000)
	r.Headers = headers("theirs", long)
	f.Refusal.Reason, f.Refusal.Detail = long, "x"+long
	f.Refusal.Faults = nil
	for range 20 {
		f.Refusal.Faults = append(f.Refusal.Faults, order.Fault{Pointer: "/" + strings.Repeat("k", 64), Detail: "is an unknown field"})
	}
	made := Wrap("orders.dlq", r, f)
	var ours int
	for _, h := range made.Headers[1:] {
		ours += len(h.Key) + len(h.Value)
		if len(h.Value) > 1024 || !bytes.Equal(bytes.ToValidUTF8(h.Value, nil), h.Value) {
			t.Errorf("%s has %d bytes, or half a character", h.Key, len(h.Value))
		}
	}
	if ours > 16<<10 {
		t.Errorf("our headers have %d bytes", ours)
	}
	if string(made.Headers[0].Value) != long {
		t.Error("a header of the record was cut")
	}
	var faults order.Faults
	if err := json.Unmarshal([]byte(header(made.Headers, headerErrors)), &faults); err != nil || len(faults) < 5 {
		t.Errorf("%d faults, %v", len(faults), err)
	}
}

func TestNothingStaysNothing(t *testing.T) {
	r, f := failing()
	r.Key, r.Value, r.Headers = nil, nil, nil
	f.Refusal = sink.Refusal{Class: sink.RefusedTombstone, Reason: "no value"}
	made := Wrap("orders.dlq", r, f)
	l, mark := Parse(made)
	if made.Key != nil || made.Value != nil || mark != nil || l == nil || l.Faults != nil {
		t.Fatalf("key %q, value %q, mark %v, letter %+v", made.Key, made.Value, mark, l)
	}
	if id, err := l.EventID(); id != topicID+"/1@177630" || err != nil {
		t.Errorf("a record without an event id is named %q by its place, %v", id, err)
	}
}

func TestOriginOf(t *testing.T) {
	for _, test := range []struct {
		name, header string
		want         *sink.Place
	}{
		{"a replayed record tells its first place", topicID + "/1@884", &sink.Place{TopicID: topicID, Partition: 1, Offset: 884}},
		{"a name is not a topic's id", "orders/1@884", nil},
		{"a topic has to be named", "1@884", nil},
		{"a negative offset is none", topicID + "/1@-884", nil},
		{"words are no place", "elsewhere", nil},
		{"an empty header says nothing", "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := OriginOf(&kgo.Record{Headers: headers("ordersctl.origin", test.header)})
			if diff := cmp.Diff(test.want, got); diff != "" || ok != (test.want != nil) {
				t.Errorf("%v %s", ok, diff)
			}
		})
	}
	if p, ok := OriginOf(&kgo.Record{}); p != nil || ok {
		t.Errorf("a record as it was sent first came from %v", p)
	}
}

func TestReplayedRecordIsTheRecordAgain(t *testing.T) {
	r, f := failing()
	l, _ := Parse(Wrap("orders.dlq", r, f))
	again, err := l.Replay()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"event-id": "e-1", "client": "shop-web", "x": "2",
		"ordersctl.origin": topicID + "/1@177630", "ordersctl.replay-count": "1",
	}
	if diff := cmp.Diff(want, asMap(again.Headers)); diff != "" {
		t.Error(diff)
	}
	if again.Topic != "orders" || !bytes.Equal(again.Key, r.Key) || !bytes.Equal(again.Value, r.Value) {
		t.Errorf("%s %q %q", again.Topic, again.Key, again.Value)
	}
}

func TestOriginIsKeptThroughReplays(t *testing.T) {
	r, f := failing()
	r.Headers = nil
	for n, offset := range []int64{177630, 200000, 210000} {
		r.Offset = offset
		l, _ := Parse(Wrap("orders.dlq", r, f))
		if l.Replays != n || l.Origin.Offset != offset {
			t.Errorf("letter %d: replayed %d times, its record stands at %s", n, l.Replays, l.Origin)
		}
		if got := header(Wrap("orders.dlq", r, f).Headers, headerLetterReplays); got != string(rune('0'+n)) {
			t.Errorf("letter %d says replay-count %q", n, got)
		}
		again, err := l.Replay()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"event-id":         topicID + "/1@177630", // named by its first place for good
			"ordersctl.origin": topicID + "/1@177630", "ordersctl.replay-count": string(rune('1' + n)),
		}
		if diff := cmp.Diff(want, asMap(again.Headers)); diff != "" {
			t.Error(diff)
		}
		again.Partition = 1
		r = again
	}
}

func TestReplayOfAnEditedLetterIsAnEventOfItsOwn(t *testing.T) {
	r, f := failing()
	l, _ := Parse(Wrap("orders.dlq", r, f))
	total, _ := order.ParseTotal("149.99")
	o := &order.Order{ID: "ord-1", UserID: "u1", Total: total, Status: "paid", Timestamp: at("2026-11-22T02:41:07Z")}
	one, two := l.ReplayAs(o), l.ReplayAs(o)
	id := header(one.Headers, client.HeaderEventID)
	// printf '7ZqW3nK1Rf2yAAAAAAAAAA/1@177630\0{"id":"ord-1",...}\0' | sha256sum | cut -c1-32
	if id != "f40e9ce44fc6efcef79a8c48dfb4e4a9" || id != header(two.Headers, client.HeaderEventID) {
		t.Errorf("event id %q, then %q", id, header(two.Headers, client.HeaderEventID))
	}
	if want := string(order.Append(nil, o)); string(one.Value) != want || string(one.Key) != "ord-1" {
		t.Errorf("%q %q", one.Key, one.Value)
	}
	o.Status = "pending"
	if header(l.ReplayAs(o).Headers, client.HeaderEventID) == id {
		t.Error("another content has the same event id")
	}
}

func TestLetterWithoutAUsableEventIDCannotBeReplayedAsItIs(t *testing.T) {
	r, f := failing()
	r.Headers = headers("event-id", "bad\x01")
	f.Refusal = sink.Refusal{Class: sink.RefusedEventID, Reason: client.ErrEventID.Error()}
	l, _ := Parse(Wrap("orders.dlq", r, f))
	if again, err := l.Replay(); err == nil {
		t.Errorf("it is replayed as %v", asMap(again.Headers))
	}
}

func TestMarksAreToldFromLetters(t *testing.T) {
	r, f := failing()
	r.Value = nil
	l, _ := Parse(Wrap("orders.dlq", r, f))
	l.Place = Place{"orders.dlq", 2, 884}
	for _, state := range []State{Replayed, Discarded} {
		made := l.Mark(state, "orders/1@900")
		if made.Topic != "orders.dlq" || made.Partition != 2 || string(made.Key) != "ord-1" || made.Value != nil {
			t.Errorf("%+v", made)
		}
		letter, got := Parse(made)
		want := &Mark{Origin: Origin{Topic: "orders", TopicID: topicID, Partition: 1, Offset: 177630}, State: state, To: "orders/1@900"}
		if diff := cmp.Diff(want, got); diff != "" || letter != nil {
			t.Errorf("letter %v, mark (-want +got):\n%s", letter, diff)
		}
	}
}

func TestRecordsThatAreNotOurs(t *testing.T) {
	for _, test := range []struct {
		name    string
		headers []kgo.RecordHeader
	}{
		{"a record without headers", nil},
		{"a mark without an origin", headers("ordersctl.dlq.mark", "replayed")},
		{"a mark of no known kind", headers("ordersctl.dlq.mark", "lost", "ordersctl.dlq.origin-topic", "orders", "ordersctl.dlq.origin-partition", "1", "ordersctl.dlq.origin-offset", "1")},
		{"half an origin", headers("ordersctl.dlq.origin-topic", "orders", "ordersctl.dlq.origin-partition", "1")},
		{"a partition that is none", headers("__connect.errors.topic", "orders", "__connect.errors.partition", "-1", "__connect.errors.offset", "1")},
		{"a topic that can't be one", headers("__connect.errors.topic", "a/b", "__connect.errors.partition", "1", "__connect.errors.offset", "1")},
		{"a topic id that is none", headers("ordersctl.dlq.origin-topic", "orders", "ordersctl.dlq.origin-topic-id", "orders", "ordersctl.dlq.origin-partition", "1", "ordersctl.dlq.origin-offset", "1")},
	} {
		t.Run(test.name, func(t *testing.T) {
			if l, m := Parse(&kgo.Record{Headers: test.headers}); l != nil || m != nil {
				t.Errorf("letter %+v, mark %+v", l, m)
			}
		})
	}
}

func TestLetterOfKafkaConnect(t *testing.T) {
	l, _ := Parse(&kgo.Record{Topic: "orders.dlq", Timestamp: at("2026-11-22T02:41:07Z"), Headers: headers(
		"__connect.errors.topic", "orders", "__connect.errors.partition", "2", "__connect.errors.offset", "17",
		"__connect.errors.exception.class.name", "org.apache.kafka.connect.errors.DataException",
		"__connect.errors.exception.message", "Unknown magic byte!", "trace", "t")})
	want := &Letter{
		Place: Place{Topic: "orders.dlq"}, Written: at("2026-11-22T02:41:07Z"), Failed: at("2026-11-22T02:41:07Z"),
		Headers: headers("trace", "t"), Origin: Origin{Topic: "orders", Partition: 2, Offset: 17},
		Class: ClassConnect, Reason: "Unknown magic byte!", Detail: "org.apache.kafka.connect.errors.DataException",
	}
	if diff := cmp.Diff(want, l); diff != "" {
		t.Error(diff)
	}
	if again, err := l.Replay(); err == nil {
		t.Errorf("without its topic's id it is replayed as %v", asMap(again.Headers))
	}
}

func TestParsePlace(t *testing.T) {
	for _, test := range []struct {
		text string
		want Place
		err  string
	}{
		{"orders.dlq/1@884", Place{"orders.dlq", 1, 884}, ""},
		{"1@884", Place{"orders.dlq", 1, 884}, ""},
		{"orders/1@884", Place{}, `"orders/1@884" is in topic "orders", and the letters are in "orders.dlq"`},
		{"/1@884", Place{}, `"/1@884" is not a letter, wants one like orders.dlq/1@884 or 1@884`},
		{"884", Place{}, `"884" is not a letter, wants one like orders.dlq/1@884 or 1@884`},
		{"1@-1", Place{}, `"1@-1" is not a letter, wants one like orders.dlq/1@884 or 1@884`},
	} {
		got, err := ParsePlace(test.text, "orders.dlq")
		msg := ""
		if err != nil {
			msg = err.Error()
		}
		if got != test.want || msg != test.err {
			t.Errorf("%q: %v, %q", test.text, got, msg)
		}
	}
}

// FuzzParse holds any headers against two promises: a letter has an origin, and
// its mark is read as the mark of that very letter.
func FuzzParse(f *testing.F) {
	r, failure := failing()
	add := func(r *kgo.Record) {
		var flat []byte
		for _, h := range r.Headers {
			flat = append(flat, h.Key+"\x00"+string(h.Value)+"\x00"...)
		}
		f.Add(flat, r.Value)
	}
	made := Wrap("orders.dlq", r, failure)
	add(made)
	l, _ := Parse(made)
	add(l.Mark(Replayed, ""))
	add(&kgo.Record{Headers: headers("__connect.errors.topic", "orders", "__connect.errors.partition", "2", "__connect.errors.offset", "17")})
	f.Fuzz(func(t *testing.T, flat, value []byte) {
		parts := strings.Split(string(flat), "\x00")
		var hs []kgo.RecordHeader
		for i := 0; i+1 < len(parts); i += 2 {
			hs = append(hs, kgo.RecordHeader{Key: parts[i], Value: []byte(parts[i+1])})
		}
		l, m := Parse(&kgo.Record{Topic: "orders.dlq", Value: value, Headers: hs})
		if l == nil {
			return
		}
		if m != nil || l.Origin.Topic == "" || l.Origin.Partition < 0 || l.Origin.Offset < 0 {
			t.Fatalf("letter %+v, mark %+v", l, m)
		}
		if _, mark := Parse(l.Mark(Discarded, "")); mark == nil || identityOf(mark.Origin) != identityOf(l.Origin) {
			t.Fatalf("the mark of %+v is %+v", l.Origin, mark)
		}
		again, err := l.Replay()
		if err != nil {
			return
		}
		if nested, nestedMark := Parse(again); nested != nil || nestedMark != nil {
			t.Fatalf("the replayed record is a letter or a mark: %v", asMap(again.Headers))
		}
		if p, ok := OriginOf(again); l.Origin.TopicID != "" && (!ok || *p != l.first()) {
			t.Fatalf("first place %v, replayed as %v", l.first(), p)
		}
	})
}
