package certificate_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ordersctl/ordersctl/internal/certificate"
)

// selfSigned makes a certificate that signs itself, and its key.
func selfSigned(t *testing.T, name string, notAfter time.Time) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// broken is a certificate with a character that base64 has not.
func broken(notAfter time.Time, t *testing.T) []byte {
	t.Helper()
	cert, _ := selfSigned(t, "broken", notAfter)
	cert[len(cert)/2] = '!'
	return cert
}

// put leaves a file that was written long ago.
func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
}

var (
	soon  = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	later = time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
)

func TestAPairIsReplacedWhenBothFilesAre(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	cert, key := selfSigned(t, "one", soon)
	put(t, certFile, cert)
	put(t, keyFile, key)
	var log bytes.Buffer
	pair, err := certificate.Open("serve.tls", certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	is := func(name string, notAfter time.Time) {
		t.Helper()
		pair.Look()
		if got := pair.Fresh().Leaf.Subject.CommonName; got != name || !pair.NotAfter().Equal(notAfter) {
			t.Errorf("it is %q to %s, want %q to %s", got, pair.NotAfter(), name, notAfter)
		}
	}
	is("one", soon)

	cert, key = selfSigned(t, "two", later)
	put(t, certFile, cert)
	is("one", soon)
	if !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("a certificate with another's key was not told:\n%s", &log)
	}
	put(t, keyFile, key)
	is("two", later)

	put(t, certFile, cert[:len(cert)/2])
	is("two", later)
	put(t, certFile, nil)
	is("two", later)

	chain, _ := selfSigned(t, "an authority that ends first", soon)
	put(t, certFile, append(cert, chain...))
	is("two", soon)
	put(t, certFile, append(cert, chain[:len(chain)/2]...))
	is("two", soon)
	put(t, certFile, append(cert, broken(later, t)...))
	is("two", soon)
}

func TestAuthoritiesAreReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	one, _ := selfSigned(t, "one", later)
	two, _ := selfSigned(t, "two", soon)
	put(t, file, one)
	authorities, err := certificate.OpenAuthorities("serve.tls.client-ca-file", file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := authorities.Fresh()
	if !authorities.NotAfter().Equal(later) {
		t.Errorf("to %s", authorities.NotAfter())
	}
	put(t, file, append(one, two...))
	authorities.Look()
	both := authorities.Fresh()
	if both.Equal(first) || !authorities.NotAfter().Equal(soon) {
		t.Errorf("the second was not taken: to %s", authorities.NotAfter())
	}
	for name, content := range map[string][]byte{
		"nothing":                       nil,
		"something else":                []byte("hello"),
		"a certificate and half of one": append(one, two[:len(two)/2]...),
		"a certificate and one spoilt":  append(one, broken(soon, t)...),
		"a certificate without its top": append(one, two[30:]...),
		"one that is none":              append(one, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})...),
	} {
		put(t, file, content)
		authorities.Look()
		if !authorities.Fresh().Equal(both) {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestWhatCantBeUsedAtTheStartIsAnError(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		put(t, path, content)
		return path
	}
	cert, key := selfSigned(t, "one", soon)
	certFile, keyFile := file("tls.crt", cert), file("tls.key", key)
	half, text, none := file("half", cert[:len(cert)/2]), file("text", []byte("hello")), filepath.Join(dir, "none")
	for name, c := range map[string]struct {
		cert, key string
		want      string
	}{
		"files that are not there":   {none, none, "none: no such file"},
		"half a certificate":         {half, keyFile, `half": a PEM block in it is cut off or broken`},
		"half a key":                 {certFile, file("halfkey", key[:len(key)/2]), `halfkey": a PEM block in it is cut off or broken`},
		"something else":             {text, keyFile, `text" and "`},
		"no key where it has to be":  {certFile, certFile, `tls.crt" and "`},
		"the key of another, or two": {certFile, file("other.key", second(selfSigned(t, "two", soon))), "private key"},
	} {
		_, err := certificate.Open("serve.tls.cert-file", c.cert, c.key, nil)
		if err == nil || !strings.Contains(err.Error(), "read serve.tls.cert-file: ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := certificate.OpenAuthorities("kafka.tls.ca-file", text, nil); err == nil || !strings.Contains(err.Error(), `text": no PEM certificate`) {
		t.Errorf("got %v", err)
	}
}

func second(_, b []byte) []byte { return b }

func TestACertificateThatHasExpiredIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write := func(notAfter time.Time) {
		cert, key := selfSigned(t, "one", notAfter)
		put(t, certFile, cert)
		put(t, keyFile, key)
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	warned := func(want int, what string) {
		t.Helper()
		if got := strings.Count(log.String(), `level=WARN msg="a certificate has expired`); got != want {
			t.Errorf("%s: warned %d times, want %d:\n%s", what, got, want, &log)
		}
	}
	ago := time.Now().Add(-time.Hour)
	write(ago)
	pair, err := certificate.Open("serve.tls.cert-file", certFile, keyFile, logger)
	if err != nil {
		t.Fatal(err)
	}
	warned(1, "at the start")
	pair.Look()
	warned(1, "unchanged")
	write(time.Now().Add(time.Hour))
	pair.Look()
	warned(1, "renewed")
	write(ago)
	pair.Look()
	warned(2, "replaced by an expired one")
	if _, err := certificate.OpenAuthorities("serve.tls.client-ca-file", certFile, logger); err != nil {
		t.Fatal(err)
	}
	warned(3, "an authority")
}
