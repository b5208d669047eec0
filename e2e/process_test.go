//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/e2e/kafka"
	"github.com/ordersctl/ordersctl/e2e/postgres"
	"github.com/ordersctl/ordersctl/internal/client"
	codec "github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// full asks for the sizes that a promise is held to; a usual run is a tenth.
func full() bool { return os.Getenv("ORDERSCTL_E2E_FULL") != "" }

func either[T any](usual, atFull T) T {
	if full() {
		return atFull
	}
	return usual
}

// consumer is a running "ordersctl process".
type consumer struct {
	t     *testing.T
	cmd   *exec.Cmd
	admin string
	log   *log
	done  chan struct{}
}

func consume(t *testing.T, brokers, db string, args ...string) *consumer {
	t.Helper()
	admin := freeAddr(t)
	c := &consumer{t: t, admin: "http://" + admin, log: &log{}, done: make(chan struct{})}
	args = append([]string{"process", "--db", db, "--admin-listen", admin}, args...)
	c.cmd = command(context.WithoutCancel(t.Context()), t, brokers, args...)
	c.cmd.Stderr = c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait() // its exit code is asked for
	}()
	t.Cleanup(func() {
		c.end()
		if t.Failed() {
			t.Logf("process said:\n%s", tailOf(c.log.String(), 4000))
		}
	})
	return c
}

// end asks it to end and gives its exit code.
func (c *consumer) end() int {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	<-c.done
	return c.cmd.ProcessState.ExitCode()
}

func (c *consumer) kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}

// partitionState is what /status says of a partition.
type partitionState struct {
	State  string `json:"state"`
	Reason string `json:"reason"`
	Lag    int64  `json:"lag_records"`
}

func (c *consumer) status() (list []partitionState) {
	resp, err := http.Get(c.admin + "/status")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var s struct {
		Partitions []partitionState `json:"partitions"`
	}
	_ = json.NewDecoder(resp.Body).Decode(&s)
	return s.Partitions
}

// bookings is what a log comes to: orders, and what became of each place.
type bookings struct {
	Rows   map[string]string // id: place and content
	Places map[string]string // topic-id/partition@offset: outcome, or the class of its refusal
}

// straight folds a log, one record after the other, by the rules of design
// alone: the program has no part in it but the decoder.
func straight(records []*kgo.Record, topicID string) bookings {
	type rowAt struct {
		partition int32
		offset    int64
	}
	b := bookings{map[string]string{}, map[string]string{}}
	events, at := map[string]string{}, map[string]rowAt{}
	dec := codec.NewDecoder(codec.Rules{})
	for _, r := range records {
		place := fmt.Sprintf("%s/%d@%d", topicID, r.Partition, r.Offset)
		id, hasID := place, false
		from := rowAt{r.Partition, r.Offset}
		for _, h := range r.Headers {
			switch h.Key {
			case "event-id":
				id, hasID = string(h.Value), true
			case "ordersctl.origin":
				if _, err := fmt.Sscanf(strings.TrimPrefix(string(h.Value), topicID), "/%d@%d", &from.partition, &from.offset); err != nil {
					panic(err)
				}
			}
		}
		o, err := dec.Decode(r.Value)
		content := string(codec.Append(nil, &o))
		switch first, known := events[id]; {
		case r.Value == nil:
			b.Places[place] = "tombstone"
		case err != nil && (r.Value[0] != '{' || !json.Valid(r.Value)):
			b.Places[place] = "decode"
		case err != nil:
			b.Places[place] = "validation"
		case o.ID != string(r.Key):
			b.Places[place] = "key_mismatch"
		case hasID && id == "\x01":
			b.Places[place] = "event_id_invalid"
		case known && first != content:
			b.Places[place] = "event_id_conflict"
		case known:
			b.Places[place] = "duplicate"
		case o.Status == "gremlin":
			b.Places[place] = "database"
		default:
			events[id] = content
			if was, ok := at[o.ID]; ok && was.partition == from.partition && was.offset > from.offset {
				b.Places[place] = "stale"
				continue
			}
			b.Places[place] = "applied"
			at[o.ID] = from
			b.Rows[o.ID] = fmt.Sprintf("%s/%d@%d %s", topicID, from.partition, from.offset, content)
		}
	}
	return b
}

// booked reads a database in the same form, and holds its sums against it.
func booked(t *testing.T, store sink.Store, topicID string, ids []string, partitions int32) bookings {
	t.Helper()
	b := bookings{map[string]string{}, map[string]string{}}
	for some := range slices.Chunk(ids, 10_000) { // each in the time of a statement
		rows, err := store.Rows(t.Context(), some)
		if err != nil {
			t.Fatal(err)
		}
		for id, row := range rows {
			b.Rows[id] = row.From.String() + " " + string(codec.Append(nil, &row.Order))
		}
	}
	var events, outcomes int64
	for p := range partitions {
		err := store.Walk(t.Context(), topicID, p, 0, 1<<62, func(k *sink.Booking) error {
			what := string(k.Outcome)
			switch k.Outcome {
			case sink.Inserted:
				what = "applied"
			case sink.DeadLettered:
				what, _, _ = strings.Cut(k.Reason, ":")
			}
			if k.Outcome == sink.Inserted || k.Outcome == sink.Stale {
				events++
			} else {
				outcomes++
			}
			if was, twice := b.Places[k.String()]; twice {
				t.Errorf("%s is booked as %s and as %s", k.Place, was, what)
			}
			b.Places[k.String()] = what
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sums, err := store.Totals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if sums.Orders != int64(len(b.Rows)) || sums.Events != events || sums.Duplicates+sums.DeadLettered+sums.Skipped != outcomes {
		t.Errorf("the tables' sums are %+v; walked %d orders, %d events, %d outcomes", sums, len(b.Rows), events, outcomes)
	}
	return b
}

// shopfront writes a log with all that can happen: repeats, replays of letters,
// poison of nine kinds.
type shopfront struct {
	t       *testing.T
	cl      *kgo.Client
	topicID string
	ids     int
	rng     *rand.Rand
	n       int
	letters []*kgo.Record // poison that could be repaired
	events  []*kgo.Record // some, to be sent again
}

func (s *shopfront) order(id, status string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"user_id":"u-%d","total":%d.25,"status":%q,"timestamp":"2026-11-22T14:00:00Z"}`, id, s.n%1000, s.n%5000, status)
}

func (s *shopfront) next(poison float64) *kgo.Record {
	s.n++
	id := fmt.Sprintf("ord-%06d", s.rng.IntN(s.ids))
	r := &kgo.Record{Topic: "orders", Key: []byte(id), Value: s.order(id, "paid"), Headers: []kgo.RecordHeader{
		{Key: "event-id", Value: fmt.Appendf(nil, "e-%d", s.n)},
		{Key: "received-at", Value: []byte(time.Now().UTC().Format(time.RFC3339Nano))},
	}}
	switch x := s.rng.Float64(); {
	case x < poison:
		s.poison(r, s.n%9)
	case x < poison+0.03 && len(s.events) > 0: // the same event again
		was := s.events[s.rng.IntN(len(s.events))]
		r.Key, r.Value, r.Headers = was.Key, was.Value, was.Headers
	case x < poison+0.04 && len(s.letters) > 0: // a letter, repaired
		was := s.letters[s.rng.IntN(len(s.letters))]
		r.Key, r.Value = was.Key, s.order(string(was.Key), "repaired")
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "ordersctl.origin", Value: fmt.Appendf(nil, "%s/%d@%d", s.topicID, was.Partition, was.Offset)})
	}
	return r
}

func (s *shopfront) poison(r *kgo.Record, kind int) {
	switch kind {
	case 0:
		r.Value = r.Value[:20]
	case 1:
		r.Value = []byte(`["an order"]`)
	case 2:
		r.Value = bytes.Replace(r.Value, []byte(`"total":`), []byte(`"total":"1","x":`), 1)
	case 3:
		r.Value = bytes.Replace(r.Value, []byte(`"status":"paid"`), []byte(`"status":"Paid!"`), 1)
	case 4:
		r.Value = nil
	case 5:
		r.Value = bytes.Replace(r.Value, []byte(`"id":"ord-`), []byte(`"id":"xxx-`), 1)
	case 6:
		r.Headers[0].Value = []byte{1}
	case 7:
		if len(s.events) > 0 { // another one's event id, under its key
			was := s.events[s.rng.IntN(len(s.events))]
			r.Key, r.Headers = was.Key, was.Headers
			r.Value = s.order(string(was.Key), "conflict")
		}
	case 8: // an order of its own: of several events in a batch only the last one's row comes before the database's rules
		id := fmt.Sprintf("gremlin-%d", s.n)
		r.Key, r.Value = []byte(id), s.order(id, "gremlin")
	}
}

func (s *shopfront) send(n int, poison float64) {
	s.t.Helper()
	for n > 0 {
		batch := make([]*kgo.Record, min(n, 2000))
		for i := range batch {
			batch[i] = s.next(poison)
		}
		n -= len(batch)
		if err := s.cl.ProduceSync(s.t.Context(), batch...).FirstErr(); err != nil {
			s.t.Fatal(err)
		}
		for i, r := range batch {
			if len(r.Headers) > 2 || string(r.Headers[0].Value) == "\x01" {
				continue
			}
			if bytes.Contains(r.Value, []byte(`"Paid!"`)) {
				s.letters = append(s.letters, r)
			} else if bytes.Contains(r.Value, []byte(`"paid"`)) && bytes.Contains(r.Value, r.Key) && i%20 == 0 {
				s.events = append(s.events, r)
			}
		}
	}
}

// pipeline is a topic, its dead letter topic and a database.
type pipeline struct {
	*kafka.Cluster

	t       *testing.T
	db      *postgres.Server
	url     string
	topicID string
	shop    *shopfront
}

const pipelinePartitions = 6

func startPipeline(t *testing.T, ids int) *pipeline {
	t.Helper()
	return startPipelineOn(t, 1, ids)
}

// startPipelineOn makes topics of one replica on some brokers.
func startPipelineOn(t *testing.T, brokers, ids int) *pipeline {
	t.Helper()
	p := &pipeline{t: t, Cluster: kafka.Start(t, kafka.Options{Brokers: brokers}), db: postgres.Start(t, postgres.Options{Fsync: true})}
	if err := p.db.Exec(t.Context(), "postgres", "CREATE DATABASE orders"); err != nil {
		t.Fatal(err)
	}
	p.url = p.db.URL("orders")
	run(t, p.Bootstrap(), "topic", "create", "orders", "-p", fmt.Sprint(pipelinePartitions), "--replicas", "1", "-c", "min.insync.replicas=1", "--with-dlq")
	if _, _, err := sink.Migrate(t.Context(), p.config(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	// What the decoder takes and this database does not.
	if err := p.db.Exec(t.Context(), "orders", "ALTER TABLE orders ADD CONSTRAINT no_gremlins CHECK (status <> 'gremlin')"); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p.Bootstrap(), ",")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	topics, err := client.Admin(cl).ListTopics(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	p.topicID = topic.FormatID(topics["orders"].ID)
	p.shop = &shopfront{t: t, cl: cl, topicID: p.topicID, ids: ids, rng: rand.New(rand.NewPCG(1, 2))}
	return p
}

func (p *pipeline) config() sink.Config {
	cfg := sink.DefaultConfig()
	cfg.URL = sink.URL(p.url)
	return cfg
}

func (p *pipeline) store() sink.Store {
	p.t.Helper()
	store, err := sink.Open(p.t.Context(), p.config(), sink.OpenOptions{ReadOnly: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.t.Fatal(err)
	}
	return store
}

// caughtUp waits until the database is at the end of the log.
func (p *pipeline) caughtUp(within time.Duration) {
	p.t.Helper()
	end := written(p.t, p.Bootstrap(), "orders")
	store := p.store()
	defer store.Close()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		offsets, err := store.Committed(p.t.Context(), "orders-process")
		var at int64
		for _, o := range offsets {
			at += o.Next
		}
		if err == nil && at == end {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the database is at %d of %d after %s (%v)", at, end, within, err)
		}
		<-tick.C
	}
}

// changed are the first lines of a diff that differ.
func changed(diff string) string {
	var lines []string
	for line := range strings.Lines(diff) {
		if (line[0] == '-' || line[0] == '+') && len(lines) < 40 {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// holds compares the database and the dead letters with the straight fold of
// the log.
func (p *pipeline) holds(lettersOnce bool) {
	p.t.Helper()
	records := readAll(p.t, p.Bootstrap(), "orders")
	want := straight(records, p.topicID)
	ids := map[string]bool{}
	for _, r := range records {
		ids[string(r.Key)] = true
	}
	var list []string
	for id := range ids {
		list = append(list, id)
	}
	store := p.store()
	defer store.Close()
	got := booked(p.t, store, p.topicID, list, pipelinePartitions)
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("the database is not what the log comes to (-log +database):\n%s", changed(diff))
	}
	refused, counts := map[string]string{}, map[string]int{}
	for place, what := range want.Places {
		counts[what]++
		switch what {
		case "applied", "stale", "duplicate":
		default:
			refused[place] = what
		}
	}
	letters, again := map[string]string{}, 0
	for _, r := range readAll(p.t, p.Bootstrap(), "orders.dlq") {
		place := fmt.Sprintf("%s/%s@%s", header(r, "ordersctl.dlq.origin-topic-id"), header(r, "ordersctl.dlq.origin-partition"), header(r, "ordersctl.dlq.origin-offset"))
		if letters[place] != "" {
			again++
		}
		letters[place] = header(r, "ordersctl.dlq.class")
	}
	if diff := cmp.Diff(refused, letters); diff != "" {
		p.t.Errorf("dead letters (-log +topic):\n%s", changed(diff))
	}
	if again > 0 && lettersOnce {
		p.t.Errorf("%d letters are there twice", again)
	}
	p.t.Logf("%d records: %v; %d letters written again after a crash", len(records), counts, again)
}

func TestProcessComesToWhatTheLogComesTo(t *testing.T) {
	t.Parallel()
	p := startPipeline(t, either(5_000, 50_000))
	p.shop.send(either(20_000, 200_000), 0.001)
	c := consume(t, p.Bootstrap(), p.url)
	p.shop.send(either(10_000, 100_000), 0.01)
	p.caughtUp(2 * time.Minute)
	p.holds(true)
	if code := c.end(); code != 0 {
		t.Errorf("exit code %d at SIGTERM", code)
	}
}

func TestProcessKilledAndItsDatabaseCrashed(t *testing.T) {
	t.Parallel()
	kills, crashes := either(6, 30), either(2, 10)
	p := startPipeline(t, 5_000)
	p.shop.send(5_000, 0.01)
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { p.neverBack(ctx) })
	members := make([]*consumer, 3)
	for i := range members {
		members[i] = consume(t, p.Bootstrap(), p.url)
	}
	for round := range kills {
		p.shop.send(3_000, 0.005)
		pause(t, time.Duration(rand.Int64N(int64(700*time.Millisecond))))
		i := rand.IntN(len(members))
		if round%4 == 3 { // one leaves in order
			if code := members[i].end(); code != 0 {
				t.Errorf("exit code %d at SIGTERM", code)
			}
		} else {
			members[i].kill()
		}
		if round*crashes/kills != (round+1)*crashes/kills {
			if err := p.db.Crash(); err != nil {
				t.Fatal(err)
			}
			pause(t, time.Duration(rand.Int64N(int64(time.Second))))
			if err := p.db.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		members[i] = consume(t, p.Bootstrap(), p.url)
	}
	p.shop.send(3_000, 0.005)
	p.caughtUp(3 * time.Minute)
	stop()
	watching.Wait()
	p.holds(false)
}

// neverBack watches the database's offsets.
func (p *pipeline) neverBack(ctx context.Context) {
	store := p.store()
	defer store.Close()
	most, looks := map[int32]int64{}, 0
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		offsets, err := store.Committed(ctx, "orders-process")
		if err == nil {
			looks++
		}
		for _, o := range offsets {
			if o.Next < most[o.Partition] {
				p.t.Errorf("the offset of partition %d went back from %d to %d", o.Partition, most[o.Partition], o.Next)
			}
			most[o.Partition] = o.Next
		}
		select {
		case <-ctx.Done():
			if looks < 20 {
				p.t.Errorf("the offsets were seen %d times", looks)
			}
			return
		case <-tick.C:
		}
	}
}

func TestProcessWaitsForItsDatabase(t *testing.T) {
	t.Parallel()
	away := either(10*time.Second, 90*time.Second)
	p := startPipeline(t, 5_000)
	c := consume(t, p.Bootstrap(), p.url)
	p.shop.send(5_000, 0.01)
	p.caughtUp(time.Minute)
	if err := p.db.Crash(); err != nil {
		t.Fatal(err)
	}
	gone := time.Now()
	sent := either(30_000, 300_000)
	p.shop.send(sent/3, 0.01)
	eventually(t, "all partitions are paused", func() bool {
		list := c.status()
		for _, s := range list {
			if s.Reason != "outage" {
				return false
			}
		}
		return len(list) == pipelinePartitions
	})
	full := c.resident() // what it holds while it waits
	p.shop.send(sent-sent/3, 0.01)
	letters := written(t, p.Bootstrap(), "orders.dlq")
	pause(t, away-time.Since(gone))
	if grown := c.resident() - full; grown > 64<<20 {
		t.Errorf("memory grew by %d MiB while it waited", grown>>20)
	}
	if now := written(t, p.Bootstrap(), "orders.dlq"); now != letters {
		t.Errorf("%d dead letters were written during the outage", now-letters)
	}
	if err := p.db.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	p.caughtUp(2 * time.Minute) // the pause between two tries is 30 s at most
	t.Logf("%d records made up for in %s, %d MiB resident while waiting", sent, time.Since(back).Round(time.Millisecond), full>>20)
	p.holds(false)
}

// Partitions whose broker is away are waited for; the others go on, and nothing
// is missing when it is back.
func TestProcessGoesOnWithoutABroker(t *testing.T) {
	t.Parallel()
	const victim = 2
	p := startPipelineOn(t, 3, 2_000)
	c := consume(t, p.Bootstrap(), p.url)
	p.shop.send(5_000, 0)
	p.caughtUp(time.Minute)
	left := p.partitionsNotOf(victim)
	if len(left) == 0 || len(left) == pipelinePartitions {
		t.Fatalf("broker %d leads all partitions but %v", victim, left)
	}
	if err := p.Kill(victim); err != nil {
		t.Fatal(err)
	}
	p.sendTo(left, 3_000)
	p.caughtUpWith(left, 45*time.Second) // the group's coordinator may have been there, too
	if err := p.Restart(t.Context(), victim); err != nil {
		t.Fatal(err)
	}
	p.shop.send(3_000, 0.01)
	p.caughtUp(time.Minute)
	p.holds(true)
	if code := c.end(); code != 0 {
		t.Errorf("exit code %d at SIGTERM", code)
	}
}

func (p *pipeline) partitionsNotOf(broker int32) (list []int32) {
	p.t.Helper()
	topics, err := client.Admin(p.shop.cl).ListTopics(p.t.Context(), "orders")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, partition := range topics["orders"].Partitions.Sorted() {
		if partition.Leader != broker {
			list = append(list, partition.Partition)
		}
	}
	return list
}

// sendTo sends new events to some partitions in turns, whatever their keys.
func (p *pipeline) sendTo(partitions []int32, n int) {
	p.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p.Bootstrap(), ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		p.t.Fatal(err)
	}
	defer cl.Close()
	batch := make([]*kgo.Record, n)
	for i := range batch {
		p.shop.n++
		id := fmt.Sprintf("elsewhere-%d", i) // of no other partition
		batch[i] = &kgo.Record{
			Topic: "orders", Partition: partitions[i%len(partitions)], Key: []byte(id), Value: p.shop.order(id, "paid"),
			Headers: []kgo.RecordHeader{{Key: "event-id", Value: fmt.Appendf(nil, "e-%d", p.shop.n)}},
		}
	}
	if err := cl.ProduceSync(p.t.Context(), batch...).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
}

// caughtUpWith waits until the database is at the end of these partitions.
func (p *pipeline) caughtUpWith(partitions []int32, within time.Duration) {
	p.t.Helper()
	ends, err := client.Admin(p.shop.cl).ListEndOffsets(p.t.Context(), "orders")
	if err != nil {
		p.t.Logf("ends of the others: %v", err)
	}
	store := p.store()
	defer store.Close()
	behind := map[int32]int64{}
	deadline := time.Now().Add(within)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		clear(behind)
		for _, partition := range partitions {
			end, ok := ends.Lookup("orders", partition)
			if !ok || end.Err != nil {
				p.t.Fatalf("end of partition %d: %v", partition, end.Err)
			}
			behind[partition] = end.Offset
		}
		offsets, err := store.Committed(p.t.Context(), "orders-process")
		for _, o := range offsets {
			if behind[o.Partition] == o.Next {
				delete(behind, o.Partition)
			}
		}
		if err == nil && len(behind) == 0 {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("after %s the database is not at %v (%v)", within, behind, err)
		}
		<-tick.C
	}
}

// resident is the memory of the process in bytes.
func (c *consumer) resident() int64 {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		c.t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// One poison record in every batch of 1,000, of the kind that costs the most:
// the database has to find it. It takes nothing else with it. What it costs is
// told, not judged: a busy machine says little of it.
func TestPoisonInEveryBatchIsDeadLetteredAlone(t *testing.T) {
	p := startPipeline(t, 1<<30)
	n := either(15_000, 300_000)
	rate := func(poison bool) float64 {
		var batch []*kgo.Record
		for i := range n {
			r := p.shop.next(0)
			if poison && i%1000 == 500 {
				p.shop.poison(r, 8)
			}
			r.Partition = 0
			batch = append(batch, r)
		}
		p.shop.events, p.shop.letters = nil, nil
		if err := p.shop.cl.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		c := consume(t, p.Bootstrap(), p.url)
		p.caughtUp(2 * time.Minute)
		took := time.Since(start)
		c.end()
		return float64(n) / took.Seconds()
	}
	_ = rate(false) // tables and caches are warm
	clean, poisoned := rate(false), rate(true)
	t.Logf("clean %.0f/s, poisoned %.0f/s: %.2f", clean, poisoned, poisoned/clean)
	p.holds(true)
}
