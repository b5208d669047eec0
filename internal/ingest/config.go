package ingest

import (
	"errors"
	"fmt"
	"time"

	"github.com/ordersctl/ordersctl/internal/telemetry"
	"github.com/ordersctl/ordersctl/internal/unit"
)

// The two moments at which serve answers.
const (
	AckDelivered = "delivered" // after Kafka's acknowledgement (promise 1)
	AckEnqueued  = "enqueued"  // once the record is buffered in this process
)

// Config is the "serve" section of the configuration.
type Config struct {
	Listen       string        `mapstructure:"listen"`
	Ack          string        `mapstructure:"ack"`
	Timeout      time.Duration `mapstructure:"timeout"`
	MaxBody      unit.Size     `mapstructure:"max-body"`
	MaxInFlight  int           `mapstructure:"max-in-flight"`
	BreakerAfter time.Duration `mapstructure:"breaker-after"`
	CreateTopic  bool          `mapstructure:"create-topic"`
	AccessLog    bool          `mapstructure:"access-log"`
	DrainDelay   time.Duration `mapstructure:"drain-delay"`
	DrainTimeout time.Duration `mapstructure:"drain-timeout"`

	TLS                      TLS           `mapstructure:"tls"`
	APIKeysFile              string        `mapstructure:"api-keys-file"`
	MaxConnections           int           `mapstructure:"max-connections"`
	MaxConnectionsPerAddress int           `mapstructure:"max-connections-per-address"`
	HeaderTimeout            time.Duration `mapstructure:"header-timeout"`
	BodyTimeout              time.Duration `mapstructure:"body-timeout"`
}

// TLS is the transport security towards the clients. Files are PEM.
type TLS struct {
	CertFile     string `mapstructure:"cert-file"`
	KeyFile      string `mapstructure:"key-file"`
	ClientCAFile string `mapstructure:"client-ca-file"`
}

// DefaultConfig answers after the acknowledgement, on :8080.
func DefaultConfig() Config {
	return Config{
		Listen: ":8080",
		Ack:    AckDelivered,
		// Under the 15 to 60 s after which callers and proxies hang up by
		// themselves, so that they get our outcome and not their own guess.
		Timeout: 10 * time.Second,
		MaxBody: 64 * unit.KiB,
		// 8 MiB of usual orders: a second's worth of a busy instance, so that a
		// pause of Kafka's is ridden out and a longer one is told at once.
		MaxInFlight: 50_000,
		// Longer than a leader takes to move; much shorter than Timeout, which
		// every client would wait for otherwise.
		BreakerAfter: 5 * time.Second,
		// Long enough for a load balancer that asks /readyz every second to
		// notice; short enough for a person at a terminal.
		DrainDelay:   time.Second,
		DrainTimeout: 20 * time.Second,
		// A connection costs some 30 KiB, so 500 MiB at the most. A quarter
		// of them for one address: a proxy has enough, and nobody has all.
		MaxConnections:           16384,
		MaxConnectionsPerAddress: 4096,
		// A header fits into a few packets: whoever takes longer does it on purpose.
		HeaderTimeout: 10 * time.Second,
		// Settable because links differ: 8 MiB in 30 s want 2.2 Mbit/s.
		BodyTimeout: 30 * time.Second,
	}
}

// Validate names what is wrong with the section.
func (c Config) Validate() error {
	var errs []error
	if err := telemetry.ValidateListen("serve.listen", c.Listen); err != nil {
		errs = append(errs, err)
	}
	if c.Ack != AckDelivered && c.Ack != AckEnqueued {
		errs = append(errs, fmt.Errorf("serve.ack %q is none of %s, %s", c.Ack, AckDelivered, AckEnqueued))
	}
	if c.Timeout < 2*time.Second || c.Timeout > 10*time.Minute {
		errs = append(errs, fmt.Errorf("serve.timeout %s is not between 2s and 10m", c.Timeout))
	}
	if c.MaxBody < 256 || c.MaxBody > unit.MiB {
		errs = append(errs, fmt.Errorf("serve.max-body %s is not between 256 and 1MiB", c.MaxBody))
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > 10_000_000 {
		errs = append(errs, fmt.Errorf("serve.max-in-flight %d is not between 1 and 10000000", c.MaxInFlight))
	}
	if c.BreakerAfter < 100*time.Millisecond || c.BreakerAfter > 10*time.Minute {
		errs = append(errs, fmt.Errorf("serve.breaker-after %s is not between 100ms and 10m", c.BreakerAfter))
	}
	if c.DrainDelay < 0 || c.DrainTimeout <= 0 {
		errs = append(errs, errors.New("serve.drain-delay and serve.drain-timeout can't be negative"))
	}
	const most = 200_000 // below the library's own limit, which answers in its own way
	if c.MaxConnections < 1 || c.MaxConnections > most || c.MaxConnectionsPerAddress < 1 {
		errs = append(errs, fmt.Errorf("serve.max-connections is not between 1 and %d, or serve.max-connections-per-address under 1", most))
	}
	for key, d := range map[string]time.Duration{"header-timeout": c.HeaderTimeout, "body-timeout": c.BodyTimeout} {
		if d < 100*time.Millisecond || d > 10*time.Minute {
			errs = append(errs, fmt.Errorf("serve.%s %s is not between 100ms and 10m", key, d))
		}
	}
	return errors.Join(append(errs, c.TLS.validate())...)
}
