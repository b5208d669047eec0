package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
)

// liar is a server between a run and the topic. It spoils chosen orders, says
// nothing of it, and keeps count.
type liar struct {
	t    *testing.T
	cl   *kgo.Client
	want Integrity

	mu   sync.Mutex
	held map[string]heldBack // by order id
}

// heldBack is an order that was acknowledged and is not written yet.
type heldBack struct {
	record *kgo.Record
	since  time.Time
}

const liarOrders = 3000

// Longer than an acknowledgement is on its way to the client: what comes later
// was sent after it.
const surely = 100 * time.Millisecond

func (s *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	body, _ := io.ReadAll(r.Body)
	o, err := order.NewDecoder(order.Rules{}).Decode(body)
	if err != nil {
		s.t.Errorf("%s: %v", body, err)
		return
	}
	_, seq, _ := ParseUserID(o.UserID)
	rec := &kgo.Record{Topic: "orders", Partition: int32(o.ID[len(o.ID)-1] % 3), Key: []byte(o.ID), Value: body}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want.Expected++
	s.want.Acked++
	write := []*kgo.Record{rec}
	switch {
	case seq%500 == 10:
		s.want.Lost++
		write = nil
	case seq%500 == 20:
		s.want.Duplicated++
		again := *rec
		write = append(write, &again)
	case seq%500 == 30:
		s.want.Corrupted++
		rec.Value = []byte(strings.Replace(string(body), `"status":"`, `"status":"x`, 1))
	case seq%500 == 40:
		s.want.Corrupted++
		rec.Key = []byte("elsewhere")
	case seq%500 == 50:
		s.want.NotWrittenFound++
		s.want.Acked--
		s.want.Expected--
		s.write(write)
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"outcome":"not_written"}`)
		return
	case seq%500 == 60:
		// A 500 that says nothing: unknown, and here it is written.
		s.want.UnknownWritten++
		s.want.Acked--
		s.write(write)
		w.WriteHeader(http.StatusInternalServerError)
		return
	case seq%500 == 70:
		s.want.UnknownAbsent++
		s.want.Acked--
		s.want.Expected--
		w.WriteHeader(http.StatusBadGateway)
		return
	case seq%500 == 80 && seq < liarOrders/2 && s.held[o.ID].record == nil:
		s.held[o.ID] = heldBack{rec, time.Now()}
		write = nil
	default:
		if h := s.held[o.ID]; h.record != nil && arrived.Sub(h.since) > surely {
			s.want.Reordered++
			write = append(write, h.record)
			delete(s.held, o.ID)
		}
	}
	s.write(write)
	w.WriteHeader(http.StatusAccepted)
}

func (s *liar) write(records []*kgo.Record) {
	if err := s.cl.ProduceSync(s.t.Context(), records...).FirstErr(); err != nil {
		s.t.Error(err)
	}
	s.want.Records += uint64(len(records))
}

// The whole way: a run over HTTP, a server that spoils what it was given, the
// topic read back. Each fault is found, none twice, and none that is not there.
func TestALiarIsFoundOut(t *testing.T) {
	_, cl := kafkaWith(t, 3)
	s := &liar{t: t, cl: cl, held: map[string]heldBack{}}
	server := httptest.NewServer(s)
	defer server.Close()
	mark, err := TakeMark(t.Context(), cl, "orders", true)
	if err != nil {
		t.Fatal(err)
	}
	const n, keys = liarOrders, 20
	src, err := NewSource(SourceOptions{Seed: 1, Run: testRun, Keys: keys, Dist: Zipf})
	if err != nil {
		t.Fatal(err)
	}
	target, err := DialHTTP(t.Context(), HTTPConfig{URL: server.URL, Connections: 16}, src) // as many as are under way
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	l := NewLedger(n)
	m, err := Run(t.Context(), Options{Plan: Plan{Concurrency: 16, Count: n}, Target: target, Ledger: l})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.held) > 0 {
		t.Fatalf("%d orders held back and never written", len(s.held))
	}
	got, err := Verify(t.Context(), cl, VerifyOptions{Mark: mark, Ledger: l, Source: src, Run: testRun, N: m.EndSeq, Keys: keys, Start: m.Start})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.want, onlyCounts(got)); diff != "" {
		t.Error(diff)
	}
	for name, count := range map[string]uint64{
		"lost": s.want.Lost, "duplicated": s.want.Duplicated, "corrupted": s.want.Corrupted, "not written": s.want.NotWrittenFound,
		"unknown": s.want.UnknownWritten, "reordered": s.want.Reordered,
	} {
		if count < 2 {
			t.Errorf("%d %s only: this proves little", count, name)
		}
	}
	if m.Acked != s.want.Acked || m.NotWritten != s.want.NotWrittenFound || m.Unknown != s.want.UnknownWritten+s.want.UnknownAbsent {
		t.Errorf("measured %d acked, %d not written, %d unknown", m.Acked, m.NotWritten, m.Unknown)
	}
	r, err := NewResult(Account{Run: testRun, Source: src, Measured: m, Integrity: &got})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict.ExitCode != ExitIntegrity {
		t.Errorf("exit code %d: %v", r.Verdict.ExitCode, r.Verdict.Reasons)
	}
}
