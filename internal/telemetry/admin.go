package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Whoever reaches the admin port must not be able to take the files and the
// memory that the orders need.
const (
	// Scrapers and probes of a large cluster; each has one.
	maxConnections = 64
	maxHeaderBytes = 16 << 10
	readTimeout    = 5 * time.Second
	writeTimeout   = 15 * time.Second
	// A profile of two minutes, and its way to who asked for it.
	profileTimeout = 150 * time.Second
	// Scrapers that come less often connect anew.
	idleTimeout = 30 * time.Second
)

// AdminConfig is the "admin" section of the configuration.
type AdminConfig struct {
	Listen string `mapstructure:"listen"`
	Pprof  bool   `mapstructure:"pprof"`
}

// DefaultAdminConfig listens on every address, as probes and scrapers come
// from other hosts.
func DefaultAdminConfig() AdminConfig { return AdminConfig{Listen: ":9180"} }

// Validate names what is wrong with the section.
func (c AdminConfig) Validate() error {
	return ValidateListen("admin.listen", c.Listen)
}

// ValidateListen checks the value of key to be host:port with a number for a
// port; the host may be empty.
func ValidateListen(key, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	n, numErr := strconv.Atoi(port)
	switch {
	case err != nil || numErr != nil && !errors.Is(numErr, strconv.ErrRange):
		return fmt.Errorf("%s %q is not host:port", key, addr)
	case numErr != nil || n < 0 || n > 65535:
		return fmt.Errorf("%s %q has a port that is not between 0 and 65535", key, addr)
	}
	return nil
}

// NewRegistry holds the metrics of the Go runtime, of the process and
// ordersctl_build_info.
func NewRegistry(version, revision, goVersion string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "ordersctl_build_info",
		Help:        "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "goversion": goVersion},
	})
	build.Set(1)
	r.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Readiness is the answer of /readyz: Ready decides between 200 and 503, the
// rest is the body.
type Readiness struct {
	Ready  bool              `json:"ready"`
	Reason string            `json:"reason,omitempty"`
	Detail map[string]string `json:"detail,omitempty"`
}

// Admin answers /metrics, /healthz, /readyz and, by choice, /debug/pprof on a
// port of its own.
type Admin struct {
	listener net.Listener
	server   *http.Server
	mux      *http.ServeMux
}

// ListenError is an address that can't be listened on, with the setting that
// moves it.
type ListenError struct {
	Addr    string
	Setting string
	Err     error
}

func (e *ListenError) Error() string { return fmt.Sprintf("listen on %s: %s", e.Addr, plain(e.Err)) }

// Unwrap gives the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// Hint names the setting.
func (e *ListenError) Hint() string {
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		return fmt.Sprintf("another program has this port: stop it, or move ours with %s", e.Setting)
	}
	return fmt.Sprintf("choose another address with %s", e.Setting)
}

func plain(err error) string {
	if errors.Is(err, syscall.EADDRINUSE) {
		return "the address is in use"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// NewAdmin listens at once, so that a port that is taken is told before
// anything else starts; Run serves.
func NewAdmin(ctx context.Context, c AdminConfig, reg *prometheus.Registry, ready func() Readiness, log *slog.Logger) (*Admin, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, &ListenError{Addr: c.Listen, Setting: "admin.listen (--admin-listen)", Err: err}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]bool{"healthy": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := ready()
		code := http.StatusOK
		if !r.Ready {
			code = http.StatusServiceUnavailable
		}
		answer(w, code, r)
	})
	if c.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	}
	write := writeTimeout
	if c.Pprof {
		write = profileTimeout
	}
	return &Admin{listener: limit(ln, maxConnections), mux: mux, server: &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      write,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}, nil
}

// Addr is where it listens, the port resolved.
func (a *Admin) Addr() string { return a.listener.Addr().String() }

// Handle adds what one command alone answers, before Run.
func (a *Admin) Handle(pattern string, h http.Handler) { a.mux.Handle(pattern, h) }

// Close gives up an Admin that was never run.
func (a *Admin) Close() error { return a.listener.Close() }

// Run serves until ctx ends; the last answers get a second to leave.
func (a *Admin) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- a.server.Serve(a.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve admin: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := a.server.Shutdown(stop)
	_ = <-done // it says that the server is closed
	if errors.Is(err, context.DeadlineExceeded) {
		return a.server.Close()
	}
	return err
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the prober has gone: nobody is left to tell
}
