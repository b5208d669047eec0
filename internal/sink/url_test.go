package sink

import (
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	const several = "with several hosts each one has its port"
	for _, c := range []struct{ url, shown, fault string }{
		{"postgres://u@h/d", "postgres://u@h/d", ""},
		{"postgres://u:secret@h:5432/d?sslmode=require", "postgres://u:***@h:5432/d?sslmode=require", ""},
		{"postgresql://h/d?user=u&password=secret", "postgresql://h/d?password=***&user=u", ""},
		{"postgres://u@h1:5432,h2:5433/d?target_session_attrs=primary", "postgres://u@h1:5432,h2:5433/d?target_session_attrs=primary", ""},
		{"postgres://u@h1,h2/d", "postgres://u@h1,h2/d", ""},
		{"postgres:///d?host=/run/postgresql", "postgres:///d?host=/run/postgresql", ""},
		{"postgres://u@h/d?sslrootcert=/not/here&sslmode=verify-full", "postgres://u@h/d?sslrootcert=/not/here&sslmode=verify-full", ""}, // only who opens it needs the file

		{"postgres://u:sec%ret@h/d", "***", "escape what is special in a password"},
		{"postgres://u:sec/ret@h/d", "***", "escape what is special in a password (/ is %2F"},
		{"postgres://u@h1:5432,h2/d", "***", several},
		{"postgres://u@[::1]:5432,[::2]:5432/d", "***", several},
		{"postgres://u@h:orders/d", "***", "its host or port can't be read"},
		{"postgres://u:secret@h:99999/d", "postgres://u:***@h:99999/d", "db.url postgres://u:***@h:99999/d: invalid port"},
		{"postgres://u@h/d?sslmode=bogus", "postgres://u@h/d?sslmode=bogus", ": sslmode is invalid"},
		{"postgres://u@h/d?connect_timeout=x", "postgres://u@h/d?connect_timeout=x", `: invalid connect_timeout: "x" is not a number`},
		{"postgres://u@h/d?pool_max_conns=few", "postgres://u@h/d?pool_max_conns=few", `pool_max_conns: "few" is not a number`},
		{"mysql://u:secret@h/d", "***", `begins with "mysql://"`},
		{"host=h dbname=d password=secret", "***", "is a list of keywords"},

		{"sqlite:a/b.db", "sqlite:a/b.db", ""},
		{"sqlite:///a/b.db", "sqlite:/a/b.db", ""},
		{"sqlite:", "sqlite:", "names no file"},
		{":memory:", ":memory:", "names no file"},
		{"orders.db", "sqlite:orders.db", ""},
		{"a/b@c:1.db", "sqlite:a/b@c:1.db", ""},
		{"./b@c:1.db", "sqlite:b@c:1.db", ""},
		{`C:\orders\b@c.db`, `sqlite:C:\orders\b@c.db`, ""},
		{"C:/orders.db", "sqlite:C:/orders.db", ""},
		{"c:orders.db", "sqlite:c:orders.db", ""},

		// A server without postgres:// is no file, unless it is said to be one.
		{"localhost:1/orders", "localhost:1/orders", `"localhost:1/orders" may be a server or a file: write postgres://localhost:1/orders, or sqlite:localhost:1/orders`},
		{"localhost:5432", "localhost:5432", "may be a server or a file"},
		{"h:5432/orders", "h:5432/orders", "may be a server or a file"},
		{"u:secret@h/d", "***", "may be a server or a file: write postgres://USER@HOST/DATABASE"},
		{"postgres:orders", "postgres:orders", `begins with "postgres:", wants postgres://`},
		{"file:orders.db", "file:orders.db", `begins with "file:", wants sqlite:PATH`},
		{":", ":", "may be a server or a file"},
		{"sqlite:localhost:1/orders", "sqlite:localhost:1/orders", ""},
		{"sqlite:u@h/d", "sqlite:u@h/d", ""},
	} {
		cfg := DefaultConfig()
		cfg.URL = URL(c.url)
		if got := cfg.URL.String(); got != c.shown || strings.Contains(got, "secret") {
			t.Errorf("%s is shown as %s, wanted %s", c.url, got, c.shown)
		}
		err := cfg.Validate()
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v, wanted %q", c.url, err, c.fault)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is in %v", err)
		}
	}
}

// TestURLEnvironment has libpq's variables be wrong: that is no fault of db.url,
// and none of a command that opens no database.
func TestURLEnvironment(t *testing.T) {
	t.Setenv("PGSSLROOTCERT", "/not/here")
	t.Setenv("PGSSLMODE", "verify-full")
	cfg := DefaultConfig()
	cfg.URL = "postgres://u@h/d"
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}
