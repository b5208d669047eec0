//go:build unix

package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Places of a broker's ports among its own.
const (
	plaintextPort = iota
	controllerPort
	saslPort
	tlsPort
	saslTLSPort
	portsPerBroker
)

// Ports are given out by blocks, one for a cluster. All lie below 32768: from there on the kernel takes the ports of
// outgoing connections, and one of those may sit on a broker's port while the broker is down.
const (
	firstPort = 12000
	endPort   = 32000
	blockSize = 3 * portsPerBroker
)

// reservePorts finds a block that nobody listens on and holds a lock file for it until release: a killed broker's
// ports are free for others to bind, yet they must be there when it comes back. Blocks are tried in random order, so
// that the clients of the last cluster do not find themselves connected to the next.
func reservePorts(ctx context.Context) (ports []int, release func(), err error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("ordersctl-kafka-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	for _, block := range rand.Perm((endPort - firstPort) / blockSize) {
		lock, err := tryLock(filepath.Join(dir, strconv.Itoa(block)))
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		first := firstPort + block*blockSize
		ports = nil
		for port := first; port < first+blockSize && isFree(ctx, port); port++ {
			ports = append(ports, port)
		}
		if len(ports) == blockSize {
			return ports, func() { _ = lock.Close() }, nil
		}
		_ = lock.Close()
	}
	return nil, nil, fmt.Errorf("find %d free ports in a row between %d and %d: none left", blockSize, firstPort, endPort)
}

func isFree(ctx context.Context, port int) bool {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// tryLock takes the lock that goes with the file, until the file is closed or the process ends. Held by someone else,
// it returns EWOULDBLOCK.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
