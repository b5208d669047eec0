package sink

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
)

// liteTime is how SQLite keeps times: text of one length, so that it sorts, and
// of a form that its own date functions read.
const liteTime = "2006-01-02T15:04:05.000000Z"

// liteReaders is how many reads run side by side; in WAL they don't wait for
// the writer.
const liteReaders = 4

// liteBusy is how long a writer of another process is waited for.
const liteBusy = 5 * time.Second

// liteWriters are the one of Write, which keeps its connection, and the one of
// all else that writes; liteWriter's lock lets one of them at a time.
const liteWriters = 2

// lite is the Store of a SQLite file.
type lite struct {
	*tables
	plain plain
	write *liteWriter // nil where it is only read
}

func openSQLite(ctx context.Context, cfg Config, t target, opts OpenOptions) (*lite, error) {
	s, err := dialSQLite(ctx, cfg, t, opts.ReadOnly)
	if err != nil {
		return nil, explain(err, "open "+t.shown, t)
	}
	return s, nil
}

func dialSQLite(ctx context.Context, cfg Config, t target, readOnly bool) (*lite, error) {
	if readOnly {
		info, err := os.Stat(t.file)
		if err == nil {
			err = t.wantsFile(info)
		}
		if err != nil {
			return nil, err
		}
	} else if err := t.makeFile(); err != nil {
		return nil, err
	}
	s := &lite{tables: &tables{target: t, readOnly: readOnly, timeout: cfg.Timeout, dialect: liteDialect()}}
	busy := min(liteBusy, cfg.Timeout)
	var err error
	if !readOnly {
		// First: a reader of a new file would find no WAL.
		if s.writes, err = openLite(t.file, "rw", liteWriters, busy); err != nil {
			return nil, err
		}
		s.write = &liteWriter{db: s.writes}
		s.serial = &s.write.mu
		if err := s.writes.PingContext(ctx); err != nil {
			return nil, errors.Join(err, s.writes.Close())
		}
		opened, err := os.Stat(t.file)
		if err != nil {
			return nil, errors.Join(err, s.writes.Close())
		}
		s.still = func() error { return t.isStill(opened) }
		s.write.still = s.still
	}
	if s.reads, err = openLite(t.file, "ro", liteReaders, busy); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.writes == nil {
		s.writes = s.reads // what writes is refused by the database
	}
	if err := s.reads.PingContext(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func openLite(file, mode string, connections int, busy time.Duration) (*sql.DB, error) {
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), // another process: dev's, or a migration
		"synchronous(FULL)", // a commit is on the disk
		"foreign_keys(1)",
		"temp_store(MEMORY)",
		"cache_size(-65536)",       // 64 MiB: the pages of random ids' indexes
		"wal_autocheckpoint(4000)", // pages, 16 MiB: a page that is changed by many batches is copied back once
	}
	if mode == "rw" {
		pragmas = append([]string{"journal_mode(WAL)"}, pragmas...)
	}
	query := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": pragmas}
	if mode == "ro" {
		query.Set("_txlock", "deferred")
	}
	path := filepath.ToSlash(file)
	if filepath.IsAbs(file) && !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/orders.db
	}
	name := url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: query.Encode()}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// makeFile makes a file that nobody else may read: orders are personal data.
// SQLite gives its side files the same rights.
func (t target) makeFile() error {
	if info, err := os.Stat(t.file); err == nil {
		if err := t.wantsFile(info); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(t.file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(t.file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// isStill fails where the path no longer leads to the file that was opened: the
// system lets an open file be written to after it was deleted, and forgets it
// with the last who has it open.
func (t target) isStill(opened os.FileInfo) error {
	now, err := os.Stat(t.file)
	if err == nil && os.SameFile(opened, now) {
		return nil
	}
	return &Error{
		Err:   fmt.Errorf("%s was moved, deleted or replaced while it was open: what is written would be lost", t.shown),
		Class: ClassOutage, Next: "put the file back, or start again with the one that is there", code: exitUnreachable,
	}
}

// Close ends the connections. SQLite takes the WAL back into the file with the
// last of them, where that one may write.
func (s *lite) Close() error {
	var err error
	if s.write != nil {
		err = s.write.close()
		if s.still() == nil {
			// The one that wrote is gone, with whatever was open in it. Without another
			// the file lacks what is in the WAL: it is there, but not in a copy.
			ctx, cancel := context.WithTimeout(context.Background(), lastWords) //nolint:forbidigo // whoever closes has no time left
			_ = s.writes.PingContext(ctx)
			cancel()
		}
	}
	if s.reads != nil {
		err = errors.Join(err, s.reads.Close())
	}
	if s.write != nil {
		err = errors.Join(err, s.writes.Close())
	}
	return err
}

// lastWords is how long a database that is closed may take to be opened once
// more.
const lastWords = 2 * time.Second

// Clock is ours: SQLite runs in this process.
func (s *lite) Clock(context.Context) (offset, uncertainty time.Duration, err error) {
	return 0, 0, nil
}

func liteDialect() dialect {
	return dialect{
		now:    "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
		time:   func(t time.Time) any { return t.UTC().Format(liteTime) },
		within: func(column string) string { return column + " IN (SELECT value FROM json_each(?))" },
		list:   liteList,
	}
}

// liteList is a list as one parameter.
func liteList(ids []string) (any, error) {
	text, err := json.Marshal(ids)
	return string(text), err
}
