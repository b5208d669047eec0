// Package client is the only place that constructs a Kafka client. Start at
// [Dial], which every command calls; [ToRecord] and [FromRecord] turn orders
// into records and back, and [Explain] turns what the client library says into
// one line with a next step.
//
// It does not retry on its own, holds no state and prints nothing.
package client

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The partitioners that can be configured. Murmur2 places keys as Java's and
// franz-go's producers do; CRC32 as librdkafka's (Confluent's clients for C,
// Python, Go, .NET) do by default.
const (
	Murmur2 = "murmur2"
	CRC32   = "crc32"
)

// Dial constructs a client and makes the first contact, so that a wrong
// address, protocol or password is told at once and not after a buffer of
// orders has been taken. The error is explained; the client is the caller's to
// close.
func Dial(ctx context.Context, cfg Config, log *slog.Logger, opts ...kgo.Opt) (*kgo.Client, error) {
	var contact atomic.Bool
	contact.Store(true)
	cl, err := construct(cfg, slogger{log, &contact}, opts)
	if err != nil {
		return nil, err
	}
	pingCtx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	if err := ping(pingCtx, cl); err != nil {
		cl.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, Explain(err, cfg)
	}
	contact.Store(false)
	return cl, nil
}

// ping ends with ctx, which the client's own does not while it waits for the
// first answer on a connection. Closing the client ends that wait.
func ping(ctx context.Context, cl *kgo.Client) error {
	done := make(chan error, 1)
	go func() { done <- cl.Ping(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		cl.Close()
		_ = <-done // it says that we closed the client
		return ctx.Err()
	}
}

// New constructs a client without any contact: acks=all from an idempotent
// producer, keys placed by cfg.Partitioner. Our options come first, the
// caller's last, so a caller can override each.
func New(cfg Config, log *slog.Logger, opts ...kgo.Opt) (*kgo.Client, error) {
	return construct(cfg, slogger{log, new(atomic.Bool)}, opts)
}

func construct(cfg Config, log slogger, opts []kgo.Opt) (*kgo.Client, error) {
	partitioner, err := Partitioner(cfg)
	if err != nil {
		return nil, err
	}
	codecs, err := compression(cfg.Compression)
	if err != nil {
		return nil, err
	}
	dial, err := dialer(cfg, log.log)
	if err != nil {
		return nil, err
	}
	brokers := make([]string, len(cfg.Brokers))
	for i, b := range cfg.Brokers {
		brokers[i] = withPort(b)
	}
	base := []kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.ClientID(cfg.ClientID),
		kgo.WithLogger(log),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.Dialer(dial),
		kgo.RequestTimeoutOverhead(cfg.RequestTimeout),
		kgo.ProduceRequestTimeout(cfg.RequestTimeout),
		kgo.RecordDeliveryTimeout(cfg.DeliveryTimeout),
		kgo.RetryTimeout(cfg.DeliveryTimeout),
		// After a leader moved, the new one is looked up at most this often. At the
		// library's 5 s three moves in a row hold an order for 15 s.
		kgo.MetadataMinAge(250 * time.Millisecond),
		// At the library's 2.5 s a broker that is back waits for us as long.
		kgo.RetryBackoffFn(backoff),
		kgo.ProducerLinger(cfg.Linger),
		kgo.ProducerBatchCompression(codecs...),
		kgo.RecordPartitioner(partitioner),
		kgo.WithHooks(new(witness)), // for OutcomeOf
	}
	if cfg.SASL.Mechanism != "" {
		base = append(base, kgo.SASL(cfg.SASL.mechanism()))
	}
	cl, err := kgo.NewClient(append(base, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("construct Kafka client: %w", err)
	}
	return cl, nil
}

// backoff is the pause before the nth retry, 100 ms to 1 s. A fifth of it is
// chance, so that not all clients of a broker that comes back arrive at once.
func backoff(n int) time.Duration {
	pause := min(100*time.Millisecond<<min(n-1, 4), time.Second)
	return pause - time.Duration(rand.Int64N(int64(pause/5))) //nolint:gosec // chance is all it needs
}

// Admin speaks to the cluster through cl; closing cl is enough.
func Admin(cl *kgo.Client) *kadm.Client { return kadm.NewClient(cl) }

// Partitioner is the one that cfg names.
func Partitioner(cfg Config) (kgo.Partitioner, error) {
	switch cfg.Partitioner {
	case Murmur2:
		return kgo.StickyKeyPartitioner(nil), nil
	case CRC32:
		// SaramaHasher, not KafkaHasher: the latter masks the sign bit, which
		// librdkafka's consistent partitioner does not, and more than half of
		// the keys would go elsewhere.
		return kgo.StickyKeyPartitioner(kgo.SaramaHasher(crc32.ChecksumIEEE)), nil
	}
	return nil, fmt.Errorf("kafka.partitioner %q is none of %s, %s", cfg.Partitioner, Murmur2, CRC32)
}

// PartitionOf is where key lives in a topic of n partitions.
func PartitionOf(cfg Config, topic, key string, n int) (int32, error) {
	p, err := Partitioner(cfg)
	if err != nil {
		return 0, err
	}
	return int32(p.ForTopic(topic).Partition(&kgo.Record{Key: []byte(key)}, n)), nil
}

func compression(name string) ([]kgo.CompressionCodec, error) {
	switch name {
	case "none":
		return []kgo.CompressionCodec{kgo.NoCompression()}, nil
	case "gzip":
		return []kgo.CompressionCodec{kgo.GzipCompression(), kgo.NoCompression()}, nil
	case "snappy":
		return []kgo.CompressionCodec{kgo.SnappyCompression(), kgo.NoCompression()}, nil
	case "lz4":
		return []kgo.CompressionCodec{kgo.Lz4Compression(), kgo.NoCompression()}, nil
	case "zstd":
		// A broker older than 2.1 knows no zstd; the client takes the next.
		return []kgo.CompressionCodec{kgo.ZstdCompression(), kgo.Lz4Compression(), kgo.NoCompression()}, nil
	}
	return nil, fmt.Errorf("kafka.compression %q is unknown", name)
}

// mechanism reads the secret anew at each authentication.
func (s SASL) mechanism() sasl.Mechanism {
	password := func() (string, error) { return secret(s.Password, s.PasswordFile) }
	scramAuth := func(context.Context) (scram.Auth, error) {
		pass, err := password()
		return scram.Auth{User: s.Username, Pass: pass}, err
	}
	switch s.Mechanism {
	case "SCRAM-SHA-256":
		return scram.Sha256(scramAuth)
	case "SCRAM-SHA-512":
		return scram.Sha512(scramAuth)
	case "OAUTHBEARER":
		return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := secret(s.Token, s.TokenFile)
			if err == nil && token == "" {
				err = errors.New("the OAUTHBEARER token is empty")
			}
			return oauth.Auth{Token: token}, err
		})
	default:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			pass, err := password()
			return plain.Auth{User: s.Username, Pass: pass}, err
		})
	}
}
