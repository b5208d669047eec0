package broker

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// minRetentionBytes is four of the largest batches a client may send by default
// (1 MiB). A cap near the size of one batch would trim a partition empty, and
// an empty partition forgets its offsets over a crash: the next record would be
// number 0 again.
const minRetentionBytes = 4 << 20

// Config is what an embedded broker is started with.
type Config struct {
	// Listen is host:port. The host must be loopback; "localhost" listens on
	// 127.0.0.1 and, where the machine has it, on ::1 too. Port 0 picks a free
	// one, see [Broker.Addr].
	Listen string

	// DataDir keeps the log over restarts; "" keeps everything in memory. The
	// directory is made if needed and must not be shared with other programs'
	// files.
	DataDir string

	// Sync waits for the disk on each write, so that an acknowledged record
	// outlives a power loss. One goroutine serves all requests, so every client
	// then waits for every fsync: tens of milliseconds a produce. Without it an
	// acknowledged record outlives kill -9 of the process, not of the machine.
	Sync bool

	// RetentionBytes caps each partition's log; -1 is no cap. A topic's own
	// retention.bytes goes first. Start-up reads the whole log into memory for
	// a moment, at a second or less for every 250 MiB, which is why there is a
	// cap at all. There is no cap by age unless a topic sets retention.ms: a
	// laptop that was shut for two weeks should find its orders again.
	RetentionBytes int64

	// RetentionInterval is how often the cap is applied. Between two looks a
	// partition may outgrow it by what was written meanwhile.
	RetentionInterval time.Duration

	// HTTPURL is told to whoever sends an HTTP request to the Kafka port; ""
	// leaves it out.
	HTTPURL string
}

// DefaultConfig returns the configuration of "ordersctl dev", in memory until
// it is given a directory.
func DefaultConfig() Config {
	return Config{
		Listen:            "localhost:9092",
		RetentionBytes:    256 << 20,        // about 1.6 M orders; three partitions full of them start in seconds
		RetentionInterval: 10 * time.Second, // a look is cheap, and flat out a partition grows by a GiB meanwhile
	}
}

// Validate tells what is wrong with c, nil if nothing is.
func (c Config) Validate() error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen address %q: want host:port, as in %q", c.Listen, DefaultConfig().Listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("listen address %q: port %q is not a number from 0 to 65535", c.Listen, port)
	}
	if !isLoopback(host) {
		return fmt.Errorf("listen address %q: the embedded broker has neither authentication nor encryption and only listens on loopback (localhost, 127.0.0.1, ::1)", c.Listen)
	}
	if c.RetentionBytes != -1 && c.RetentionBytes < minRetentionBytes {
		return fmt.Errorf("retention of %d bytes: want at least %d, or -1 for no cap", c.RetentionBytes, minRetentionBytes)
	}
	if c.RetentionInterval <= 0 {
		return fmt.Errorf("retention interval %s: want more than 0", c.RetentionInterval)
	}
	return nil
}

// isLoopback knows localhost by name and resolves nothing: a name may point
// elsewhere tomorrow.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// segmentBytes is the size at which a log file is full. Retention deletes whole
// files only, so that a partition's disk use is its cap and at most one file
// more.
func (c Config) segmentBytes() int64 {
	if c.RetentionBytes == -1 {
		return 100 << 20 // kfake's own default
	}
	return c.RetentionBytes / 8
}
