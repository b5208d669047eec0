//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ordersctl/ordersctl/e2e/kafka"
)

// TestCertificatesAndKeysOnBothSides has curl as the client and Kafka asking for
// a certificate: none of them is ours.
func TestCertificatesAndKeysOnBothSides(t *testing.T) {
	k := kafka.Start(t, kafka.Options{Brokers: 1, TLS: true, ExtraProperties: map[string]string{"listener.name.tls.ssl.client.auth": "required"}})
	run(t, k.Bootstrap(), "topic", "create", "orders", "-p", "1")

	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	copyOf := func(from, name string) string {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file(name)
	}
	// Certificate and key in one file, as some keep them: it is named twice.
	server := copyOf(filepath.Join(filepath.Dir(k.CAFile()), "server.pem"), "server.pem")
	copyOf(k.ClientCertFile(), "kafka.crt")
	copyOf(k.ClientKeyFile(), "kafka.key")
	first := strings.TrimSpace(run(t, "", "serve", "key", "shop", "--file", file("keys")))
	config := fmt.Sprintf(`
kafka: {tls: {enabled: true, ca-file: %q, cert-file: %q, key-file: %q}}
serve:
  tls: {cert-file: %q, key-file: %q, client-ca-file: %q}
  api-keys-file: %q
`, k.CAFile(), file("kafka.crt"), file("kafka.key"), server, server, k.CAFile(), file("keys"))
	if err := os.WriteFile(file("ordersctl.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, k.TLSBootstrap(), "--config", file("ordersctl.yaml"))
	url := strings.Replace(s.url, "http://", "https://", 1)

	post := func(id string, args ...string) string {
		t.Helper()
		args = append([]string{
			"-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--cacert", k.CAFile(), asJSON,
			"-d", fmt.Sprintf(`{"id":%q,"user_id":"u","total":1,"status":"paid","timestamp":"2025-10-06T17:00:00Z"}`, id), url,
		}, args...)
		out, err := exec.CommandContext(t.Context(), "curl", args...).Output()
		if err != nil {
			return "no answer"
		}
		return string(out)
	}
	certificate := []string{"--cert", k.ClientCertFile(), "--key", k.ClientKeyFile()}
	bearer := func(key string) []string { return append([]string{"-HAuthorization: Bearer " + key}, certificate...) }
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"certificate and key": {bearer(first), "1.1 202"},
		"no key":              {certificate, "1.1 401"},
		"another key":         {bearer(first + "x"), "1.1 401"},
		"no certificate":      {[]string{"-HAuthorization: Bearer " + first}, "no answer"},
	} {
		if got := post(name, c.args...); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for _, use := range []string{"serve", "serve_client_ca", "kafka_client"} {
		if !strings.Contains(s.metrics(), fmt.Sprintf("ordersctl_tls_not_after_seconds{use=%q}", use)) {
			t.Errorf("no metric tells when %s ends", use)
		}
	}

	second := strings.TrimSpace(run(t, "", "serve", "key", "shop", "--file", file("keys")))
	eventually(t, "the second key works", func() bool { return post("rotated", bearer(second)...) == "1.1 202" })
	lines, err := os.ReadFile(file("keys"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("keys"), bytes.SplitAfter(lines, []byte("\n"))[1], 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first one stops", func() bool { return post("late", bearer(first)...) == "1.1 401" })

	// Broken files take nothing away, from neither side.
	for _, name := range []string{"server.pem", "kafka.crt", "keys"} {
		if err := os.WriteFile(file(name), []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are told", func() bool {
		log := s.log.String()
		return strings.Contains(log, "serve.tls") && strings.Contains(log, "kafka.tls") && strings.Contains(log, "serve.api-keys-file")
	})
	if err := k.Restart(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "orders are taken again", func() bool { return post("after", bearer(second)...) == "1.1 202" })

	for _, r := range readAll(t, k.Bootstrap(), "orders") {
		if string(r.Key) == "no key" || string(r.Key) == "no certificate" || header(r, "client") != "shop" {
			t.Errorf("%s of client %s is in the topic", r.Key, header(r, "client"))
		}
	}
	if err := s.end(); err != nil {
		t.Errorf("the end of serve: %v", err)
	}
	if log := s.log.String(); strings.Contains(log, first) || strings.Contains(log, second) {
		t.Error("a key is in the log")
	}
}
