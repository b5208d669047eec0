package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/certificate"
	"github.com/ordersctl/ordersctl/internal/reload"
)

// guard is what stands between strangers and the handler: who may connect, how
// often, and who they are.
type guard struct {
	opts    *Options
	metrics *metrics
	keys    *reload.Files[keySet]    // nil: no key is asked for
	pair    *certificate.Pair        // nil: no TLS
	clients *certificate.Authorities // nil: no client certificate is asked for
	limiter *limiter
	memory  memory
	looks   []func()
}

func newGuard(opts *Options, m *metrics) (*guard, error) {
	g := &guard{opts: opts, metrics: m}
	if file := opts.APIKeysFile; file != "" {
		var err error
		if g.keys, err = openKeys(file, opts.Log); err != nil {
			return nil, err
		}
		g.looks = append(g.looks, g.keys.Look)
		g.warnOfMode("serve.api-keys-file", file, toWrite) // to read it opens nothing: it holds hashes
	}
	if err := g.openCertificates(); err != nil {
		return nil, &certificateError{err}
	}
	g.limiter = newLimiter(fitting(opts.MaxConnections, opts.Log), opts.MaxConnectionsPerAddress, g.pair != nil, m, opts.Log)
	opts.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ordersctl_http_connections", Help: "Connections of clients that are open.",
	}, func() float64 { return float64(g.limiter.count()) }))
	if g.keys != nil && g.pair == nil && !loopback(opts.Listen) {
		opts.Log.Warn("API keys are asked for without TLS: whoever is on the way can read them (serve.tls.cert-file)", "listen", opts.Listen)
	}
	return g, nil
}

// certificateError is a certificate that can't be used.
type certificateError struct{ error }

// Unwrap gives the cause.
func (e *certificateError) Unwrap() error { return e.error }

// Hint says what the files should be.
func (e *certificateError) Hint() string {
	return `the files are PEM, the certificate's with its chain: "openssl x509 -in FILE -noout -text" shows one`
}

// ExitCode is that of usage and configuration.
func (e *certificateError) ExitCode() int { return 2 }

func (g *guard) openCertificates() (err error) {
	t := g.opts.TLS
	if t.CertFile != "" {
		if g.pair, err = certificate.Open("serve.tls.cert-file and key-file", t.CertFile, t.KeyFile, g.opts.Log); err != nil {
			return err
		}
		g.watch("serve", g.pair.Look, g.pair.NotAfter)
		g.warnOfMode("serve.tls.key-file", t.KeyFile, toRead|toWrite)
	}
	if t.ClientCAFile != "" {
		if g.clients, err = certificate.OpenAuthorities("serve.tls.client-ca-file", t.ClientCAFile, g.opts.Log); err != nil {
			return err
		}
		g.watch("serve_client_ca", g.clients.Look, g.clients.NotAfter)
	}
	if k := g.opts.Kafka.TLS; k.CertFile != "" {
		// The Kafka client reads it by itself, when it connects: this one is for the
		// gauge, and tells of a broken file before the next connection needs it.
		pair, err := certificate.Open("kafka.tls.cert-file and key-file", k.CertFile, k.KeyFile, g.opts.Log)
		if err != nil {
			return err
		}
		g.watch("kafka_client", pair.Look, pair.NotAfter)
		g.warnOfMode("kafka.tls.key-file", k.KeyFile, toRead|toWrite)
	}
	return nil
}

// What everybody on this machine may do with a file.
const (
	toRead  fs.FileMode = 0o004
	toWrite fs.FileMode = 0o002
)

func (g *guard) warnOfMode(setting, file string, to fs.FileMode) {
	if mode, open := exposed(file, to); open {
		g.opts.Log.Warn("everybody on this machine can read or change a file that guards: take that away with chmod o-rw",
			"setting", setting, "file", file, "mode", mode.String())
	}
}

func (g *guard) watch(use string, look func(), notAfter func() time.Time) {
	g.looks = append(g.looks, look)
	g.opts.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "ordersctl_tls_not_after_seconds",
		Help:        "When the certificate in use, or the first of its chain, ends, in Unix seconds.",
		ConstLabels: prometheus.Labels{"use": use},
	}, func() float64 { return float64(notAfter().Unix()) }))
}

// look reads anew what has changed, until ctx ends.
func (g *guard) look(ctx context.Context) {
	tick := time.NewTicker(reload.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, look := range g.looks {
				look()
			}
		}
	}
}

// listen puts the limits, and TLS, around the server's listener.
func (g *guard) listen(ln net.Listener) net.Listener {
	g.limiter.Listener = ln
	ln = lingerer{Listener: g.limiter, log: g.opts.Log, memory: &g.memory}
	if g.pair == nil {
		return ln
	}
	return tls.NewListener(ln, g.tlsConfig())
}

// tlsConfig asks for the certificate, and for those who speak for clients, at
// each handshake.
func (g *guard) tlsConfig() *tls.Config {
	base := func() *tls.Config {
		return &tls.Config{
			MinVersion: tls.VersionTLS12,
			NextProtos: []string{"http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return g.pair.Fresh(), nil
			},
		}
	}
	config := base()
	if g.clients == nil {
		return config
	}
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := base()
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, g.clients.Fresh()
		// A resumed session is not verified again: it would outlive the authority.
		c.SessionTicketsDisabled = true
		return c, nil
	}
	return config
}

// handshakeFailed tells a connection on which TLS did not come about from one
// with a request that can't be read. Nothing can be answered on it.
func (s *Server) handshakeFailed(ctx *fasthttp.RequestCtx, err error) bool {
	conn, ok := ctx.Conn().(*tls.Conn)
	if !ok || conn.ConnectionState().HandshakeComplete {
		return false
	}
	why := rejectedTLS
	var (
		timeout net.Error
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &record) && record.Conn != nil && record.RecordHeader[0] >= 'A' && record.RecordHeader[0] <= 'Z':
		// Letters where a handshake begins with 22: this is HTTP.
		if record.Conn.SetWriteDeadline(time.Now().Add(farewellTime)) == nil {
			linger(record.Conn)
			_, _ = record.Conn.Write(plainRefusal(fasthttp.StatusBadRequest, "this port speaks TLS: use https://")) // to whom it may concern
		}
	case errors.As(err, &timeout) && timeout.Timeout():
		why = rejectedTooSlow
	}
	s.metrics.reject(why)
	if s.refusals.allow() {
		s.refusals.write("TLS handshake failed", "remote", ctx.RemoteAddr().String(), "err", err)
	}
	return true
}

// linger has the connection read on before it is closed (see [lingering]).
func linger(c net.Conn) {
	if l := under(c); l != nil {
		l.linger.Store(true)
	}
}

// under is our connection below TLS, nil where there is none.
func under(c net.Conn) *lingering {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	l, _ := c.(*lingering)
	return l
}

// loopback tells whether listen can be reached from this machine only.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (t TLS) validate() error {
	if (t.CertFile == "") != (t.KeyFile == "") {
		return errors.New("serve.tls.cert-file and serve.tls.key-file go together")
	}
	if t.CertFile == "" && t.ClientCAFile != "" {
		return fmt.Errorf("serve.tls.client-ca-file %q asks for client certificates, which wants serve.tls.cert-file", t.ClientCAFile)
	}
	return nil
}
