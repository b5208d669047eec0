//go:build e2e

package sink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	pgserver "github.com/ordersctl/ordersctl/e2e/postgres"
)

// TestClassOfPostgres lets a real server make each error.
func TestClassOfPostgres(t *testing.T) {
	k := postgresKit()
	for _, c := range []struct {
		name   string
		breaks []string // statements of the superuser in the database
		state  string
		class  Class
	}{
		{"a table is missing", []string{"DROP TABLE record_outcomes CASCADE"}, "42P01", ClassDeploy},
		{"a column is missing", []string{"ALTER TABLE orders DROP COLUMN event_id"}, "42703", ClassDeploy},
		{"the database is read-only", []string{"ALTER DATABASE %s SET default_transaction_read_only = on"}, "25006", ClassOutage},
		{"the user may not write", []string{"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM clerk", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO clerk"}, "42501", ClassDeploy},
		{"a table is locked", []string{"ALTER DATABASE %s SET lock_timeout = 50"}, "55P03", ClassRetry},
		{"a statement takes too long", []string{"ALTER DATABASE %s SET statement_timeout = 50"}, "57014", ClassOutage},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := k.fresh(t)
			database := databaseOf(cfg)
			s := open(t, cfg)
			b := batchOf(t, s, 0, entry(0, "a", "e0", 1))
			exec(t, database, `DO $$ BEGIN CREATE ROLE clerk LOGIN PASSWORD 'c'; EXCEPTION WHEN duplicate_object THEN END $$`,
				"GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk")
			for _, text := range c.breaks {
				exec(t, database, strings.ReplaceAll(text, "%s", database))
			}
			if c.state == "55P03" || c.state == "57014" {
				holdLock(t, cfg)
			}
			clerk := cfg
			clerk.URL = URL(server.URLOf("clerk", "c", database))
			_, err := open(t, clerk).Write(t.Context(), b)
			wants(t, err, c.state, c.class)
		})
	}
}

func exec(t *testing.T, database string, statements ...string) {
	t.Helper()
	if err := server.Exec(t.Context(), database, statements...); err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, err error, state string, class Class) {
	t.Helper()
	var postgres *pgconn.PgError
	if !errors.As(err, &postgres) || postgres.Code != state {
		t.Fatalf("got %v, wanted SQLSTATE %s", err, state)
	}
	if got := ClassOf(err); got != class {
		t.Errorf("%v is %s, wanted %s", err, got, class)
	}
}

// TestOpenPostgres has what goes wrong before the first statement.
func TestOpenPostgres(t *testing.T) {
	for _, c := range []struct {
		name, url, state string
		class            Class
		hint             string
	}{
		{"a wrong password", server.URLOf(pgserver.User, "wrong", "postgres"), "28P01", ClassDeploy, "set the password by"},
		{"an unknown user", server.URLOf("nobody", "x", "postgres"), "28P01", ClassDeploy, "set the password by"},
		{"a missing database", server.URL("nowhere"), "3D000", ClassDeploy, "create the database first"},
		{"nobody listens", "postgres://u@127.0.0.1:1/d", "", ClassOutage, "is it running"},
		{"a host that is not there", "postgres://u@host.invalid/d", "", ClassOutage, "is it running"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.URL = URL(c.url)
			_, err := Open(t.Context(), cfg, OpenOptions{Log: quiet()})
			if c.state != "" {
				wants(t, err, c.state, c.class)
			}
			var e *Error
			if !errors.As(err, &e) || e.ExitCode() != exitUnreachable || !strings.Contains(e.Hint(), c.hint) || ClassOf(err) != c.class {
				t.Errorf("opened: %v (%s), hint %q", err, ClassOf(err), e.Hint())
			}
			if strings.Contains(err.Error()+e.Hint(), "wrong") {
				t.Errorf("the password is in %v", err)
			}
		})
	}
}

// TestMigrateNowhere has a search path that leads to no schema.
func TestMigrateNowhere(t *testing.T) {
	cfg := postgresKit().fresh(t)
	cfg.URL += "&search_path=nowhere"
	_, _, err := Migrate(t.Context(), cfg, quiet())
	explained(t, err, "the search path has no schema", "CREATE SCHEMA", 1)
	exec(t, databaseOf(cfg), "CREATE SCHEMA nowhere")
	if from, to, err := Migrate(t.Context(), cfg, quiet()); err != nil || from != 0 || to < 1 {
		t.Errorf("migrated from %d to %d, %v", from, to, err)
	}
}

// TestMigrateOccupied has somebody else's table in the way; a schema of its own
// is the way out.
func TestMigrateOccupied(t *testing.T) {
	cfg := postgresKit().fresh(t)
	cfg.URL += "&search_path=shop"
	exec(t, databaseOf(cfg), "CREATE SCHEMA shop", "CREATE TABLE shop.orders (id int)", "CREATE SCHEMA ours")
	name, hint, err := Occupied(t.Context(), cfg)
	if err != nil || name != "orders" || hint != ownSchema {
		t.Errorf("%q is in the way, hint %q, %v", name, hint, err)
	}
	_, _, err = Migrate(t.Context(), cfg, quiet())
	explained(t, err, `relation "orders" already exists`, "search_path in the URL", 1)
	cfg.URL = URL(strings.Replace(string(cfg.URL), "=shop", "=ours", 1))
	if name, _, err := Occupied(t.Context(), cfg); err != nil || name != "" {
		t.Errorf("%q is in the way, %v", name, err)
	}
	if _, to, err := Migrate(t.Context(), cfg, quiet()); err != nil || to < 1 {
		t.Errorf("migrated to %d, %v", to, err)
	}
}

func TestPasswordFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(pgserver.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.URL, cfg.PasswordFile = URL(server.URLOf(pgserver.User, "", "postgres")), file
	open(t, cfg)
}

// TestRights writes as a user with no more than the rights that docs/database.md
// grants.
func TestRights(t *testing.T) {
	k := postgresKit()
	cfg := k.fresh(t)
	text, err := os.ReadFile("../../docs/database.md")
	if err != nil {
		t.Fatal(err)
	}
	grants := regexp.MustCompile(`(?m)^GRANT .*;$`).FindAllString(string(text), -1)
	if len(grants) != 4 {
		t.Fatalf("docs/database.md has %d grants, want 4", len(grants))
	}
	database := databaseOf(cfg)
	exec(t, database, `DO $$ BEGIN CREATE ROLE orders_process LOGIN PASSWORD 'p'; EXCEPTION WHEN duplicate_object THEN END $$`)
	exec(t, database, grants...)
	cfg.URL = URL(server.URLOf("orders_process", "p", database))
	s := open(t, cfg)
	if have, want, err := Schema(t.Context(), cfg); err != nil || have != want {
		t.Errorf("schema %d of %d, %v", have, want, err)
	}
	mustWrite(t, s, batchOf(t, s, 0, entry(0, "a", "e0", 1)))
	mustWrite(t, s, batchOf(t, s, 1, entry(1, "a", "e1", 1), refused(2)))
	c := Claim{Group: "g", Topic: "orders", TopicID: testID(1)}
	if err := s.Skip(t.Context(), c, 0, 3, 4); err != nil {
		t.Error(err)
	}
	if err := s.Seek(t.Context(), c, map[int32]int64{0: 2}); err != nil {
		t.Error(err)
	}
	mustWrite(t, s, batchOf(t, s, 2, entry(2, "b", "e-refused-2", 1))) // it passes now
	if n, err := s.Retain(t.Context(), []Place{{testID(1), 0, 9}}, time.Now().Add(time.Hour)); err != nil || n != 4 {
		t.Errorf("deleted %d, %v", n, err)
	}
}

func databaseOf(cfg Config) string {
	text := string(cfg.URL)
	return text[strings.LastIndex(text, "/")+1 : strings.Index(text, "?")]
}

// TestStaleConnection spoils a connection of the pool: the try after the one that
// met it has another.
func TestStaleConnection(t *testing.T) {
	k := postgresKit()
	for _, c := range []struct {
		name, spoils string
		state        string
		class        Class
	}{
		{"its server is a standby by now", "SET default_transaction_read_only = on", "25006", ClassOutage},
		{"its statements are gone", "DEALLOCATE ALL", "26000", ClassRetry},
		{"a column has another type", "ALTER TABLE orders ALTER COLUMN topic_id TYPE varchar(300)", "0A000", ClassRetry},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := k.fresh(t)
			cfg.URL += "&pool_max_conns=1"
			s := open(t, cfg).(*postgres)
			theLongWay(s)
			b := batchOf(t, s, 0, entry(0, "a", "e0", 1))
			mustWrite(t, s, b)
			if _, err := s.pool.Exec(t.Context(), c.spoils); err != nil {
				t.Fatal(err)
			}
			b = &Batch{Group: b.Group, Topic: b.Topic, TopicID: b.TopicID, First: 1, Next: 2, Entries: []Entry{entry(1, "a", "e1", 2)}}
			_, err := s.Write(t.Context(), b)
			wants(t, err, c.state, c.class)
			mustWrite(t, s, b)
		})
	}
	t.Run("a claim on a standby", func(t *testing.T) {
		cfg := k.fresh(t)
		cfg.URL += "&pool_max_conns=1"
		s := open(t, cfg).(*postgres)
		if _, err := s.pool.Exec(t.Context(), "SET default_transaction_read_only = on"); err != nil {
			t.Fatal(err)
		}
		c := Claim{"g", "orders", testID(1), map[int32]int64{0: 0}}
		_, err := s.Claim(t.Context(), c)
		wants(t, err, "25006", ClassOutage)
		if _, err := s.Claim(t.Context(), c); err != nil {
			t.Error(err)
		}
	})
}

// TestServerGone stops the server under an open store, and starts it again.
func TestServerGone(t *testing.T) {
	own := pgserver.Start(t, pgserver.Options{})
	url, err := own.Create(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.URL = URL(url)
	migrated(t, cfg)
	s := open(t, cfg)
	b := batchOf(t, s, 0, entry(0, "a", "e0", 1))
	mustWrite(t, s, b)
	if err := own.Exec(t.Context(), "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ordersctl'"); err != nil {
		t.Fatal(err)
	}
	next := func(offset int64) *Batch {
		return &Batch{Group: b.Group, Topic: b.Topic, TopicID: b.TopicID, First: offset, Next: offset + 1, Entries: []Entry{entry(offset, "a", fmt.Sprint("e", offset), int(offset)+1)}}
	}
	if _, err := s.Write(t.Context(), next(1)); err != nil && ClassOf(err) != ClassOutage {
		t.Errorf("a terminated connection is %s: %v", ClassOf(err), err)
	}
	if err := own.Crash(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(t.Context(), next(1)); err == nil || ClassOf(err) != ClassOutage {
		t.Errorf("a server that is gone is %s: %v", ClassOf(err), err)
	}
	if err := own.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		at, err := s.Claim(t.Context(), Claim{b.Group, b.Topic, b.TopicID, map[int32]int64{0: 0}})
		if err == nil {
			if at[0] < 1 {
				t.Fatalf("the database forgot: next offset %d", at[0])
			}
			mustWrite(t, s, next(at[0]))
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestRetryAfterRace lets another writer come between reading and writing.
func TestRetryAfterRace(t *testing.T) {
	k := postgresKit()
	s := open(t, k.fresh(t))
	theLongWay(s)
	buried := refused(1)
	buried.Buried = true
	b := batchOf(t, s, 0, entry(0, "a", "e0", 1), buried)
	mustClaim(t, s, b, 0, 1)
	// Between what the long way reads and what it writes another partition takes
	// the same event: it is then a duplicate, and not an error.
	other := &Batch{Group: b.Group, Topic: b.Topic, TopicID: b.TopicID, Partition: 1, First: 0, Next: 1, Entries: []Entry{b.Entries[0]}}
	raced := false
	w, err := exact(t.Context(), b, func(ctx context.Context, b *Batch) (transaction, int64, error) {
		tx, next, err := s.(*postgres).begin(ctx, b)
		return &racing{transaction: tx, race: func() {
			if !raced {
				raced = true
				mustWrite(t, s, other)
			}
		}}, next, err
	})
	if err != nil || w.Outcomes[0] != Duplicate {
		t.Errorf("written %+v, %v", w, err)
	}
}

// TestRacesEachTime has another writer come between at each attempt: none of its
// events is taken for one that the database does not keep.
func TestRacesEachTime(t *testing.T) {
	k := postgresKit()
	s := open(t, k.fresh(t))
	theLongWay(s)
	var entries []Entry
	for i := range int64(8) {
		entries = append(entries, entry(i, fmt.Sprint("o", i), fmt.Sprint("e", i), 1))
	}
	b := batchOf(t, s, 0, entries...)
	mustClaim(t, s, b, 0, 1)
	next := int64(0)
	w, err := exact(t.Context(), b, func(ctx context.Context, b *Batch) (transaction, int64, error) {
		tx, at, err := s.(*postgres).begin(ctx, b)
		once := true
		return &racing{transaction: tx, race: func() {
			if !once {
				return
			}
			once = false
			taken := entries[next]
			taken.Offset = next
			mustWrite(t, s, &Batch{Group: b.Group, Topic: b.Topic, TopicID: b.TopicID, Partition: 1, First: next, Next: next + 1, Entries: []Entry{taken}})
			next++
		}}, at, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range w.Outcomes {
		want := Inserted
		if int64(i) < next {
			want = Duplicate
		}
		if got != want {
			t.Errorf("entry %d was %s, wanted %s (%+v)", i, got, want, b.Entries[i].Refusal)
		}
	}
	if next != races {
		t.Errorf("raced %d times, wanted %d", next, races)
	}
}

type racing struct {
	transaction
	race func()
}

func (r *racing) write(ctx context.Context, b *Batch, p *plan) error {
	r.race()
	return r.transaction.write(ctx, b, p)
}
