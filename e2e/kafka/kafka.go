//go:build unix

// Package kafka starts a real Apache Kafka for tests and benchmarks: the broker's jars from Maven Central, one JVM a
// broker, KRaft, everything on the loopback interface. Read Options and Cluster first; a test begins with Start, a
// program with Launch.
//
// It needs java (17 or newer) and, the first time, mvn; ".ci/run tools" installs both. What is missing is an error,
// never a skip. Ports and data belong to one cluster and end with it: nothing of it is meant to be kept.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// Version is the Apache Kafka that runs; pom.xml holds the same number.
const Version = "4.3.1"

// Name and password that the SASL listeners know, for PLAIN and both kinds of SCRAM. OAUTHBEARER takes any Token.
const (
	User     = "alice"
	Password = "alice-secret"
)

const (
	// A broker alone is up in 3 s; three of them on two busy cores under the race detector have taken 25 s.
	startTimeout = 2 * time.Minute
	// A clean stop takes 1–2 s, or as long as the quorum takes to let the broker go.
	stopTimeout = 30 * time.Second
	// Long against a system call, short against a start.
	pollInterval = 50 * time.Millisecond
)

// Options say what to start. The zero value is one broker with a plaintext listener.
type Options struct {
	Brokers int    // 1 or 3; 0 is 1. Three have replication factor 3 and min.insync.replicas 2.
	SASL    bool   // a SASL_PLAINTEXT listener: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER
	TLS     bool   // a TLS listener that asks for a client certificate and goes on without; with SASL a SASL_SSL one too
	Heap    string // -Xmx of each broker, "512m" when empty

	// ExtraProperties go into each server.properties and win over our own. To refuse clients without a certificate:
	// "listener.name.tls.ssl.client.auth": "required".
	ExtraProperties map[string]string
}

// Cluster is a running Kafka. Broker ids count from 1. Its methods may be called from several goroutines; calls that
// start and stop the same broker at the same time make no sense.
type Cluster struct {
	opts      Options
	dir       string
	java      string
	classpath string
	brokers   []*broker
	release   func() // gives the ports back

	mu    sync.Mutex
	tools []context.CancelFunc // guarded by mu
}

// Start runs a cluster for as long as the test and everything below it runs. Where the test failed, the end of each
// broker's log is in its output.
func Start(t testing.TB, opts Options) *Cluster {
	t.Helper()
	c, err := Launch(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Report(t)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Report gives the end of each broker's log where the test failed.
func (c *Cluster) Report(t testing.TB) {
	if t.Failed() {
		for _, b := range c.brokers {
			t.Logf("broker %d, end of its log:\n%s", b.id, b.logTail())
		}
	}
}

// Launch starts a cluster and returns when every broker takes requests. ctx bounds the start alone; Close ends the
// cluster.
func Launch(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.Brokers == 0 {
		opts.Brokers = 1
	}
	if opts.Brokers != 1 && opts.Brokers != 3 {
		return nil, fmt.Errorf("start kafka with %d brokers: want 1 or 3", opts.Brokers)
	}
	if opts.Heap == "" {
		opts.Heap = "512m"
	}
	java, err := findJava()
	if err != nil {
		return nil, err
	}
	classpath, err := Classpath(ctx)
	if err != nil {
		return nil, err
	}
	c := &Cluster{opts: opts, java: java, classpath: classpath, release: func() {}}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) (err error) {
	if c.dir, err = os.MkdirTemp("", "ordersctl-kafka-"); err != nil {
		return err
	}
	ports, release, err := reservePorts(ctx)
	if err != nil {
		return err
	}
	c.release = release
	for id := 1; id <= c.opts.Brokers; id++ {
		b := &broker{id: id, dir: filepath.Join(c.dir, fmt.Sprint(id)), ports: ports[(id-1)*portsPerBroker:][:portsPerBroker]}
		b.log = filepath.Join(b.dir, "server.log")
		c.brokers = append(c.brokers, b)
	}
	if c.opts.TLS {
		if err := writeCertificates(c.dir); err != nil {
			return err
		}
	}
	if err := os.WriteFile(c.log4j("tool"), []byte(log4jTool), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(c.log4j("server"), []byte(log4jServer), 0o600); err != nil {
		return err
	}
	if err := c.format(ctx); err != nil {
		return err
	}
	return c.Restart(ctx)
}

// Close kills the brokers and the tools, gives the ports back and removes the data. A second call does nothing.
func (c *Cluster) Close() error {
	c.mu.Lock()
	for _, cancel := range c.tools {
		cancel()
	}
	c.tools = nil
	c.mu.Unlock()

	err := c.Kill()
	c.release()
	return errors.Join(err, os.RemoveAll(c.dir))
}

// Bootstrap is the comma list of the plaintext listeners, of brokers that are down too.
func (c *Cluster) Bootstrap() string { return c.addresses(plaintextPort) }

// SASLBootstrap is the comma list of the SASL_PLAINTEXT listeners, empty without Options.SASL.
func (c *Cluster) SASLBootstrap() string {
	if !c.opts.SASL {
		return ""
	}
	return c.addresses(saslPort)
}

// TLSBootstrap is the comma list of the TLS listeners, empty without Options.TLS.
func (c *Cluster) TLSBootstrap() string {
	if !c.opts.TLS {
		return ""
	}
	return c.addresses(tlsPort)
}

// SASLTLSBootstrap is the comma list of the SASL_SSL listeners, empty unless both options are set.
func (c *Cluster) SASLTLSBootstrap() string {
	if !c.opts.SASL || !c.opts.TLS {
		return ""
	}
	return c.addresses(saslTLSPort)
}

// CAFile is the certificate, in PEM, that the TLS listeners' certificates are signed with.
func (c *Cluster) CAFile() string { return filepath.Join(c.dir, caFile) }

// ClientCertFile is a client certificate in PEM, signed by the same CA.
func (c *Cluster) ClientCertFile() string { return filepath.Join(c.dir, clientCertFile) }

// ClientKeyFile is the key of ClientCertFile.
func (c *Cluster) ClientKeyFile() string { return filepath.Join(c.dir, clientKeyFile) }

// Kill ends brokers with SIGKILL and returns when they are gone; without ids all of them.
func (c *Cluster) Kill(ids ...int) error {
	return c.each(ids, func(b *broker) error { return b.end(os.Kill) })
}

// Stop ends brokers with SIGTERM and returns when they are gone; without ids all of them. A quorum is stopped in one
// call: one broker after another, the last ones wait in vain for those that are gone.
func (c *Cluster) Stop(ids ...int) error {
	return c.each(ids, func(b *broker) error { return b.end(terminate) })
}

// Pause stops brokers where they stand (SIGSTOP): their connections stay open and nothing is answered.
func (c *Cluster) Pause(ids ...int) error {
	return c.each(ids, func(b *broker) error { return b.signal(pause) })
}

// Resume ends a Pause.
func (c *Cluster) Resume(ids ...int) error {
	return c.each(ids, func(b *broker) error { return b.signal(resume) })
}

// Restart starts brokers on their old ports and data, after a clean stop of those that run, and returns when they
// take requests; without ids all of them. Brokers that need each other for a quorum go into one call.
func (c *Cluster) Restart(ctx context.Context, ids ...int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.each(ids, func(b *broker) error {
		if err := b.end(terminate); err != nil {
			return err
		}
		return b.start(ctx, c.serverCommand(b))
	})
}

// Tool is a command that runs one of Kafka's classes with main, such as
// org.apache.kafka.tools.consumer.ConsoleConsumer. It ends with ctx and at Close.
func (c *Cluster) Tool(ctx context.Context, class string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	c.tools = append(c.tools, cancel)
	c.mu.Unlock()
	return c.command(ctx, "tool", []string{"-Xmx512m"}, class, args...)
}

// Token is what OAUTHBEARER's unsecured validator takes: a JWS without signature for the given subject, good for an
// hour.
func Token(subject string, now time.Time) string {
	return unsecuredToken(subject, now, now.Add(time.Hour))
}

// each runs do for the brokers named, all of them if none is, at the same time.
func (c *Cluster) each(ids []int, do func(*broker) error) error {
	brokers := c.brokers
	if len(ids) > 0 {
		brokers = nil
	}
	for _, id := range ids {
		if id < 1 || id > len(c.brokers) {
			return fmt.Errorf("no broker %d: the cluster has 1 to %d", id, len(c.brokers))
		}
		brokers = append(brokers, c.brokers[id-1])
	}
	var group errgroup.Group
	for _, b := range brokers {
		group.Go(func() error {
			if err := do(b); err != nil {
				return fmt.Errorf("broker %d: %w", b.id, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (c *Cluster) addresses(port int) string {
	var list []string
	for _, b := range c.brokers {
		list = append(list, b.address(port))
	}
	return strings.Join(list, ",")
}

// format writes the cluster's id and the SCRAM users into each broker's empty log directory.
func (c *Cluster) format(ctx context.Context) error {
	id := clusterID()
	return c.each(nil, func(b *broker) error {
		if err := os.MkdirAll(b.dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(b.properties(), c.serverProperties(b), 0o600); err != nil {
			return err
		}
		args := []string{"format", "--cluster-id", id, "--config", b.properties()}
		if c.opts.SASL {
			for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
				args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, User, Password))
			}
		}
		// A JVM that lives for a second: the first compiler is enough.
		cmd := c.command(ctx, "tool", []string{"-Xmx128m", "-XX:TieredStopAtLevel=1"}, "kafka.tools.StorageTool", args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("format storage: %w\n%s", err, out)
		}
		return nil
	})
}

// serverCommand has the garbage collector's settings of Kafka's own start script, so that its figures are Kafka's.
func (c *Cluster) serverCommand(b *broker) *exec.Cmd {
	jvm := []string{
		"-Xmx" + c.opts.Heap, "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
		"-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
	}
	ctx := context.Background() //nolint:forbidigo // the broker outlives the context of its start: it ends by signals
	return c.command(ctx, "server", jvm, "kafka.Kafka", b.properties())
}

func (c *Cluster) command(ctx context.Context, log4j string, jvm []string, class string, args ...string) *exec.Cmd {
	main := []string{"-Dlog4j2.configurationFile=file://" + c.log4j(log4j), "-cp", c.classpath, class}
	cmd := exec.CommandContext(ctx, c.java, slices.Concat(jvm, main, args)...)
	ownGroup(cmd)
	return cmd
}

func (c *Cluster) log4j(name string) string { return filepath.Join(c.dir, name+"-log4j2.yaml") }
