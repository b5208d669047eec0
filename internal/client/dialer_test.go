package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// selfSigned makes a certificate for an address, and its key.
func selfSigned(t *testing.T, serial int64, addr net.IP) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "a broker"}, IPAddresses: []net.IP{addr},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// put leaves a file that was written long ago.
func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
}

// brokers is a TLS server that tells the serial numbers of its clients.
func brokers(t *testing.T, cert, key []byte) (addr string, clients <-chan int64) {
	t.Helper()
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	seen := make(chan int64, 100)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c := conn.(*tls.Conn)
			if c.Handshake() == nil && len(c.ConnectionState().PeerCertificates) == 1 {
				seen <- c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
			}
			c.Close()
		}
	}()
	return ln.Addr().String(), seen
}

func TestFilesForTLSAreReadAnewForANewConnection(t *testing.T) {
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.TLS = TLS{Enabled: true, CAFile: filepath.Join(dir, "ca"), CertFile: filepath.Join(dir, "crt"), KeyFile: filepath.Join(dir, "key")}
	here, elsewhere := net.IPv4(127, 0, 0, 1), net.IPv4(192, 0, 2, 1)
	oldCert, oldKey := selfSigned(t, 1, here)
	newCert, newKey := selfSigned(t, 2, here)
	farCert, farKey := selfSigned(t, 3, elsewhere)
	oldBroker, oldClients := brokers(t, oldCert, oldKey)
	newBroker, newClients := brokers(t, newCert, newKey)
	farBroker, _ := brokers(t, farCert, farKey)

	put(t, cfg.TLS.CAFile, append(oldCert, farCert...))
	put(t, cfg.TLS.CertFile, oldCert)
	put(t, cfg.TLS.KeyFile, oldKey)
	dial, err := dialer(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	connect := func(addr string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		conn, err := dial(ctx, "tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := connect(oldBroker); err != nil {
		t.Fatal(err)
	}
	if got := <-oldClients; got != 1 {
		t.Errorf("we showed %d", got)
	}
	if connect(newBroker) == nil {
		t.Error("an authority that is not in the file was believed")
	}
	// Its authority is believed, but it speaks for another address.
	if connect(farBroker) == nil {
		t.Error("a certificate of another address was believed")
	}

	put(t, cfg.TLS.CAFile, newCert)
	put(t, cfg.TLS.CertFile, newCert)
	put(t, cfg.TLS.KeyFile, newKey)
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	// The files are replaced one after the other, and each is looked at by itself:
	// the first connections may have the new authority and the old certificate.
	for shown := int64(0); shown != 2; {
		if time.Now().After(deadline) {
			t.Fatalf("the new files are not taken, we showed %d", shown)
		}
		if connect(newBroker) == nil {
			shown = <-newClients
		}
		if shown != 2 {
			<-tick.C
		}
	}
	if connect(oldBroker) == nil {
		t.Error("the old authority is still believed")
	}
}
