package broker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// childDir names the environment variable that makes the test binary a broker
// on that directory and nothing else.
const childDir = "BROKER_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// child runs until it is killed, or until its parent is gone and stdin with it.
func child(dir string) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	b, err := Start(context.Background(), onDisk(dir), log, kfake.SeedTopics(3, "orders"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(b.Addr())
	io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

func startChild(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("child said nothing: %v", err)
	}
	return cmd, strings.TrimSpace(addr)
}

// place is where a record was acknowledged.
type place struct {
	partition int32
	offset    int64
}

// TestAcknowledgedRecordsOutliveKill9 kills a broker that is being produced to,
// several times on one directory, and then looks for every record that it
// acknowledged.
func TestAcknowledgedRecordsOutliveKill9(t *testing.T) {
	const rounds, perRound = 5, 2000
	dir := t.TempDir()
	acked := map[place]string{}
	for round := range rounds {
		cmd, addr := startChild(t, dir)
		maps.Copy(acked, produceUntilKilled(t, cmd, addr, round, perRound))
	}

	b := start(t, onDisk(dir))
	found := map[place]string{}
	cl := newClient(t, b.Addr(), kgo.ConsumeTopics("orders"))
	ctx := within(t)
	for want := total(t, b); len(found) < want; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %d of %d records back: %v", len(found), want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { found[place{r.Partition, r.Offset}] = string(r.Value) })
	}
	lost := 0
	for at, value := range acked {
		if found[at] != value {
			if lost++; lost <= 5 {
				t.Errorf("%q was acknowledged at %v, where there is %q", value, at, found[at])
			}
		}
	}
	if lost > 0 || len(acked) < rounds*perRound {
		t.Errorf("%d of %d acknowledged records lost, want 0 of at least %d", lost, len(acked), rounds*perRound)
	}
}

// produceUntilKilled kills cmd in the middle of a stream of records, after at
// least n are acknowledged, and returns those that were.
func produceUntilKilled(t *testing.T, cmd *exec.Cmd, addr string, round, n int) map[place]string {
	t.Helper()
	cl := newClient(t, addr, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(time.Millisecond), kgo.MaxBufferedRecords(1000))
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	var (
		mu     sync.Mutex
		acked  = map[place]string{}
		enough = make(chan struct{})
		done   = make(chan struct{})
	)
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			value := strconv.Itoa(round) + "-" + strconv.Itoa(i)
			cl.Produce(ctx, &kgo.Record{Topic: "orders", Key: []byte(value), Value: []byte(value)}, func(r *kgo.Record, err error) {
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				acked[place{r.Partition, r.Offset}] = string(r.Value)
				if len(acked) == n {
					close(enough)
				}
			})
		}
	}()
	select {
	case <-enough:
	case <-ctx.Done():
		t.Fatal("too few acknowledgements")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	cancel()
	<-done
	cl.Close() // every promise has been called when this returns
	mu.Lock()
	defer mu.Unlock()
	return acked
}

// total is the number of records in the topic.
func total(t *testing.T, b *Broker) int {
	t.Helper()
	sum := int64(0)
	for partition := range int32(3) {
		sum += endOf(t, b, "orders", partition)
	}
	return int(sum)
}
