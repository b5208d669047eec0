package sink

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExplainFile has what may stand where a SQLite file is looked for.
func TestExplainFile(t *testing.T) {
	dir := t.TempDir()
	text, file := filepath.Join(dir, "text"), filepath.Join(dir, "file")
	for path, content := range map[string]string{text: strings.Repeat("This is not a database. ", 10), file: ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, path string
		read       bool
		says, hint string
		code       int
	}{
		{"a folder, to read", dir, true, "it is a folder", filepath.Join(dir, "orders.db"), exitUsage},
		{"a folder", dir, false, "it is a folder", filepath.Join(dir, "orders.db"), exitUsage},
		{"a device, to read", os.DevNull, true, "it is not a regular file", "sqlite:orders.db", exitUsage},
		{"a device", os.DevNull, false, "it is not a regular file", "sqlite:orders.db", exitUsage},
		{"text, to read", text, true, "it is not a SQLite database", "--db", 1},
		{"text", text, false, "it is not a SQLite database", "--db", 1},
		{"nothing, to read", filepath.Join(dir, "none"), true, "there is no such file", "ordersctl dev", exitUnreachable},
		{"a file for a folder", filepath.Join(file, "orders.db"), false, "file", "make the folder", exitUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.URL = URL("sqlite:" + c.path)
			var err error
			if c.read {
				_, err = Open(t.Context(), cfg, OpenOptions{ReadOnly: true, Log: quiet()})
			} else {
				_, _, err = Migrate(t.Context(), cfg, quiet())
			}
			explained(t, err, c.says, c.hint, c.code)
		})
	}
}

// explained checks the one line, its hint and the exit code.
func explained(t *testing.T, err error, says, hint string, code int) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("no *Error: %v", err)
	}
	if text := err.Error(); !strings.Contains(text, says) || strings.Contains(text, "\n") || len(text) > 300 {
		t.Errorf("it says %q, wanted %q in one line", text, says)
	}
	if !strings.Contains(e.Hint(), hint) || e.Hint() == "" || e.ExitCode() != code {
		t.Errorf("the hint is %q, exit code %d; wanted %q, %d", e.Hint(), e.ExitCode(), hint, code)
	}
}

// TestExplainPostgres has what is wrong before a server answers.
func TestExplainPostgres(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		name, url, passwordFile string
		says, hint              string
		code                    int
		once                    string
	}{
		{"nobody listens", "postgres://u@127.0.0.1:1/d", "", "connection refused", "is it running", exitUnreachable, "refused"},
		{"nobody listens, at two addresses", "postgres://u@127.0.0.1:1,127.0.0.1:2/d", "", "connection refused; dial tcp 127.0.0.1:2", "is it running", exitUnreachable, "127.0.0.1:2: connect"},
		{"no socket", "postgres:///d?host=/none", "", "no such file", "is it running", exitUnreachable, "no such file"},
		{"no CA", "postgres://u@127.0.0.1:1/d?sslrootcert=" + none, "", none, "files it names", exitUsage, none},
		{"half a pair", "postgres://u@127.0.0.1:1/d?sslcert=" + none, "", `both "sslcert" and "sslkey" are required`, "files it names", exitUsage, "sslcert"},
		{"no password file", "postgres://u@127.0.0.1:1/d", none, "db.password-file", "see to the file", exitUsage, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.URL, cfg.PasswordFile = URL(c.url), c.passwordFile
			_, err := Open(t.Context(), cfg, OpenOptions{Log: quiet()})
			explained(t, err, c.says, c.hint, c.code)
			if _, said, _ := strings.Cut(err.Error(), cfg.URL.String()+": "); strings.Count(said, c.once) != 1 {
				t.Errorf("%q is said %d times in %s", c.once, strings.Count(said, c.once), said)
			}
			if _, _, err := Schema(t.Context(), cfg); err == nil {
				t.Error("it has a schema")
			}
		})
	}
}
