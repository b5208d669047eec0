package broker

import (
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// missing skips what this machine can't show, and fails where everything has to
// be shown.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func TestLocalhostIsBothFamilies(t *testing.T) {
	probe, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		missing(t, "no IPv6 loopback here: %v", err)
	}
	probe.Close()

	b := start(t, anyPort())
	host, port, _ := net.SplitHostPort(b.Addr())
	if host != "localhost" || port == "0" {
		t.Errorf("address %q, want localhost and a real port", b.Addr())
	}
	for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
		mustPing(t, net.JoinHostPort(host, port))
	}
}

func TestPortTakenInTheOtherFamilyIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		missing(t, "no IPv6 loopback here: %v", err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	cfg := anyPort()
	cfg.Listen = net.JoinHostPort("localhost", port)
	log, _ := newLog(t)

	b, err := Start(t.Context(), cfg, log)
	if err == nil {
		b.Close()
		t.Fatal("started, though clients that try ::1 first would reach another program")
	}
	mustHint(t, err, cfg.Listen)
}

func TestAddressIsKeptAsWritten(t *testing.T) {
	for _, listen := range []string{"localhost:0", "127.0.0.1:0", "127.0.0.2:0", "[::1]:0"} {
		t.Run(listen, func(t *testing.T) {
			want, _, _ := net.SplitHostPort(listen)
			probe, err := net.Listen("tcp", listen)
			if err != nil {
				missing(t, "not an address of this machine: %v", err)
			}
			probe.Close()
			cfg := anyPort()
			cfg.Listen = listen

			b := start(t, cfg)
			if host, _, _ := net.SplitHostPort(b.Addr()); host != want {
				t.Errorf("address %q, want host %s", b.Addr(), want)
			}
			meta, err := kadm.NewClient(newClient(t, b.Addr())).BrokerMetadata(within(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, known := range meta.Brokers {
				if got := net.JoinHostPort(known.Host, strconv.Itoa(int(known.Port))); got != b.Addr() {
					t.Errorf("advertised %s, want %s", got, b.Addr())
				}
			}
		})
	}
}

// scarce is a listener on a machine that is out of file descriptors for a
// while.
type scarce struct {
	net.Listener
	failures int
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.failures > 0 {
		s.failures--
		return nil, syscall.EMFILE
	}
	return s.Listener.Accept()
}

func TestAcceptOutlivesAShortageOfFileDescriptors(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log, records := newLog(t)
	n := &network{log: log}
	l := n.serve(inner.Addr().String(), &scarce{inner, 3})

	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if !records.has(slog.LevelWarn, "accept on the Kafka port") {
		t.Errorf("logged %v, want the shortage", records.all())
	}
	client.Write(frame(18, 0, 2))
	if _, err := io.ReadFull(server, make([]byte, 14)); err != nil {
		t.Error(err)
	}
	server.Close()
	server.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	n.running.Wait()
}
