//go:build e2e

// Package e2e holds the program against real servers: Apache Kafka, started by
// e2e/kafka, and clients that are not ours. ".ci/run e2e" runs it.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Built once: the program under test, and the load generator of e2e/traffic,
// which would measure itself under the race detector.
var binary, generator string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ordersctl-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "ordersctl")
		generator = filepath.Join(dir, "traffic")
		for program, source := range map[string]string{binary: "../cmd/ordersctl", generator: "./traffic/cmd/traffic"} {
			if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build %s: %v\n%s", source, err, out)
				return 1
			}
		}
		code := m.Run()
		if err := closeShared(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

// command is ordersctl with nothing of this machine's configuration.
func command(ctx context.Context, t *testing.T, brokers string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, binary, args...)
	home := t.TempDir()
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "ORDERSCTL_KAFKA_BROKERS=" + brokers}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// run runs ordersctl to its end, which has to be exit code 0, and gives what
// it wrote to stdout.
func run(t *testing.T, brokers string, args ...string) string {
	t.Helper()
	stdout, stderr, code := try(t, brokers, "", args...)
	if code != 0 {
		t.Fatalf("ordersctl %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// try runs ordersctl to its end, whatever that is.
func try(t *testing.T, brokers, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := command(ctx, t, brokers, args...)
	var out, talk bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &talk
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("ordersctl %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), talk.String(), cmd.ProcessState.ExitCode()
}

// server is a running "ordersctl serve".
type server struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	admin string
	log   *log
	loads atomic.Int32 // that were offered, for their names
	once  sync.Once
	err   error
}

type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func serve(t *testing.T, brokers string, args ...string) *server {
	t.Helper()
	listen, admin := freeAddr(t), freeAddr(t)
	s := &server{t: t, url: "http://" + listen + "/order", admin: "http://" + admin, log: &log{}}
	args = append([]string{"serve", "--listen", listen, "--admin-listen", admin}, args...)
	s.cmd = command(context.WithoutCancel(t.Context()), t, brokers, args...)
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.end()
		if t.Failed() {
			t.Logf("serve said:\n%s", tailOf(s.log.String(), 4000))
		}
	})
	eventually(t, "serve is ready", func() bool {
		resp, err := http.Get(s.admin + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == 200
	})
	return s
}

// end sends SIGTERM and gives how the process ended.
func (s *server) end() error {
	s.once.Do(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		s.err = s.cmd.Wait()
	})
	return s.err
}

func (s *server) metrics() string {
	resp, err := http.Get(s.admin + "/metrics")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 60 s: %s", what)
		}
		<-tick.C
	}
}

// readAll reads a topic from its start to the end that it has now.
func readAll(t *testing.T, brokers, topic string) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ends := endOffsets(ctx, t, cl, topic)
	var all []*kgo.Record
	for len(ends) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("read %s: %d records, then %v", topic, len(all), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all = append(all, r)
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
		})
	}
	return all
}

// written is how many records a topic has taken.
func written(t *testing.T, brokers, topic string) (n int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, end := range endOffsets(t.Context(), t, cl, topic) {
		n += end
	}
	return n
}

func tailOf(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}
