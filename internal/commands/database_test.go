package commands

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ordersctl/ordersctl/internal/config"
)

// A database without tables answers; what it lacks has a next step.
func TestADatabaseWithoutTablesIsNotOneThatDoesNotAnswer(t *testing.T) {
	k := startLettered(t, 0)
	path := filepath.Join(t.TempDir(), "empty.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE x (y INT)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"lag --no-rate --db " + path:      `note: the database has no tables, so the lag goes by Kafka's offsets: "ordersctl db migrate" makes them`,
		"topic describe orders --no-rate": `note: the database has no tables, so LAG goes by Kafka's offsets: "ordersctl db migrate" makes them`,
	} {
		var out, talk bytes.Buffer
		app := &App{IO: IO{In: strings.NewReader(""), Out: &out, Err: &talk}, Sources: config.Sources{Environ: []string{"ORDERSCTL_KAFKA_BROKERS=" + k.addr, "ORDERSCTL_DB_URL=" + path}, WorkDir: t.TempDir()}}
		if code := Run(t.Context(), app, strings.Fields(line)); code != exitOK || !strings.Contains(talk.String(), want+"\n") || strings.Contains(talk.String(), "answer") {
			t.Errorf("%s: exit %d\n%s%s", line, code, &out, &talk)
		}
	}
}
