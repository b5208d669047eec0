package send

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ordersctl/ordersctl/internal/client"
)

// Config is the "send" section of the configuration: who we are to an HTTP
// endpoint, and how it is told from another one.
type Config struct {
	APIKey     client.Secret `mapstructure:"api-key"`
	APIKeyFile string        `mapstructure:"api-key-file"`
	TLS        TLS           `mapstructure:"tls"`
}

// TLS is for endpoints with https. Files are PEM.
type TLS struct {
	CAFile   string `mapstructure:"ca-file"`
	CertFile string `mapstructure:"cert-file"`
	KeyFile  string `mapstructure:"key-file"`
}

// Validate names what is wrong with the section.
func (c Config) Validate() error {
	var errs []error
	if c.APIKey != "" && c.APIKeyFile != "" {
		errs = append(errs, errors.New("send.api-key and send.api-key-file are both set"))
	}
	if !sendable(string(c.APIKey)) {
		errs = append(errs, errors.New("send.api-key has a character that is not printable ASCII, or a space")) // and is never shown
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		errs = append(errs, errors.New("send.tls.cert-file and send.tls.key-file go together"))
	}
	return errors.Join(errs...)
}

// Key is the API key, "" where none is set.
func (c Config) Key() (string, error) {
	if c.APIKeyFile == "" {
		return string(c.APIKey), nil
	}
	text, err := os.ReadFile(c.APIKeyFile)
	if err != nil {
		return "", fmt.Errorf("read send.api-key-file: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" || !sendable(key) {
		return "", fmt.Errorf("read send.api-key-file: %s holds no key of printable ASCII characters", c.APIKeyFile)
	}
	return key, nil
}

func sendable(key string) bool {
	return !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Client is what crypto/tls makes of the files.
func (t TLS) Client() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read send.tls.ca-file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read send.tls.ca-file: no PEM certificate in %q", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read send.tls.cert-file and key-file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
