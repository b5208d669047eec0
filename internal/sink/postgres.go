package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// maxConnections is how many writers and readers one process has at the
// database where the URL has no pool_max_conns; more than these wait for each
// other. PostgreSQL allows 100 in all by default.
const maxConnections = 16

// postgres is the Store of a PostgreSQL database.
type postgres struct {
	*tables
	pool  *pgxpool.Pool
	plain plain
}

func openPostgres(ctx context.Context, cfg Config, t target, opts OpenOptions) (*postgres, error) {
	pool, err := connect(ctx, cfg, t, 0)
	if err != nil {
		return nil, explain(err, "open "+t.shown, t)
	}
	db := stdlib.OpenDBFromPool(pool)
	s := &postgres{
		tables: &tables{target: t, reads: db, writes: db, readOnly: opts.ReadOnly, timeout: cfg.Timeout, dialect: postgresDialect()},
		pool:   pool,
	}
	s.met = s.heal
	return s, nil
}

// heal ends the pool's connections where an error says that they are of no use
// any more: the next try has new ones, of the primary and with new statements.
func (s *postgres) heal(err error) {
	var postgres *pgconn.PgError
	if !errors.As(err, &postgres) {
		return
	}
	switch postgres.Code {
	case "25006", // a primary that became a standby keeps its connections
		"26000", "0A000": // prepared statements that are gone, or were made before a migration
		s.pool.Reset()
	}
}

// connect makes a pool of at least so many connections, and the first one in it.
// No connection has settings of its own but its name: PgBouncer refuses those
// that it does not know, and would hand on to others what a session has set.
func connect(ctx context.Context, cfg Config, t target, atLeast int32) (*pgxpool.Pool, error) {
	pc, err := poolConfig(cfg, t)
	if err != nil {
		return nil, err
	}
	pc.MaxConns = max(pc.MaxConns, atLeast)
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

func poolConfig(cfg Config, t target) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(t.postgres)
	if err != nil {
		return nil, err // pgconn leaves the password out of it
	}
	plain, err := pgconn.ParseConfig(t.postgres) // it leaves the pool's settings where they are
	if err != nil {
		return nil, err
	}
	if _, set := plain.RuntimeParams["pool_max_conns"]; !set {
		pc.MaxConns = maxConnections
	}
	cc := pc.ConnConfig
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = cfg.ConnectTimeout
	}
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = "ordersctl"
	}
	pc.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
		// Certificates and passwords are read anew: they may have been replaced.
		fresh, err := pgconn.ParseConfig(t.postgres)
		if err != nil {
			return err
		}
		cc.TLSConfig, cc.Fallbacks, cc.Password = fresh.TLSConfig, fresh.Fallbacks, fresh.Password
		if cfg.PasswordFile != "" {
			cc.Password, err = cfg.password()
		}
		return err
	}
	return pc, nil
}

// closeTimeout is how long a server may take to take leave. One that hangs is
// waited for by the pool for 15 s: who waits for our end has no use for that.
const closeTimeout = 2 * time.Second

// Close ends the connections that are not in use, and waits for the others and
// for the server's answer, not for long: none of them has anything to lose.
func (s *postgres) Close() error {
	closed := make(chan error, 1)
	go func() {
		err := s.reads.Close()
		s.pool.Close()
		closed <- err
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return nil
	}
}

// Write applies a batch in one transaction: in two round trips where it is
// plain, in three and more where it is not.
func (s *postgres) Write(ctx context.Context, b *Batch) (Written, error) {
	if err := b.check(); err != nil {
		return Written{}, err
	}
	doing := fmt.Sprintf("write %s/%d@%d..%d", b.Topic, b.Partition, b.First, b.Next-1)
	if s.readOnly {
		return Written{}, fmt.Errorf("%s: %w", doing, errReadOnly)
	}
	if s.plain.try(b) {
		w, ok, err := s.writePlain(ctx, b)
		if ok || err != nil {
			s.meet(err)
			return w, explain(err, doing, s.target)
		}
		s.plain.failed(b)
	}
	w, err := exact(ctx, b, s.begin)
	s.meet(err)
	return w, explain(err, doing, s.target)
}

// Clock compares the quickest of some answers: the less time between question
// and answer, the less can be wrong.
func (s *postgres) Clock(ctx context.Context) (offset, uncertainty time.Duration, err error) {
	const tries = 5
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for i := range tries {
		before := time.Now()
		var theirs time.Time
		if err := s.reads.QueryRowContext(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
			return 0, 0, explain(err, "read the database's clock", s.target)
		}
		half := time.Since(before) / 2
		if i == 0 || half < uncertainty {
			offset, uncertainty = theirs.Sub(before.Add(half)), half
		}
	}
	return offset, uncertainty, nil
}
