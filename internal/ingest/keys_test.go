package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func hashOf(key string) string {
	h := sha256.Sum256([]byte(key))
	return hex.EncodeToString(h[:])
}

func TestAFileOfKeysIsReadOrRefusedWhole(t *testing.T) {
	good := "shop:" + hashOf("one")
	for name, c := range map[string]struct {
		file string
		want string // of the error
	}{
		"one key":                       {good, ""},
		"comments and blank lines":      {"# ours\r\n\r\n  " + good + "  \r\n", ""},
		"two keys of one name":          {good + "\nshop:" + hashOf("two"), ""},
		"every character of a name":     {"aZ09._-:" + strings.ToUpper(hashOf("one")), ""},
		"a key that ends":               {good + ":2999-12-31", ""},
		"one to the minute":             {good + ":2999-12-31T12:00:00+02:00", ""},
		"an old one beside a good one":  {"old:" + hashOf("two") + ":2001-01-01\n" + good, ""},
		"what an unset KEY hashes to":   {"shop:" + hashOf(""), "line 1: this is the SHA-256 of nothing"},
		"no hash":                       {good + "\nshop\n", "line 2: want NAME:SHA256HEX"},
		"the key itself":                {"shop:ordersctl_secret", "line 1: want the key's SHA-256"},
		"half a hash":                   {good[:40], "line 1: want the key's SHA-256"},
		"a hash that is too long":       {good + "00", "line 1: want the key's SHA-256"},
		"no name":                       {":" + hashOf("one"), "line 1: want a name"},
		"a name with a space":           {"the shop:" + hashOf("one"), "line 1: want a name"},
		"a name that is too long":       {strings.Repeat("x", 65) + ":" + hashOf("one"), "line 1: want a name"},
		"the name of those without one": {"anonymous:" + hashOf("one"), "line 1: want a name"},
		"a day that is none":            {good + ":soon", "line 1: want the expiry"},
		"one key under two names":       {good + "\nother:" + hashOf("one"), "line 2: it is the key of line 1 again"},
		"far too many":                  {many(maxKeys + 1), "too many"},
	} {
		keys, err := parseKeys([]byte(c.file))
		if c.want == "" {
			if err != nil || keys.nameOf([]byte("one"), time.Now()) == "" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), hashOf("one")[:8])) {
			t.Errorf("%s: the error quotes: %v", name, err)
		}
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d:%s\n", i, hashOf(fmt.Sprint(i)))
	}
	return b.String()
}

func TestAKeyIsKnownByItsHashUntilItEnds(t *testing.T) {
	keys, err := parseKeys([]byte("shop:" + hashOf("one") + ":2030-06-30\nother:" + hashOf("two")))
	if err != nil {
		t.Fatal(err)
	}
	keys = append(keys, apiKey{name: "nobody", hash: sha256.Sum256(nil)})
	last := time.Date(2030, 6, 30, 23, 59, 59, 0, time.UTC)
	for _, c := range []struct {
		key  string
		at   time.Time
		want string
	}{
		{"one", last, "shop"},
		{"one", last.Add(time.Second), ""},
		{"two", last.Add(time.Second), "other"},
		{"three", last, ""},
		{"", last, ""},
		{hashOf("one"), last, ""},
	} {
		if got := keys.nameOf([]byte(c.key), c.at); got != c.want {
			t.Errorf("%q at %s is %q, want %q", c.key, c.at, got, c.want)
		}
	}
}

func TestAKeyThatIsMadeIsKnown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("# no line end here"), 0o640); err != nil {
		t.Fatal(err)
	}
	first, err := AddKey(file, "shop")
	if err != nil {
		t.Fatal(err)
	}
	second, err := AddKey(file, "shop")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := parseKeys(content)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys: %v\n%s", len(keys), err, content)
	}
	for _, key := range []string{first, second} {
		if keys.nameOf([]byte(key), time.Now()) != "shop" || !strings.HasPrefix(key, KeyPrefix) || len(key) != len(KeyPrefix)+43 {
			t.Errorf("%q is not known", key)
		}
		if strings.Contains(string(content), key) {
			t.Error("the key is in the file")
		}
	}
	if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := AddKey(file, "shop"); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a line behind one that is broken: %v", err)
	}
}
