package sink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// exitUsage is the exit code of a configuration that can't be meant.
const exitUsage = 2

const (
	migrateHint = `"ordersctl db migrate" makes and changes the tables`
	ownSchema   = "it is not known to be ordersctl's: name another database, or a schema of its own by search_path in the URL"
	ownFile     = "it is not known to be ordersctl's: name another file with --db"
)

// explain gives an error its next step.
func explain(err error, doing string, t target) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var (
		moved    *Moved
		unburied *Unburied
		done     *Error
	)
	if errors.As(err, &moved) || errors.As(err, &unburied) || errors.As(err, &done) || errors.Is(err, ErrTopicChanged) {
		return err
	}
	e := &Error{Doing: doing, Err: err, Class: ClassOf(err)}
	switch {
	case t.file == "":
		explainPostgres(e, t)
	case errors.Is(err, context.DeadlineExceeded):
		e.Next, e.code = "does another program write there?", exitUnreachable
	default:
		explainFile(e, t)
	}
	return e
}

func explainPostgres(e *Error, t target) {
	var (
		postgres *pgconn.PgError
		setting  *pgconn.ParseConfigError
		path     *fs.PathError
		network  net.Error
		connect  *pgconn.ConnectError
	)
	err := e.Err
	switch {
	case errors.As(err, &postgres):
		e.Err = &stateError{postgres}
		e.Next, e.code = hintOfState(postgres, t)
	case errors.As(err, &setting):
		e.Err = &worded{settingFault(err), err}
		e.Class, e.Next, e.code = ClassDeploy, "look at what follows ? in the URL, and at the files it names", exitUsage
	case errors.As(err, &path): // db.password-file
		e.Class, e.Next, e.code = ClassDeploy, "see to the file, or name another", exitUsage
	case explainTLS(e):
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), errors.Is(err, sql.ErrConnDone):
		e.Err = &worded{dialFault(err), err}
		e.Next, e.code = fmt.Sprintf("is it running, and is %s right?", t.shown), exitUnreachable
	}
}

// explainTLS knows errors of certificates, which a server that is right never has.
func explainTLS(e *Error) bool {
	var (
		verify  *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		name    x509.HostnameError
	)
	err := e.Err
	cause, hint := "", ""
	switch {
	case errors.As(err, &unknown):
		cause, _, _ = strings.Cut(unknown.Error(), " (possibly") // guesses at a CA of the same name
		hint = "sslrootcert wants the CA that signed the server's certificate"
	case errors.As(err, &name):
		cause, hint = name.Error(), "connect by a name that is in the certificate, or take sslmode=verify-ca"
	case errors.As(err, &invalid):
		cause, hint = invalid.Error(), "the server needs another certificate"
	case errors.As(err, &verify):
		cause, hint = verify.Error(), "the server needs another certificate"
	case strings.Contains(err.Error(), "remote error: tls:"):
		hint = "the server refuses the client's certificate: are sslcert and sslkey signed by a CA that it knows?"
	case strings.Contains(err.Error(), "server refused TLS connection"):
		hint = "the server has no TLS: set it up there (ssl=on), or take sslmode=disable"
	default:
		return false
	}
	if cause == "" {
		cause = dialFault(err)
	}
	e.Err = &worded{cause, err}
	e.Class, e.Next, e.code = ClassDeploy, hint, exitUnreachable
	return true
}

// dialFault says in one line, and each thing once, what pgx says for each way
// that it tried: with TLS and without, for each host and each of its addresses.
func dialFault(err error) string {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		err = connect.Unwrap()
	}
	var said []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		for _, noise := range []string{"dial error: ", "hostname resolving error: "} {
			if _, rest, ok := strings.Cut(line, noise); ok {
				line = rest
			}
		}
		if line != "" && !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	return strings.Join(said, "; ")
}

func explainFile(e *Error, t target) {
	var (
		path *fs.PathError
		lite *sqlite.Error
	)
	const other = "or name another file with --db"
	switch err := e.Err; {
	case errors.As(err, &path) && path.Op == "mkdir":
		e.Class, e.Next, e.code = ClassDeploy, "make the folder, "+other, exitUnreachable
	case errors.Is(err, fs.ErrNotExist):
		e.Err = &worded{"there is no such file", err}
		e.Class, e.Next, e.code = ClassDeploy, `"ordersctl dev" makes it, or name another with --db`, exitUnreachable
	case errors.As(err, &path):
		e.Class, e.Next, e.code = ClassDeploy, "see to its rights, "+other, exitUnreachable
	case strings.Contains(err.Error(), "no such table"), strings.Contains(err.Error(), "no such column"):
		e.Next = migrateHint
	case strings.Contains(err.Error(), "already exists"):
		e.Next = ownFile
	case errors.As(err, &lite):
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_NOTADB:
			e.Err = &worded{"it is not a SQLite database", err}
			e.Next = "look what it is, " + other
		case sqlite3.SQLITE_CORRUPT:
			e.Next = "restore a copy; sqlite3 " + t.file + " .recover may save what is left"
		case sqlite3.SQLITE_FULL:
			e.Next = "make room on its disk"
		case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
			e.Next, e.code = "see to the rights of the file and of its folder, "+other, exitUnreachable
		case sqlite3.SQLITE_BUSY:
			e.Next = "another program writes there: try again"
		}
	}
}

// wantsFile refuses a folder, a device and the like.
func (t target) wantsFile(info os.FileInfo) error {
	e := &Error{Doing: "open " + t.shown, Class: ClassDeploy, code: exitUsage}
	switch {
	case info.IsDir():
		e.Err, e.Next = errors.New("it is a folder"), "name a file in it, such as "+t.shown+string(os.PathSeparator)+"orders.db"
	case !info.Mode().IsRegular():
		e.Err, e.Next = errors.New("it is not a regular file"), "name one, such as sqlite:orders.db"
	default:
		return nil
	}
	return e
}

// worded is an error in words of our own.
type worded struct {
	text string
	err  error
}

func (e *worded) Error() string { return e.text }
func (e *worded) Unwrap() error { return e.err }

// stateError is a PgError without the words that are only for its log.
type stateError struct{ *pgconn.PgError }

func (e *stateError) Error() string {
	text := fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code)
	if e.Detail != "" && len(e.Detail) < 200 {
		text += ": " + e.Detail
	}
	return text
}

func (e *stateError) Unwrap() error { return e.PgError }

func hintOfState(p *pgconn.PgError, t target) (hint string, code int) {
	switch {
	case p.Code == "42P01", p.Code == "42703":
		return migrateHint, 0
	case p.Code == "42P07":
		return ownSchema, 0
	case p.Code == "42501":
		return "docs/database.md lists the rights that the user needs", 0
	case p.Code == "3F000":
		return "the search path has no schema that is there: make it (CREATE SCHEMA), or see to search_path in the URL", 0
	case strings.HasPrefix(p.Code, "53"):
		return "the server is out of something: make room there; nothing is lost, and it is tried again", 0
	case p.Code == "28000" && strings.Contains(p.Message, "certificate"):
		return "sslcert and sslkey in the URL name the client's certificate", exitUnreachable
	case p.Code == "28000" && strings.Contains(p.Message, "pg_hba.conf"):
		return "let the user in by the server's pg_hba.conf, or connect as it wants it (sslmode=require)", exitUnreachable
	case strings.HasPrefix(p.Code, "28"):
		return "set the password by db.password-file, PGPASSWORD or ORDERSCTL_DB_URL", exitUnreachable
	case strings.HasPrefix(p.Code, "3D"):
		return fmt.Sprintf("create the database first (createdb); the address is %s", t.shown), exitUnreachable
	case strings.HasPrefix(p.Code, "57P"):
		return "it is starting or stopping: try again in a moment", exitUnreachable
	case p.Code == "25006":
		return "it is a standby or set read-only: name the primary", 0
	case p.Code == "08P01" && strings.Contains(p.Message, "startup parameter"):
		return "PgBouncer does not know that setting of the URL: docs/database.md says where else to put it", exitUnreachable
	}
	return "", 0
}
