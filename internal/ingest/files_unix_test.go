//go:build unix

package ingest_test

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ordersctl/ordersctl/internal/ingest"
)

func TestAFileThatEverybodyCanOpenIsWarnedOf(t *testing.T) {
	change, keys := withKeys(t, keyLine("shop", "one"))
	files := newTLSFiles(t)
	cert, key := newAuthority(t).issue(1, time.Now().Add(time.Hour))
	files.put(t, cert, key)
	for _, c := range []struct {
		keys, key fs.FileMode
		want      string // the settings that are warned of
	}{
		{0o600, 0o600, ""},
		{0o644, 0o640, ""},
		{0o602, 0o600, "serve.api-keys-file"},
		{0o600, 0o644, "serve.tls.key-file"},
		{0o666, 0o602, "serve.api-keys-file serve.tls.key-file"},
	} {
		for file, mode := range map[string]fs.FileMode{keys: c.keys, files.key: c.key} {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
		}
		var log bytes.Buffer
		_ = tryNew(t, func(o *ingest.Options) { // without Kafka it ends after the warning
			change(o)
			o.TLS = ingest.TLS{CertFile: files.cert, KeyFile: files.key}
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		var got []string
		for line := range strings.Lines(log.String()) {
			if _, rest, found := strings.Cut(line, "everybody on this machine"); found {
				_, rest, _ = strings.Cut(rest, "setting=")
				setting, _, _ := strings.Cut(rest, " ")
				got = append(got, setting)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("keys %o, key %o: warned of %q, want %q", c.keys, c.key, got, c.want)
		}
	}
}
