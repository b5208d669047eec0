package sink

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
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
	if _, err := c.URL.parse(); c.URL != "" && err != nil {
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

// URL names a database: postgres://…, sqlite:PATH or a path. It prints without
// its password.
type URL string

// String hides the password.
func (u URL) String() string {
	t, err := u.parse()
	switch {
	case err == nil:
		return t.shown
	case strings.Contains(string(u), "@"), strings.Contains(string(u), "="): // not readable, and may hold one
		return "***"
	}
	return string(u)
}

// GoString hides the password from %#v.
func (u URL) GoString() string { return fmt.Sprintf("%q", u.String()) }

// MarshalText hides the password from JSON, YAML and slog.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// IsFile says whether it is a SQLite file.
func (u URL) IsFile() bool {
	t, err := u.parse()
	return err == nil && t.file != ""
}

// target is a URL that was read: one of both is set.
type target struct {
	postgres string
	file     string
	shown    string
}

func (u URL) parse() (target, error) {
	text := string(u)
	if rest, ok := strings.CutPrefix(text, "sqlite:"); ok {
		return fileTarget(strings.TrimPrefix(rest, "//"))
	}
	scheme, _, isURL := strings.Cut(text, "://")
	switch {
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		return postgresTarget(text)
	case isURL:
		return target{}, fmt.Errorf("begins with %q, wants postgres:// or sqlite:, or is a path", scheme+"://")
	case strings.Contains(text, "dbname=") || strings.Contains(text, "host="):
		return target{}, errors.New("is a list of keywords, wants postgres://user@host/database")
	}
	return fileTarget(text)
}

func fileTarget(path string) (target, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return target{}, errors.New("names no file, wants one like sqlite:/var/lib/ordersctl/orders.db")
	}
	return target{file: filepath.Clean(path), shown: "sqlite:" + filepath.Clean(path)}, nil
}

func postgresTarget(text string) (target, error) {
	p, err := url.Parse(text)
	if err != nil {
		return target{}, errors.New("is not a URL: escape what is special in a password (@ is %40)") // its own text has the password
	}
	shown := *p
	if _, ok := p.User.Password(); ok {
		shown.User = url.UserPassword(p.User.Username(), "PASSWORD")
	}
	if q := shown.Query(); q.Has("password") || q.Has("sslpassword") {
		for _, key := range []string{"password", "sslpassword"} {
			if q.Has(key) {
				q.Set(key, "PASSWORD")
			}
		}
		shown.RawQuery = q.Encode()
	}
	return target{postgres: text, shown: strings.ReplaceAll(shown.String(), "PASSWORD", "***")}, nil
}

func (c Config) password() (string, error) {
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read db.password-file: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
