package client_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

func TestTheDefaultsAreValid(t *testing.T) {
	if err := client.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestMistakesAreNamedByTheirKey(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*client.Config)
		want   string
	}{
		"no brokers":                {func(c *client.Config) { c.Brokers = nil }, "kafka.brokers is empty"},
		"a broker that is a URL":    {func(c *client.Config) { c.Brokers = []string{"http://a:1"} }, `kafka.brokers "http://a:1" is not host:port`},
		"a delivery under a second": {func(c *client.Config) { c.DeliveryTimeout = 500 * time.Millisecond }, "kafka.delivery-timeout 500ms is too short"},
		"an unknown codec":          {func(c *client.Config) { c.Compression = "brotli" }, "none, gzip, snappy, lz4, zstd"},
		"an unknown partitioner":    {func(c *client.Config) { c.Partitioner = "random" }, "none of murmur2, crc32"},
		"a certificate, no key":     {func(c *client.Config) { c.TLS = client.TLS{Enabled: true, CertFile: "a"} }, "go together"},
		"SCRAM without a password":  {func(c *client.Config) { c.SASL = client.SASL{Mechanism: "SCRAM-SHA-256", Username: "u"} }, "one of kafka.sasl.password and"},
		"two passwords": {func(c *client.Config) {
			c.SASL = client.SASL{Mechanism: "PLAIN", Username: "u", Password: "a", PasswordFile: "b"}
		}, "one of kafka.sasl.password and"},
		"OAUTHBEARER without a token":    {func(c *client.Config) { c.SASL.Mechanism = "OAUTHBEARER" }, "kafka.sasl.token"},
		"credentials without mechanism":  {func(c *client.Config) { c.SASL.Username = "u" }, "no mechanism"},
		"a mechanism in the wrong case":  {func(c *client.Config) { c.SASL.Mechanism = "plain" }, "none of PLAIN"},
		"a linger over a minute":         {func(c *client.Config) { c.Linger = time.Hour }, "kafka.linger 1h0m0s"},
		"two faults, both of them named": {func(c *client.Config) { c.Linger, c.Compression = -1, "x" }, "kafka.linger"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := client.DefaultConfig()
			c.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestASecretPrintsAsStars(t *testing.T) {
	s := client.SASL{Username: "u", Password: "hunter2", Token: "hunter2"}
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), fmt.Sprintf("%q", s.Password), string(asJSON)} {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "***") {
			t.Errorf("printed as %s", text)
		}
	}
	if got := client.Secret("").String(); got != "" {
		t.Errorf("a secret that is not set prints as %q", got)
	}
}
