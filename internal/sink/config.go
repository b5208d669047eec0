package sink

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Config is the "db" section of the configuration.
type Config struct {
	URL            URL           `mapstructure:"url"`
	PasswordFile   string        `mapstructure:"password-file"`
	ConnectTimeout time.Duration `mapstructure:"connect-timeout"`
	Timeout        time.Duration `mapstructure:"timeout"`
	EventRetention time.Duration `mapstructure:"event-retention"`
}

// DefaultConfig leaves the URL to whoever knows where dev keeps its file.
func DefaultConfig() Config {
	return Config{
		// As for Kafka's first contact: a person waits for it.
		ConnectTimeout: 5 * time.Second,
		// One statement, not a whole Write: the longest one waits for another
		// process that has the same partition and is about to let it go.
		Timeout: 30 * time.Second,
	}
}

// Validate names every fault of the section by its key.
func (c Config) Validate() error {
	var errs []error
	if err := c.URL.check(); c.URL != "" && err != nil {
		errs = append(errs, fmt.Errorf("db.url %w", err))
	}
	if c.ConnectTimeout < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("db.connect-timeout %s is too short", c.ConnectTimeout))
	}
	if c.Timeout < time.Second {
		errs = append(errs, fmt.Errorf("db.timeout %s is too short", c.Timeout))
	}
	if c.EventRetention < 0 || c.EventRetention > 0 && c.EventRetention < time.Hour {
		// A client's repeat of an event would be taken for a new one.
		errs = append(errs, fmt.Errorf("db.event-retention %s is neither 0 nor an hour or more", c.EventRetention))
	}
	return errors.Join(errs...)
}

func (c Config) password() (string, error) {
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read db.password-file: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
