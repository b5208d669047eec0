package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience bounds what should take milliseconds, on a machine that has other
// things to do.
const patience = 30 * time.Second

var cmpEmpty = cmpopts.EquateEmpty()

// records is a log that tests can look into.
type records struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

type record struct {
	Level   slog.Level `json:"level"`
	Msg     string     `json:"msg"`
	Report  string     `json:"report"`
	Request string     `json:"request"`
	Remote  string     `json:"remote_addr"`
}

func newLog(t *testing.T) (*slog.Logger, *records) {
	t.Helper()
	r := new(records)
	return slog.New(slog.NewJSONHandler(r, nil)), r
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *records) all() []record {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []record
	for dec := json.NewDecoder(bytes.NewReader(r.buf.Bytes())); ; {
		var one record
		if dec.Decode(&one) != nil {
			return all
		}
		all = append(all, one)
	}
}

// has says whether text stands in a message or in a report of kfake, at that
// level.
func (r *records) has(level slog.Level, text string) bool {
	for _, one := range r.all() {
		if one.Level == level && (strings.Contains(one.Msg, text) || strings.Contains(one.Report, text)) {
			return true
		}
	}
	return false
}

// anyPort is the default configuration on a free port.
func anyPort() Config {
	cfg := DefaultConfig()
	cfg.Listen = "localhost:0"
	return cfg
}

func onDisk(dir string) Config {
	cfg := anyPort()
	cfg.DataDir = dir
	return cfg
}

func start(t *testing.T, cfg Config, opts ...kfake.Opt) *Broker {
	t.Helper()
	log, _ := newLog(t)
	return startWithLog(t, cfg, log, opts...)
}

func startWithLog(t *testing.T, cfg Config, log *slog.Logger, opts ...kfake.Opt) *Broker {
	t.Helper()
	b, err := Start(t.Context(), cfg, log, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBroker(t, b) })
	return b
}

func closeBroker(t *testing.T, b *Broker) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func newClient(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.MetadataMinAge(10 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until ok, with a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func mustPing(t *testing.T, addr string) {
	t.Helper()
	if err := newClient(t, addr).Ping(within(t)); err != nil {
		t.Fatalf("ping %s: %v", addr, err)
	}
}

// produce sends n records of size bytes to partition 0 and waits for each, so
// that each is a batch of its own.
func produce(t *testing.T, b *Broker, topic string, n, size int) {
	t.Helper()
	cl := newClient(t, b.Addr(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0))
	defer cl.Close() // a client that is left behind retries while its broker is restarted
	for i := range n {
		value := bytes.Repeat([]byte{byte('a' + i%26)}, size)
		if err := cl.ProduceSync(within(t), &kgo.Record{Topic: topic, Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// offsets returns the first and the next offset of the topic's partition 0.
func offsets(t *testing.T, b *Broker, topic string) (start, end int64) {
	t.Helper()
	cl := newClient(t, b.Addr())
	defer cl.Close()
	starts, err := kadm.NewClient(cl).ListStartOffsets(within(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := starts.Lookup(topic, 0)
	return first.Offset, endOf(t, b, topic, 0)
}

// endOf returns the offset that the next record will have.
func endOf(t *testing.T, b *Broker, topic string, partition int32) int64 {
	t.Helper()
	cl := newClient(t, b.Addr())
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(within(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	next, ok := ends.Lookup(topic, partition)
	if !ok || next.Err != nil {
		t.Fatalf("end of %s/%d: %v", topic, partition, next.Err)
	}
	return next.Offset
}

func mustHint(t *testing.T, err error, words ...string) {
	t.Helper()
	var hinter interface{ Hint() string }
	if !errors.As(err, &hinter) {
		t.Fatalf("error without a hint: %v", err)
	}
	for _, word := range words {
		if !strings.Contains(hinter.Hint(), word) {
			t.Errorf("hint %q, want %q in it", hinter.Hint(), word)
		}
	}
}

func TestHostileClientsLeaveTheBrokerAlive(t *testing.T) {
	for _, row := range []struct {
		who  string
		sent []byte
		say  string // "" means that kfake closes the connection by itself
	}{
		{"sends an unknown API key", frame(95, 0, 10), "an unknown API key came to the Kafka port"},
		{"sends a key that is known but not served", frame(int16(kmsg.LeaderAndISR), 0, 10), ""},
		{"sends a version from the future", frame(int16(kmsg.Metadata), 99, 2), ""},
		{"claims two gigabytes", []byte{0x7f, 0xff, 0xff, 0xff}, "a frame of an impossible size came to the Kafka port"},
		{"claims less than nothing", []byte{0xff, 0xff, 0xff, 0xff}, "a frame of an impossible size came to the Kafka port"},
		{"speaks TLS", []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01}, "a TLS handshake came to the Kafka port, which speaks plaintext only"},
		{"speaks HTTP", []byte("POST /order?key=secret HTTP/1.1\r\n\r\n"), "an HTTP request came to the Kafka port"},
	} {
		t.Run("a client "+row.who, func(t *testing.T) {
			log, records := newLog(t)
			b := startWithLog(t, anyPort(), log)
			c, err := net.Dial("tcp", b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Write(row.sent); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection was left open")
			}
			if row.say != "" {
				eventually(t, "logged: "+row.say, func() bool { return records.has(slog.LevelWarn, row.say) })
				if got := records.all()[0]; got.Remote != c.LocalAddr().String() || strings.Contains(got.Request, "secret") {
					t.Errorf("logged %+v, want the remote address and no query", got)
				}
			}
			mustPing(t, b.Addr())
		})
	}
}

func TestHTTPClientIsToldWhereHTTPIs(t *testing.T) {
	cfg := anyPort()
	cfg.HTTPURL = "http://localhost:8080"
	b := start(t, cfg)
	url := "http://" + b.Addr() + "/order"
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

	resp, err := client.Post(url, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := "This is the Kafka port of ordersctl: it speaks the Kafka protocol, not HTTP.\nHTTP is at http://localhost:8080\n"
	if diff := cmp.Diff(want, string(text)); resp.StatusCode != http.StatusBadRequest || diff != "" {
		t.Errorf("status %d, body (-want +got):\n%s", resp.StatusCode, diff)
	}
}

func TestSecondBrokerOnTheSameDirectoryIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "us")
	first := start(t, onDisk(dir))
	log, _ := newLog(t)

	_, err := Start(t.Context(), onDisk(dir), log)
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.Dir != dir {
		t.Fatalf("second start: %v, want InUseError for %s", err, dir)
	}
	mustHint(t, err, "--data-dir", "ordersctl dev")

	closeBroker(t, first)
	start(t, onDisk(dir)) // the lock went with the first
}

func TestTakenPortIsNamedAndNothingIsLeftBehind(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	dir := t.TempDir()
	log, _ := newLog(t)

	for _, host := range []string{"localhost", "127.0.0.1"} {
		cfg := onDisk(dir)
		cfg.Listen = net.JoinHostPort(host, port)
		_, err = Start(t.Context(), cfg, log)
		var listen *ListenError
		if !errors.As(err, &listen) {
			t.Fatalf("start on %s: %v, want ListenError", cfg.Listen, err)
		}
		mustHint(t, err, cfg.Listen, "--kafka-listen", "dev.kafka-listen")
	}
	start(t, onDisk(dir)) // the lock was given back
}

func TestDamagedDirectoryIsRefusedAndNothingIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	meta := filepath.Join(dir, "meta.json")
	if err := os.WriteFile(meta, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, _ := newLog(t)

	_, err := Start(t.Context(), onDisk(dir), log)
	var load *LoadError
	if !errors.As(err, &load) {
		t.Fatalf("start: %v, want LoadError", err)
	}
	mustHint(t, err, dir, "--data-dir")

	if err := os.Remove(meta); err != nil {
		t.Fatal(err)
	}
	start(t, onDisk(dir))
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	log, _ := newLog(t)
	if _, err := Start(ctx, anyPort(), log); !errors.Is(err, context.Canceled) {
		t.Errorf("start: %v, want %v", err, context.Canceled)
	}
}

func TestDamagedLogIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	b := start(t, onDisk(dir), kfake.SeedTopics(1, "orders"))
	produce(t, b, "orders", 5, 100)
	closeBroker(t, b)
	segments, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.dat"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("segments %v, %v; want one", segments, err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-10] ^= 1
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}

	log, records := newLog(t)
	startWithLog(t, onDisk(dir), log)
	if !records.has(slog.LevelWarn, "corrupt") {
		t.Errorf("logged %v, want a WARN of the corruption", records.all())
	}
}

func TestLevelsOfTheLog(t *testing.T) {
	for _, row := range []struct {
		kfake kfake.LogLevel
		want  []record
	}{
		{kfake.LogLevelError, []record{{Level: slog.LevelError, Msg: "embedded broker reports", Report: "disk 7"}}},
		{kfake.LogLevelWarn, []record{{Level: slog.LevelWarn, Msg: "embedded broker reports", Report: "disk 7"}}},
		{kfake.LogLevelInfo, nil},
		{kfake.LogLevelDebug, nil},
	} {
		t.Run(row.kfake.String(), func(t *testing.T) {
			log, records := newLog(t)
			newLogger(log).Logf(row.kfake, "disk %d", 7)
			if diff := cmp.Diff(row.want, records.all(), cmpEmpty); diff != "" {
				t.Errorf("at level INFO (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCloseReturnsWhatCouldNotBeWritten(t *testing.T) {
	dir := t.TempDir()
	log, _ := newLog(t)
	b, err := Start(t.Context(), onDisk(dir), log)
	if err != nil {
		t.Fatal(err)
	}
	// A directory in a file's place stands in for a full disk, and is one for
	// root too.
	if err := os.Remove(filepath.Join(dir, "topics.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "topics.json", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	err = b.Close()
	if err == nil || !strings.Contains(err.Error(), "topics.json") {
		t.Errorf("close: %v, want an error that names topics.json", err)
	}
	if again := b.Close(); again != err {
		t.Errorf("second close: %v, want the first's %v", again, err)
	}
}

func TestCloseWaitsForConnections(t *testing.T) {
	b := start(t, onDisk(t.TempDir()))
	var conns []net.Conn
	for range 20 {
		c, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		conns = append(conns, c)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { closeBroker(t, b) })
	}
	wg.Wait()

	for _, c := range conns {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read after close: %v, want a closed connection", err)
		}
	}
	if c, err := net.Dial("tcp", b.Addr()); err == nil {
		c.Close()
		t.Error("the port still listens after close")
	}
	eventually(t, "no goroutine of kfake's or ours is left", func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !bytes.Contains(stacks, []byte("kfake.(*")) && !bytes.Contains(stacks, []byte("broker.(*"))
	})
}

func TestCloseDoesNotReturnBeforeTheLastConnection(t *testing.T) {
	b := start(t, anyPort())
	ln, err := b.net.listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	straggler, err := ln.Accept() // as one of kfake's that is slow to end
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()

	done := make(chan struct{})
	go func() {
		defer close(done)
		closeBroker(t, b)
	}()
	eventually(t, "the broker's own port is closed", func() bool {
		c, err := net.Dial("tcp", b.Addr())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case <-done:
		t.Error("closed while a connection was open")
	default:
	}
	straggler.Close()
	<-done
}

func TestDeferredCloseWorksInAPanic(t *testing.T) {
	dir := t.TempDir()
	log, _ := newLog(t)
	func() {
		defer func() { recover() }()
		b, err := Start(t.Context(), onDisk(dir), log, kfake.SeedTopics(1, "orders"))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		produce(t, b, "orders", 3, 10)
		panic("as a program would")
	}()
	if _, end := offsets(t, start(t, onDisk(dir)), "orders"); end != 3 {
		t.Errorf("%d records after the panic, want 3", end)
	}
}

func TestRetentionCapsTopicsWithoutASettingOfTheirOwn(t *testing.T) {
	const mib = 1 << 20
	cfg := onDisk(t.TempDir())
	cfg.RetentionBytes = minRetentionBytes
	cfg.RetentionInterval = 10 * time.Millisecond
	b := start(t, cfg, kfake.SeedTopics(1, "orders"))
	adm := kadm.NewClient(newClient(t, b.Addr()))
	own := map[string]*string{"retention.bytes": kadm.StringPtr("-1")}
	if _, err := adm.CreateTopic(within(t), 1, 1, own, "letters"); err != nil {
		t.Fatal(err)
	}

	produce(t, b, "orders", 8, mib/2*3/2) // 6 MiB
	produce(t, b, "letters", 8, mib/2*3/2)
	var first int64
	eventually(t, "the capped topic lost its oldest records", func() bool {
		first, _ = offsets(t, b, "orders")
		return first >= 3
	})
	if _, end := offsets(t, b, "orders"); first > 4 || end != 8 {
		t.Errorf("offsets %d to %d are left, want the last 4 MiB, up to 8", first, end)
	}
	if first, end := offsets(t, b, "letters"); first != 0 || end != 8 {
		t.Errorf("offsets %d to %d are left of the topic with a setting of its own, want 0 to 8", first, end)
	}
}

func TestRetentionRunsAfterARestart(t *testing.T) {
	cfg := onDisk(t.TempDir())
	cfg.RetentionBytes = -1
	cfg.RetentionInterval = time.Hour
	b := start(t, cfg, kfake.SeedTopics(1, "orders"))
	produce(t, b, "orders", 8, 1<<20*3/4)
	closeBroker(t, b)

	cfg.RetentionBytes = minRetentionBytes // a changed setting holds for an old directory too
	b = start(t, cfg)
	eventually(t, "the log was trimmed", func() bool {
		first, _ := offsets(t, b, "orders")
		return first >= 3
	})
}

func TestOldRecordsStay(t *testing.T) {
	cfg := anyPort()
	cfg.RetentionInterval = time.Millisecond
	b := start(t, cfg, kfake.SeedTopics(1, "orders"))
	cl := newClient(t, b.Addr())
	old := &kgo.Record{Topic: "orders", Value: []byte("x"), Timestamp: time.Now().AddDate(-1, 0, 0)}
	if err := cl.ProduceSync(within(t), old).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b.Cluster().ApplyRetention()
	if first, end := offsets(t, b, "orders"); first != 0 || end != 1 {
		t.Errorf("offsets %d to %d, want the year-old record to stay", first, end)
	}
}

func TestJavaAdminToolsAreSpared(t *testing.T) {
	b := start(t, anyPort())
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(within(t), newClient(t, b.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	got := map[int16]int16{}
	for _, key := range resp.ApiKeys {
		got[key.ApiKey] = key.MaxVersion
	}
	if version, ok := got[int16(kmsg.DescribeTopicPartitions)]; ok {
		t.Errorf("DescribeTopicPartitions is served up to version %d, want not at all", version)
	}
	if got[int16(kmsg.CreateTopics)] != 4 || got[int16(kmsg.Produce)] < 9 {
		t.Errorf("versions %v, want CreateTopics capped at 4 and Produce left alone", got)
	}
}

func TestCallersOptionsComeLast(t *testing.T) {
	b := start(t, anyPort(), kfake.Ports(0, 0), kfake.ClusterID("mine"))
	meta, err := kadm.NewClient(newClient(t, b.Addr())).Metadata(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if meta.Cluster != "mine" || len(meta.Brokers) != 2 {
		t.Errorf("cluster %q of %d brokers, want %q of 2", meta.Cluster, len(meta.Brokers), "mine")
	}
}

func TestGroupsAndTopicsSurviveARestart(t *testing.T) {
	cfg := onDisk(t.TempDir())
	cfg.Sync = true
	b := start(t, cfg, kfake.SeedTopics(1, "orders"))
	produce(t, b, "orders", 3, 10)
	commit := make(kadm.Offsets)
	commit.AddOffset("orders", 0, 2, -1)
	if err := kadm.NewClient(newClient(t, b.Addr())).CommitAllOffsets(within(t), "orders-process", commit); err != nil {
		t.Fatal(err)
	}
	closeBroker(t, b)

	b = start(t, cfg)
	got, err := kadm.NewClient(newClient(t, b.Addr())).FetchOffsets(within(t), "orders-process")
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := got.Lookup("orders", 0); !ok || o.At != 2 {
		t.Errorf("committed offset %v, want 2", o.At)
	}
	if _, end := offsets(t, b, "orders"); end != 3 {
		t.Errorf("%d records, want 3", end)
	}
}

func TestPurgedPartitionGoesOnWhereItStood(t *testing.T) {
	cfg := onDisk(t.TempDir())
	b := start(t, cfg, kfake.SeedTopics(2, "orders"))
	produce(t, b, "orders", 3, 10)
	all := make(kadm.Offsets)
	all.AddOffset("orders", 0, 3, -1)
	if _, err := kadm.NewClient(newClient(t, b.Addr())).DeleteRecords(within(t), all); err != nil {
		t.Fatal(err)
	}

	for _, restart := range []string{"first", "second"} {
		closeBroker(t, b)
		b = start(t, cfg)
		if first, end := offsets(t, b, "orders"); first != 3 || end != 3 {
			t.Errorf("offsets %d to %d after the %s restart, want 3 to 3", first, end, restart)
		}
	}
	produce(t, b, "orders", 2, 10)
	closeBroker(t, b)
	b = start(t, cfg)
	if first, end := offsets(t, b, "orders"); first != 3 || end != 5 {
		t.Errorf("offsets %d to %d after new records and a restart, want 3 to 5", first, end)
	}
	if end := endOf(t, b, "orders", 1); end != 0 {
		t.Errorf("the untouched partition ends at %d, want 0", end)
	}
}

func TestConfigIsValidated(t *testing.T) {
	with := func(change func(*Config)) Config {
		cfg := DefaultConfig()
		change(&cfg)
		return cfg
	}
	listen := func(addr string) Config { return with(func(c *Config) { c.Listen = addr }) }

	for _, row := range []struct {
		when string
		cfg  Config
		want string // "" is valid
	}{
		{"the default", DefaultConfig(), ""},
		{"IPv4 loopback", listen("127.0.0.1:0"), ""},
		{"another IPv4 loopback", listen("127.0.0.2:9092"), ""},
		{"IPv6 loopback", listen("[::1]:9092"), ""},
		{"every interface", listen(":9092"), "only listens on loopback"},
		{"every IPv4 interface", listen("0.0.0.0:9092"), "only listens on loopback"},
		{"a LAN address", listen("192.168.1.5:9092"), "only listens on loopback"},
		{"a name", listen("broker.example.com:9092"), "only listens on loopback"},
		{"no port", listen("localhost"), `want host:port`},
		{"a port by name", listen("localhost:kafka"), `port "kafka"`},
		{"a port too high", listen("localhost:65536"), `port "65536"`},
		{"no cap", with(func(c *Config) { c.RetentionBytes = -1 }), ""},
		{"a cap of one batch", with(func(c *Config) { c.RetentionBytes = 1 << 20 }), "want at least 4194304"},
		{"no interval", with(func(c *Config) { c.RetentionInterval = 0 }), "retention interval 0s"},
	} {
		t.Run(row.when, func(t *testing.T) {
			err := row.cfg.Validate()
			if row.want == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("error %v, want %q in it", err, row.want)
			}
		})
	}
	log, _ := newLog(t)
	if _, err := Start(t.Context(), listen("0.0.0.0:0"), log); err == nil {
		t.Error("Start does not validate")
	}
}

func ExampleStart() {
	cfg := DefaultConfig()
	cfg.Listen = "localhost:0"
	b, err := Start(context.Background(), cfg, slog.Default(), kfake.SeedTopics(3, "orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cl.Close()
	fmt.Println(cl.ProduceSync(context.Background(), kgo.StringRecord("hello")).FirstErr())
	// Output: <nil>
}
