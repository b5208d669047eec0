// Package broker runs an embedded Kafka broker for "ordersctl dev" and for
// tests. Start with [Broker].
//
// It is kfake, franz-go's fake broker, behind guards that keep a stray packet,
// a second process or a full disk from ending it or its data in silence. Every
// Kafka tool can talk to it. What it will not do:
//
//   - It is not for production: one node, one goroutine for all requests, no
//     replicas.
//   - It listens on loopback only; there is no authentication and no encryption.
//   - It must not hold the only copy of data that someone needs: a damaged byte
//     costs the rest of its log file (with a warning), a kill brings deleted
//     records back, and transactions do not outlive a crash. What it does keep:
//     a record that was acknowledged outlives kill -9 of the process.
//   - A partition that is purged empty and then killed before a Close
//     goes back to the offsets of the Close before.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Broker is a running broker. It runs until Close.
type Broker struct {
	cluster *kfake.Cluster
	addr    string
	net     *network
	log     *logger
	lock    *flock.Flock // nil in memory

	stopRetention context.CancelFunc
	retention     sync.WaitGroup

	closeOnce sync.Once
	closeErr  error
}

// Start starts a broker and returns once clients can connect; with a data
// directory that is after reading all of it, which nothing interrupts: a ctx
// that has ended starts nothing, one that ends later is the caller's to answer
// with Close. Errors with a next step have a Hint method: [InUseError],
// [ListenError], [LoadError].
//
// opts come after our own. One that replaces ListenFn, DataDir or WithLogger
// takes the guards with it that hang on these; kfake.TLS cannot be combined
// with the guarded listener.
func Start(ctx context.Context, cfg Config, log *slog.Logger, opts ...kfake.Opt) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(cfg.Listen)
	b := &Broker{
		net: &network{host: host, httpURL: cfg.HTTPURL, log: log},
		log: newLogger(log),
	}
	if cfg.DataDir != "" {
		lock, err := lockDir(cfg.DataDir)
		if err != nil {
			return nil, err
		}
		b.lock = lock
		if err := keepPurgedOffsets(cfg.DataDir); err != nil {
			return nil, errors.Join(&LoadError{Dir: cfg.DataDir, Err: err}, b.unlock())
		}
	}

	cluster, err := kfake.NewCluster(append(b.options(cfg, port), opts...)...)
	if err != nil {
		b.net.running.Wait() // kfake has closed what it opened
		return nil, errors.Join(startError(cfg, err), b.unlock())
	}
	b.cluster = cluster
	b.addr = cluster.ListenAddrs()[0]
	b.keepRetention(cfg.RetentionInterval)
	return b, nil
}

// Addr is the host:port that clients bootstrap from. It is also what they are
// sent to afterwards.
func (b *Broker) Addr() string { return b.addr }

// Cluster is for tests that inject faults. Close the Broker, not it.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close stops the broker, writes what kfake keeps for its end (the producers'
// sequence numbers, without which a retried batch is taken twice), waits until
// every connection is closed, and releases the data directory. It may be called
// many times.
func (b *Broker) Close() error {
	b.closeOnce.Do(func() {
		// Retention first: a closed cluster never answers it.
		b.stopRetention()
		b.retention.Wait()
		err := b.log.duringClose(b.cluster.Close)
		b.net.running.Wait()
		if err = errors.Join(err, b.unlock()); err != nil {
			b.closeErr = fmt.Errorf("close embedded broker: %w", err)
		}
	})
	return b.closeErr
}

func (b *Broker) options(cfg Config, port string) []kfake.Opt {
	portNumber, _ := strconv.Atoi(port) // Validate has seen it
	opts := []kfake.Opt{
		kfake.ListenFn(b.net.listen),
		kfake.Ports(portNumber), // one port is one broker
		kfake.WithLogger(b.log),
		kfake.ClusterID("ordersctl-dev"),
		kfake.MaxVersions(versions()),
		kfake.BrokerConfigs(map[string]string{
			"log.retention.bytes": strconv.FormatInt(cfg.RetentionBytes, 10),
			"log.segment.bytes":   strconv.FormatInt(cfg.segmentBytes(), 10),
			// Left alone kfake takes seven days, from compacted topics as well.
			"log.retention.ms": "-1",
			// Ten years. Kafka's seven days would make every group forget its
			// place over a holiday.
			"offsets.retention.minutes": strconv.Itoa(10 * 365 * 24 * 60),
		}),
	}
	if cfg.DataDir != "" {
		opts = append(opts, kfake.DataDir(cfg.DataDir))
	}
	if cfg.Sync {
		opts = append(opts, kfake.SyncWrites())
	}
	return opts
}

// versions leaves out what Java's admin tools 4.x fail on in kfake's answers:
// DescribeTopicPartitions as a whole, and CreateTopics from version 5.
func versions() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(75, -1)
	v.SetMaxKeyVersion(19, 4)
	return v
}

// keepRetention applies retention now and on every tick. kfake does so by
// itself only for topics that have a setting of their own, and never after a
// restart.
//
// Compaction stays with kfake, which runs it hourly from the moment that a
// compacted topic is made until the next restart: it deletes a partition's
// files before it writes the new ones, so that a kill in between loses the
// topic. No topic of ours is compacted.
func (b *Broker) keepRetention(every time.Duration) {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // until Close: the start's context ends earlier
	b.stopRetention = cancel
	b.retention.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			b.cluster.ApplyRetention()
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

func (b *Broker) unlock() error {
	if b.lock == nil {
		return nil
	}
	if err := b.lock.Unlock(); err != nil {
		return fmt.Errorf("unlock data directory: %w", err)
	}
	return nil
}

// LoadError says that a data directory could not be read or written at the
// start.
type LoadError struct {
	Dir string
	Err error
}

func (e *LoadError) Error() string { return fmt.Sprintf("open data directory %q: %v", e.Dir, e.Err) }
func (e *LoadError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *LoadError) Hint() string {
	return fmt.Sprintf("look at the disk; if %s itself is damaged, move it away and start anew, or use another with --data-dir", e.Dir)
}

func startError(cfg Config, err error) error {
	var listen *ListenError
	switch {
	case errors.As(err, &listen):
		return err
	case cfg.DataDir != "":
		return &LoadError{Dir: cfg.DataDir, Err: err}
	default:
		return fmt.Errorf("start embedded broker: %w", err)
	}
}
