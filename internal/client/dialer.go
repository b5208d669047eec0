package client

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"

	"github.com/ordersctl/ordersctl/internal/certificate"
)

// dialer connects to brokers as cfg says. What it reads from files it reads
// anew for a new connection where they have changed, so that a certificate is
// replaced without a restart.
func dialer(cfg Config, log *slog.Logger) (func(ctx context.Context, network, addr string) (net.Conn, error), error) {
	plain := &net.Dialer{Timeout: cfg.ConnectTimeout}
	if !cfg.TLS.Enabled {
		return plain.DialContext, nil
	}
	config, err := cfg.TLS.config(log)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		// Made anew for each connection: the other way, one's own check in
		// VerifyConnection, is not told the name of a server that is an IP address.
		return (&tls.Dialer{NetDialer: plain, Config: config()}).DialContext(ctx, network, addr)
	}, nil
}

// config gives what makes the configuration of the next connection.
func (t TLS) config(log *slog.Logger) (func() *tls.Config, error) {
	var (
		pair        *certificate.Pair
		authorities *certificate.Authorities
		err         error
	)
	if t.CAFile != "" {
		if authorities, err = certificate.OpenAuthorities("kafka.tls.ca-file", t.CAFile, log); err != nil {
			return nil, err
		}
	}
	if t.CertFile != "" {
		if pair, err = certificate.Open("kafka.tls.cert-file and key-file", t.CertFile, t.KeyFile, log); err != nil {
			return nil, err
		}
	}
	return func() *tls.Config {
		// Without a ServerName the dialer takes the address's host.
		c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
		if authorities != nil {
			c.RootCAs = authorities.Fresh()
		}
		if pair != nil {
			c.Certificates = []tls.Certificate{*pair.Fresh()}
		}
		return c
	}, nil
}
