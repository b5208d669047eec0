//go:build e2e && unix

package kafka_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/ordersctl/ordersctl/e2e/kafka"
)

func TestListeners(t *testing.T) {
	c := kafka.Start(t, kafka.Options{SASL: true, TLS: true})
	if err := createTopic(t, c, "orders", 1); err != nil {
		t.Fatal(err)
	}

	user := func(password string) scram.Auth { return scram.Auth{User: kafka.User, Pass: password} }
	good, bad := user(kafka.Password), user("wrong")
	token := kafka.Token("bob", time.Now())
	for _, test := range []struct {
		name      string
		bootstrap string
		opts      []kgo.Opt
		want      error
	}{
		{"plaintext", c.Bootstrap(), nil, nil},
		{"PLAIN", c.SASLBootstrap(), with(plain.Auth{User: kafka.User, Pass: kafka.Password}.AsMechanism()), nil},
		{"PLAIN, wrong password", c.SASLBootstrap(), with(plain.Auth{User: kafka.User, Pass: "wrong"}.AsMechanism()), kerr.SaslAuthenticationFailed},
		{"SCRAM-SHA-256", c.SASLBootstrap(), with(good.AsSha256Mechanism()), nil},
		{"SCRAM-SHA-256, wrong password", c.SASLBootstrap(), with(bad.AsSha256Mechanism()), kerr.SaslAuthenticationFailed},
		{"SCRAM-SHA-512", c.SASLBootstrap(), with(good.AsSha512Mechanism()), nil},
		{"OAUTHBEARER", c.SASLBootstrap(), with(oauth.Auth{Token: token}.AsMechanism()), nil},
		{"TLS", c.TLSBootstrap(), []kgo.Opt{kgo.DialTLSConfig(tlsConfig(t, c, false))}, nil},
		{"TLS with a client certificate", c.TLSBootstrap(), []kgo.Opt{kgo.DialTLSConfig(tlsConfig(t, c, true))}, nil},
		{"SCRAM over TLS", c.SASLTLSBootstrap(), append(with(good.AsSha512Mechanism()), kgo.DialTLSConfig(tlsConfig(t, c, false))), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := newClient(t, test.bootstrap, test.opts...)
			// Ping first: a produce that is refused at the door is tried again until its time is over.
			if err := client.Ping(t.Context()); !errors.Is(err, test.want) {
				t.Fatalf("ping: got error %v, want %v", err, test.want)
			}
			if test.want != nil {
				return
			}
			if err := produce(t, client, "orders", test.name); err != nil {
				t.Fatal(err)
			}
			values := consume(t, test.bootstrap, "orders", test.name, test.opts...)
			if diff := cmp.Diff(test.name, values[len(values)-1]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClientCertificateCanBeRequired(t *testing.T) {
	c := kafka.Start(t, kafka.Options{
		TLS:             true,
		ExtraProperties: map[string]string{"listener.name.tls.ssl.client.auth": "required"},
	})
	if err := createTopic(t, c, "orders", 1); err != nil {
		t.Fatal(err)
	}
	bare := newClient(t, c.TLSBootstrap(), kgo.DialTLSConfig(tlsConfig(t, c, false)), kgo.RecordRetries(1), kgo.RetryTimeout(2*time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := bare.Ping(ctx); err == nil {
		t.Error("a client without a certificate was let in")
	}
	if err := produce(t, newClient(t, c.TLSBootstrap(), kgo.DialTLSConfig(tlsConfig(t, c, true))), "orders", "x"); err != nil {
		t.Error(err)
	}
}

func TestKilledBrokerKeepsItsData(t *testing.T) {
	c := kafka.Start(t, kafka.Options{})
	if err := createTopic(t, c, "orders", 1); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, c.Bootstrap())
	for _, step := range []struct {
		value string
		end   func(...int) error
	}{{"before kill", c.Kill}, {"before stop", c.Stop}, {"last", c.Resume}} {
		if err := produce(t, client, "orders", step.value); err != nil {
			t.Fatalf("%s: %v", step.value, err)
		}
		if err := step.end(1); err != nil {
			t.Fatal(err)
		}
		bootstrap := c.Bootstrap()
		if err := c.Restart(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(bootstrap, c.Bootstrap()); diff != "" {
			t.Errorf("the address changed:\n%s", diff)
		}
	}
	want := []string{"before kill", "before stop", "last"}
	if diff := cmp.Diff(want, consume(t, c.Bootstrap(), "orders", "last")); diff != "" {
		t.Error(diff)
	}
	if err := c.Kill(2); err == nil {
		t.Error("killed a broker that does not exist")
	}
}

func TestThreeBrokersSurviveTheLossOfOne(t *testing.T) {
	c := kafka.Start(t, kafka.Options{Brokers: 3})
	if err := createTopic(t, c, "orders", 3); err != nil {
		t.Fatal(err)
	}
	if err := createTopic(t, c, "nowhere", 4); !errors.Is(err, kerr.InvalidReplicationFactor) {
		t.Errorf("four replicas on three brokers: got error %v", err)
	}
	client := newClient(t, c.Bootstrap())
	var want []string
	step := func(name string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want = append(want, name)
		if err := produce(t, client, "orders", name); err != nil {
			t.Fatalf("produce after %s: %v", name, err)
		}
	}
	step("start", nil)
	step("kill 1", c.Kill(1))
	step("restart 1", c.Restart(t.Context(), 1))
	step("pause 2", c.Pause(2))
	step("resume 2", c.Resume(2))
	step("stop 3", c.Stop(3))
	step("restart 3", c.Restart(t.Context(), 3))
	step("all killed and back", errors.Join(c.Kill(), c.Restart(t.Context())))
	if diff := cmp.Diff(want, consume(t, c.Bootstrap(), "orders", "all killed and back")); diff != "" {
		t.Error(diff)
	}
}

func TestToolReadsTheTopic(t *testing.T) {
	c := kafka.Start(t, kafka.Options{})
	if err := createTopic(t, c, "orders", 1); err != nil {
		t.Fatal(err)
	}
	if err := produce(t, newClient(t, c.Bootstrap()), "orders", "hello"); err != nil {
		t.Fatal(err)
	}
	cmd := c.Tool(t.Context(), "org.apache.kafka.tools.consumer.ConsoleConsumer",
		"--bootstrap-server", c.Bootstrap(), "--topic", "orders", "--from-beginning", "--max-messages", "1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("hello\n", string(out)); diff != "" {
		t.Error(diff)
	}

	// One that would run for ever ends with the cluster.
	cmd = c.Tool(t.Context(), "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", c.Bootstrap(), "--topic", "orders")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the tool outlived Close")
	}
}

func TestTwoClustersAtOnce(t *testing.T) {
	a, b := kafka.Start(t, kafka.Options{}), kafka.Start(t, kafka.Options{})
	if err := createTopic(t, a, "orders", 1); err != nil {
		t.Fatal(err)
	}
	if err := produce(t, newClient(t, b.Bootstrap(), kgo.UnknownTopicRetries(0)), "orders", "x"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("topic of one cluster seen in the other, or made by itself: got error %v", err)
	}
}

func TestBrokerThatDoesNotComeUpShowsItsLog(t *testing.T) {
	_, err := kafka.Launch(t.Context(), kafka.Options{ExtraProperties: map[string]string{"num.io.threads": "0"}})
	if err == nil || !strings.Contains(err.Error(), "num.io.threads") {
		t.Errorf("got error %v, want one that names num.io.threads", err)
	}
}

func newClient(t *testing.T, bootstrap string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(bootstrap, ",")...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func createTopic(t *testing.T, c *kafka.Cluster, name string, replicas int16) error {
	t.Helper()
	_, err := kadm.NewClient(newClient(t, c.Bootstrap())).CreateTopic(t.Context(), 1, replicas, nil, name)
	return err
}

func produce(t *testing.T, client *kgo.Client, topic, value string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
}

// consume reads from the beginning until it meets the value last.
func consume(t *testing.T, bootstrap, topic, last string, opts ...kgo.Opt) []string {
	t.Helper()
	client := newClient(t, bootstrap, append(opts, kgo.ConsumeTopics(topic))...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var values []string
	for len(values) == 0 || values[len(values)-1] != last {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("consume %s, so far %q: %v", topic, values, err)
		}
		for _, record := range fetches.Records() {
			values = append(values, string(record.Value))
		}
	}
	return values
}

func with(mechanism sasl.Mechanism) []kgo.Opt { return []kgo.Opt{kgo.SASL(mechanism)} }

func tlsConfig(t *testing.T, c *kafka.Cluster, clientCert bool) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(c.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		t.Fatal(fmt.Errorf("no certificate in %s", c.CAFile()))
	}
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if clientCert {
		pair, err := tls.LoadX509KeyPair(c.ClientCertFile(), c.ClientKeyFile())
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}
