//go:build e2e

package sink

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pgserver "github.com/ordersctl/ordersctl/e2e/postgres"
)

func authority(t *testing.T, name string) *pgserver.Authority {
	t.Helper()
	a, err := pgserver.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// client writes a client's certificate of that serial number.
func client(t *testing.T, a *pgserver.Authority, serial int64, certFile, keyFile string) {
	t.Helper()
	cert, key, err := a.Issue("orders", serial)
	if err != nil {
		t.Fatal(err)
	}
	put(t, certFile, cert)
	put(t, keyFile, key)
}

// TestTLS has a server with TLS, which asks for certificates, and what can be
// wrong with each of them.
func TestTLS(t *testing.T) {
	ours, theirs, namesake := authority(t, "ours"), authority(t, "theirs"), authority(t, "ours")
	secure := pgserver.Start(t, pgserver.Options{TLS: ours})
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	put(t, file("ca.pem"), ours.PEM)
	put(t, file("other-ca.pem"), theirs.PEM)
	put(t, file("no-ca.pem"), []byte("no certificate"))
	client(t, ours, 100, file("client.pem"), file("client-key.pem"))
	client(t, namesake, 100, file("stranger.pem"), file("stranger-key.pem"))

	// with is the server's address with other settings.
	with := func(host string, settings ...string) Config {
		u, err := url.Parse(secure.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		u.Host = host + ":" + u.Port()
		q := url.Values{}
		for i := 0; i < len(settings); i += 2 {
			q.Set(settings[i], settings[i+1])
		}
		u.RawQuery = q.Encode()
		cfg := DefaultConfig()
		cfg.URL = URL(u.String())
		return cfg
	}
	// Picky is a user who has to show a certificate.
	if err := secure.Exec(t.Context(), "postgres", "CREATE ROLE picky LOGIN PASSWORD 'p'",
		`COPY (SELECT) TO PROGRAM 'sed -i "1i hostssl all picky 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\nhost all picky 127.0.0.1/32 reject" pg_hba.conf'`); err != nil {
		t.Fatal(err)
	}
	if err := secure.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	as := func(user string, cfg Config) Config {
		cfg.URL = URL(strings.Replace(string(cfg.URL), "postgres:"+pgserver.Password+"@", user+":p@", 1))
		return cfg
	}
	// The server of TestMain has no TLS.
	plain := DefaultConfig()
	plain.URL = URL(server.URL("postgres")[:len(server.URL("postgres"))-len("disable")] + "require")

	for _, c := range []struct {
		name       string
		cfg        Config
		says, hint string
		code       int
	}{
		{"all right", with("127.0.0.1", "sslmode", "verify-full", "sslrootcert", file("ca.pem")), "", "", 0},
		{"encrypted, whoever it is", with("127.0.0.1", "sslmode", "require"), "", "", 0},
		{"another CA", with("127.0.0.1", "sslmode", "verify-full", "sslrootcert", file("other-ca.pem")), "unknown authority", "sslrootcert wants the CA", exitUnreachable},
		{"another CA, verify-ca", with("127.0.0.1", "sslmode", "verify-ca", "sslrootcert", file("other-ca.pem")), "unknown authority", "sslrootcert wants the CA", exitUnreachable},
		{"the system's CAs", with("127.0.0.1", "sslmode", "verify-full"), "unknown authority", "sslrootcert wants the CA", exitUnreachable},
		{"another name", with("localhost", "sslmode", "verify-full", "sslrootcert", file("ca.pem")), "db.test, not localhost", "connect by a name", exitUnreachable},
		{"another name, verify-ca", with("localhost", "sslmode", "verify-ca", "sslrootcert", file("ca.pem")), "", "", 0},
		{"a CA that is none", with("127.0.0.1", "sslmode", "verify-full", "sslrootcert", file("no-ca.pem")), "unable to add CA", "files it names", exitUsage},
		{"a stranger's certificate", with("127.0.0.1", "sslmode", "require", "sslcert", file("stranger.pem"), "sslkey", file("stranger-key.pem")), "remote error: tls: ", "refuses the client's certificate", exitUnreachable},
		{"no certificate where one is asked for", as("picky", with("127.0.0.1", "sslmode", "require")), "SQLSTATE 28000", "sslcert and sslkey", exitUnreachable},
		{"no TLS where it is asked for", as("picky", with("127.0.0.1", "sslmode", "disable")), "SQLSTATE 28000", "pg_hba.conf", exitUnreachable},
		{"the certificate that is asked for", as("picky", with("127.0.0.1", "sslmode", "require", "sslcert", file("client.pem"), "sslkey", file("client-key.pem"))), "", "", 0},
		{"another one's key", with("127.0.0.1", "sslmode", "require", "sslcert", file("client.pem"), "sslkey", file("stranger-key.pem")), "private key does not match", "files it names", exitUsage},
		{"a server without TLS", plain, "server refused TLS connection", "the server has no TLS", exitUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.Context(), c.cfg, OpenOptions{Log: quiet()})
			if c.says != "" {
				explained(t, err, c.says, c.hint, c.code)
				if ClassOf(err) != ClassDeploy {
					t.Errorf("it is %s: %v", ClassOf(err), err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var encrypted bool
			if err := tablesOf(s).reads.QueryRowContext(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted); err != nil || !encrypted {
				t.Errorf("encrypted: %v, %v", encrypted, err)
			}
		})
	}

	t.Run("a client's certificate is replaced", func(t *testing.T) {
		cfg := with("127.0.0.1", "sslmode", "verify-full", "sslrootcert", file("ca.pem"), "sslcert", file("client.pem"), "sslkey", file("client-key.pem"))
		testReplaced(t, cfg, ours, file("client.pem"), file("client-key.pem"))
	})
}

// testReplaced replaces the certificate under an open store: connections that are
// there go on, new ones show the new one. Half of a pair disturbs only new ones.
func testReplaced(t *testing.T, cfg Config, a *pgserver.Authority, certFile, keyFile string) {
	s := open(t, cfg).(*postgres)
	serial := func(ctx context.Context) (n int64, err error) {
		return n, s.pool.QueryRow(ctx, "SELECT client_serial::bigint FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&n)
	}
	wants := func(when string, want int64) {
		t.Helper()
		if n, err := serial(t.Context()); err != nil || n != want {
			t.Errorf("%s the certificate has serial number %d, want %d, %v", when, n, want, err)
		}
	}
	wants("at first", 100)
	old, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	client(t, a, 200, certFile, keyFile)
	wants("in a connection that was there", 100)

	replaced, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	put(t, certFile, old) // with the new one's key
	s.pool.Reset()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = s.Committed(ctx, "")
	explained(t, err, "private key does not match", "files it names", exitUsage)
	var e *Error
	if errors.As(err, &e); e.Class != ClassDeploy {
		t.Errorf("it is %s", e.Class)
	}
	put(t, certFile, replaced)
	wants("in a new connection", 200)
}
