package send

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	for _, test := range []struct {
		name, text string
		cfg        Config
		key, err   string
	}{
		{"no key", "", Config{}, "", ""},
		{"a key", "", Config{APIKey: "k-1"}, "k-1", ""},
		{"a key in a file, with the editor's line end", "k-2\n", Config{APIKeyFile: file}, "k-2", ""},
		{"a file without a key", "\n", Config{APIKeyFile: file}, "", "holds no key"},
		{"a file with two keys", "a\nb\n", Config{APIKeyFile: file}, "", "holds no key"},
		{"a file that is not there", "", Config{APIKeyFile: file + "x"}, "", "no such file"},
		{"both", "", Config{APIKey: "a", APIKeyFile: file}, "", "both set"},
		{"a key that would be two headers", "", Config{APIKey: "secret\r\nX: y"}, "", "not printable ASCII"},
		{"half a pair", "", Config{TLS: TLS{CertFile: "c"}}, "", "go together"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			key, err := "", test.cfg.Validate()
			if err == nil {
				key, err = test.cfg.Key()
			}
			text := fmt.Sprint(err)
			if key != test.key || (err == nil) != (test.err == "") || !strings.Contains(text, test.err) && err != nil || strings.Contains(text, "secret") {
				t.Errorf("key %q, error %v", key, err)
			}
		})
	}
}

func TestAServerWithoutTLSIsToldFromNone(t *testing.T) {
	srv := httptest.NewServer(&edge{t: t})
	t.Cleanup(srv.Close)
	url := strings.Replace(srv.URL, "http:", "https:", 1) + "/order"
	_, err := DialHTTP(t.Context(), HTTPConfig{URL: url, Connections: 1, ConnectTimeout: 5 * time.Second})
	var none *UnreachableError
	if !errors.As(err, &none) || err.Error() != url+" speaks plain HTTP" || !strings.Contains(none.Hint(), "http://") {
		t.Errorf("got %v", err)
	}
}

// TestMutualTLS: a server whose certificate no authority of the system knows,
// and that asks for one of ours.
func TestMutualTLS(t *testing.T) {
	e := &edge{t: t}
	srv := httptest.NewUnstartedServer(e)
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	files := TLS{CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	key, err := x509.MarshalPKCS8PrivateKey(srv.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	for name, text := range map[string][]byte{files.CAFile: cert, files.CertFile: cert, files.KeyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		tls  TLS
		dial string // the error of the first contact
		want Stats
	}{
		{"all of it", files, "", Stats{Taken: 2, Acked: 2}},
		{"an authority that nobody knows", TLS{}, "is not trusted", Stats{}},
		{"no certificate of ours", TLS{CAFile: files.CAFile}, "", Stats{Taken: 2, NotWritten: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			conf, err := test.tls.Client()
			if err != nil {
				t.Fatal(err)
			}
			h, err := DialHTTP(t.Context(), HTTPConfig{URL: srv.URL + "/order", Several: srv.URL + "/orders", Batch: 10, Connections: 1, ConnectTimeout: 5 * time.Second, TLS: conf})
			if err != nil {
				if test.dial == "" || !strings.Contains(err.Error(), test.dial) {
					t.Errorf("error %v, want one with %q", err, test.dial)
				}
				return
			}
			defer h.Close()
			sum, err := Run(t.Context(), inputOf("a/1 b/2"), h, Options{Window: 10, Patience: time.Minute})
			var hinted interface{ Hint() string }
			if err != nil && (!errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "send.tls.cert-file")) {
				t.Errorf("no hint at our certificate: %v", err)
			}
			if diff := cmp.Diff(test.want, sum.Stats); diff != "" || (err != nil) != (sum.NotWritten > 0) {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}
