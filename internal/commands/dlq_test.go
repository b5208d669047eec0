package commands

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/broker"
	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// lettered is a broker with letters of orders/0, one at each offset from 0 on,
// of the orders o0, o1, ...
type lettered struct {
	t    *testing.T
	addr string
	cl   *kgo.Client
	id   string // of the topic orders
	dir  string
}

func startLettered(t *testing.T, n int) *lettered {
	t.Helper()
	cfg := broker.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	b, err := broker.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	kafka := client.DefaultConfig()
	kafka.Brokers = []string{b.Addr()}
	cl, err := client.Dial(t.Context(), kafka, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	adm := client.Admin(cl)
	if _, err := adm.CreateTopics(t.Context(), 1, 1, nil, "orders", "orders.dlq"); err != nil {
		t.Fatal(err)
	}
	id, _, err := topic.Exists(t.Context(), adm, "orders")
	if err != nil {
		t.Fatal(err)
	}
	k := &lettered{t: t, addr: b.Addr(), cl: cl, id: topic.FormatID(id), dir: t.TempDir()}
	var records []*kgo.Record
	for i := range n {
		o := k.order(i)
		r := &kgo.Record{Topic: "orders", Offset: int64(i), Timestamp: time.Now(), Key: []byte(o.ID), Value: order.Append(nil, &o)}
		records = append(records, dlq.Wrap("orders.dlq", r, dlq.Failure{
			Refusal: sink.Refusal{Class: sink.RefusedDatabase, Reason: "23514 x"}, TopicID: k.id, At: time.Now(), Attempts: 1,
		}))
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *lettered) order(n int) order.Order {
	return order.Order{ID: fmt.Sprint("o", n), UserID: "u1", Status: "paid", Timestamp: time.Date(2026, 11, 22, 2, 41, 0, 0, time.UTC)}
}

// database is a SQLite file that took the order n at an offset of orders/0 of
// that topic id.
func (k *lettered) database(topicID string, n int, offset int64) string {
	k.t.Helper()
	return k.databaseIn(topicID, n, 0, offset)
}

func (k *lettered) databaseIn(topicID string, n int, partition int32, offset int64) string {
	k.t.Helper()
	path := filepath.Join(k.t.TempDir(), "orders.db")
	cfg := sink.DefaultConfig()
	cfg.URL = sink.URL("sqlite:" + path)
	log := slog.New(slog.DiscardHandler)
	if _, _, err := sink.Migrate(k.t.Context(), cfg, log); err != nil {
		k.t.Fatal(err)
	}
	s, err := sink.Open(k.t.Context(), cfg, sink.OpenOptions{Log: log})
	if err != nil {
		k.t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Claim(k.t.Context(), sink.Claim{Group: "g", Topic: "orders", TopicID: topicID, Start: map[int32]int64{partition: offset}}); err != nil {
		k.t.Fatal(err)
	}
	o := k.order(n)
	_, err = s.Write(k.t.Context(), &sink.Batch{
		Group: "g", Topic: "orders", TopicID: topicID, Partition: partition, First: offset, Next: offset + 1,
		Entries: []sink.Entry{{Offset: offset, Order: o, EventID: "e", Hash: sha256.Sum256(order.Append(nil, &o))}},
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return path
}

func (k *lettered) run(args ...string) (code int, out, talk string) {
	k.t.Helper()
	return k.runWith(k.t.Context(), IO{In: strings.NewReader("")}, args...)
}

func (k *lettered) runWith(ctx context.Context, streams IO, args ...string) (code int, out, talk string) {
	k.t.Helper()
	var stdout, stderr bytes.Buffer
	streams.Out, streams.Err = &stdout, &stderr
	app := &App{IO: streams, Sources: config.Sources{Environ: []string{"ORDERSCTL_KAFKA_BROKERS=" + k.addr, "ORDERSCTL_DEV_DATA_DIR=" + k.dir}, WorkDir: k.t.TempDir()}}
	code = Run(ctx, app, append([]string{"dlq"}, args...))
	return code, stdout.String(), stderr.String()
}

// newer are the cells of the last column, by letter.
func newer(list string) map[string]string {
	got := map[string]string{}
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasPrefix(line, "2") || len(f) > 3 && strings.Contains(f[0], ":") {
			got[f[1]] = f[len(f)-1]
		}
	}
	return got
}

func TestDatabaseTellsWhichLettersAreStale(t *testing.T) {
	k := startLettered(t, 3)
	db := k.database(k.id, 1, 99)
	code, out, talk := k.run("list", "--db", db)
	want := map[string]string{"0@0": "no", "0@1": "yes", "0@2": "no"}
	if diff := cmp.Diff(want, newer(out)); diff != "" || code != 0 || strings.Contains(talk, "not known") {
		t.Errorf("exit %d\n%s%s%s", code, out, talk, diff)
	}
	if _, out, _ := k.run("show", "0@1", "--db", db); !strings.Contains(out, "\nnewer    yes: a later event of this order is applied, a replay is stale\n") {
		t.Error(out)
	}
	code, out, talk = k.run("replay", "--db", db, "--execute")
	if code != 0 || !strings.Contains(out, "2  sent   database: 23514 x") || !strings.Contains(out, "1  stale  a later event of the order is applied  0@1") || !strings.Contains(talk, "replayed 2 letters\n") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	// Whoever names it is told by the exit code.
	if code, out, talk = k.run("replay", "--db", db, "--execute", "0@1"); code != exitFailed {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	// In a file of many it is said, and no fault.
	file := filepath.Join(t.TempDir(), "letters.ndjson")
	if code, out, talk = k.run("export", "--output-file", file); code != 0 {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	if code, out, talk = k.run("replay", "--db", db, "--execute", "--input", file); code != 0 || !strings.Contains(out, "1  stale") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	if code, out, talk = k.run("replay", "--db", db, "--execute", "--include-stale"); code != 0 || !strings.Contains(talk, "replayed 1 letter\n") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
}

// A reason is what anybody's Connect wrote; a key what anybody produced.
func TestLettersDoNotMoveTheCursor(t *testing.T) {
	k := startLettered(t, 0)
	reason := "bad\n\x1b[31mRED\x1b]0;owned\a\u009b2J at"
	r := &kgo.Record{Topic: "orders", Offset: 1, Timestamp: time.Now(), Key: []byte("k\u009b31mRED"), Value: []byte("{\"id\":\"k\u009b31mRED\"}")}
	if err := k.cl.ProduceSync(t.Context(), dlq.Wrap("orders.dlq", r, dlq.Failure{
		Refusal: sink.Refusal{Class: sink.RefusedDatabase, Reason: reason}, TopicID: k.id, At: time.Now(), Attempts: 1,
	})).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"list"}, {"list", "-o", "wide"}, {"list", "-o", "json"}, {"show", "0@0"}, {"show", "0@0", "-o", "json"},
		{"export"}, {"replay"}, {"replay", "0@0"}, {"discard", "0@0", "--dry-run"},
	} {
		_, out, talk := k.runWith(t.Context(), IO{In: strings.NewReader(""), OutTTY: true}, args...)
		for _, raw := range []string{"\x1b", "\a", "\u009b"} {
			if strings.Contains(out+talk, raw) {
				t.Errorf("%v prints %q raw: %q %q", args, raw, out, talk)
			}
		}
		if args[0] == "export" || slices.Contains(args, "json") {
			if !json.Valid([]byte(out)) || !strings.Contains(out, `k\u009b31mRED`) {
				t.Errorf("%v is not JSON: %s", args, out)
			}
		}
	}
	// The pattern that the hint names finds them.
	_, _, talk := k.run("list")
	if want := "--reason 'bad??[31mRED?]0;owned??2J at'"; !strings.Contains(talk, want) {
		t.Errorf("no %s in %s", want, talk)
	}
	if _, out, _ := k.run("list", "--reason", "bad??[31mRED?]0;owned??2J at"); !strings.Contains(out, "1 letter: 1 open") {
		t.Error(out)
	}
}

// The partitions were added to, or a key repaired: the row stands in another
// partition, and a replay would be applied over it.
func TestRowFromElsewhereIsNotReplayedOver(t *testing.T) {
	k := startLettered(t, 2)
	if _, err := client.Admin(k.cl).CreatePartitions(t.Context(), 1, "orders"); err != nil {
		t.Fatal(err)
	}
	db := k.databaseIn(k.id, 1, 1, 0)
	code, out, talk := k.run("list", "--db", db)
	if diff := cmp.Diff(map[string]string{"0@0": "no", "0@1": "-"}, newer(out)); diff != "" || code != 0 || !strings.Contains(out, "NEWER -: the order's row comes from another partition or topic, a replay is applied over it\n") {
		t.Errorf("exit %d\n%s%s%s", code, out, talk, diff)
	}
	if _, out, _ := k.run("show", "0@1", "--db", db); !strings.Contains(out, "\nnewer    -   (the order's row (paid 0) comes from elsewhere, "+k.id+"/1@0, applied ") {
		t.Error(out)
	}
	code, out, talk = k.run("replay", "--db", db, "--execute")
	if code != 0 || !strings.Contains(out, "1  sent    database: 23514 x") || !strings.Contains(out, "1  unsure  the order's row comes from another partition or topic  0@1") || !strings.Contains(talk, "replayed 1 letter\nhint: what is unsure ") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	if code, out, talk = k.run("replay", "--db", db, "--execute", "0@1"); code != exitFailed {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	// Whoever asks for it is told what it does.
	code, out, talk = k.run("replay", "--db", db, "--include-stale")
	if code != 0 || !strings.Contains(out, "1  replay  database: 23514 x  0@1") || !strings.Contains(talk, "warning: of 1 letter the order's row comes from another partition or topic: applied later, the letter wins") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
}

func TestWithoutItsDatabaseNothingIsCalledStaleOrNot(t *testing.T) {
	k := startLettered(t, 1)
	for name, test := range map[string]struct{ db, why string }{
		"there is none":              {filepath.Join(t.TempDir(), "none.db"), "no such file"},
		"it is of another cluster":   {k.database("AAAAAAAAAAAAAAAAAAAAAA", 0, 99), "it is not the database that this topic is read into"},
		"it does not answer":         {"postgres://u@127.0.0.1:1/x", "refused"},
		"it is dev's, never started": {"", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"list"}
			if test.db != "" {
				args = append(args, "--db", test.db)
			}
			code, out, talk := k.run(args...)
			if diff := cmp.Diff(map[string]string{"0@0": "-"}, newer(out)); diff != "" || code != 0 || !strings.Contains(talk, "NEWER is not known: ") || !strings.Contains(talk, test.why) {
				t.Errorf("exit %d\n%s%s%s", code, out, talk, diff)
			}
			args[0] = "replay"
			if code, out, talk := k.run(args...); code != 0 || !strings.Contains(out, "1  replay  database: 23514 x") || !strings.Contains(talk, test.why) {
				t.Errorf("exit %d\n%s%s", code, out, talk)
			}
		})
	}
}

func TestDiscardAsksOnATerminal(t *testing.T) {
	k := startLettered(t, 2)
	code, _, talk := k.runWith(t.Context(), IO{In: strings.NewReader("n\n"), InTTY: true}, "discard", "0@0")
	if code != exitFailed || !strings.Contains(talk, "Discard 1 letter of orders.dlq? [y/N] ") {
		t.Errorf("exit %d: %s", code, talk)
	}
	if _, out, _ := k.run("list"); !strings.Contains(out, "2 open") {
		t.Error(out)
	}
	if code, _, talk = k.runWith(t.Context(), IO{In: strings.NewReader("y\n"), InTTY: true}, "discard", "0@0"); code != exitOK {
		t.Errorf("exit %d: %s", code, talk)
	}
	if _, out, _ := k.run("list"); !strings.Contains(out, "1 open") {
		t.Error(out)
	}
}

// A mark has its letter's key and no value: compaction would let it delete all
// letters of that key.
func TestCompactedLettersAreNotMarked(t *testing.T) {
	k := startLettered(t, 2)
	policy := "compact"
	alter := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy}}
	if rs, err := client.Admin(k.cl).AlterTopicConfigs(t.Context(), alter, "orders.dlq"); err != nil || rs[0].Err != nil {
		t.Fatal(err, rs)
	}
	for _, args := range [][]string{{"replay", "--execute"}, {"discard", "0@0", "--yes"}} {
		want := "error: topic orders.dlq is compacted: a letter's mark would delete every letter of its key\nhint: ordersctl topic alter orders.dlq -c cleanup.policy=delete\n"
		if code, _, talk := k.run(args...); code != exitFailed || talk != want {
			t.Errorf("%v: exit %d, %s", args, code, talk)
		}
	}
	if code, out, talk := k.run("list"); code != 0 || !strings.Contains(out, "2 open") || !strings.Contains(talk, "warning: orders.dlq is compacted") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
}

func TestReplayThatIsInterruptedSaysHowFarItCame(t *testing.T) {
	k := startLettered(t, 400)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			ends, err := client.Admin(k.cl).ListEndOffsets(ctx, "orders")
			if o, ok := ends.Lookup("orders", 0); err != nil || ok && o.Offset > 20 {
				cancel()
				return
			}
		}
	}()
	code, _, talk := k.runWith(ctx, IO{In: strings.NewReader("")}, "replay", "--execute", "--rate", "400")
	var done, left int
	line := talk[max(0, strings.Index(talk, "replayed ")):]
	if _, err := fmt.Sscanf(line, "replayed %d letters; interrupted; %d not reached", &done, &left); err != nil || done+left != 400 || done < 20 {
		t.Errorf("%v\n%s", err, talk)
	}
	if code != exitInterrupted || !strings.Contains(talk, "hint: run the same command again") {
		t.Errorf("exit %d: %s", code, talk)
	}
	if _, out, _ := k.run("list", "--all"); !strings.Contains(out, fmt.Sprintf("%d open, %d replayed", left, done)) {
		t.Error(out)
	}
}

func TestWhatIsNoEventIDIsNotShownAsOne(t *testing.T) {
	k := startLettered(t, 0)
	r := &kgo.Record{Topic: "orders", Timestamp: time.Now(), Key: []byte("a"), Headers: []kgo.RecordHeader{{Key: client.HeaderEventID, Value: []byte("\x01")}}}
	if err := k.cl.ProduceSync(t.Context(), dlq.Wrap("orders.dlq", r, dlq.Failure{
		Refusal: sink.Refusal{Class: sink.RefusedEventID, Reason: client.ErrEventID.Error()}, TopicID: k.id, At: time.Now(), Attempts: 1,
	})).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if code, out, talk := k.run("show", "0@0"); code != exitOK || !strings.Contains(out, "   event -\n") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
}

// The letters of one batch come within a millisecond: that is no rate.
func TestARateWantsASecond(t *testing.T) {
	for over, want := range map[time.Duration]string{
		0: "", time.Millisecond: "", 999 * time.Millisecond: "", time.Second: "44/s", time.Minute: "44/min", time.Hour: "44/h",
	} {
		if got := perTime(44, over); got != want {
			t.Errorf("44 letters in %s: %q, want %q", over, got, want)
		}
	}
}

func TestLettersGoIntoAClosedPipe(t *testing.T) {
	k := startLettered(t, 2)
	app := &App{IO: IO{In: strings.NewReader(""), Out: closedPipe{}, Err: new(bytes.Buffer)}, Sources: config.Sources{Environ: []string{"ORDERSCTL_KAFKA_BROKERS=" + k.addr}, WorkDir: t.TempDir()}}
	if code := Run(t.Context(), app, []string{"dlq", "export"}); code != exitOK {
		t.Errorf("exit %d", code)
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, &goneError{errors.New("broken pipe")} }
