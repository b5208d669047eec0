package client_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ordersctl/ordersctl/internal/broker"
	"github.com/ordersctl/ordersctl/internal/client"
)

// certificate makes one for localhost, and the file of its authority (itself).
func certificate(t *testing.T, host string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// fake starts a broker and gives its address.
func fake(t *testing.T, opts ...kfake.Opt) string {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

// guarded starts the broker of dev, which as Kafka does hangs up on TLS.
func guarded(t *testing.T) string {
	t.Helper()
	cfg := broker.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	b, err := broker.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b.Addr()
}

// listener answers each connection with fn.
func listener(t *testing.T, fn func(net.Conn)) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				fn(conn)
			}()
		}
	}()
	return ln.Addr().String()
}

func TestTheFirstContactSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	cert, ca := certificate(t, "localhost")
	_, otherCA := certificate(t, "localhost")
	far, farCA := certificate(t, "kafka.example")
	plaintext := fake(t)
	secure := fake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
	misnamed := fake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{far}}))
	scram := fake(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "admin", "right"))
	plainAuth := fake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "admin", "right"))
	web := listener(t, func(c net.Conn) {
		_, _ = bufio.NewReader(c).ReadByte()
		fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
	})
	// The connection is taken and nothing comes back.
	mute := listener(t, func(net.Conn) { <-t.Context().Done() })
	onLocalhost := func(addr string) string { return strings.Replace(addr, "127.0.0.1", "localhost", 1) }

	for name, c := range map[string]struct {
		broker string
		change func(*client.Config)
		want   string
		hint   string
	}{
		"nobody there":                  {"127.0.0.1:1", nil, "no broker at 127.0.0.1:1: connection refused", "ordersctl dev"},
		"a name that is not known":      {"kafka.invalid:9092", nil, `the name "kafka.invalid" can't be resolved`, "--brokers"},
		"nobody answers":                {mute, func(c *client.Config) { c.ConnectTimeout = 300 * time.Millisecond }, "no answer from a broker", "--brokers"},
		"a web server":                  {web, nil, "it is not a Kafka broker", "9092"},
		"TLS against plaintext":         {guarded(t), func(c *client.Config) { c.TLS.Enabled = true }, "does not speak TLS on this port", "kafka.tls.enabled=false"},
		"plaintext against TLS":         {secure, nil, "it probably speaks TLS on this port", "kafka.tls.enabled=true"},
		"an authority nobody knows":     {onLocalhost(secure), func(c *client.Config) { c.TLS = client.TLS{Enabled: true, CAFile: otherCA} }, "certificate of an unknown authority", "kafka.tls.ca-file"},
		"a certificate of another name": {onLocalhost(misnamed), func(c *client.Config) { c.TLS = client.TLS{Enabled: true, CAFile: farCA} }, "kafka.example", "kafka.tls.server-name"},
		"a wrong password": {plainAuth, func(c *client.Config) {
			c.SASL = client.SASL{Mechanism: "PLAIN", Username: "admin", Password: "wrong"}
		}, `while we authenticated as "admin"`, "kafka.sasl.username"},
		"a mechanism that is not on": {scram, func(c *client.Config) {
			c.SASL = client.SASL{Mechanism: "OAUTHBEARER", Token: "x"}
		}, "OAUTHBEARER", "kafka.sasl"},
		"a password file that is gone": {scram, func(c *client.Config) {
			c.SASL = client.SASL{Mechanism: "PLAIN", Username: "u", PasswordFile: "/no/such/file"}
		}, "/no/such/file", "kafka.sasl.password-file"},
		"the right certificate": {onLocalhost(secure), func(c *client.Config) { c.TLS = client.TLS{Enabled: true, CAFile: ca} }, "", ""},
		"the server name set":   {onLocalhost(misnamed), func(c *client.Config) { c.TLS = client.TLS{Enabled: true, CAFile: farCA, ServerName: "kafka.example"} }, "", ""},
		"the right password": {scram, func(c *client.Config) {
			c.SASL = client.SASL{Mechanism: "SCRAM-SHA-256", Username: "admin", Password: "right"}
		}, "", ""},
		"a plaintext broker":      {plaintext, nil, "", ""},
		"one of two brokers away": {"127.0.0.1:1," + plaintext, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := client.DefaultConfig()
			cfg.Brokers = strings.Split(c.broker, ",")
			if c.change != nil {
				c.change(&cfg)
			}
			cl, err := client.Dial(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err == nil {
				cl.Close()
			}
			if c.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			var e *client.Error
			if !errors.As(err, &e) || !strings.Contains(e.Hint(), c.hint) || e.ExitCode() == 0 {
				t.Errorf("got %+v, want a hint with %q", e, c.hint)
			}
		})
	}
}

func TestSASLMissingIsSaid(t *testing.T) {
	cfg := client.DefaultConfig()
	cfg.Brokers = []string{fake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "admin", "right"))}
	_, err := client.Dial(t.Context(), cfg, slog.New(slog.DiscardHandler))
	var e *client.Error
	if !errors.As(err, &e) || !strings.Contains(e.Error(), "SASL") || !strings.Contains(e.Hint(), "kafka.sasl.mechanism") {
		t.Errorf("got %v", err)
	}
}

func TestACallerThatGivesUpIsNotToldOfTheBroker(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg := client.DefaultConfig()
	cfg.Brokers = []string{fake(t)}
	if _, err := client.Dial(ctx, cfg, slog.New(slog.DiscardHandler)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsOfKafkaAreExplained(t *testing.T) {
	cfg := client.DefaultConfig()
	for _, c := range []struct {
		err  error
		want string
		hint string
	}{
		{kerr.UnknownTopicOrPartition, "does not know this topic", "topic create"},
		{kerr.NotEnoughReplicas, "not enough replicas", "topic describe"},
		{kerr.InvalidReplicationFactor, "fewer brokers", "--replicas"},
		{kerr.TopicAuthorizationFailed, "does not allow", "ACL"},
	} {
		err := client.Explain(fmt.Errorf("do something: %w", c.err), cfg)
		var e *client.Error
		if !errors.As(err, &e) || !strings.Contains(e.Error(), c.want) || !strings.Contains(e.Hint(), c.hint) || !errors.Is(err, c.err) {
			t.Errorf("%v is explained as %v (%+v)", c.err, err, e)
		}
		if again := client.Explain(err, cfg); again != err {
			t.Errorf("explained twice: %v", again)
		}
	}
	other := errors.New("something new")
	if got := client.Explain(other, cfg); got != other {
		t.Errorf("an unknown error became %v", got)
	}
	if client.Explain(nil, cfg) != nil {
		t.Error("nil became an error")
	}
}

func TestKeysLandWhereTheOtherClientsPutThem(t *testing.T) {
	// By the algorithms of Java's producer (org.apache.kafka.common.utils.Utils
	// murmur2) and of librdkafka (rd_kafka_msg_partitioner_consistent), written
	// down apart from this program, over 12 partitions. The end to end tests hold
	// thousands of keys against the real clients.
	for _, c := range []struct {
		key            string
		murmur2, crc32 int32
	}{
		{"order-001", 11, 0},
		{"ord-9f31c07a", 5, 9},
		{"a", 4, 3},
		{"123", 5, 10},
		{"Bestellung-äöü", 10, 11},
		{strings.Repeat("x", 128), 3, 7},
		{"ord-b2270e11", 1, 1},
	} {
		for name, want := range map[string]int32{client.Murmur2: c.murmur2, client.CRC32: c.crc32} {
			cfg := client.DefaultConfig()
			cfg.Partitioner = name
			if got, err := client.PartitionOf(cfg, "orders", c.key, 12); err != nil || got != want {
				t.Errorf("%s puts %q into partition %d (%v), want %d", name, c.key, got, err, want)
			}
		}
	}
}
