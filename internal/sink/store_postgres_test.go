//go:build e2e

package sink

import (
	"context"
	"fmt"
	"os"
	"testing"

	pgserver "github.com/ordersctl/ordersctl/e2e/postgres"
)

// server is one for all tests: initdb takes longer than most of them.
var server *pgserver.Server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		// A deadlock between two writers is found sooner than in production.
		server, err = pgserver.Launch(context.Background(), pgserver.Options{Settings: []string{"deadlock_timeout=100ms"}})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

func TestPostgres(t *testing.T) { suite(t, postgresKit()) }

func postgresKit() kit {
	databases := 0
	return kit{
		name: "postgres", games: 8,
		fresh: func(t *testing.T) Config {
			databases++
			url, err := server.Create(t.Context(), fmt.Sprint("orders", databases))
			if err != nil {
				t.Fatal(err)
			}
			cfg := DefaultConfig()
			cfg.URL = URL(url)
			migrated(t, cfg)
			return cfg
		},
		limit: func(t *testing.T, s Store) {
			mustExec(t, s, "ALTER TABLE orders ADD CONSTRAINT orders_unlucky CHECK (total <> 13)")
		},
		limitReason: "database: 23514 orders_unlucky",
		raise: func(t *testing.T, s Store, table, column string) {
			pgTrigger(t, s, table, column, "RAISE EXCEPTION 'is bad: %', NEW."+column)
		},
		raiseReason: "P0001 raise_exception",
		drop:        func(t *testing.T, s Store, table, column string) { pgTrigger(t, s, table, column, "RETURN NULL") },
	}
}

func pgTrigger(t *testing.T, s Store, table, column, does string) {
	t.Helper()
	mustExec(t, s, fmt.Sprintf(`CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN IF NEW.%s = 'bad' THEN %s; END IF; RETURN NEW; END$$`, column, does))
	mustExec(t, s, "CREATE TRIGGER judges BEFORE INSERT ON "+table+" FOR EACH ROW EXECUTE FUNCTION judge()")
}
