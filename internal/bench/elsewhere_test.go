package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
)

// A receipt may name another topic than the one that is read back: its order is
// not lost, and its place is none of that topic.
func TestHTTPNoticesReceiptsOfAnotherTopic(t *testing.T) {
	acked := func(partition int32, offset int64) Reply {
		return Reply{Outcome: client.Acked, Cause: "202", Partition: partition, Offset: offset}
	}
	elsewhere := Reply{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1, Elsewhere: true}
	for _, tt := range []struct {
		name, body string
		batch      int
		want       []Reply
		other      string
	}{
		{"ours", `{"id":"ID","event_id":"e","topic":"orders","partition":2,"offset":7}`, 1, []Reply{acked(2, 7)}, ""},
		{"another's", `{"id":"ID","event_id":"e","topic":"load","partition":2,"offset":7}`, 1, []Reply{elsewhere}, "load"},
		{"ours, in another writing", `{"offset": 7, "topic": "orders", "partition": 2}`, 1, []Reply{acked(2, 7)}, ""},
		{"another's, in another writing", `{"offset": 7, "topic": "load", "partition": 2}`, 1, []Reply{elsewhere}, "load"},
		{"none is named", `{"offset": 7, "partition": 2}`, 1, []Reply{acked(2, 7)}, ""},
		{"one that is none", `{"offset": 7, "topic": 5, "partition": 2}`, 1, []Reply{acked(2, 7)}, ""},
		{
			"another's, enqueued", `{"id":"ID","event_id":"e","topic":"load","outcome":"enqueued"}`, 1,
			[]Reply{{Outcome: client.Acked, Cause: "202 enqueued", Partition: -1, Offset: -1, Elsewhere: true}}, "load",
		},
		{
			"a refusal", `{"topic":"load","outcome":"not_written"}`, 1,
			[]Reply{{Outcome: client.NotWritten, Cause: "202", Partition: -1, Offset: -1}}, "",
		},
		{
			"one of several", `{"results":[{"index":0,"topic":"orders","partition":0,"offset":7},{"index":1,"topic":"load","partition":0,"offset":8}]}`, 2,
			[]Reply{acked(0, 7), elsewhere}, "load",
		},
		{
			"said once for all", `{"topic":"load","results":[{"index":0,"partition":0,"offset":7},{"index":1,"topic":"orders","partition":0,"offset":8}]}`, 2,
			[]Reply{elsewhere, acked(0, 8)}, "load",
		},
		{"several at once", `{"topic":"load"}`, 2, []Reply{elsewhere, elsewhere}, "load"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, strings.ReplaceAll(tt.body, "ID", string(idOf(b))))
			}))
			t.Cleanup(server.Close)
			s := newSettled()
			l := mustDial(t, HTTPConfig{URL: server.URL, Batch: tt.batch, Topic: "orders"}).Lane(0, s.port)
			t.Cleanup(l.Close)
			if diff := cmp.Diff(tt.want, withoutTimes(s.send(l, Job{Orders: tt.batch}))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			other := ""
			if p := s.ledger.other.Load(); p != nil {
				other = *p
			}
			if other != tt.other {
				t.Errorf("the other topic is %q, want %q", other, tt.other)
			}
		})
	}
}

// The heaviest verdict there is must not come of a slip of configuration.
func TestVerifyCallsNothingLostThatIsInAnotherTopic(t *testing.T) {
	_, cl := kafkaWith(t, 1)
	mark, err := TakeMark(t.Context(), cl, "orders", true)
	if err != nil {
		t.Fatal(err)
	}
	w := honest(rand.New(rand.NewPCG(1, 2)), 2000, 10, 1, false)
	for seq := range uint64(1999) {
		w.ledger.Elsewhere(seq, "load")
	}
	w.ledger.Settle(7, client.Unknown, time.Second, -1, -1)
	opts := w.options(mark)
	opts.Settle = time.Hour
	opts.Say = func(line string) { t.Errorf("it says %q: there is nothing to wait for", line) }
	got, err := Verify(t.Context(), cl, opts)
	const want = "1,999 acked orders are in topic load by their receipts, and topic orders is read back: add -t load"
	if fmt.Sprint(err) != want || got.Lost != 0 {
		t.Errorf("got %+v, %v, want %q", got, err, want)
	}
}

// One odd receipt among many must not hide what became of the others.
func TestVerifyJudgesAllButTheFewThatAreInAnotherTopic(t *testing.T) {
	_, cl := kafkaWith(t, 1)
	mark, err := TakeMark(t.Context(), cl, "orders", true)
	if err != nil {
		t.Fatal(err)
	}
	w := honest(rand.New(rand.NewPCG(1, 2)), 2000, 10, 1, false)
	for _, seq := range []uint64{7, 8, 9} {
		w.ledger.Elsewhere(seq, "load")
	}
	lost := *w.at(1999)
	*w.at(7), *w.at(8), *w.at(1999) = logged{}, logged{}, logged{} // 9 is there whatever its receipt says
	w.write(t, cl)
	for _, tt := range []struct {
		lost uint64
		code int
		line string
	}{
		{1, ExitIntegrity, "FAIL     integrity: 1 acked order lost; 2 orders not judged: their receipts name topic load (exit 6)"},
		{0, ExitFailed, "FAIL     2 orders not judged: their receipts name topic load (exit 1)"},
	} {
		got, err := Verify(t.Context(), cl, w.options(mark))
		if err != nil {
			t.Fatal(err)
		}
		want := Integrity{Expected: 1998, Acked: 2000, Lost: tt.lost, NotJudged: 2, OtherTopic: "load", Records: 1998 - tt.lost}
		if diff := cmp.Diff(want, onlyCounts(got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if sum := newAudit("orders", testRun, w.n, 0, w.ledger, w).verdict(nil); sum.NotJudged != 2 {
			t.Errorf("where the database has none, %d are not judged: the log has one of them", sum.NotJudged)
		}
		r := &Result{Integrity: &got, Generator: Generator{Valid: true}}
		r.Orders.Scheduled, r.Orders.Acked = 2000, 2000
		if r.Judge(); r.Verdict.ExitCode != tt.code || r.line() != tt.line {
			t.Errorf("exit %d, %q, want %d, %q", r.Verdict.ExitCode, r.line(), tt.code, tt.line)
		}
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: 0, Key: lost.key, Value: lost.value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// A receipt of another topic that more came behind of is in doubt like any other
// without a place: its order is unknown, and counts as none of that topic.
func TestAnOrderInDoubtIsNowhere(t *testing.T) {
	r := Reply{Outcome: client.Acked, Cause: "202", Partition: -1, Offset: -1, Elsewhere: true}
	r.doubt()
	if diff := cmp.Diff(Reply{Outcome: client.Unknown, Cause: causeUnsolicited, Partition: -1, Offset: -1}, r); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
