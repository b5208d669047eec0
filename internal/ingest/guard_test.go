package ingest_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/ingest"
)

func keyLine(name, key string) string {
	h := sha256.Sum256([]byte(key))
	return name + ":" + hex.EncodeToString(h[:]) + "\n"
}

// replace swaps a file as a careful program does.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func withKeys(t *testing.T, lines string) (change func(*ingest.Options), file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "keys")
	replace(t, file, []byte(lines))
	return func(o *ingest.Options) { o.APIKeysFile = file }, file
}

// ask sends a request with an Authorization header, "" for none.
func (e *edge) ask(method, path, authorization, text string) reply {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, "http://"+e.server.Addr()+path, strings.NewReader(text))
	if err != nil {
		e.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	return reply{code: resp.StatusCode, header: resp.Header}
}

func TestWhoHasAKeyIsNamedAndWhoHasNoneIsRefused(t *testing.T) {
	change, _ := withKeys(t, keyLine("shop", "one")+keyLine("other", "two")+strings.TrimSpace(keyLine("old", "three"))+":2001-01-01\n")
	e := start(t, change)
	large := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		method, path, authorization, body string
		code                              int
		authenticate                      string
	}{
		"a key":                             {"POST", "/order", "Bearer one", body("a"), 202, ""},
		"another key":                       {"POST", "/order", "bearer  two", body("b"), 202, ""},
		"no key":                            {"POST", "/order", "", body("c"), 401, "Bearer"},
		"an unknown key":                    {"POST", "/order", "Bearer four", body("d"), 401, `Bearer error="invalid_token"`},
		"a key that has expired":            {"POST", "/order", "Bearer three", body("e"), 401, `Bearer error="invalid_token"`},
		"another scheme":                    {"POST", "/order", "Basic one", body("f"), 401, `Bearer error="invalid_token"`},
		"no scheme":                         {"POST", "/order", "one", body("g"), 401, `Bearer error="invalid_token"`},
		"an empty key":                      {"POST", "/order", "Bearer ", body("h"), 401, `Bearer error="invalid_token"`},
		"a key of any length":               {"POST", "/order", "Bearer " + strings.Repeat("x", 9000), body("i"), 401, `Bearer error="invalid_token"`},
		"no key, and no order":              {"POST", "/order", "", "rubbish", 401, "Bearer"},
		"no key, and far too much":          {"POST", "/order", "", large, 401, "Bearer"},
		"a key, and far too much":           {"POST", "/order", "Bearer one", large, 413, ""},
		"another method needs none":         {"GET", "/order", "", "", 405, ""},
		"a path that is not there neither":  {"POST", "/", "", "{}", 404, ""},
		"a path that is not there, with it": {"POST", "/", "Bearer one", "{}", 404, ""},
	} {
		r := e.ask(c.method, c.path, c.authorization, c.body)
		if r.code != c.code || r.header.Get("WWW-Authenticate") != c.authenticate {
			t.Errorf("%s: %d, WWW-Authenticate %q, want %d, %q", name, r.code, r.header.Get("WWW-Authenticate"), c.code, c.authenticate)
		}
	}
	clients := map[string]string{}
	for _, r := range e.records() {
		clients[string(r.Key)] = client.HeaderValue(r, client.HeaderClient)
	}
	if len(clients) != 2 || clients["a"] != "shop" || clients["b"] != "other" {
		t.Errorf("in the topic, by client: %v", clients)
	}
	if got := e.metric(`ordersctl_http_rejected_total{reason="unauthorized"}`); got != "9" {
		t.Errorf("%s are counted", got)
	}
}

func TestA401IsAProblemAndAsksTwoHeadersAgain(t *testing.T) {
	change, _ := withKeys(t, keyLine("shop", "one"))
	e := start(t, change)
	text := body("a")
	two := e.say(postRaw(fmt.Sprintf("Authorization: Bearer one|Authorization: Bearer one|Content-Length: %d|Connection: close", len(text)), text))
	if !strings.HasPrefix(two, "HTTP/1.1 401") {
		t.Errorf("two headers: %s", two)
	}
	asks := e.say(postRaw("Content-Length: 100|Expect: 100-continue", ""))
	for _, want := range []string{"HTTP/1.1 401 Unauthorized", "application/problem+json", `"outcome":"not_written"`, `"retryable":false`, "X-Request-Id: ", "Www-Authenticate: Bearer\r\n"} {
		if !strings.Contains(asks, want) || strings.Contains(asks, "100 Continue") {
			t.Errorf("who asks first: no %s in %s", want, asks)
		}
	}
}

func TestAKeyScopesAnIdempotencyKey(t *testing.T) {
	change, _ := withKeys(t, keyLine("shop", "one")+keyLine("shop", "new")+keyLine("other", "two"))
	e := start(t, change)
	event := func(key string) string {
		answer := e.say(postRaw(fmt.Sprintf("Authorization: Bearer %s|Idempotency-Key: k|Content-Length: %d|Connection: close", key, len(body("a"))), body("a")))
		_, after, _ := strings.Cut(answer, `"event_id":"`)
		id, _, _ := strings.Cut(after, `"`)
		return id
	}
	one, again, other := event("one"), event("new"), event("two")
	if one == "" || one != again || one == other {
		t.Errorf("one name: %q and %q, another: %q", one, again, other)
	}
}

func TestAKeyIsRotatedWithoutARestart(t *testing.T) {
	t.Parallel()
	change, file := withKeys(t, keyLine("shop", "old"))
	e := start(t, change)
	works := func(key string) bool { return e.ask("POST", "/order", "Bearer "+key, body(key)).code == 202 }
	if !works("old") || works("new") {
		t.Fatal("it began otherwise")
	}
	replace(t, file, []byte(keyLine("shop", "old")+keyLine("shop", "new")))
	eventually(t, "the new key works", func() bool { return works("new") })
	if !works("old") {
		t.Error("the old key stopped too early")
	}
	replace(t, file, []byte(keyLine("shop", "new")))
	eventually(t, "the old key stops", func() bool { return !works("old") })
	replace(t, file, []byte("shop:half a li"))
	eventually(t, "the broken file is told", func() bool {
		return strings.Contains(e.log.String(), "level=ERROR") && strings.Contains(e.log.String(), "serve.api-keys-file")
	})
	if !works("new") {
		t.Error("a broken file locked everybody out")
	}
}

func TestTheLastKeyCanBeTakenBack(t *testing.T) {
	t.Parallel()
	line := keyLine("shop", "one")
	change, file := withKeys(t, line)
	e := start(t, change)
	code := func() int { return e.ask("POST", "/order", "Bearer one", body("a")).code }
	told := func(what string) func() bool {
		before := strings.Count(e.log.String(), what)
		return func() bool { return strings.Count(e.log.String(), what) > before }
	}
	for name, content := range map[string]string{
		"an empty file":          "",
		"a comment":              "# " + line,
		"a key that has expired": strings.TrimSpace(line) + ":2001-01-01",
	} {
		said := told(`level=ERROR msg="no API key is in force`)
		replace(t, file, []byte(content))
		eventually(t, name+" opens nothing", func() bool { return code() == 401 && said() })
		replace(t, file, []byte(line))
		eventually(t, "the key works again", func() bool { return code() == 202 })
	}
	// A file that is gone may be a mount that is: it takes no key back.
	said := told("going on with what it held before")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file that is gone is told", said)
	if got := code(); got != 202 {
		t.Errorf("without the file: %d", got)
	}
}

func TestALookThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	begun, never := make(chan struct{}, 1), make(chan struct{})
	defer close(never)
	e := startWith(t, nil, func(s *ingest.Server) {
		s.AlsoLook(func() {
			select {
			case begun <- struct{}{}:
			default:
			}
			<-never
		})
	})
	<-begun
	e.stop()
	select {
	case err := <-e.done:
		if err != nil {
			t.Error(err)
		}
		e.done <- nil // for the clean-up
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for the look")
	}
}

func TestAKeyOfNoCharactersOpensNothing(t *testing.T) {
	empty := strings.TrimSpace(keyLine("shop", ""))
	broken, _ := withKeys(t, keyLine("other", "two")+empty)
	if err := tryNew(t, broken); err == nil || !strings.Contains(err.Error(), "line 2: this is the SHA-256 of nothing") {
		t.Errorf("at the start: %v", err)
	}
}

func TestAKeyIsInNoLogAndNoAnswer(t *testing.T) {
	const secret = "ordersctl_do-not-tell"
	change, _ := withKeys(t, keyLine("shop", secret))
	e := start(t, func(o *ingest.Options) {
		change(o)
		o.AccessLog = true
	})
	said := ""
	for _, send := range []string{
		postRaw("Authorization: Bearer "+secret+"|Content-Length: 2|Connection: close", "{}"),
		postRaw("Authorization: Bearer "+secret+"x|Content-Length: 2|Connection: close", "{}"),
		postRaw("Authorization : Bearer "+secret+"|Content-Length: 2", "{}"),
		postRaw("Authorization: Bearer "+secret+"|Content-Length: x", "{}"),
		postRaw("Authorization: Bearer "+secret+"|Content-Length: 99999999", "{}"),
		postRaw("Authorization: Bearer "+secret+"\x00", "{}"),
		"POST /order\r\nAuthorization: Bearer " + secret + "\r\n\r\n",
		"Authorization: Bearer " + secret + "\r\n\r\n",
	} {
		said += e.say(send)
	}
	if err := e.end(); err != nil {
		t.Error(err)
	}
	for where, text := range map[string]string{"the log": e.log.String(), "the answers": said} {
		if len(text) < 500 || strings.Contains(text, "do-not-tell") {
			t.Errorf("%s:\n%s", where, text)
		}
	}
}

// tryNew gives what New says of options that can't work.
func tryNew(t *testing.T, change func(*ingest.Options)) error {
	t.Helper()
	opts := ingest.Options{Config: ingest.DefaultConfig(), Kafka: client.DefaultConfig(), Topic: topicName, Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)}
	opts.Listen, opts.Kafka.Brokers = "127.0.0.1:0", []string{"127.0.0.1:1"}
	change(&opts)
	s, err := ingest.New(t.Context(), opts)
	if err == nil {
		s.Close()
	}
	return err
}

func TestWhatGuardsHasToBeThereAtTheStart(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	broken, _ := withKeys(t, "shop\n")
	empty, _ := withKeys(t, "# none yet\n")
	expired, _ := withKeys(t, strings.TrimSpace(keyLine("shop", "one"))+":2001-01-01\n")
	for name, c := range map[string]struct {
		change func(*ingest.Options)
		want   string
	}{
		"a file of keys that is not there":    {func(o *ingest.Options) { o.APIKeysFile = none }, "serve.api-keys-file"},
		"a file of keys that is broken":       {broken, "line 1"},
		"a file without a key":                {empty, "no key"},
		"a file of expired keys":              {expired, "every key in it has expired"},
		"a certificate that is not there":     {func(o *ingest.Options) { o.TLS = ingest.TLS{CertFile: none, KeyFile: none} }, "serve.tls.cert-file"},
		"an authority that is not there":      {func(o *ingest.Options) { o.TLS.ClientCAFile = none }, "serve.tls.client-ca-file"},
		"a certificate to Kafka that is gone": {func(o *ingest.Options) { o.Kafka.TLS = client.TLS{Enabled: true, CertFile: none, KeyFile: none} }, "kafka.tls.cert-file"},
	} {
		err := tryNew(t, c.change)
		var coded interface{ ExitCode() int }
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &coded) || coded.ExitCode() != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysWithoutTLSAreWarnedOfBeyondThisMachine(t *testing.T) {
	const warning = "API keys are asked for without TLS"
	for listen, want := range map[string]bool{"127.0.0.1:0": false, "localhost:0": false, "[::1]:0": false, ":0": true, "0.0.0.0:0": true} {
		change, _ := withKeys(t, keyLine("shop", "one"))
		var log bytes.Buffer
		_ = tryNew(t, func(o *ingest.Options) { // without Kafka it ends after the warning
			change(o)
			o.Listen, o.Log = listen, slog.New(slog.NewTextHandler(&log, nil))
		})
		if got := strings.Contains(log.String(), warning); got != want {
			t.Errorf("%s: warned: %t", listen, got)
		}
	}
}

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	PEM  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	a.PEM, _, a.key = a.sign(a.cert, nil)
	return a
}

func (a *authority) sign(cert *x509.Certificate, by *ecdsa.PrivateKey) (certPEM, keyPEM []byte, key *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), key
}

// issue signs a certificate for 127.0.0.1, for servers and clients.
func (a *authority) issue(serial int64, notAfter time.Time) (certPEM, keyPEM []byte) {
	a.t.Helper()
	certPEM, keyPEM, _ = a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: fmt.Sprint(serial)}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.key)
	return certPEM, keyPEM
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(a.PEM)
	return p
}

// tlsFiles are those of one server.
type tlsFiles struct{ cert, key, clients string }

func (f tlsFiles) put(t *testing.T, cert, key []byte) {
	t.Helper()
	replace(t, f.cert, cert)
	replace(t, f.key, key)
}

func newTLSFiles(t *testing.T) tlsFiles {
	dir := t.TempDir()
	return tlsFiles{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")}
}

// secure posts an order over TLS and gives the serial number of the server's
// certificate.
func (e *edge) secure(cfg *tls.Config) (code int, serial int64, err error) {
	transport := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, "https://"+e.server.Addr()+"/order", strings.NewReader(body("a")))
	if err != nil {
		return 0, 0, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 1 {
		return 0, 0, fmt.Errorf("it speaks %s", resp.Proto)
	}
	return resp.StatusCode, resp.TLS.PeerCertificates[0].SerialNumber.Int64(), nil
}

func TestACertificateIsReplacedWithoutARestart(t *testing.T) {
	t.Parallel()
	ca, files := newAuthority(t), newTLSFiles(t)
	soon, later := time.Now().Add(time.Hour).Truncate(time.Second), time.Now().Add(2*time.Hour).Truncate(time.Second)
	files.put(t, first(ca.issue(1, soon)), second(ca.issue(1, soon))) // of two pairs: must not start
	if err := tryNew(t, func(o *ingest.Options) { o.TLS = ingest.TLS{CertFile: files.cert, KeyFile: files.key} }); err == nil || !strings.Contains(err.Error(), "private key") {
		t.Errorf("a key of another certificate: %v", err)
	}
	cert, key := ca.issue(1, soon)
	files.put(t, cert, key)
	e := start(t, func(o *ingest.Options) { o.TLS = ingest.TLS{CertFile: files.cert, KeyFile: files.key} })
	shows := func(want int64, notAfter time.Time) bool {
		code, serial, err := e.secure(&tls.Config{RootCAs: ca.pool()})
		if err != nil || code != 202 {
			t.Fatalf("%d, %v", code, err)
		}
		gauge, _ := strconv.ParseFloat(e.metric(`ordersctl_tls_not_after_seconds{use="serve"}`), 64)
		return serial == want && int64(gauge) == notAfter.Unix()
	}
	if !shows(1, soon) {
		t.Fatal("it began otherwise")
	}
	cert, key = ca.issue(2, later)
	files.put(t, cert, key)
	eventually(t, "the new certificate is shown", func() bool { return shows(2, later) })

	replace(t, files.cert, cert[:len(cert)/2])
	eventually(t, "the broken one is told", func() bool { return strings.Contains(e.log.String(), "level=ERROR") })
	if !shows(2, later) {
		t.Error("a broken file took the certificate away")
	}
	if n := strings.Count(e.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("told %d times", n)
	}
	for name, cfg := range map[string]*tls.Config{
		"TLS 1.1":     {RootCAs: ca.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"HTTP/2 only": {RootCAs: ca.pool(), NextProtos: []string{"h2"}},
	} {
		d := tls.Dialer{Config: cfg}
		if conn, err := d.DialContext(t.Context(), "tcp", e.server.Addr()); err == nil {
			conn.Close()
			t.Errorf("%s is spoken", name)
		}
	}
}

func first(a, _ []byte) []byte  { return a }
func second(_, b []byte) []byte { return b }

func TestClientsWithoutACertificateOfOursAreRefused(t *testing.T) {
	t.Parallel()
	ours, theirs, files := newAuthority(t), newAuthority(t), newTLSFiles(t)
	hour := time.Now().Add(time.Hour)
	cert, key := ours.issue(1, hour)
	files.put(t, cert, key)
	replace(t, files.clients, ours.PEM)
	e := start(t, func(o *ingest.Options) {
		o.TLS = ingest.TLS{CertFile: files.cert, KeyFile: files.key, ClientCAFile: files.clients}
	})
	as := func(by *authority, notAfter time.Time) *tls.Config {
		pair, err := tls.X509KeyPair(by.issue(2, notAfter))
		if err != nil {
			t.Fatal(err)
		}
		// A client may show what the server did not ask for.
		return &tls.Config{RootCAs: ours.pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
	}
	for name, cfg := range map[string]*tls.Config{
		"none":               {RootCAs: ours.pool()},
		"another's":          as(theirs, hour),
		"one that has ended": as(ours, time.Now().Add(-time.Minute)),
	} {
		if code, _, err := e.secure(cfg); err == nil {
			t.Errorf("%s: %d", name, code)
		}
	}
	// The client keeps a session; were it taken up again, nothing would be verified.
	mine, other := as(ours, hour), as(theirs, hour)
	mine.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	if code, _, err := e.secure(mine); err != nil || code != 202 {
		t.Fatalf("one of ours: %d, %v", code, err)
	}
	replace(t, files.clients, theirs.PEM)
	eventually(t, "the other authority speaks for clients", func() bool {
		code, _, err := e.secure(other)
		return err == nil && code == 202
	})
	if code, _, err := e.secure(mine); err == nil {
		t.Errorf("one of an authority that is gone: %d", code)
	}
	if got := e.metric(`ordersctl_http_rejected_total{reason="tls_handshake"}`); got == "0" || got == "" {
		t.Error("nothing is counted")
	}
	if !strings.Contains(e.log.String(), "TLS handshake failed") {
		t.Error("nothing is logged")
	}
	if got := len(e.records()); got != 2 && got != 3 {
		t.Errorf("%d orders are in the topic", got)
	}
}

func TestPlainHTTPOnATLSPortIsToldSo(t *testing.T) {
	ca, files := newAuthority(t), newTLSFiles(t)
	cert, key := ca.issue(1, time.Now().Add(time.Hour))
	files.put(t, cert, key)
	e := start(t, func(o *ingest.Options) {
		o.TLS, o.HeaderTimeout = ingest.TLS{CertFile: files.cert, KeyFile: files.key}, 500*time.Millisecond
	})
	answer := e.say(postRaw("Content-Length: 2", "{}"))
	if !strings.HasPrefix(answer, "HTTP/1.1 400") || !strings.Contains(answer, "https://") || !strings.Contains(answer, "application/problem+json") {
		t.Errorf("got %s", answer)
	}
	// A handshake that does not go on is left, too.
	if got := e.say("\x16\x03\x01"); got != "" {
		t.Errorf("got %q", got)
	}
	if e.metric(`ordersctl_http_rejected_total{reason="too_slow"}`) != "1" {
		t.Error("it is not counted")
	}
	// What is refused under TLS gets its answer as well.
	d := tls.Dialer{Config: &tls.Config{RootCAs: ca.pool()}}
	conn, err := d.DialContext(t.Context(), "tcp", e.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	large := strings.Repeat("x", 4<<20)
	go func() { _, _ = io.WriteString(conn, postRaw(fmt.Sprintf("Content-Length: %d", len(large)), large)) }()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("got %s", resp.Status)
	}
}

// fill opens n connections from an address and sends nothing.
func (e *edge) fill(n int, from string) []net.Conn {
	e.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	var all []net.Conn
	for range n {
		conn, err := d.DialContext(e.t.Context(), "tcp", e.server.Addr())
		if err != nil {
			e.t.Fatal(err)
		}
		e.t.Cleanup(func() { conn.Close() })
		all = append(all, conn)
	}
	return all
}

func TestOneAddressDoesNotTakeAllConnections(t *testing.T) {
	e := start(t, func(o *ingest.Options) { o.MaxConnectionsPerAddress, o.MaxConnections = 10, 15 })
	open := func(n string) {
		t.Helper()
		eventually(t, n+" connections are open", func() bool { return e.metric("ordersctl_http_connections") == n })
	}
	held := e.fill(10, "127.0.0.2")
	open("10")
	tooMany := func(conn net.Conn, why string) {
		t.Helper()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		// It has sent its request by then: the answer has to come through.
		_, _ = io.WriteString(conn, postRaw(fmt.Sprintf("Content-Length: %d", len(body("a"))), body("a")))
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Errorf("%s: %v", why, err)
		}
		for _, want := range []string{"HTTP/1.1 503", "Retry-After: 1\r\n", "Connection: close\r\n", "application/problem+json", `"outcome":"not_written"`, `"retryable":true`, why} {
			if !strings.Contains(string(answer), want) {
				t.Errorf("no %s in %q", want, answer)
			}
		}
	}
	for _, conn := range e.fill(5, "127.0.0.2") {
		tooMany(conn, "from this address")
	}
	if r := e.mustPost(body("a")); r.code != 202 {
		t.Errorf("another address: %+v", r)
	}
	open("10")
	e.fill(5, "127.0.0.3")
	open("15")
	tooMany(e.fill(1, "127.0.0.4")[0], "too many connections are open")
	for reason, want := range map[string]string{"connections_per_address": "5", "connections": "1"} {
		if got := e.metric(fmt.Sprintf("ordersctl_http_rejected_total{reason=%q}", reason)); got != want {
			t.Errorf("%s of %s are counted, want %s", got, reason, want)
		}
	}
	for _, conn := range held {
		conn.Close()
	}
	open("5")
	if r := e.mustPost(body("b")); r.code != 202 {
		t.Errorf("with room again: %+v", r)
	}
	if n := len(e.records()); n != 2 {
		t.Errorf("%d orders are in the topic", n)
	}
	if n := strings.Count(e.log.String(), "connections are turned away"); n != 1 {
		t.Errorf("told %d times", n)
	}
}
