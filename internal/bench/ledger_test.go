package bench

import (
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/client"
)

func TestLedgerKeepsWhatBecameOfEachOrder(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name string
		do   func(l *Ledger, seq uint64)
		want Entry
	}{
		{"one that was never booked is unsent", func(*Ledger, uint64) {}, Entry{State: Unsent, Partition: -1, Offset: -1}},
		{"one under way is open", func(l *Ledger, seq uint64) { l.Sent(seq, 5*ms) }, Entry{State: Open, Sent: 5 * ms, Partition: -1, Offset: -1}},
		{"an acknowledged one has its place", func(l *Ledger, seq uint64) {
			l.Sent(seq, 5*ms)
			l.Settle(seq, client.Acked, 7*ms, 3, 1<<40)
		}, Entry{State: Acked, Sent: 5 * ms, Answered: 7 * ms, Partition: 3, Offset: 1 << 40}},
		{"the first offset of the first partition is a place", func(l *Ledger, seq uint64) {
			l.Sent(seq, 0)
			l.Settle(seq, client.Acked, 1, 0, 0)
		}, Entry{State: Acked, Answered: 1}},
		{"an answer need not tell a place", func(l *Ledger, seq uint64) {
			l.Sent(seq, 5*ms)
			l.Settle(seq, client.Unknown, 10*time.Second, -1, -1)
		}, Entry{State: Unknown, Sent: 5 * ms, Answered: 10 * time.Second, Partition: -1, Offset: -1}},
		{"a refused connection sends nothing", func(l *Ledger, seq uint64) {
			l.Settle(seq, client.NotWritten, 5*ms, -1, -1)
		}, Entry{State: NotWritten, Answered: 5 * ms, Partition: -1, Offset: -1}},
		{"a dropped one", func(l *Ledger, seq uint64) { l.Drop(seq) }, Entry{State: Dropped, Partition: -1, Offset: -1}},
		{"a year is not too long", func(l *Ledger, seq uint64) {
			l.Sent(seq, 365*24*time.Hour+1)
			l.Settle(seq, client.Acked, 365*24*time.Hour+3, 65534, 1)
		}, Entry{State: Acked, Sent: 365*24*time.Hour + 1, Answered: 365*24*time.Hour + 3, Partition: 65534, Offset: 1}},
		{"a place too far out is no place", func(l *Ledger, seq uint64) {
			l.Settle(seq, client.Acked, 1, 65535, 1)
		}, Entry{State: Acked, Answered: 1, Partition: -1, Offset: -1}},
	} {
		for _, seq := range []uint64{0, 1, chunkSize - 1, chunkSize, 9 * chunkSize} {
			l := NewLedger(10 * chunkSize)
			test.do(l, seq)
			if diff := cmp.Diff(test.want, l.Entry(seq)); diff != "" {
				t.Errorf("%s (%d): %s", test.name, seq, diff)
			}
		}
	}
}

func TestLedgerIsBounded(t *testing.T) {
	l := NewLedger(100)
	l.Sent(100, 1)
	l.Settle(100, client.Acked, 2, 0, 0)
	if got := l.Entry(100); got.State != Unsent {
		t.Errorf("beyond its limit it keeps %+v", got)
	}
	if got := NewLedger(0).Max(); got != LedgerLimit {
		t.Errorf("without a limit it has room for %d", got)
	}
	if got := unsafe.Sizeof(entry{}); got != LedgerBytes {
		t.Errorf("an entry has %d bytes, want %d", got, LedgerBytes)
	}
}

func TestFindingAnOrderKeepsItsLine(t *testing.T) {
	l := NewLedger(1)
	l.Sent(0, time.Second)
	l.Settle(0, client.Acked, 2*time.Second, 1, 9)
	want := l.Entry(0)
	for _, step := range []struct{ as, before, after found }{
		{foundDamaged, foundNot, foundDamaged},
		{foundIntact, foundDamaged, foundIntact},
		{foundDamaged, foundIntact, foundIntact},
		{foundIntact, foundIntact, foundIntact},
	} {
		if got := l.look(0).find(step.as); got != step.before {
			t.Errorf("before %v it was %v, want %v", step.as, got, step.before)
		}
		if got := l.look(0).found(); got != step.after {
			t.Errorf("after %v it is %v, want %v", step.as, got, step.after)
		}
	}
	if diff := cmp.Diff(want, l.Entry(0)); diff != "" {
		t.Error(diff)
	}
	l.forget()
	if got := l.look(0).found(); got != foundNot {
		t.Errorf("forgotten, it is %v", got)
	}
	if diff := cmp.Diff(want, l.Entry(0)); diff != "" {
		t.Error(diff)
	}
}

func TestManyWriteInTheLedgerAtOnce(t *testing.T) {
	const workers, n = 8, 3 * chunkSize
	l := NewLedger(0)
	var all sync.WaitGroup
	for w := range uint64(workers) {
		all.Go(func() {
			for seq := w; seq < n; seq += workers {
				l.Sent(seq, time.Duration(seq))
				_ = l.Entry(seq / 2) // someone looks meanwhile
				l.Settle(seq, client.Acked, time.Duration(seq+1), int32(seq%7), int64(seq))
			}
		})
	}
	all.Wait()
	for seq := range uint64(n) {
		want := Entry{State: Acked, Sent: time.Duration(seq), Answered: time.Duration(seq + 1), Partition: int32(seq % 7), Offset: int64(seq)}
		if got := l.Entry(seq); got != want {
			t.Fatalf("order %d: %+v, want %+v", seq, got, want)
		}
	}
}

func BenchmarkLedger(b *testing.B) {
	l := NewLedger(LedgerLimit)
	seq := uint64(0)
	for b.Loop() {
		l.Sent(seq&(LedgerLimit-1), time.Duration(seq))
		l.Settle(seq&(LedgerLimit-1), client.Acked, time.Duration(seq), 1, 1)
		seq++
	}
}
