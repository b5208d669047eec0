package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

func FuzzParseThreshold(f *testing.F) {
	for _, s := range []string{"p99<50ms", "p99.9 <= 1.5s", "error_rate<0.1%", "error_rate<1e-3", "lost==0", "rate>=4.9k/s", "max!=0", "p1e1<1d", "=<>!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		th, err := ParseThreshold(s)
		if err != nil {
			return
		}
		if !(th.Bound >= 0) || math.IsInf(th.Bound, 0) {
			t.Fatalf("%q has the bound %g", s, th.Bound)
		}
		if again, err := ParseThreshold(th.Text); err != nil || again != th {
			t.Fatalf("%q is %+v, its text %+v, %v", s, th, again, err)
		}
		opposite := map[string]string{"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}
		for _, v := range []float64{0, th.Bound / 2, th.Bound, th.Bound*2 + 1} {
			value, ok := th.Eval(metricsOf{th.Metric: v})
			other := th
			other.Op = opposite[th.Op]
			if _, not := other.Eval(metricsOf{th.Metric: v}); ok == not || value == "" || strings.ContainsAny(value, "NI") {
				t.Fatalf("%q of %g: %q, %t and the opposite %t", s, v, value, ok, not)
			}
		}
	})
}

func FuzzParseStage(f *testing.F) {
	for _, s := range []string{"30s@1k", "1m@1k..10k", "10s@0", "1d@0.5/s..0", "1ns@1e9", "9s@1..max", "1h@..", "@@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		st, err := ParseStage(s)
		if err != nil {
			return
		}
		if st.For <= 0 || !(st.From >= 0 && st.To >= 0) || math.IsInf(float64(st.From+st.To), 0) {
			t.Fatalf("%q is %+v", s, st)
		}
		again, err := ParseStage(st.String())
		if err != nil || again.For != st.For || !near(float64(again.From), float64(st.From)) || !near(float64(again.To), float64(st.To)) {
			t.Fatalf("%q writes %q, which is %+v, %v", s, st, again, err)
		}
		plan := Plan{Stages: []Stage{st}}
		if plan.Validate() != nil {
			return // a pause alone
		}
		schedule := NewSchedule(plan)
		all := schedule.Asked(st.For)
		if want := float64(st.From+st.To) / 2 * st.For.Seconds(); !near(all, want) {
			t.Fatalf("%q asks for %g, want %g", s, all, want)
		}
		before := time.Duration(0)
		for _, n := range []float64{0, all / 4, all / 2, all * 0.999} {
			at, ok := schedule.At(n)
			if ok && (at < before || at > st.For) {
				t.Fatalf("%q: order %g is due at %s, after one at %s", s, n, at, before)
			}
			before = max(before, at)
		}
	})
}

// near allows for what writing a rate in a few digits and adding up areas lose.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(a, b)+1e-9 }

func FuzzParseStatuses(f *testing.F) {
	for _, s := range []string{"pending=5,paid=3,shipped", "a", "a=0", "a=4294967296", "=1", ",", "a=1,a=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseStatuses(s)
		if err != nil {
			return
		}
		src, err := NewSource(SourceOptions{Run: testRun, Dist: Unique, Statuses: list})
		if err != nil {
			t.Fatalf("%q is %+v: %v", s, list, err)
		}
		if _, err := order.NewDecoder(order.Rules{}).Decode(src.Append(nil, 7)); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
	})
}

// A server's answer is anything. What is read of a receipt the short way must
// be what JSON says.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"id":"1","event_id":"e","topic":"t","partition":3,"offset":12}`, `{"outcome":"not_written"}`, `[]`, `null`, `{"partition":null}`,
		"\ufeff" + `{"outcome":"unknown"}`, `{"detail":"caf` + "\xe9" + `","outcome":"not_written"}`,
		`{"id":"1","outcome":"enqueued","partition":1,"offset":12}`, `{"id":"1","outcome" :"not_written","partition":1,"offset":12}`,
		`{"accepted":1,"results":[{"index":1,"status":400,"outcome":"not_written"},{"index":0,"partition":1,"offset":2}]}`,
	} {
		for _, code := range []int{200, 202, 207, 400, 503} {
			f.Add(code, body)
		}
	}
	f.Fuzz(func(t *testing.T, code int, body string) {
		a := newAnswerReader(3, "")
		text := fmt.Sprintf("HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s", code, len(body), body)
		if a.read(bufio.NewReader(strings.NewReader(text))) != nil {
			return
		}
		id := []byte("1")
		one := a.single(id)
		for _, r := range append(a.each([][]byte{id, id, id}), one) {
			if r.Outcome != client.Acked && r.Outcome != client.NotWritten && r.Outcome != client.Unknown || r.Cause == "" || (r.Partition < 0) != (r.Offset < 0) {
				t.Fatalf("%+v", r)
			}
		}
		var said told
		read := bytes.TrimPrefix(a.response.Body(), []byte("\ufeff"))
		if len(read) > 0 && json.Unmarshal(read, &said, lenient()) != nil { // a 204 has none
			said = told{}
		}
		want := Reply{Partition: -1, Offset: -1}
		want.take(a.response.StatusCode(), said, id)
		if one.Outcome != want.Outcome || one.Partition != want.Partition || one.Offset != want.Offset {
			t.Fatalf("%d %s is %+v, want %+v", code, body, one, want)
		}
	})
}

// A record of the topic is anything, too. It is intact exactly where the order
// that it decodes to is the one that was sent, and counts in one class.
func FuzzRecord(f *testing.F) {
	const n = 10
	clean := honest(rand.New(rand.NewPCG(1, 1)), n, 3, 1, true)
	for seq := range uint64(n) {
		rec := clean.at(seq)
		f.Add(rec.key, rec.value)
		f.Add([]byte("x"), rec.value)
		f.Add(rec.key, []byte(strings.Replace(string(rec.value), `","`, `" , "`, 1)))
		f.Add(rec.key, rec.value[:len(rec.value)/2])
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		w := honest(rand.New(rand.NewPCG(1, 1)), n, 3, 1, false)
		w.log = [][]logged{{{0, append([]byte{}, key...), append([]byte{}, value...)}}}
		got := w.judged(3)
		intact := false
		if o, err := order.NewDecoder(order.Rules{}).Decode(value); err == nil && string(key) == o.ID {
			if run, seq, ok := ParseUserID(o.UserID); ok && run == testRun && seq < n {
				sent := w.Order(seq)
				intact = difference(&sent, &o) == ""
			}
		}
		want := uint64(0)
		if intact {
			want = 1
		}
		if found := got.Records - got.Others - got.Corrupted; got.Records != 1 || found != want || intact && got.Lost != n-1 || got.Duplicated+got.Reordered+got.NotWrittenFound != 0 {
			t.Fatalf("key %q, value %q, intact %t: %+v", key, value, intact, onlyCounts(got))
		}
	})
}
