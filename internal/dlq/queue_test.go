package dlq

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
)

// names are the letters of the index that are open, in the topic's order.
func names(x *Index) string {
	var out []string
	for i := range x.entries {
		if x.entries[i].state == Open {
			out = append(out, Place{Partition: x.entries[i].partition, Offset: x.entries[i].offset}.Short())
		}
	}
	return strings.Join(out, " ")
}

func letterOf(t *testing.T, r *kgo.Record) *Letter {
	t.Helper()
	l, _ := Parse(r)
	if l == nil {
		t.Fatal("it is no letter")
	}
	return l
}

func TestLettersAndTheirMarks(t *testing.T) {
	k := startKafka(t)
	a := k.bury(k.record(0, 10, "a", bad("a")), "validation", "/total: is a string")
	b := k.bury(k.record(1, 20, "b", ""), "tombstone", "no value")
	c := k.bury(k.record(1, 21, "c", good("c")), "database", "23514 orders_total_check")
	again := k.bury(k.record(0, 10, "a", bad("a")), "validation", "/total: is a string")
	again.Partition = 2 // as without a key
	k.produce(a, b, c, again)
	k.produce(letterOf(t, b).Mark(Discarded, ""), &kgo.Record{Topic: "orders.dlq", Key: []byte("x"), Value: []byte("of nobody")})

	_, x := k.scan(Filter{})
	if x.Len() != 3 || x.Count(Open) != 2 || x.Count(Discarded) != 1 || x.Twice != 1 || x.Foreign != 1 {
		t.Errorf("%d letters, %d open, %d discarded, %d twice, %d foreign", x.Len(), x.Count(Open), x.Count(Discarded), x.Twice, x.Foreign)
	}
	// A mark belongs to all copies of a letter, also to one that comes after it.
	k.produce(letterOf(t, a).Mark(Replayed, "orders/0@99"), k.bury(k.record(1, 20, "b", ""), "tombstone", "no value"))
	if _, x = k.scan(Filter{}); names(x) != "1@1" || x.Count(Replayed) != 1 || x.Count(Discarded) != 1 {
		t.Errorf("open: %s, replayed %d, discarded %d", names(x), x.Count(Replayed), x.Count(Discarded))
	}
	for _, copyOf := range []Place{{"orders.dlq", 0, 0}, {"orders.dlq", 2, 0}} {
		if _, x = k.scan(Filter{Letters: []Place{copyOf}}); x.Len() != 1 || x.Count(Replayed) != 1 {
			t.Errorf("%s: %d letters, %d replayed", copyOf, x.Len(), x.Count(Replayed))
		}
	}
}

func TestFilters(t *testing.T) {
	k := startKafka(t)
	write := func(second int, r *kgo.Record) {
		r.Timestamp = at("2026-11-22T03:00:00Z").Add(time.Duration(second) * time.Second)
		k.produce(r)
	}
	write(0, k.bury(k.record(0, 1, "a", bad("a")), "validation", "/total: is a string, wants a number"))
	write(10, k.bury(k.record(0, 2, "b", bad("b")), "validation", "/total: is a boolean, wants a number"))
	write(20, k.bury(k.record(1, 3, "a", good("a")), "database", "23514 orders_total_check"))
	write(30, k.bury(k.record(2, 4, "c", ""), "tombstone", "no value"))
	glob := func(s string) []Glob {
		g, err := ParseGlob(s)
		if err != nil {
			t.Fatal(err)
		}
		return []Glob{g}
	}
	second := func(n int) time.Time { return at("2026-11-22T03:00:00Z").Add(time.Duration(n) * time.Second) }
	key := "a"
	for _, test := range []struct {
		name string
		f    Filter
		want string
	}{
		{"none means all", Filter{}, "0@0 0@1 1@0 2@0"},
		{"a pattern of the reason", Filter{Reasons: glob("/total*")}, "0@0 0@1"},
		{"a pattern has to match all of it", Filter{Reasons: glob("/total")}, ""},
		{"one character of a pattern", Filter{Reasons: glob("2351? *")}, "1@0"},
		{"a pattern is not a regular expression", Filter{Reasons: glob(".*")}, ""},
		{"a class", Filter{Classes: []string{"tombstone", "database"}}, "1@0 2@0"},
		{"a key", Filter{Key: &key}, "0@0 1@0"},
		{"a key and a class", Filter{Key: &key, Classes: []string{"database"}}, "1@0"},
		{"from a time on", Filter{From: second(10)}, "0@1 1@0 2@0"},
		{"before a time", Filter{To: second(20)}, "0@0 0@1"},
		{"between two", Filter{From: second(1), To: second(30)}, "0@1 1@0"},
		{"after the last", Filter{From: second(31)}, ""},
		{"two that are named", Filter{Letters: []Place{{"orders.dlq", 2, 0}, {"orders.dlq", 0, 1}}}, "0@1 2@0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, x := k.scan(test.f); names(x) != test.want {
				t.Errorf("%q, want %q", names(x), test.want)
			}
		})
	}
}

// A database that is restored, or a consumer that is set back, writes a letter
// once more: what a person has given up long ago is not open again.
func TestLetterThatIsWrittenOnceMoreStaysSettled(t *testing.T) {
	k := startKafka(t)
	write := func(when string, r *kgo.Record) *kgo.Record {
		r.Timestamp = at(when)
		k.produce(r)
		return r
	}
	letter := write("2026-10-01T00:00:00Z", k.bury(k.record(0, 1, "a", bad("a")), "validation", "x"))
	write("2026-10-02T00:00:00Z", letterOf(t, letter).Mark(Discarded, ""))
	write("2026-11-22T00:00:00Z", k.bury(k.record(0, 1, "a", bad("a")), "validation", "x"))
	for name, f := range map[string]Filter{
		"since it was written again": {From: at("2026-11-21T00:00:00Z")},
		"named by its second copy":   {Letters: []Place{{"orders.dlq", 0, 2}}},
		"by its order":               {},
	} {
		if _, x := k.scan(f); x.Count(Discarded) != 1 || x.Len() != 1 {
			t.Errorf("%s: %d of %d discarded", name, x.Count(Discarded), x.Len())
		}
	}
}

// list shows the order's id, which is not the key where they differ.
func TestKeyMeansTheOrderToo(t *testing.T) {
	k := startKafka(t)
	k.produce(
		k.bury(k.record(0, 1, "wrong", good("ord-1")), "key_mismatch", "key is not the order's id"),
		k.bury(&kgo.Record{Topic: "orders", Partition: 0, Offset: 2, Value: []byte(bad("ord-2"))}, "validation", "x"),
		k.bury(k.record(0, 3, "ord-3", good("ord-9")), "database", "x"),
	)
	for key, want := range map[string]string{"ord-1": "0@0", "wrong": "0@0", "ord-2": "0@1", "ord-3": "0@2", "": "0@1", "ord": ""} {
		if _, x := k.scan(Filter{Key: &key}); names(x) != want {
			t.Errorf("%q: %q, want %q", key, names(x), want)
		}
	}
}

func TestLettersThatAreNotThere(t *testing.T) {
	k := startKafka(t)
	r := k.bury(k.record(0, 1, "a", bad("a")), "validation", "x")
	k.produce(r)
	k.produce(letterOf(t, r).Mark(Discarded, ""), &kgo.Record{Topic: "orders.dlq", Value: []byte("y")})
	for _, test := range []struct {
		place Place
		want  string
	}{
		{Place{"orders.dlq", 0, 1}, "orders.dlq/0@1 is no letter but the mark that orders/0@1 was discarded"},
		{Place{"orders.dlq", 0, 2}, "orders.dlq/0@2 is no letter: it does not tell which record it is of"},
		{Place{"orders.dlq", 0, 3}, "there is no letter orders.dlq/0@3: the partition ends at offset 3"},
		{Place{"orders.dlq", 9, 0}, "topic orders.dlq has no partition 9"},
	} {
		if _, err := k.open().Scan(t.Context(), Filter{Letters: []Place{test.place}}); err == nil || err.Error() != test.want {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}

func TestGroupsAndNewest(t *testing.T) {
	k := startKafka(t)
	for n := range 5 {
		r := k.record(0, int64(n), fmt.Sprint("o", n), bad("o"))
		r.Headers = append(r.Headers, headers("client", []string{"shop", "app"}[n%2])...)
		l := Wrap("orders.dlq", r, Failure{TopicID: k.id, At: at("2026-11-22T02:41:08Z").Add(time.Duration(n) * time.Second)})
		l.Headers = append(l.Headers, headers(headerClass, "validation", headerReason, "/total: x")...)
		k.produce(l)
	}
	k.produce(k.bury(k.record(1, 7, "t", ""), "tombstone", "no value"))
	_, x := k.scan(Filter{})
	want := []Group{
		{"validation", "/total: x", []string{"app", "shop"}, 5, at("2026-11-22T02:41:08Z"), at("2026-11-22T02:41:12Z"), Place{"orders.dlq", 0, 0}},
		{"tombstone", "no value", []string{"direct"}, 1, at("2026-11-22T02:41:08Z"), at("2026-11-22T02:41:08Z"), Place{"orders.dlq", 1, 0}},
	}
	if diff := cmp.Diff(want, x.Groups()); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, s := range x.Newest(2, false) {
		got = append(got, s.Place.Short()+" "+s.OrderID)
	}
	if diff := cmp.Diff([]string{"0@4 o4", "0@3 o3"}, got); diff != "" {
		t.Error(diff)
	}
	if n := len(x.Newest(0, false)); n != 6 {
		t.Errorf("without a limit %d letters", n)
	}
}

func TestShareCountsTheRecordsBetweenTheFirstAndTheLast(t *testing.T) {
	k := startKafka(t)
	for n := range 40 {
		r := k.record(int32(n%3), 0, "o", good("o"))
		r.Timestamp = at("2026-11-22T02:00:00Z").Add(time.Duration(n) * time.Second)
		k.produce(r)
		if n == 10 || n == 29 {
			k.produce(k.bury(r, "database", "x"))
		}
	}
	for _, test := range []struct {
		name string
		f    Filter
		want Share
	}{
		{"from the first letter's record to the last one's", Filter{}, Share{2, 20, 0}},
		{"from a time until now", Filter{From: at("2026-11-22T02:00:05Z")}, Share{2, 35, 0}},
		{"between two times", Filter{From: at("2026-11-22T02:00:05Z"), To: at("2026-11-22T02:00:35Z")}, Share{2, 30, 0}},
	} {
		q, x := k.scan(Filter{})
		if s, err := q.Share(t.Context(), x, "orders", test.f); err != nil || s == nil || *s != test.want {
			t.Errorf("%s: %+v, %v", test.name, s, err)
		}
	}
}

// Letters are kept for good and records are not: the share of what is still
// there must not be taken of letters that are not.
func TestShareLeavesOutLettersOfDeletedRecords(t *testing.T) {
	k := startKafka(t)
	for n := range int64(10) {
		r := k.record(0, n, "o", good("o"))
		r.Timestamp = at("2026-11-22T02:00:00Z").Add(time.Duration(n) * time.Second)
		k.produce(r)
		if n < 4 || n == 7 {
			k.produce(k.bury(r, "database", "x"))
		}
	}
	if _, err := client.Admin(k.cl).DeleteRecords(t.Context(), purge("orders", 0, 6)); err != nil {
		t.Fatal(err)
	}
	q, x := k.scan(Filter{})
	for name, test := range map[string]struct {
		f    Filter
		want Share
	}{
		"from the first that is left":        {Filter{}, Share{1, 1, 4}},
		"from a time whose records are gone": {Filter{From: at("2026-11-22T02:00:00Z")}, Share{1, 4, 4}},
	} {
		if s, err := q.Share(t.Context(), x, "orders", test.f); err != nil || s == nil || *s != test.want {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	if _, err := client.Admin(k.cl).DeleteRecords(t.Context(), purge("orders", 0, 9)); err != nil {
		t.Fatal(err)
	}
	if s, err := q.Share(t.Context(), x, "orders", Filter{}); err != nil || s != nil {
		t.Errorf("with no record left: %+v, %v", s, err)
	}
}

func TestEachReadsLettersWholeAndInOrder(t *testing.T) {
	k := startKafka(t)
	var all []*kgo.Record
	for n := range 3000 {
		p := int32(n % 3)
		all = append(all, k.bury(k.record(p, int64(n), fmt.Sprint("o", n), bad("o")+strings.Repeat(" ", 500)), []string{"validation", "database"}[n/3%2], "x"))
	}
	k.produce(all...)
	q, x := k.scan(Filter{Classes: []string{"database"}})
	// What is deleted between the two readings is told.
	if _, err := client.Admin(k.cl).DeleteRecords(t.Context(), purge("orders.dlq", 1, 10)); err != nil {
		t.Fatal(err)
	}
	last := Place{Partition: -1}
	n := 0
	gone, err := q.Each(t.Context(), x, Open, func(l *Letter, _ State) error {
		if l.Place.Partition < last.Partition || l.Place.Partition == last.Partition && l.Place.Offset <= last.Offset {
			t.Errorf("%s comes after %s", l.Place, last)
		}
		if l.Class != "database" || !bytes.HasPrefix(l.Value, []byte(`{"id":"o"`)) {
			t.Errorf("%s: %s %s", l.Place, l.Class, l.Value)
		}
		last = l.Place
		n++
		return nil
	})
	if err != nil || n != 1495 || gone != 5 {
		t.Errorf("%d letters, %d gone, %v", n, gone, err)
	}
}

func TestScanEndsWhereTheLastOffsetsHoldNoRecords(t *testing.T) {
	k := startKafka(t)
	k.produce(k.bury(k.record(0, 1, "a", bad("a")), "validation", "x"))
	cl := k.dial(kgo.TransactionalID("test"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), k.bury(k.record(0, 2, "b", bad("b")), "validation", "x")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	if _, x := k.scan(Filter{}); names(x) != "0@0" {
		t.Errorf("open: %s", names(x))
	}
}

func TestExportTellsTheValueAsItIs(t *testing.T) {
	l := func(key, value []byte) *Letter {
		return &Letter{Place: Place{"orders.dlq", 1, 884}, Key: key, Value: value, Headers: headers("a", "1", "a", "\xff"), Origin: Origin{Topic: "orders", TopicID: topicID}, Failed: at("2026-11-22T02:41:08Z")}
	}
	for _, test := range []struct {
		name       string
		key, value []byte
		want       string
	}{
		{"an object is embedded", []byte("k"), []byte("{ \"a\": 1.50,\n \"a\": \"<\" }"), `"key":"k","headers":[{"key":"a","value":"1"},{"key":"a","value_base64":"/w=="}],"value":{"a":1.50,"a":"<"}}`},
		{"text is text", nil, []byte(`"x`), `"key":null,"headers":[{"key":"a","value":"1"},{"key":"a","value_base64":"/w=="}],"value_text":"\"x"}`},
		{"a JSON string is text too", []byte{}, []byte(`"x"`), `"key":"","headers":[{"key":"a","value":"1"},{"key":"a","value_base64":"/w=="}],"value_text":"\"x\""}`},
		{"an empty value is text", []byte("k"), []byte{}, `"key":"k","headers":[{"key":"a","value":"1"},{"key":"a","value_base64":"/w=="}],"value_text":""}`},
		{"bytes are base64", []byte("\xfe"), []byte("{\"\xff\":1}"), `"key_base64":"/g==","headers":[{"key":"a","value":"1"},{"key":"a","value_base64":"/w=="}],"value_base64":"eyL/IjoxfQ=="}`},
		{"a tombstone is null", []byte("k"), nil, `"key":"k","headers":[{"key":"a","value":"1"},{"key":"a","value_base64":"/w=="}],"value":null}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(Export(l(test.key, test.value), Open)); err != nil {
				t.Fatal(err)
			}
			want := `{"letter":"orders.dlq/1@884","state":"open","origin":"orders/0@0","origin_topic_id":"7ZqW3nK1Rf2yAAAAAAAAAA","class":"","reason":"","failed_at":"2026-11-22T02:41:08Z","replays":0,` + test.want + "\n"
			if diff := cmp.Diff(want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGlobsAreHeldToTheWholeText(t *testing.T) {
	if _, err := ParseGlob(""); err == nil {
		t.Error("an empty pattern is taken")
	}
	g, err := ParseGlob("a*[b]?")
	if err != nil || !g.Match("a\nxx[b]c") || g.Match("a[b]") || g.Match("xa[b]c") {
		t.Errorf("%v", err)
	}
}
