//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// StartBouncer runs a PgBouncer in front of the server for as long as the test runs, with at most pool connections to each
// database. Mode is "session" or "transaction". Bounced gives its addresses.
func (s *Server) StartBouncer(t testing.TB, mode string, pool int) *Bouncer {
	t.Helper()
	b, err := s.launchBouncer(t.Context(), t.TempDir(), mode, pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.end(syscall.SIGQUIT); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Bouncer is a PgBouncer that runs.
type Bouncer struct {
	process
	port   int
	server *Server
	log    string
}

// URL is the superuser's, of a database behind it.
func (b *Bouncer) URL(database string) string {
	return strings.Replace(b.server.URL(database), ":"+strconv.Itoa(b.server.port)+"/", ":"+strconv.Itoa(b.port)+"/", 1)
}

func (s *Server) launchBouncer(ctx context.Context, dir, mode string, pool int) (*Bouncer, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil { // not in the path of all users
		program, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	if err != nil {
		return nil, fmt.Errorf("pgbouncer is missing: run .ci/run tools: %w", err)
	}
	b := &Bouncer{server: s, log: filepath.Join(dir, "bouncer.log")}
	if b.port, err = freePort(ctx); err != nil {
		return nil, err
	}
	// It logs in by the server's socket, which trusts whoever can reach it.
	settings := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = %d
`, s.dir, s.port, User, b.port, mode, pool)
	file := filepath.Join(s.dir, fmt.Sprintf("bouncer-%d.ini", b.port)) // in a folder that its user can read
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil { //nolint:gosec // its user is another one, and there is no secret in it
		return nil, err
	}
	log, err := os.Create(b.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()                 //nolint:errcheck // it has a descriptor of its own
	ctxServer := context.Background() //nolint:forbidigo // it outlives the context of its start: it ends by a signal
	cmd := s.program(ctxServer, program, file)
	cmd.Stdout, cmd.Stderr = log, log
	if err := b.run(cmd); err != nil {
		return nil, err
	}
	if err := b.waitReady(ctx); err != nil {
		return nil, errors.Join(err, b.end(syscall.SIGQUIT))
	}
	return b, nil
}

func (b *Bouncer) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-b.exited:
			log, _ := os.ReadFile(b.log)
			return fmt.Errorf("pgbouncer ended before it was ready: %w; its log:\n%s", b.exit, log)
		case <-ctx.Done():
			return fmt.Errorf("wait for pgbouncer to be ready: %w", err)
		case <-tick.C:
		}
	}
}
