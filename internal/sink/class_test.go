package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestClassOfState(t *testing.T) {
	for state, want := range map[string]Class{
		"22003": ClassData, "22021": ClassData, "23505": ClassData, "23514": ClassData,
		"40001": ClassRetry, "40P01": ClassRetry, "55P03": ClassRetry, "0A000": ClassRetry,
		"08006": ClassOutage, "53100": ClassOutage, "53300": ClassOutage, "57P01": ClassOutage, "57014": ClassOutage, "25006": ClassOutage, "XX000": ClassOutage, "": ClassOutage,
		"42P01": ClassDeploy, "42501": ClassDeploy, "28P01": ClassDeploy, "3D000": ClassDeploy, "3F000": ClassDeploy,
		"P0001": ClassData,   // a trigger's RAISE without a state of its own
		"P0002": ClassOutage, // a trigger's SELECT INTO STRICT found nothing, which may be the table's fault
	} {
		if got := ClassOf(fmt.Errorf("write: %w", &pgconn.PgError{Code: state})); got != want {
			t.Errorf("SQLSTATE %s is %s, wanted %s", state, got, want)
		}
	}
	for _, err := range []error{errors.New("never seen"), context.Canceled, context.DeadlineExceeded} {
		if got := ClassOf(err); got != ClassOutage {
			t.Errorf("%v is %s, wanted an outage", err, got)
		}
	}
}

func TestClassOfSQLite(t *testing.T) {
	k := liteKit()
	for _, c := range []struct {
		name   string
		breaks func(t *testing.T, s Store, cfg Config)
		class  Class
		says   string
	}{
		{"a table is missing", func(t *testing.T, s Store, _ Config) {
			mustExec(t, s, "DROP VIEW consumer_progress")
			mustExec(t, s, "DROP TABLE record_outcomes")
		}, ClassDeploy, "no such table"},
		{"a column is missing", func(t *testing.T, s Store, _ Config) {
			mustExec(t, s, "ALTER TABLE orders RENAME COLUMN event_id TO event")
		}, ClassDeploy, "no column named event_id"},
		{"the file is full", func(t *testing.T, s Store, _ Config) {
			db := s.(*lite).writes
			db.SetMaxOpenConns(1) // the setting is the connection's
			mustExec(t, s, "PRAGMA max_page_count = 1")
		}, ClassOutage, "full"},
		{"another process writes", func(t *testing.T, s Store, cfg Config) {
			other := open(t, cfg).(*lite)
			tx, err := other.writes.BeginTx(t.Context(), nil) // immediate
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { tx.Rollback() })
			s.(*lite).writes.SetMaxOpenConns(1)
			mustExec(t, s, "PRAGMA busy_timeout = 50")
		}, ClassRetry, "locked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := k.fresh(t)
			s := open(t, cfg)
			var entries []Entry
			for i := range 200 { // more than the free room of a page
				entries = append(entries, entry(int64(i), fmt.Sprint("o", i), fmt.Sprint("e", i), 1))
			}
			b := batchOf(t, s, 0, entries...)
			c.breaks(t, s, cfg)
			_, err := s.Write(t.Context(), b)
			if err == nil || ClassOf(err) != c.class || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v (%s), wanted %s and %q", err, ClassOf(err), c.class, c.says)
			}
		})
	}
}

func TestOpenMissingFile(t *testing.T) {
	cfg := DefaultConfig()
	file := filepath.Join(t.TempDir(), "sub folder", "no?such#file%.db")
	cfg.URL = URL(file)
	_, err := Open(t.Context(), cfg, OpenOptions{ReadOnly: true, Log: quiet()})
	var e *Error
	if !errors.As(err, &e) || e.ExitCode() != exitUnreachable || e.Hint() == "" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened a file that is not there: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("opening it for reading made it")
	}
	migrated(t, cfg)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("made %v, %v", info, err)
	}
}
