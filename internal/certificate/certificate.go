// Package certificate holds certificates, their keys and authorities, and reads
// them anew when their files change. Start at [Open] and [OpenAuthorities].
//
// It knows files only: who is asked for a certificate, and of whom, is decided
// by the servers and clients that use it.
package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ordersctl/ordersctl/internal/reload"
)

// Pair is a certificate, with the chain behind it, and its key.
type Pair struct{ files *reload.Files[pair] }

type pair struct {
	certificate *tls.Certificate
	notAfter    time.Time
}

// Open reads a certificate and its key, both PEM; setting is the name that
// errors and the log call them by. One that has expired is warned of each time
// that it is read, and used: what refuses it is the other side's clock.
func Open(setting, certFile, keyFile string, log *slog.Logger) (*Pair, error) {
	files, err := reload.Open(setting, []string{certFile, keyFile}, log, func(contents [][]byte) (pair, error) {
		for i, file := range []string{certFile, keyFile} {
			if err := whole(contents[i]); err != nil {
				return pair{}, fmt.Errorf("%q: %w", file, err)
			}
		}
		p, err := parsePair(contents[0], contents[1])
		if err != nil {
			return pair{}, fmt.Errorf("%q and %q: %w", certFile, keyFile, err)
		}
		warnOfEnd(log, setting, certFile, p.notAfter)
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return &Pair{files}, nil
}

func parsePair(cert, key []byte) (pair, error) {
	// It also makes sure that the key is the certificate's: one file of two that
	// was replaced is not taken.
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair{}, err
	}
	p := pair{certificate: &c}
	for _, der := range c.Certificate {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			return pair{}, err
		}
		p.notAfter = earlier(p.notAfter, one.NotAfter)
	}
	return p, nil
}

// Fresh is the certificate in use, after a look at its files (see
// [reload.Files.Fresh]).
func (p *Pair) Fresh() *tls.Certificate { return p.files.Fresh().certificate }

// NotAfter is when the certificate in use, or the first of the chain behind it,
// ends.
func (p *Pair) NotAfter() time.Time { return p.files.Current().notAfter }

// Look looks whether the files have changed.
func (p *Pair) Look() { p.files.Look() }

// Authorities are those whose certificates are believed.
type Authorities struct{ files *reload.Files[authorities] }

type authorities struct {
	pool     *x509.CertPool
	notAfter time.Time
}

// OpenAuthorities reads certificates, PEM, of which one or more may be in the
// file; setting is the name that errors and the log call it by.
func OpenAuthorities(setting, file string, log *slog.Logger) (*Authorities, error) {
	files, err := reload.Open(setting, []string{file}, log, func(contents [][]byte) (authorities, error) {
		a, err := parseAuthorities(contents[0])
		if err != nil {
			return authorities{}, fmt.Errorf("%q: %w", file, err)
		}
		warnOfEnd(log, setting, file, a.notAfter)
		return a, nil
	})
	if err != nil {
		return nil, err
	}
	return &Authorities{files}, nil
}

// parseAuthorities refuses the whole file where one certificate in it is
// broken: half a file would lock out those whom the other half speaks for.
func parseAuthorities(content []byte) (authorities, error) {
	a := authorities{pool: x509.NewCertPool()}
	if err := whole(content); err != nil {
		return authorities{}, err
	}
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return authorities{}, fmt.Errorf("parse a certificate: %w", err)
		}
		a.pool.AddCert(one)
		a.notAfter = earlier(a.notAfter, one.NotAfter)
	}
	if a.notAfter.IsZero() {
		return authorities{}, errors.New("no PEM certificate in it")
	}
	return a, nil
}

// Fresh are the authorities in use, after a look at their file (see
// [reload.Files.Fresh]).
func (a *Authorities) Fresh() *x509.CertPool { return a.files.Fresh().pool }

// NotAfter is when the first of those in use ends.
func (a *Authorities) NotAfter() time.Time { return a.files.Current().notAfter }

// Look looks whether the file has changed.
func (a *Authorities) Look() { a.files.Look() }

// whole refuses a file with a block that is cut off or can't be decoded:
// pem.Decode leaves it out without a word.
func whole(content []byte) error {
	blocks := 0
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		blocks++
	}
	if bytes.Count(content, []byte("-----BEGIN ")) != blocks || bytes.Count(content, []byte("-----END ")) != blocks {
		return errors.New("a PEM block in it is cut off or broken")
	}
	return nil
}

func warnOfEnd(log *slog.Logger, setting, file string, notAfter time.Time) {
	if time.Now().After(notAfter) {
		log.Warn("a certificate has expired: whoever is shown it will refuse it", "setting", setting, "file", file, "not_after", notAfter.UTC().Format(time.RFC3339))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
