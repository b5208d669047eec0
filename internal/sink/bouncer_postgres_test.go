//go:build e2e

package sink

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestBouncer has PgBouncer between us and the server. Debian's is too old to
// keep prepared statements between transactions (1.21), so what is done with
// transaction pooling does without them here.
func TestBouncer(t *testing.T) {
	const pool = 3
	sessions, transactions := server.StartBouncer(t, "session", 20), server.StartBouncer(t, "transaction", pool)

	t.Run("reading and writing", func(t *testing.T) {
		cfg := postgresKit().fresh(t)
		cfg.URL = URL(sessions.URL(databaseOf(cfg)))
		testReadOnly(t, kit{fresh: func(*testing.T) Config { return cfg }})
		if have, want, err := Schema(t.Context(), cfg); err != nil || have != want {
			t.Errorf("schema %d of %d, %v", have, want, err)
		}
	})
	t.Run("reading, with transaction pooling", func(t *testing.T) {
		cfg := postgresKit().fresh(t)
		cfg.URL = URL(transactions.URL(databaseOf(cfg)) + "&default_query_exec_mode=simple_protocol")
		if have, want, err := Schema(t.Context(), cfg); err != nil || have != want {
			t.Errorf("schema %d of %d, %v", have, want, err)
		}
	})
	// More processes than the pool has connections: the one that has the lock needs
	// a second one.
	t.Run("migrations one at a time, with transaction pooling", func(t *testing.T) {
		const processes = 3 * pool
		url, err := server.Create(t.Context(), "bounced")
		if err != nil {
			t.Fatal(err)
		}
		direct, cfg := DefaultConfig(), DefaultConfig()
		direct.URL, cfg.URL = URL(url), URL(transactions.URL("bounced")+"&default_query_exec_mode=simple_protocol")
		// The lock is taken already, by a process that migrates and is slow.
		holder, err := pgx.Connect(t.Context(), transactions.URL("bounced")+"&default_query_exec_mode=simple_protocol")
		if err != nil {
			t.Fatal(err)
		}
		defer holder.Close(t.Context())
		tx, err := holder.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1::bigint)", int64(lockID)); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, processes)
		first := make(chan int64, processes)
		for range processes {
			go func() {
				from, to, err := Migrate(t.Context(), cfg, quiet())
				if err == nil && from != to {
					first <- from
				}
				done <- err
			}()
		}
		select {
		case err := <-done:
			t.Fatalf("one migrated under another's lock, %v", err)
		case <-time.After(10 * lockRetry):
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range processes {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if len(first) != 1 {
			t.Errorf("%d of %d have migrated", len(first), processes)
		}
		var locks int
		s := open(t, direct).(*postgres)
		if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = 'bounced')").Scan(&locks); err != nil || locks != 0 {
			t.Errorf("%d locks are left, %v", locks, err)
		}
	})
}

// TestMigrateOneConnection gives the pool less than migrations need.
func TestMigrateOneConnection(t *testing.T) {
	url, err := server.Create(t.Context(), "narrow")
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.URL = URL(fmt.Sprint(url, "&pool_max_conns=1"))
	if from, to, err := Migrate(t.Context(), cfg, quiet()); err != nil || from != 0 || to < 1 {
		t.Errorf("migrated from %d to %d, %v", from, to, err)
	}
}
