package send

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/order"
)

// manual is a target whose answers the test gives.
type manual struct {
	mu      sync.Mutex
	parcels []*Parcel
	sent    chan struct{} // one for each
	flushed chan struct{} // closed with the first Flush
	halted  chan struct{}
	once    sync.Once
	onSend  func(*Parcel)
}

func newManual() *manual {
	return &manual{sent: make(chan struct{}, 1000), flushed: make(chan struct{}), halted: make(chan struct{})}
}

func (m *manual) Send(_ *Entry, p *Parcel) {
	m.mu.Lock()
	m.parcels = append(m.parcels, p)
	m.mu.Unlock()
	if m.onSend != nil {
		m.onSend(p)
	}
	m.sent <- struct{}{}
}
func (m *manual) Flush(context.Context) { m.once.Do(func() { close(m.flushed) }) }
func (m *manual) Halt()                 { close(m.halted) }

// endless has always one more order.
type endless struct{ n int64 }

func (s *endless) Next(e *Entry) error {
	s.n++
	*e = Entry{Order: order.Order{ID: "a"}, At: At{File: "f", N: s.n}}
	return nil
}

func receive[T any](t *testing.T, from <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(20 * time.Second):
		t.Fatalf("waited 20 s for %s", what)
	}
	return v
}

func TestRunHasAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		to := newManual()
		done := make(chan Summary, 1)
		go func() {
			sum, _ := Run(ctx, &endless{}, to, Options{Window: 8, Patience: time.Minute})
			done <- sum
		}()
		for range 8 {
			receive(t, to.sent, "an order")
		}
		synctest.Wait() // the next one waits for room
		// Half of them has to be settled before more are sent.
		for _, p := range to.parcels[:3] {
			p.Settle(Result{Outcome: client.Acked})
		}
		synctest.Wait()
		select {
		case <-to.sent:
			t.Error("a ninth order was sent while the window was full")
		default:
		}
		for _, p := range to.parcels[3:8] {
			p.Settle(Result{Outcome: client.Acked})
		}
		for range 8 {
			receive(t, to.sent, "an order of the second window")
		}
		cancel()
		receive(t, to.halted, "Halt")
		for _, p := range to.parcels[8:] {
			p.Settle(Result{Outcome: client.Acked})
			p.Settle(Result{Outcome: client.Unknown}) // only the first word counts
		}
		want := Stats{Taken: 16, Acked: 16}
		if diff := cmp.Diff(want, receive(t, done, "the end").Stats); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
	})
}

func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	to := newManual()
	var reports []Receipt
	type end struct {
		sum Summary
		err error
	}
	done := make(chan end, 1)
	go func() {
		sum, err := Run(ctx, &endless{}, to, Options{Window: 4, Patience: time.Minute, Report: func(r Receipt) { reports = append(reports, r) }})
		done <- end{sum, err}
	}()
	for range 4 {
		receive(t, to.sent, "an order")
	}
	cancel()
	receive(t, to.flushed, "Flush")
	for i, outcome := range []client.Outcome{client.Acked, client.Acked, client.Unknown, client.Acked} {
		to.parcels[i].Settle(Result{Outcome: outcome, Err: errors.New("why")})
	}
	got := receive(t, done, "the end")
	if !errors.Is(got.err, context.Canceled) {
		t.Errorf("Run returned %v, want context.Canceled", got.err)
	}
	if diff := cmp.Diff(Stats{Taken: 4, Acked: 3, Unknown: 1}, got.sum.Stats); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	// The third is not known to be there: who goes on, goes on with it.
	if want := (At{File: "f", N: 3}); got.sum.Resume != want {
		t.Errorf("goes on at %s, want %s", got.sum.Resume, want)
	}
	if len(reports) != 1 || reports[0].Line != 3 || reports[0].Outcome != client.Unknown {
		t.Errorf("reports %+v, want the third order alone, as unknown", reports)
	}
}

func TestRunGivesUp(t *testing.T) {
	t.Run("when nothing answers", func(t *testing.T) {
		to := newManual()
		sum, err := Run(t.Context(), &endless{}, to, Options{Window: 4, Patience: 300 * time.Millisecond})
		if !errors.Is(err, ErrNoAnswer) || sum.Unknown != 4 {
			t.Errorf("ended with %v and %d unknown, want ErrNoAnswer and 4", err, sum.Unknown)
		}
	})
	t.Run("when nothing is acknowledged", func(t *testing.T) {
		to := newManual()
		to.onSend = func(p *Parcel) { p.Settle(Result{Outcome: client.NotWritten, Err: errors.New("why")}) }
		go func() {
			for range to.sent {
			}
		}()
		sum, err := Run(t.Context(), &endless{}, to, Options{Rate: 100, Window: 4, Patience: time.Second})
		if !errors.Is(err, ErrNoneAcked) || sum.NotWritten < hopeless {
			t.Errorf("ended with %v and %d not written, want ErrNoneAcked and %d or more", err, sum.NotWritten, hopeless)
		}
		if want := (At{File: "f", N: 1}); sum.Resume != want {
			t.Errorf("goes on at %s, want %s: nothing is written", sum.Resume, want)
		}
	})
	t.Run("and goes on behind the last that was acknowledged", func(t *testing.T) {
		to := newManual()
		n := 0
		to.onSend = func(p *Parcel) {
			outcome := client.NotWritten
			if n++; n <= 7 && n != 3 {
				outcome = client.Acked
			}
			p.Settle(Result{Outcome: outcome, Err: errors.New("why")})
		}
		go func() {
			for range to.sent {
			}
		}()
		sum, err := Run(t.Context(), &endless{}, to, Options{Rate: 100, Window: 4, Patience: time.Second})
		if want := (At{File: "f", N: 8}); !errors.Is(err, ErrNoneAcked) || sum.Resume != want {
			t.Errorf("ended with %v, goes on at %s, want %s", err, sum.Resume, want)
		}
	})
	t.Run("when the target says that all will fail", func(t *testing.T) {
		to := newManual()
		why := errors.New("no such endpoint")
		to.onSend = func(p *Parcel) { p.Settle(Result{Outcome: client.NotWritten, Err: why, Fatal: true}) }
		sum, err := Run(t.Context(), &endless{}, to, Options{Window: 4, Patience: time.Minute})
		if !errors.Is(err, why) || sum.Resume.N != 1 || sum.Taken != 1 {
			t.Errorf("ended with %v after %d, to go on at %s; want %v after 1, at f:1", err, sum.Taken, sum.Resume, why)
		}
	})
}

func TestRunEndsWhileAPipeIsSilent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, w := io.Pipe()
	defer w.Close()
	files, err := OpenFiles(ctx, []string{Stdin}, in, order.NewDecoder(order.Rules{}), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, files, Nowhere{}, Options{Window: 4, Patience: time.Minute})
		done <- err
	}()
	if _, err := io.WriteString(w, line("a")+"\n"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := receive(t, done, "the end"); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want context.Canceled", err)
	}
}

func TestPipeIsReadAsItComes(t *testing.T) {
	in, w := io.Pipe()
	defer w.Close()
	files, err := OpenFiles(t.Context(), []string{Stdin}, in, order.NewDecoder(order.Rules{}), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		var e Entry
		for files.Next(&e) == nil {
			got <- e.Order.ID
		}
		close(got)
	}()
	for _, id := range []string{"a", "b", "c"} {
		if _, err := io.WriteString(w, line(id)+"\n"); err != nil {
			t.Fatal(err)
		}
		if g := receive(t, got, "order "+id); g != id {
			t.Errorf("read %q, want %q, before anything more is written", g, id)
		}
	}
}

func TestDraft(t *testing.T) {
	good := Draft{ID: "a", User: "u", Total: "149.990", Status: "pending", Timestamp: "2025-10-06T19:00:00+02:00"}
	o, err := good.Order(order.Rules{})
	if want := `{"id":"a","user_id":"u","total":149.99,"status":"pending","timestamp":"2025-10-06T17:00:00Z"}`; err != nil || string(order.Append(nil, &o)) != want {
		t.Errorf("got %s, %v, want %s", order.Append(nil, &o), err, want)
	}
	_, err = Draft{ID: "", User: "\xff\"", Total: "1,2", Status: "P", Timestamp: "now"}.Order(order.Rules{})
	var faults order.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("error %v has no faults", err)
	}
	var at []string
	for _, f := range faults {
		at = append(at, f.Pointer)
	}
	slices.Sort(at)
	if diff := cmp.Diff([]string{"/id", "/status", "/timestamp", "/total", "/user_id"}, at); diff != "" {
		t.Errorf("faults %v (-want +got):\n%s", err, diff)
	}
}
