//go:build unix

// Package postgres starts a real PostgreSQL for tests and benchmarks: the server's own programs (Debian's postgresql, or
// whatever ORDERSCTL_POSTGRES_BIN names), a cluster of its own in a temporary folder, everything on the loopback
// interface. Read Server first; a test begins with Start, a program with Launch.
//
// It needs initdb and postgres; ".ci/run tools" installs them. What is missing is an error, never a skip. As root it runs
// under another user, since PostgreSQL refuses root. Data and port end with the server: nothing is meant to be kept.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// User and Password are the superuser's; over TCP the server asks for the password.
const (
	User     = "postgres"
	Password = "postgres-secret"
)

// Ports lie below 32768, from where on the kernel takes those of outgoing connections, and below Kafka's.
const (
	firstPort = 10000
	endPort   = 12000
)

const (
	startTimeout = 30 * time.Second // after a crash it replays its log first
	stopTimeout  = 30 * time.Second
	pollInterval = 20 * time.Millisecond
)

// Options say what to start. The zero value is for tests.
type Options struct {
	Fsync    bool       // wait for the disk, as in production; without it a killed server still loses nothing
	Settings []string   // more settings, such as "max_connections=20"
	TLS      *Authority // signs its certificate, and those of clients; nil: no TLS
}

// Server is a PostgreSQL with its data; it may come and go. Its methods are for one goroutine.
type Server struct {
	opts Options
	bin  string
	dir  string
	port int
	user *syscall.Credential // nil: ours
	process
	log string
}

// Start runs a server for as long as the test and everything below it runs.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	s, err := Launch(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("postgres, end of its log:\n%s", s.logTail())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Launch starts a server and returns when it takes connections. ctx bounds the start alone; Close ends the server.
func Launch(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{opts: opts}
	err := s.prepare(ctx)
	if err == nil {
		err = s.Restart(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) prepare(ctx context.Context) (err error) {
	if s.bin, err = programs(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "ordersctl-postgres-"); err != nil {
		return err
	}
	if s.user, err = unprivileged(); err != nil {
		return err
	}
	s.log = filepath.Join(s.dir, "server.log")
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(Password), 0o600); err != nil {
		return err
	}
	if err := errors.Join(s.own(s.dir), s.own(secret)); err != nil {
		return err
	}
	if s.opts.TLS != nil {
		if err := s.writeTLS(s.opts.TLS); err != nil {
			return err
		}
	}
	initdb := s.program(ctx, "initdb", "-D", s.data(), "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--username="+User,
		"--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile="+secret)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.port, err = freePort(ctx)
	return err
}

// own gives a file to the server's user.
func (s *Server) own(path string) error {
	if s.user == nil {
		return nil
	}
	return os.Chown(path, int(s.user.Uid), int(s.user.Gid))
}

// Port is where it listens on 127.0.0.1, also while it is down.
func (s *Server) Port() int { return s.port }

// URL is the superuser's, of a database.
func (s *Server) URL(database string) string {
	return s.URLOf(User, Password, database)
}

// URLOf is another user's.
func (s *Server) URLOf(user, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Path: "/" + database,
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Create makes an empty database of that name, in place of an old one, and gives its URL.
func (s *Server) Create(ctx context.Context, database string) (string, error) {
	name := pgx.Identifier{database}.Sanitize()
	return s.URL(database), s.Exec(ctx, "postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)", "CREATE DATABASE "+name)
}

// Exec runs statements as the superuser.
func (s *Server) Exec(ctx context.Context, database string, statements ...string) (err error) {
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	for _, text := range statements {
		if _, err := conn.Exec(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

// Restart starts the server on its old port and data, after a clean stop of one that runs.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	fsync := "fsync=off"
	if s.opts.Fsync {
		fsync = "fsync=on"
	}
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-k", s.dir, "-c", "listen_addresses=127.0.0.1", "-c", fsync}
	for _, setting := range s.opts.Settings {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()                 //nolint:errcheck // the server has a descriptor of its own
	ctxServer := context.Background() //nolint:forbidigo // it outlives the context of its start: it ends by signals
	cmd := s.program(ctxServer, "postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := s.run(cmd); err != nil {
		return err
	}
	return s.waitReady(ctx)
}

func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.exited:
			s.command = nil
			return fmt.Errorf("postgres ended before it was ready: %w; the end of its log:\n%s", s.exit, s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("wait for postgres to be ready: %w; the end of its log:\n%s", err, s.logTail())
		case <-tick.C:
		}
	}
}

// Stop ends it cleanly, its connections too ("fast").
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Crash ends it at once ("immediate"): the next start recovers from the log.
func (s *Server) Crash() error { return s.end(syscall.SIGQUIT) }

// Close ends the server and removes its data.
func (s *Server) Close() error {
	err := s.Crash()
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) program(ctx context.Context, name string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.bin, name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = ownGroup()
	cmd.SysProcAttr.Credential = s.user
	return cmd
}

// logTail is the last 4 KiB of the log.
func (s *Server) logTail() []byte {
	data, err := os.ReadFile(s.log)
	if err != nil {
		return []byte(err.Error())
	}
	return data[max(0, len(data)-4096):]
}

// programs is the folder of the server's programs: the newest version that is there.
func programs() (string, error) {
	if dir := os.Getenv("ORDERSCTL_POSTGRES_BIN"); dir != "" {
		return dir, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("postgresql is missing (/usr/lib/postgresql/*/bin/initdb): run .ci/run tools")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	for _, i := range rand.Perm(endPort - firstPort) {
		l, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+i)))
		if err == nil {
			return firstPort + i, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d", firstPort, endPort)
}
