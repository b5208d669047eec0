package client

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// Config says how to reach Kafka and how to produce to it. It is the "kafka"
// section of the configuration.
type Config struct {
	Brokers         []string      `mapstructure:"brokers"`
	ClientID        string        `mapstructure:"client-id"`
	ConnectTimeout  time.Duration `mapstructure:"connect-timeout"`
	RequestTimeout  time.Duration `mapstructure:"request-timeout"`
	DeliveryTimeout time.Duration `mapstructure:"delivery-timeout"`
	Compression     string        `mapstructure:"compression"`
	Linger          time.Duration `mapstructure:"linger"`
	Partitioner     string        `mapstructure:"partitioner"`
	TLS             TLS           `mapstructure:"tls"`
	SASL            SASL          `mapstructure:"sasl"`
}

// TLS is the transport security towards the brokers. Files are PEM.
type TLS struct {
	Enabled    bool   `mapstructure:"enabled"`
	CAFile     string `mapstructure:"ca-file"`
	CertFile   string `mapstructure:"cert-file"`
	KeyFile    string `mapstructure:"key-file"`
	ServerName string `mapstructure:"server-name"`
}

// SASL is the authentication towards the brokers. An empty Mechanism means
// none.
type SASL struct {
	Mechanism    string `mapstructure:"mechanism"`
	Username     string `mapstructure:"username"`
	Password     Secret `mapstructure:"password"`
	PasswordFile string `mapstructure:"password-file"`
	Token        Secret `mapstructure:"token"`
	TokenFile    string `mapstructure:"token-file"`
}

// Secret is a string that prints as "***" wherever it is formatted.
type Secret string

const redacted = "***"

// String hides the secret; an empty one stays empty, so that "not set" can be
// told from "set".
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// MarshalText hides the secret from JSON, YAML and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// DefaultConfig reaches a broker on this machine.
func DefaultConfig() Config {
	return Config{
		Brokers:  []string{"localhost:9092"},
		ClientID: "ordersctl",
		// A person waits for this one: long enough for a cluster across an
		// ocean with TLS and SCRAM, short enough not to be taken for a hang.
		ConnectTimeout: 5 * time.Second,
		// Kafka's own request.timeout.ms is 30 s; 10 s is what a broker gets to
		// replicate a batch before it answers REQUEST_TIMED_OUT.
		RequestTimeout: 10 * time.Second,
		// How long a record may wait for a broker before it is given up as not
		// written. Java's default is 2 min.
		DeliveryTimeout: 30 * time.Second,
		Compression:     "lz4",
		// With the client's own default of 10 ms an order waits longer for
		// company than for the broker.
		Linger:      time.Millisecond,
		Partitioner: Murmur2,
	}
}

// Mechanisms lists the SASL mechanisms that can be configured.
func Mechanisms() []string {
	return []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}
}

// Compressions lists the codecs that can be configured.
func Compressions() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

// Validate names every fault of the section by its key.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("kafka.%s %s", key, fmt.Sprintf(format, args...)))
	}
	if len(c.Brokers) == 0 {
		bad("brokers", "is empty, wants host:port, comma separated")
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(withPort(b)); err != nil || strings.TrimSpace(b) == "" || strings.Contains(b, "/") {
			bad("brokers", "%q is not host:port", b)
		}
	}
	for key, d := range map[string]time.Duration{
		"connect-timeout": c.ConnectTimeout, "request-timeout": c.RequestTimeout, "delivery-timeout": c.DeliveryTimeout,
	} {
		// kgo refuses a delivery timeout under a second.
		if d < time.Second && key == "delivery-timeout" || d < 100*time.Millisecond {
			bad(key, "%s is too short", d)
		}
	}
	if c.Linger < 0 || c.Linger > time.Minute {
		bad("linger", "%s is not between 0s and 1m", c.Linger)
	}
	if !slices.Contains(Compressions(), c.Compression) {
		bad("compression", "%q is none of %s", c.Compression, strings.Join(Compressions(), ", "))
	}
	if c.Partitioner != Murmur2 && c.Partitioner != CRC32 {
		bad("partitioner", "%q is none of %s, %s", c.Partitioner, Murmur2, CRC32)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(append(errs, c.TLS.validate(), c.SASL.validate())...)
}

func (t TLS) validate() error {
	if !t.Enabled && (t.CAFile != "" || t.CertFile != "" || t.KeyFile != "" || t.ServerName != "") {
		// Silently speaking plaintext to someone who named certificates would
		// be the worst reading of this file.
		return errors.New("kafka.tls has files or a server name but kafka.tls.enabled is false")
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return errors.New("kafka.tls.cert-file and kafka.tls.key-file go together")
	}
	return nil
}

func (s SASL) validate() error {
	switch s.Mechanism {
	case "":
		if s.Username != "" || s.Password != "" || s.PasswordFile != "" || s.Token != "" || s.TokenFile != "" {
			return fmt.Errorf("kafka.sasl has credentials but no mechanism, one of %s", strings.Join(Mechanisms(), ", "))
		}
	case "OAUTHBEARER":
		if (s.Token == "") == (s.TokenFile == "") {
			return errors.New("kafka.sasl.mechanism OAUTHBEARER wants one of kafka.sasl.token and kafka.sasl.token-file")
		}
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		if s.Username == "" {
			return fmt.Errorf("kafka.sasl.mechanism %s wants kafka.sasl.username", s.Mechanism)
		}
		if (s.Password == "") == (s.PasswordFile == "") {
			return fmt.Errorf("kafka.sasl.mechanism %s wants one of kafka.sasl.password and kafka.sasl.password-file", s.Mechanism)
		}
	default:
		return fmt.Errorf("kafka.sasl.mechanism %q is none of %s", s.Mechanism, strings.Join(Mechanisms(), ", "))
	}
	return nil
}

// secret reads a secret at the time it is used, so that a rotated file takes
// effect at the next connection.
func secret(value Secret, file string) (string, error) {
	if file == "" {
		return string(value), nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func withPort(broker string) string {
	if _, _, err := net.SplitHostPort(broker); err == nil || strings.Count(broker, ":") == 1 {
		return broker
	}
	return net.JoinHostPort(strings.Trim(broker, "[]"), "9092")
}
