package tail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/topic"
)

func TestRanges(t *testing.T) {
	k := startKafka(t)
	for i := range 5 {
		k.put(1, fmt.Sprint("b", i), 10*i)
	}
	key := "b3"
	for _, tt := range []struct {
		name string
		opts Options
		want string
	}{
		{"all there is, then end", Options{Range: ranged(t, ":end")}, "b0 b1 b2 b3 b4"},
		{"from the start until enough are printed", Options{Range: ranged(t, "start"), Num: 2}, "b0 b1"},
		{"an offset", Options{Range: ranged(t, "3:end"), Partitions: []int32{1}}, "b3 b4"},
		{"offsets", Options{Range: ranged(t, "1:3")}, "b1 b2"},
		{"after the start", Options{Range: ranged(t, "+4:end")}, "b4"},
		{"after the start, more than there are", Options{Range: ranged(t, "+40:end")}, ""},
		{"before the end", Options{Range: ranged(t, "-2:end")}, "b3 b4"},
		{"before the end, more than there are", Options{Range: ranged(t, "-200:end")}, "b0 b1 b2 b3 b4"},
		{"between times", Options{Range: ranged(t, "@2026-11-22T14:00:10Z:2026-11-22T14:00:30Z")}, "b1 b2"},
		{"a time behind the end", Options{Range: ranged(t, "@2027-01-01:end")}, ""},
		{"an offset behind the end", Options{Range: ranged(t, "99:end")}, ""},
		{"a partition without records", Options{Range: ranged(t, ":end"), Partitions: []int32{2}}, ""},
		{"a partition named twice", Options{Range: ranged(t, "4:end"), Partitions: []int32{1, 1}}, "b4"},
		{"a key's partition alone", Options{Range: ranged(t, ":end"), Key: &key}, map[bool]string{true: "b0 b1 b2 b3 b4"}[partitionOf(t, k.cfg, key) == 1]},
	} {
		got, err := k.run(tt.opts)
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, wants %q", tt.name, got, err, tt.want)
		}
	}
}

func partitionOf(t *testing.T, cfg client.Config, key string) int32 {
	t.Helper()
	p, err := client.PartitionOf(cfg, "orders", key, 3)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLastCountsOverAllPartitionsBeforeFilters(t *testing.T) {
	k := startKafka(t)
	for i := range 10 {
		k.put(int32(i%2), fmt.Sprint("r", i), i)
	}
	// A producer with a slow clock wrote after r8: what is newest in its
	// partition must neither be hidden by its stamp nor change places.
	k.put(0, "late", 1)
	onlyEven := func() (f Filter) {
		if err := f.Grep("k:[02468]$"); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, tt := range []struct {
		name string
		opts Options
		want string
	}{
		{"in the order of time", Options{Last: 3}, "r8 late r9"},
		{"more than there are", Options{Last: 100}, "r0 r1 r2 r3 r4 r5 r6 r7 r8 late r9"},
		{"counted before the filter", Options{Last: 3, Filter: onlyEven()}, "r8"},
		{"no more than -n of them", Options{Last: 5, Num: 2}, "r6 r7"},
		{"of one partition", Options{Last: 2, Partitions: []int32{1}}, "r7 r9"},
	} {
		tt.opts.Range.To = Bound{Kind: End}
		got, err := k.run(tt.opts)
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, wants %q", tt.name, got, err, tt.want)
		}
	}
}

func TestNewestKeepsEachPartitionsOrderAndLittleMemory(t *testing.T) {
	n := newNewest(10)
	for i := range 1000 {
		n.add(int32(i%3), []*kgo.Record{{Partition: int32(i % 3), Offset: int64(i / 3), Timestamp: time.Unix(int64(i), 0)}})
		if n.total > 20 {
			t.Fatalf("%d held", n.total)
		}
	}
	var got []int64
	for _, r := range n.cut() {
		got = append(got, r.Timestamp.Unix())
	}
	if diff := cmp.Diff([]int64{990, 991, 992, 993, 994, 995, 996, 997, 998, 999}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLastFollowsOn(t *testing.T) {
	k := startKafka(t)
	k.put(0, "a", 0)
	k.put(1, "b", 1)
	out := k.follow(Options{Last: 1}, "b")
	k.put(0, "c", 2)
	out.wait("b c")
	k.put(2, "d", 3)
	out.wait("b c d")
	if err := out.stop(); err != nil {
		t.Error(err)
	}
}

func TestRangesEndWhereNoRecordIs(t *testing.T) {
	k := startKafka(t)
	k.put(0, "a", 0)
	k.transact(kgo.TryCommit, "b")          // offset 1, its marker 2
	k.transact(kgo.TryAbort, "x", "y", "z") // 3 to 5, marker 6
	for _, tt := range []struct{ offset, want string }{
		{":end", "a b"}, {":2", "a b"}, {":3", "a b"}, {":5", "a b"}, {"3:6", ""}, {"-1:end", ""},
	} {
		got, err := k.run(Options{Range: ranged(t, tt.offset)})
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, wants %q", tt.offset, got, err, tt.want)
		}
	}
	// The newest two are found although six offsets behind them hold nothing.
	got, err := k.run(Options{Last: 2, Range: Range{To: Bound{Kind: End}}})
	if err != nil || got != "a b" {
		t.Errorf("the last 2: %q, %v", got, err)
	}
}

func TestRangeEndsThoughTheLogIsCutOffBehindUs(t *testing.T) {
	k := startKafka(t)
	for i := range 3 {
		k.put(0, fmt.Sprint(i), i)
	}
	r := k.tail(Options{Range: ranged(t, ":end")})
	r.cl, r.adm, r.out = k.dial(r.ClientOptions()...), client.Admin(k.cl), &bytes.Buffer{}
	r.Tail.cl = r.cl
	if err := r.plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	var gone kadm.Offsets
	gone.Add(kadm.Offset{Topic: "orders", Partition: 0, At: 3})
	if _, err := client.Admin(k.cl).DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	r.consume()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.follow(ctx); err != nil {
		t.Errorf("it does not end: %v", err)
	}
}

func TestTimeout(t *testing.T) {
	k := startKafka(t)
	k.put(0, "a", 0)
	const timeout = 300 * time.Millisecond
	if got, err := k.run(Options{Range: ranged(t, "start"), Timeout: timeout}); err != nil || got != "a" {
		t.Errorf("without -n: %q, %v", got, err)
	}
	if got, err := k.run(Options{Range: ranged(t, "start"), Timeout: timeout, Num: 1}); err != nil || got != "a" {
		t.Errorf("-n reached: %q, %v", got, err)
	}
	got, err := k.run(Options{Range: ranged(t, "start"), Timeout: timeout, Num: 2})
	if err == nil || !strings.Contains(err.Error(), "1 of 2 records") || got != "a" {
		t.Errorf("-n not reached: %q, %v", got, err)
	}
	if _, err := k.run(Options{Range: ranged(t, "end"), Timeout: timeout, Last: 1, Num: 2}); err == nil {
		t.Error("--last, -n not reached: no error")
	}
}

func TestFollow(t *testing.T) {
	k := startKafka(t)
	k.put(0, "old", 0)
	f := k.follow(Options{}, "")
	k.put(2, "new", 1)
	f.wait("new")
	if err := f.stop(); err != nil {
		t.Errorf("a signal is no error: %v", err)
	}
}

func TestBrokerThatGoesIsToldOnceAndTriedOn(t *testing.T) {
	k := startKafka(t)
	k.put(0, "a", 0)
	f := k.follow(Options{Last: 1}, "a")
	if err := k.broker.Close(); err != nil {
		t.Fatal(err)
	}
	f.heard("can't be reached")
	if err := f.stop(); err != nil {
		t.Errorf("a signal is no error: %v", err)
	}
	if n := strings.Count(f.said(), "can't be reached"); n != 1 {
		t.Errorf("told %d times:\n%s", n, f.said())
	}
}

func TestPartitionsThatAreAddedAreReadToo(t *testing.T) {
	k := startKafka(t)
	r := k.tail(Options{})
	r.Tail.cl, r.adm, r.out = r.cl, client.Admin(r.cl), &bytes.Buffer{}
	if err := r.plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Admin(k.cl).CreatePartitions(t.Context(), 1, "orders"); err != nil {
		t.Fatal(err)
	}
	if err := r.watch(t.Context()); err != nil || r.parts[3] == nil {
		t.Errorf("partition 3 is not read: %v", err)
	}
	if _, err := client.Admin(k.cl).DeleteTopic(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	if err := r.watch(t.Context()); err == nil || !strings.Contains(err.Error(), "was deleted") {
		t.Errorf("the deleted topic: %v", err)
	}
}

func TestStatusTellsWhatWasRead(t *testing.T) {
	k := startKafka(t)
	k.put(0, "not an order", 0)
	k.produce(&kgo.Record{Topic: "orders", Key: []byte("ord-1"), Value: []byte(goodValue), Timestamp: at("2026-11-22T14:00:07Z")})
	var f Filter
	if err := f.Where("total>100", time.Now()); err != nil {
		t.Fatal(err)
	}
	var said []string
	_, err := k.run(Options{Range: ranged(t, ":end"), Filter: f, Status: func(s string) { said = append(said, s) }})
	want := []string{"-- end; 0 of 2 since 14:00:00 matched, 1 not orders (never filtered) --"}
	if diff := cmp.Diff(want, said); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestMissingTopicAndPartition(t *testing.T) {
	k := startKafka(t)
	_, err := k.run(Options{Topic: "none"})
	var missing *topic.MissingError
	if !errors.As(err, &missing) || !strings.Contains(missing.Hint(), "ordersctl topic create none") {
		t.Errorf("missing topic: %v", err)
	}
	_, err = k.run(Options{Partitions: []int32{7}})
	if err == nil || err.Error() != `topic "orders" has no partition 7` {
		t.Errorf("missing partition: %v", err)
	}
}

func TestGroupCommitsWhatWasPrinted(t *testing.T) {
	k := startKafka(t)
	for i := range 5 {
		k.put(1, fmt.Sprint(i), i)
	}
	got, err := k.run(Options{Group: "g", Range: ranged(t, "start"), Num: 2})
	if err != nil || got != "0 1" {
		t.Fatalf("first reading: %q, %v", got, err)
	}
	if diff := cmp.Diff(map[int32]int64{1: 2}, k.committed("g")); diff != "" {
		t.Errorf("committed (-want +got):\n%s", diff)
	}
	got, err = k.run(Options{Group: "g", Range: ranged(t, "start"), Num: 3})
	if err != nil || got != "2 3 4" {
		t.Fatalf("second reading: %q, %v", got, err)
	}
	if diff := cmp.Diff(map[int32]int64{1: 5}, k.committed("g")); diff != "" {
		t.Errorf("committed (-want +got):\n%s", diff)
	}
}

func TestGroupDoesNotCommitWhatNobodyRead(t *testing.T) {
	k := startKafka(t)
	k.put(1, "a", 0)
	f := k.follow(Options{Group: "g", Range: ranged(t, "start")}, "a")
	f.mu.Lock()
	f.broken = syscall.EPIPE
	f.mu.Unlock()
	k.put(1, "b", 1)
	if err := <-f.done; !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%v, wants EPIPE", err)
	}
	if diff := cmp.Diff(map[int32]int64{1: 1}, k.committed("g")); diff != "" {
		t.Errorf("committed (-want +got):\n%s", diff)
	}
}

func TestReaderThatIsGoneEndsAnIdleTail(t *testing.T) {
	k := startKafka(t)
	_, err := k.run(Options{Gone: func() bool { return true }})
	if !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%v, wants EPIPE", err)
	}
}

func TestHeadersComeThroughWhenAsked(t *testing.T) {
	k := startKafka(t)
	k.produce(&kgo.Record{Topic: "orders", Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}}})
	k.produce(&kgo.Record{Topic: "orders", Value: []byte("w"), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("2")}}})
	var f Filter
	if err := f.Where("header.a=2", time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		opts Options
		want string
	}{
		{"in the format", Options{Format: Format{Layout: `%h{%k=%v}\n`}}, "a=1 a=2"},
		{"in the filter", Options{Filter: f}, "w"},
		{"not asked for", Options{}, "v w"},
	} {
		tt.opts.Range = ranged(t, ":end")
		if got, err := k.run(tt.opts); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, wants %q", tt.name, got, err, tt.want)
		}
	}
}
