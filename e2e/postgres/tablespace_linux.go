package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// noMount says that tests that need a file system of their own are not wanted.
const noMount = "ORDERSCTL_TEST_NO_MOUNT"

// SmallTablespace makes a tablespace on a disk of so many MiB for as long as the test runs, and gives its folder: what
// the test puts there beside the server's files is missing to the server. Databases in it are dropped with it.
//
// It takes root, or sudo without a password, and the right to mount. Without them the test fails; with
// ORDERSCTL_TEST_NO_MOUNT=1 it is skipped.
func (s *Server) SmallTablespace(t testing.TB, name string, mebibytes int) (dir string) {
	t.Helper()
	if os.Getenv(noMount) != "" {
		t.Skipf("NOT TESTED: %s is set, and a full disk needs a file system of its own", noMount)
	}
	dir = filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	uid, gid := os.Getuid(), os.Getgid()
	if s.user != nil {
		uid, gid = int(s.user.Uid), int(s.user.Gid)
	}
	options := fmt.Sprintf("size=%dm,mode=0700,uid=%d,gid=%d", mebibytes, uid, gid)
	if err := asRoot(t.Context(), "mount", "-t", "tmpfs", "-o", options, "ordersctl-test", dir); err != nil {
		t.Fatalf("a full disk can't be had here: %v; %s=1 does without it", err, noMount)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		err := s.dropTablespace(ctx, name)
		if err = errors.Join(err, asRoot(ctx, "umount", dir)); err != nil {
			t.Error(err)
		}
	})
	// Its folder is empty only below the file system's own.
	place := filepath.Join(dir, "data")
	mkdir := s.program(t.Context(), "/bin/mkdir", "-m", "0700", place)
	if out, err := mkdir.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := s.Exec(t.Context(), "postgres", fmt.Sprintf("CREATE TABLESPACE %s LOCATION '%s'", pgx.Identifier{name}.Sanitize(), place)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s *Server) dropTablespace(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // it has been used
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE spcname = $1", name)
	if err != nil {
		return err
	}
	databases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, database := range databases {
		if _, err := conn.Exec(ctx, "DROP DATABASE "+pgx.Identifier{database}.Sanitize()+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, "DROP TABLESPACE IF EXISTS "+pgx.Identifier{name}.Sanitize())
	return err
}

func asRoot(ctx context.Context, command ...string) error {
	if os.Getuid() != 0 {
		command = append([]string{"sudo", "-n"}, command...)
	}
	if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil { //nolint:gosec // our own words
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
