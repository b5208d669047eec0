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

// What is not of our schema is not counted, and 0 is not said of it.
func TestADatabaseThatHasTablesFromElsewhere(t *testing.T) {
	for name, queries := range map[string][]string{
		"a table of that name":        {"CREATE TABLE orders (id INT)", "INSERT INTO orders VALUES (1), (2)"},
		"ours, without their version": {"DROP TABLE schema_migrations"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "orders.db")
			if strings.HasPrefix(queries[0], "DROP") {
				cfg := sink.DefaultConfig()
				cfg.URL = sink.URL(path)
				if _, _, err := sink.Migrate(t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
					t.Fatal(err)
				}
			}
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, query := range queries {
				if _, err := db.ExecContext(t.Context(), query); err != nil {
					t.Fatal(err)
				}
			}
			run := func(args ...string) (code int, out, talk string) {
				var stdout, stderr bytes.Buffer
				app := &App{IO: IO{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, Sources: config.Sources{WorkDir: t.TempDir()}}
				code = Run(t.Context(), app, append([]string{"db"}, append(args, "--db", path)...))
				return code, stdout.String(), stderr.String()
			}
			code, out, _ := run("status")
			want := "   schema 0 of 1   clock ours\n\nTABLE            RECORDS  OF THEM\norders                 -\norder_events           -\nrecord_outcomes        -\n"
			if code != exitCheck || !strings.HasSuffix(out, want) {
				t.Errorf("status: exit %d\n%s", code, out)
			}
			if code, out, _ := run("status", "-o", "json"); code != exitCheck || !strings.Contains(out, `"orders": null`) || !strings.Contains(out, `"offsets": []`) {
				t.Errorf("status -o json: exit %d\n%s", code, out)
			}
			const hint = "hint: it is not known to be ordersctl's: name another file with --db\n"
			if code, out, talk := run("migrate", "--dry-run"); code != exitOK || !strings.Contains(out, "already: would fail") || talk != hint {
				t.Errorf("migrate --dry-run: exit %d\n%s%s", code, out, talk)
			}
			if code, _, talk := run("migrate"); code != exitFailed || !strings.Contains(talk, "already exists") || !strings.HasSuffix(talk, hint) {
				t.Errorf("migrate: exit %d\n%s", code, talk)
			}
		})
	}
}
