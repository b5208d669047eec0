package commands

import (
	"bytes"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// A newer program has migrated: that is no version that this one wants either.
func TestDBStatusOfTablesThatAreNewer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.db")
	cfg := sink.DefaultConfig()
	cfg.URL = sink.URL(path)
	if _, _, err := sink.Migrate(t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	run := func() (code int, out, talk string) {
		var stdout, stderr bytes.Buffer
		app := &App{IO: IO{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, Sources: config.Sources{WorkDir: t.TempDir()}}
		code = Run(t.Context(), app, []string{"db", "status", "--db", path})
		return code, stdout.String(), stderr.String()
	}
	change := func(query string) {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, talk := run(); code != exitOK {
		t.Fatalf("exit %d\n%s%s", code, out, talk)
	}
	change("INSERT INTO schema_migrations (version_id, is_applied) VALUES (99, 1)")
	want := "error: the schema is at version 99, this program wants 1\nhint: use the version of ordersctl that migrated them, or a newer one\n"
	if code, out, talk := run(); code != exitCheck || talk != want || !strings.Contains(out, "schema 99 of 1") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	change("DROP TABLE order_events") // its tables are others
	if code, out, talk := run(); code != exitCheck || talk != want {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
}
