package sink

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// URL names a database: postgres://…, sqlite:PATH or a path. It prints without
// its password.
type URL string

// String hides the password.
func (u URL) String() string {
	t, err := u.parse()
	switch {
	case err == nil:
		return t.shown
	case strings.Contains(string(u), "@"), strings.Contains(string(u), "="): // not readable, and may hold one
		return "***"
	}
	return string(u)
}

// GoString hides the password from %#v.
func (u URL) GoString() string { return fmt.Sprintf("%q", u.String()) }

// MarshalText hides the password from JSON, YAML and slog.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// IsFile says whether it is a SQLite file.
func (u URL) IsFile() bool {
	t, err := u.parse()
	return err == nil && t.file != ""
}

// target is a URL that was read: one of both is set.
type target struct {
	postgres string
	file     string
	shown    string
}

func (u URL) parse() (target, error) {
	text := string(u)
	if rest, ok := strings.CutPrefix(text, "sqlite:"); ok {
		return fileTarget(strings.TrimPrefix(rest, "//"))
	}
	scheme, _, isURL := strings.Cut(text, "://")
	switch {
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		return postgresTarget(text)
	case isURL:
		return target{}, fmt.Errorf("begins with %q, wants postgres:// or sqlite:, or is a path", scheme+"://")
	case strings.Contains(text, "dbname=") || strings.Contains(text, "host="):
		return target{}, errors.New("is a list of keywords, wants postgres://user@host/database")
	case strings.HasPrefix(text, ":memory:"):
		return fileTarget(text)
	}
	if err := wantsPath(text); err != nil {
		return target{}, err
	}
	return fileTarget(text)
}

// wantsPath refuses what is rather a server without postgres:// than a file: a
// file of that name would be made, and filled with orders, as if all were well.
func wantsPath(text string) error {
	first := text
	if end := strings.IndexAny(text, `/\`); end >= 0 {
		first = text[:end]
	}
	colon := strings.Index(first, ":")
	switch {
	case strings.Contains(first, "@"): // it may hold a password
		return errors.New("may be a server or a file: write postgres://USER@HOST/DATABASE, or sqlite:PATH for a file of that name")
	case colon < 0, isDrive(first):
		return nil
	case first[:colon] == "postgres", first[:colon] == "postgresql":
		return fmt.Errorf("begins with %q, wants postgres://USER@HOST/DATABASE", first[:colon+1])
	case first[:colon] == "file":
		return errors.New(`begins with "file:", wants sqlite:PATH or a path`)
	}
	return fmt.Errorf("%q may be a server or a file: write postgres://%s, or sqlite:%s for a file of that name", text, text, text)
}

// isDrive tells C: and C:orders.db from a host with its port.
func isDrive(first string) bool {
	if len(first) < 2 {
		return false
	}
	letter := first[0] | 0x20
	return first[1] == ':' && 'a' <= letter && letter <= 'z' && (len(first) == 2 || first[2] < '0' || first[2] > '9')
}

func fileTarget(path string) (target, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return target{}, errors.New("names no file, wants one like sqlite:/var/lib/ordersctl/orders.db")
	}
	return target{file: filepath.Clean(path), shown: "sqlite:" + filepath.Clean(path)}, nil
}

func postgresTarget(text string) (target, error) {
	p, err := url.Parse(text)
	if err != nil {
		return target{}, errors.New(urlFault(text)) // its own text has the password
	}
	shown := *p
	if _, ok := p.User.Password(); ok {
		shown.User = url.UserPassword(p.User.Username(), "PASSWORD")
	}
	if q := shown.Query(); q.Has("password") || q.Has("sslpassword") {
		for _, key := range []string{"password", "sslpassword"} {
			if q.Has(key) {
				q.Set(key, "PASSWORD")
			}
		}
		shown.RawQuery = q.Encode()
	}
	return target{postgres: text, shown: strings.ReplaceAll(shown.String(), "PASSWORD", "***")}, nil
}

// urlFault says what is wrong with what is not a URL, without a word of it.
func urlFault(text string) string {
	_, rest, _ := strings.Cut(text, "://")
	server := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		server = rest[:end]
	}
	user, hosts := cutLast(server, "@")
	switch {
	case user == "" && strings.Contains(rest[len(server):], "@"): // the password ended what was read as the server
		return "is not a URL: escape what is special in a password (/ is %2F, @ is %40)"
	case strings.Contains(hosts, ","):
		return "is not a URL: with several hosts each one has its port (h1:5432,h2:5432), or none has, or ?host=h1,h2&port=5432,5433 names them"
	case strings.ContainsAny(user, "% ") || hosts == "":
		return "is not a URL: escape what is special in a password (% is %25, @ is %40)"
	}
	return "is not a URL: its host or port can't be read"
}

// cutLast is all of it behind where at is missing.
func cutLast(text, at string) (before, behind string) {
	if i := strings.LastIndex(text, at); i >= 0 {
		return text[:i], text[i+len(at):]
	}
	return "", text
}

// check also reads the settings in the URL. The files that it names are left to
// whoever opens the database: a command that has no need of one does without.
func (u URL) check() error {
	t, err := u.parse()
	if err != nil || t.postgres == "" {
		return err
	}
	p, err := url.Parse(t.postgres)
	if err != nil {
		return err
	}
	q := p.Query()
	for _, key := range []string{"sslrootcert", "sslcert", "sslkey", "service", "servicefile", "passfile"} {
		q.Del(key)
	}
	p.RawQuery = q.Encode()
	if _, err := pgxpool.ParseConfig(p.String()); err != nil {
		if _, ofEnvironment := pgconn.ParseConfig("postgres://localhost"); ofEnvironment == nil {
			return fmt.Errorf("%s: %s", t.shown, settingFault(err))
		}
	}
	return nil
}

// settingFault is what pgx says of a setting, without the URL and in fewer words.
func settingFault(err error) string {
	_, text := cutLast(err.Error(), "`: ")
	var number *strconv.NumError
	if errors.As(err, &number) {
		what, _, _ := strings.Cut(text, " (")
		return fmt.Sprintf("%s: %q is not a number", what, number.Num)
	}
	if inner := errors.Unwrap(err); inner != nil && strings.HasPrefix(text, "failed to configure TLS") {
		return inner.Error()
	}
	return text
}
