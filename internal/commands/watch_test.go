package commands

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// What is cut from a frame that is too long is never its end, which has the
// sums and the verdict.
func TestFramesAreCutInTheMiddle(t *testing.T) {
	for room, want := range map[int]string{
		9: "a b c d e", 5: "a b c d e", 4: "a ... d e", 3: "a ... e", 2: "d e", 1: "e",
	} {
		got := string(bytes.Join(cutFrame(bytes.Fields([]byte("a b c d e")), room), []byte(" ")))
		if got != want {
			t.Errorf("%d lines: %s, want %s", room, got, want)
		}
	}
}

func TestLagLeavesOutPartitionsThatAreWell(t *testing.T) {
	r := &lag.Report{Topic: "orders", Group: lag.Group{Name: "g", State: "stable", Members: []lag.Member{{ID: "m"}}}, By: lag.ByKafka}
	for n := range int32(40) {
		behind := int64(0)
		if n%10 == 3 {
			behind = int64(n)
		}
		r.Partitions = append(r.Partitions, lag.Partition{Partition: n, Member: &r.Group.Members[0], State: "running", Flow: lag.Flow{Lag: &behind}})
	}
	r.Partitions[38].State, r.Partitions[38].Reason = "paused", "breaker"
	r.Partitions[39].Member = nil
	for _, test := range []struct {
		room  int
		shown string
		rest  string
	}{
		{0, "", ""},
		{50, "", ""},
		{13, "3 13 23 33 38 39", "34 partitions more, none of them paused or behind"},
		{11, "23 33 38 39", "36 partitions more, none of them paused or more than 13 behind"},
		{2, "38", "39 partitions more"},
	} {
		var got bytes.Buffer
		if err := printLagIn(&got, r, false, test.room); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(got.String(), "\n"), "\n")
		if test.room > 10 && len(lines) > test.room {
			t.Errorf("%d lines for %d", len(lines), test.room)
		}
		for _, want := range []string{"all ", "! partition 38 is paused: breaker", "by Kafka's offsets"} {
			if !strings.Contains(got.String(), want) {
				t.Errorf("%d lines have no %q", test.room, want)
			}
		}
		if !strings.Contains(got.String(), test.rest) {
			t.Errorf("no %q in\n%s", test.rest, got.String())
		}
		var shown []string
		for _, line := range lines[3:] {
			if line[0] >= '0' && line[0] <= '9' && !strings.Contains(line, "more") {
				shown = append(shown, strings.Fields(line)[0])
			}
		}
		want := strings.Fields(test.shown)
		if test.shown == "" {
			for n := range 40 {
				want = append(want, fmt.Sprint(n))
			}
		}
		if diff := cmp.Diff(want, shown); diff != "" {
			t.Errorf("%d lines: %s", test.room, diff)
		}
	}
}

// both is stdout or stderr that is read while it is written.
type both struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *both) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *both) until(t *testing.T, text string, times int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		b.mu.Lock()
		got := b.text.String()
		b.mu.Unlock()
		switch {
		case strings.Count(got, text) >= times:
			return
		case time.Now().After(deadline):
			t.Fatalf("not %d times %q in\n%s", times, text, got)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// A watch that begins while the database is away goes by its offsets when it is
// there.
func TestLagWatchesTheDatabaseCome(t *testing.T) {
	p := newIdlePipeline(t)
	path := filepath.Join(t.TempDir(), "later.db")
	var out, talk both
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	app := &App{
		IO:      IO{In: strings.NewReader(""), Out: &out, Err: &talk},
		Sources: config.Sources{Environ: append(p.environ, "ORDERSCTL_DB_URL="+path), WorkDir: t.TempDir()},
	}
	go func() {
		ended <- Run(ctx, app, []string{"lag", "--watch", "--interval", "10ms", "--admin", "127.0.0.1:1"})
	}()
	defer func() {
		cancel()
		if code := <-ended; code != exitOK {
			t.Errorf("exit %d", code)
		}
	}()
	out.until(t, "no offsets: ", 3)
	talk.until(t, "note: by Kafka's offsets alone: ", 1)

	cfg := sink.DefaultConfig()
	away := path + ".away" // made there, so that it comes as a whole
	cfg.URL = sink.URL(away)
	if _, _, err := sink.Migrate(t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	store, err := sink.Open(t.Context(), cfg, sink.OpenOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Claim(t.Context(), p.claim); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, path); err != nil {
		t.Fatal(err)
	}
	out.until(t, "by the database's offsets", 2)
}

func TestNotesAreToldOncePerOutage(t *testing.T) {
	var talk bytes.Buffer
	r := &lagRun{opts: &lagOptions{app: &App{IO: IO{Err: &talk}}}, told: map[string]bool{}}
	for _, amiss := range []bool{true, true, false, true, true} {
		if amiss {
			r.note(aboutDB, "it is away")
		} else {
			delete(r.told, aboutDB)
		}
	}
	if want := "note: it is away\nnote: it is away\n"; talk.String() != want {
		t.Errorf("%q, want %q", talk.String(), want)
	}
}
