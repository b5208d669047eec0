//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/e2e/kafka"
)

func endOffsets(ctx context.Context, t *testing.T, cl *kgo.Client, topic string) map[int32]int64 {
	t.Helper()
	listed, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	ends := map[int32]int64{}
	for partition, o := range listed[topic] {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if o.Offset > 0 {
			ends[partition] = o.Offset
		}
	}
	return ends
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// curl posts a body by a client that is not ours and gives the status code.
func curl(t *testing.T, url, body string, args ...string) (code, answer string) {
	t.Helper()
	args = append([]string{"-sS", "--max-time", "20", "-w", "\n%{http_code}", "-d", body, url}, args...)
	out, err := exec.CommandContext(t.Context(), "curl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	text := string(out)
	i := strings.LastIndex(text, "\n")
	return text[i+1:], text[:i]
}

const asJSON = "-HContent-Type: application/json"

func TestTheContractOnTheWireAndTheTopicByKafkasOwnConsumer(t *testing.T) {
	k := borrow(t)
	_, stderr, code := try(t, k.Bootstrap(), "", "serve", "--listen", freeAddr(t), "--admin-listen", freeAddr(t))
	if code != 1 || !strings.Contains(stderr, "ordersctl topic create orders") {
		t.Fatalf("serve without a topic: exit code %d\n%s", code, stderr)
	}
	run(t, k.Bootstrap(), "topic", "create", "orders", "-p", "1")
	s := serve(t, k.Bootstrap())

	for _, c := range []struct {
		name, body string
		args       []string
		code, want string
	}{
		{"an order", `{"id":"123","user_id":"u456","total":99.990,"status":"pending","timestamp":"2024-10-01T14:34:56+02:00"}`, []string{asJSON}, "202", `"topic":"orders","partition":0,"offset":0}`},
		{"another way to write one", ` {"timestamp":"2024-10-01T12:34:56.120Z","total":1e2,"status":"paid","user_id":"u\u0034","id":"123"} `, []string{asJSON}, "202", `"offset":1}`},
		{"a bad order", `{"id":"123","total":"99.99"}`, []string{asJSON}, "400", `"pointer":"/total"`},
		{"a form", `{"id":"123"}`, nil, "415", "add -H 'Content-Type: application/json'"},
		{"another method", `{}`, []string{"-XPUT", asJSON}, "405", `"outcome":"not_written"`},
	} {
		if code, answer := curl(t, s.url, c.body, c.args...); code != c.code || !strings.Contains(answer, c.want) {
			t.Errorf("%s: %s %s, want %s with %s", c.name, code, answer, c.code, c.want)
		}
	}

	// Not told how many there are: a wrong one more would show.
	out, err := k.Tool(t.Context(), "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", k.Bootstrap(), "--topic", "orders",
		"--from-beginning", "--timeout-ms", "8000", "--formatter-property", "print.key=true").Output()
	if err != nil {
		t.Fatalf("console consumer: %v", err)
	}
	const want = `123	{"id":"123","user_id":"u456","total":99.99,"status":"pending","timestamp":"2024-10-01T12:34:56Z"}
123	{"id":"123","user_id":"u4","total":100,"status":"paid","timestamp":"2024-10-01T12:34:56.12Z"}
`
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("the console consumer shows (-want +got):\n%s", diff)
	}
	tailed := run(t, k.Bootstrap(), "tail", "-o", ":end", "-f", `%k\t%v\n`)
	if diff := cmp.Diff(want, tailed); diff != "" {
		t.Errorf("tail shows (-want +got):\n%s", diff)
	}
	if err := s.end(); err != nil {
		t.Errorf("the end of serve: %v", err)
	}
}

// attempt is one POST and what its client was told.
type attempt struct {
	code      int
	err       error
	took      time.Duration
	Event     string `json:"event_id"`
	Outcome   string `json:"outcome"`
	Request   string `json:"request_id"`
	requestID string
}

// load posts from n clients until stop is closed and gives every attempt.
func load(t *testing.T, url string, n int, stop <-chan struct{}) func() []attempt {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: n}
	cl := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	var (
		mu  sync.Mutex
		all []attempt
		wg  sync.WaitGroup
	)
	for i := range n {
		wg.Go(func() {
			for seq := 0; ; seq++ {
				select {
				case <-stop:
					return
				default:
				}
				a := post(cl, url, fmt.Sprintf(`{"id":"c%d-%d","user_id":"u1","total":%d,"status":"pending","timestamp":"2025-10-06T17:00:00Z"}`, i, seq%50, seq))
				mu.Lock()
				all = append(all, a)
				mu.Unlock()
				if a.err != nil {
					<-time.After(5 * time.Millisecond) // the listener is closed: don't spin
				}
			}
		})
	}
	return func() []attempt {
		wg.Wait()
		transport.CloseIdleConnections()
		return all
	}
}

func post(cl *http.Client, url, body string) (a attempt) {
	begin := time.Now()
	defer func() { a.took = time.Since(begin) }()
	resp, err := cl.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		a.err = err
		return a
	}
	defer resp.Body.Close()
	a.code, a.requestID = resp.StatusCode, resp.Header.Get("X-Request-Id")
	raw, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(raw, &a)
	}
	a.err = err
	return a
}

// judge holds what clients were told against the topic: every accepted order
// is there once, none that was said to be not written is.
func judge(t *testing.T, attempts []attempt, records []*kgo.Record) (acked, notWritten, unknown int) {
	t.Helper()
	events, requests := map[string]int{}, map[string]bool{}
	for _, r := range records {
		events[header(r, "event-id")]++
		requests[header(r, "request-id")] = true
	}
	for _, a := range attempts {
		switch {
		case a.err != nil:
		case a.code == 202:
			acked++
			if n := events[a.Event]; n != 1 {
				t.Errorf("event %s was answered 202 and is in the topic %d times", a.Event, n)
			}
		case a.Outcome == "not_written":
			notWritten++
			if a.requestID == "" || requests[a.requestID] {
				t.Errorf("request %q was answered %d not_written and is in the topic", a.requestID, a.code)
			}
		case a.Outcome == "unknown":
			unknown++
		default:
			t.Errorf("answer %d without an outcome: %+v", a.code, a)
		}
	}
	return acked, notWritten, unknown
}

func TestSIGTERMInTheMiddleOf64Clients(t *testing.T) {
	k := borrow(t)
	run(t, k.Bootstrap(), "topic", "create", "orders")
	s := serve(t, k.Bootstrap())
	stop := make(chan struct{})
	wait := load(t, s.url, 64, stop)
	eventually(t, "5,000 orders are acknowledged", func() bool { return acknowledged(s) > 5000 })
	err := s.end()
	close(stop)
	if err != nil {
		t.Errorf("the end of serve: %v\n%s", err, tailOf(s.log.String(), 2000))
	}
	acked, _, unknown := judge(t, wait(), readAll(t, k.Bootstrap(), "orders"))
	t.Logf("%d acked, %d unknown", acked, unknown)
	if acked < 5000 || unknown > 0 {
		t.Errorf("%d acked, %d unknown; want all of them acked", acked, unknown)
	}
}

func acknowledged(s *server) (n int) {
	for line := range strings.Lines(s.metrics()) {
		if rest, ok := strings.CutPrefix(line, `ordersctl_produce_records_total{outcome="acked"} `); ok {
			var f float64
			fmt.Sscan(rest, &f)
			n = int(f)
		}
	}
	return n
}

func TestABrokerKilledUnderLoadLosesNothingThatWasAccepted(t *testing.T) {
	const timer = 4 * time.Second
	k := kafka.Start(t, kafka.Options{Brokers: 1})
	run(t, k.Bootstrap(), "topic", "create", "orders")
	s := serve(t, k.Bootstrap(), "--timeout", timer.String())
	stop := make(chan struct{})
	wait := load(t, s.url, 16, stop)
	eventually(t, "1,000 orders are acknowledged", func() bool { return acknowledged(s) > 1000 })
	if err := k.Kill(1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "refusals", func() bool { return strings.Contains(s.metrics(), `code="500"`) })
	before := acknowledged(s)
	if err := k.Restart(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "orders are acknowledged again", func() bool { return acknowledged(s) > before+1000 })
	close(stop)
	attempts := wait()
	if err := s.end(); err != nil {
		t.Errorf("the end of serve: %v", err)
	}
	acked, notWritten, unknown := judge(t, attempts, readAll(t, k.Bootstrap(), "orders"))
	var took []time.Duration
	for _, a := range attempts {
		took = append(took, a.took)
		if a.err != nil {
			t.Errorf("a client had no answer: %v", a.err)
		}
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	t.Logf("%d acked, %d not_written, %d unknown, slowest answer %s", acked, notWritten, unknown, took[len(took)-1])
	if slowest := took[len(took)-1]; slowest > timer+time.Second {
		t.Errorf("the slowest answer took %s, the timer is %s", slowest, timer)
	}
	if notWritten+unknown == 0 {
		t.Error("nothing was refused: the broker was not away")
	}
}

func TestOneBrokerOfThreeIsLostWithoutAnOrder(t *testing.T) {
	k := kafka.Start(t, kafka.Options{Brokers: 3})
	run(t, k.Bootstrap(), "topic", "create", "orders", "-r", "3", "-c", "min.insync.replicas=2")
	s := serve(t, k.Bootstrap())
	stop := make(chan struct{})
	wait := load(t, s.url, 16, stop)
	eventually(t, "1,000 orders are acknowledged", func() bool { return acknowledged(s) > 1000 })
	if err := k.Kill(2); err != nil {
		t.Fatal(err)
	}
	before := acknowledged(s)
	eventually(t, "orders are acknowledged by the others", func() bool { return acknowledged(s) > before+2000 })
	close(stop)
	attempts := wait()
	acked, notWritten, unknown := judge(t, attempts, readAll(t, k.Bootstrap(), "orders"))
	t.Logf("%d acked, %d not_written, %d unknown", acked, notWritten, unknown)
}

func TestSASLAndTLSEachOnce(t *testing.T) {
	k := kafka.Start(t, kafka.Options{Brokers: 1, SASL: true, TLS: true})
	run(t, k.Bootstrap(), "topic", "create", "orders")
	for name, c := range map[string]struct {
		brokers string
		env     []string
	}{
		"SCRAM-SHA-512": {k.SASLBootstrap(), []string{"ORDERSCTL_KAFKA_SASL_MECHANISM=SCRAM-SHA-512", "ORDERSCTL_KAFKA_SASL_USERNAME=" + kafka.User, "ORDERSCTL_KAFKA_SASL_PASSWORD=" + kafka.Password}},
		"PLAIN":         {k.SASLBootstrap(), []string{"ORDERSCTL_KAFKA_SASL_MECHANISM=PLAIN", "ORDERSCTL_KAFKA_SASL_USERNAME=" + kafka.User, "ORDERSCTL_KAFKA_SASL_PASSWORD=" + kafka.Password}},
		"OAUTHBEARER":   {k.SASLBootstrap(), []string{"ORDERSCTL_KAFKA_SASL_MECHANISM=OAUTHBEARER", "ORDERSCTL_KAFKA_SASL_TOKEN=" + kafka.Token(kafka.User, time.Now())}},
		"TLS":           {k.TLSBootstrap(), []string{"ORDERSCTL_KAFKA_TLS_ENABLED=true", "ORDERSCTL_KAFKA_TLS_CA_FILE=" + k.CAFile()}},
		"mutual TLS": {k.TLSBootstrap(), []string{"ORDERSCTL_KAFKA_TLS_ENABLED=true", "ORDERSCTL_KAFKA_TLS_CA_FILE=" + k.CAFile(),
			"ORDERSCTL_KAFKA_TLS_CERT_FILE=" + k.ClientCertFile(), "ORDERSCTL_KAFKA_TLS_KEY_FILE=" + k.ClientKeyFile()}},
	} {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(name, " ", "-")
			with := func(args ...string) (string, error) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := command(ctx, t, c.brokers, args...)
				cmd.Env = append(cmd.Env, c.env...)
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			if out, err := with("send", "--id", id, "--user", "u1", "--total", "1.5"); err != nil {
				t.Fatalf("send: %v\n%s", err, out)
			}
			out, err := with("tail", "--key", id, "-o", "start", "-n", "1", "-f", `%k\n`)
			if err != nil || out != id+"\n" {
				t.Errorf("tail: %v\n%s", err, out)
			}
		})
	}
	for name, c := range map[string]struct {
		brokers string
		env     []string
		want    string
	}{
		"a wrong password": {k.SASLBootstrap(), []string{"ORDERSCTL_KAFKA_SASL_MECHANISM=SCRAM-SHA-256", "ORDERSCTL_KAFKA_SASL_USERNAME=" + kafka.User, "ORDERSCTL_KAFKA_SASL_PASSWORD=wrong"},
			"refused the credentials of user"},
		"no SASL where it is asked for":     {k.SASLBootstrap(), nil, "SASL"},
		"plaintext to the TLS port":         {k.TLSBootstrap(), nil, "probably speaks TLS"},
		"TLS to the plaintext port":         {k.Bootstrap(), []string{"ORDERSCTL_KAFKA_TLS_ENABLED=true"}, "does not speak TLS"},
		"an authority that nobody knows":    {k.TLSBootstrap(), []string{"ORDERSCTL_KAFKA_TLS_ENABLED=true"}, "unknown authority"},
		"SASL where nobody asks for it":     {k.Bootstrap(), []string{"ORDERSCTL_KAFKA_SASL_MECHANISM=PLAIN", "ORDERSCTL_KAFKA_SASL_USERNAME=u", "ORDERSCTL_KAFKA_SASL_PASSWORD=p"}, "SASL"},
		"a mechanism that nobody has ready": {k.SASLBootstrap(), []string{"ORDERSCTL_KAFKA_SASL_MECHANISM=OAUTHBEARER", "ORDERSCTL_KAFKA_SASL_TOKEN=nonsense"}, "OAUTHBEARER"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := command(ctx, t, c.brokers, "topic", "list")
			cmd.Env = append(cmd.Env, c.env...)
			out, _ := cmd.CombinedOutput()
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if cmd.ProcessState.ExitCode() != 4 || !strings.HasPrefix(lines[0], "error: ") || !strings.Contains(lines[0], c.want) || len(lines) != 2 || !strings.HasPrefix(lines[1], "hint: ") {
				t.Errorf("exit code %d\n%s", cmd.ProcessState.ExitCode(), out)
			}
		})
	}
}

func TestKeysLandWhereJavaAndLibrdkafkaPutThem(t *testing.T) {
	k := borrow(t)
	var keys []string
	var orders, pairs strings.Builder
	for i := range 2000 {
		key := fmt.Sprintf("ord-%x", i*7919)
		if i%10 == 0 {
			key += "-äöü"
		}
		keys = append(keys, key)
		fmt.Fprintf(&orders, `{"id":%q,"user_id":"u","total":1,"status":"pending","timestamp":"2025-10-06T17:00:00Z"}`+"\n", key)
		fmt.Fprintf(&pairs, "%s\t%d\n", key, i)
	}
	for _, topic := range []string{"java", "murmur2", "librdkafka", "crc32"} {
		run(t, k.Bootstrap(), "topic", "create", topic, "-p", "7")
	}
	java := k.Tool(t.Context(), "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", k.Bootstrap(), "--topic", "java", "--reader-property", "parse.key=true")
	java.Stdin = strings.NewReader(pairs.String())
	if out, err := java.CombinedOutput(); err != nil {
		t.Fatalf("console producer: %v\n%s", err, out)
	}
	rd := exec.CommandContext(t.Context(), "kcat", "-b", k.Bootstrap(), "-P", "-t", "librdkafka", "-K", "\t", "-X", "partitioner=consistent")
	rd.Stdin = strings.NewReader(pairs.String())
	if out, err := rd.CombinedOutput(); err != nil {
		t.Fatalf("kcat: %v\n%s", err, out)
	}
	for topic, other := range map[string]string{"murmur2": "java", "crc32": "librdkafka"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := command(ctx, t, k.Bootstrap(), "send", "-t", topic, "-")
		cmd.Env = append(cmd.Env, "ORDERSCTL_KAFKA_PARTITIONER="+topic)
		cmd.Stdin = strings.NewReader(orders.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("send: %v\n%s", err, out)
		}
		want, got := places(t, k.Bootstrap(), other), places(t, k.Bootstrap(), topic)
		if len(want) != len(keys) {
			t.Fatalf("%s has %d keys", other, len(want))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s against %s (-theirs +ours):\n%s", topic, other, tailOf(diff, 2000))
		}
	}
}

func places(t *testing.T, brokers, topic string) map[string]int32 {
	t.Helper()
	m := map[string]int32{}
	for _, r := range readAll(t, brokers, topic) {
		m[string(r.Key)] = r.Partition
	}
	return m
}
