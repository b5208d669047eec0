package sink

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// versionTable is where the migrations that were run are noted.
const versionTable = "schema_migrations"

// lockRetry is how often a lock that another process holds is tried.
const lockRetry = 100 * time.Millisecond

// lockWait is how long: an index on a large table takes its time.
const lockWait = 5 * time.Minute

var errLocked = fmt.Errorf("another process has been migrating for %s", lockWait)

// lockID is PostgreSQL's advisory lock of our migrations: "ordersct" in ASCII.
const lockID = 0x6f72646572736374

// ErrNewerSchema is the error where a newer program has migrated the database:
// what this one would write there nobody knows.
var ErrNewerSchema = errors.New("the tables are newer than this program")

// Migrate brings the tables to what this program knows, one process at a time.
// A database that is newer is left alone, with [ErrNewerSchema].
func Migrate(ctx context.Context, cfg Config, log *slog.Logger) (from, to int64, err error) {
	t, err := cfg.URL.parse()
	if err != nil {
		return 0, 0, &Error{Err: err, Class: ClassDeploy, Next: "set db.url or --db"}
	}
	if t.file != "" {
		from, to, err = migrateSQLite(ctx, cfg, t, log)
	} else {
		from, to, err = migratePostgres(ctx, cfg, t, log)
	}
	return from, to, explain(err, "migrate "+t.shown, t)
}

func migratePostgres(ctx context.Context, cfg Config, t target, log *slog.Logger) (from, to int64, err error) {
	const locking, migrating = 1, 1
	pool, err := connect(ctx, cfg, t, locking+migrating)
	if err != nil {
		return 0, 0, err
	}
	defer pool.Close()
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close() //nolint:errcheck // the pool's connections are its own
	if err := wantsTables(ctx, db); err != nil {
		return 0, 0, err
	}
	unlock, err := lockMigrations(ctx, pool)
	if err != nil {
		return 0, 0, err
	}
	defer unlock()
	return run(ctx, db, goose.DialectPostgres, "postgres", log)
}

// wantsTables refuses a database that can't have the tables.
func wantsTables(ctx context.Context, db *sql.DB) error {
	var encoding, schema string
	if err := db.QueryRowContext(ctx, "SELECT current_setting('server_encoding'), coalesce(current_schema(), '')").Scan(&encoding, &schema); err != nil {
		return err
	}
	if encoding != "UTF8" {
		return &Error{
			Err: fmt.Errorf("the database's encoding is %s: it can't hold every order", encoding), Class: ClassDeploy,
			Next: "createdb --encoding=UTF8 --template=template0",
		}
	}
	if schema == "" { // goose would find the tables of any other schema, and not reach them
		return &Error{
			Err: errors.New("the search path has no schema that is there and that the user may use"), Class: ClassDeploy,
			Next: "make it (CREATE SCHEMA), or see to search_path in the URL",
		}
	}
	return nil
}

// lockMigrations waits until no other process migrates. The lock goes with a
// transaction that stays open beside those of the migrations: a session's lock
// would be anybody's behind PgBouncer, where each transaction may have another
// session. Nobody waits inside a transaction: there it would keep a connection
// from the one that is to let go.
func lockMigrations(ctx context.Context, pool *pgxpool.Pool) (unlock func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockWait, errLocked)
	defer cancel()
	for {
		tx, err := pool.Begin(ctx)
		if err != nil {
			return nil, err
		}
		var locked bool
		err = tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1) FROM set_config('idle_in_transaction_session_timeout', '0', true)", lockID).Scan(&locked)
		unlock := func() { _ = tx.Rollback(context.WithoutCancel(ctx)) } // it goes with the connection too
		if err == nil && locked {
			return unlock, nil
		}
		unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockRetry):
		}
	}
}

// migrateSQLite holds a file beside the database: SQLite's own lock goes with a
// transaction, and each migration is one.
func migrateSQLite(ctx context.Context, cfg Config, t target, log *slog.Logger) (from, to int64, err error) {
	s, err := dialSQLite(ctx, cfg, t, false)
	if err != nil {
		return 0, 0, err
	}
	defer s.Close() //nolint:errcheck // what was written is committed
	held := flock.New(t.file + ".migrate")
	if _, err := held.TryLockContext(ctx, lockRetry); err != nil {
		return 0, 0, fmt.Errorf("lock %s: %w", held.Path(), err)
	}
	defer held.Unlock() //nolint:errcheck // it goes with the process
	return run(ctx, s.writes, goose.DialectSQLite3, "sqlite", log)
}

func run(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string, log *slog.Logger, opts ...goose.ProviderOption) (from, to int64, err error) {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return 0, 0, err
	}
	opts = append(opts, goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	p, err := goose.NewProvider(dialect, db, files, opts...)
	if err != nil {
		return 0, 0, err
	}
	if from, err = p.GetDBVersion(ctx); err != nil {
		return 0, 0, err
	}
	want, err := wanted()
	if err != nil {
		return 0, 0, err
	}
	if from > want {
		return from, from, &Error{
			Err: fmt.Errorf("%w: version %d, and it knows %d", ErrNewerSchema, from, want), Class: ClassDeploy,
			Next: "use the version of ordersctl that migrated them, or a newer one",
		}
	}
	results, err := p.Up(ctx)
	to = from
	for _, r := range results {
		to = r.Source.Version
		log.Info("migration applied", "version", r.Source.Version, "took", r.Duration)
	}
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		err = partial.Err
	}
	return from, to, err
}

// Schema says which version of the tables the database has, 0 for none, and
// which one this program wants. It changes nothing.
func Schema(ctx context.Context, cfg Config) (have, want int64, err error) {
	if want, err = wanted(); err != nil {
		return 0, 0, err
	}
	s, err := Open(ctx, cfg, OpenOptions{ReadOnly: true})
	var e *Error
	if cfg.URL.IsFile() && errors.As(err, &e) && errors.Is(e.Err, fs.ErrNotExist) {
		return 0, want, nil
	}
	if err != nil {
		return 0, want, err
	}
	defer s.Close() //nolint:errcheck // nothing was written
	t := tablesOf(s)
	var version sql.NullInt64
	err = t.reads.QueryRowContext(ctx, "SELECT max(version_id) FROM "+versionTable+" WHERE is_applied").Scan(&version)
	if err != nil && missesTable(err) {
		return 0, want, nil
	}
	return version.Int64, want, explain(err, "read the schema of "+t.target.shown, t.target)
}

// Occupied names a table or view of somebody else that has the name of one of
// ours, "" for none, in a database whose schema is of version 0: migrating it
// would fail. hint is the way out.
func Occupied(ctx context.Context, cfg Config) (name, hint string, err error) {
	s, err := Open(ctx, cfg, OpenOptions{ReadOnly: true})
	if cfg.URL.IsFile() && errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	defer s.Close() //nolint:errcheck // nothing was written
	t := tablesOf(s)
	query, hint := "SELECT min(name) FROM sqlite_master WHERE name IN ", ownFile
	if t.target.file == "" {
		query, hint = "SELECT min(relname) FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relname IN ", ownSchema
	}
	var found sql.NullString
	err = t.reads.QueryRowContext(ctx, query+"('orders', 'order_events', 'record_outcomes', 'consumer_offsets', 'consumer_progress')").Scan(&found)
	return found.String, hint, explain(err, "read the schema of "+t.target.shown, t.target)
}

// wanted is the highest version among the migrations.
func wanted() (int64, error) {
	list, err := fs.ReadDir(migrations, "migrations/postgres")
	if err != nil || len(list) == 0 {
		return 0, fmt.Errorf("list migrations: %w", err)
	}
	return goose.NumericComponent(list[len(list)-1].Name())
}

func tablesOf(s Store) *tables {
	if lite, ok := s.(*lite); ok {
		return lite.tables
	}
	return s.(*postgres).tables // there are two
}

// NoTables tells the error of a database that answers and has none of our tables.
func NoTables(err error) bool { return err != nil && missesTable(err) }

func missesTable(err error) bool {
	return strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "42P01")
}
