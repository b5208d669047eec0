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
	for name, broken := range map[string][]byte{
		"nothing":                       nil,
		"something else":                []byte("hello"),
		"a certificate and half of one": append(one, two[:len(two)/2]...),
		"one that is none":              append(one, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})...),
	} {
		put(t, file, broken)
		authorities.Look()
		if !authorities.Fresh().Equal(both) {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestWhatCantBeUsedAtTheStartIsAnError(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	if _, err := certificate.Open("serve.tls.cert-file", none, none, nil); err == nil || !strings.Contains(err.Error(), "serve.tls.cert-file") {
		t.Errorf("got %v", err)
	}
	put(t, filepath.Join(dir, "ca"), []byte("hello"))
	if _, err := certificate.OpenAuthorities("kafka.tls.ca-file", filepath.Join(dir, "ca"), nil); err == nil || !strings.Contains(err.Error(), "no PEM certificate") {
		t.Errorf("got %v", err)
	}
}
