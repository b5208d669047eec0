package process

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/sink"
)

// Records that were compressed a thousand times and more, all of them in one
// answer of the broker: what is held here is bounded as it is after
// decompression.
func TestWhatIsDecompressedIsBounded(t *testing.T) {
	k := startKafka(t, 1)
	cl := k.dial(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1<<30), kgo.BrokerMaxWriteBytes(1<<30),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerLinger(time.Second))
	zeros := make([]byte, 1<<20)
	const batches, each = 8, 40
	for range batches {
		rs := many(each, func(int) *kgo.Record { return &kgo.Record{Topic: "orders", Key: []byte("k"), Value: zeros} })
		if err := cl.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	held := func() uint64 {
		runtime.GC()
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		return now.HeapAlloc >> 20
	}
	before := held()
	f := newFold()
	hangs := make(chan struct{})
	f.hook = func(_ context.Context, b *sink.Batch) error {
		if b != nil {
			<-hangs
		}
		return nil
	}
	w := k.start(f)
	defer close(hangs)
	until(t, "it has enough", func() bool {
		p := w.ours(0)
		if p == nil {
			return false
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		_, full := p.reasons[pausedFull]
		return full
	})
	if got := w.ours(0).queued(); got > 2*each {
		t.Errorf("%d records wait, of batches of %d", got, each)
	}
	if now := held(); now > before+4*each {
		t.Errorf("%d MiB are held, %d before", now, before)
	}
}

// A budget that is spent leaves batches in the log, a poll renews it, and one
// batch always goes through.
func TestTheUnpackersBudget(t *testing.T) {
	cl, err := kgo.NewClient(kgo.MaxDecompressBatchBytes(maxBatch))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	pack, err := kgo.DefaultCompressor(kgo.ZstdCompression())
	if err != nil {
		t.Fatal(err)
	}
	packed := func(n int) []byte {
		out, _ := pack.Compress(new(bytes.Buffer), make([]byte, n))
		return out
	}
	u := newUnpacker(cl)
	large, small := packed(maxUnpacked+1), packed(1000)
	for i, test := range []struct {
		src  []byte
		want error
	}{{small, nil}, {large, nil}, {small, errEnough}} {
		if _, err := u.Decompress(test.src, kgo.CodecZstd); !errors.Is(err, test.want) {
			t.Errorf("%d: %v, want %v", i, err, test.want)
		}
	}
	if out, err := u.Decompress([]byte("plain"), kgo.CodecNone); err != nil || string(out) != "plain" {
		t.Errorf("what is not compressed: %q, %v", out, err)
	}
	u.polled()
	if _, err := u.Decompress(packed(maxBatch+1), kgo.CodecZstd); !errors.Is(err, kgo.ErrMaxDecompress) {
		t.Errorf("a batch that is too large: %v", err)
	}
	if _, err := u.Decompress(large, kgo.CodecZstd); err != nil {
		t.Errorf("after a poll: %v", err)
	}
}

// bomb writes a batch that is not decompressed.
func (k *kafka) bomb() {
	k.t.Helper()
	cl := k.dial(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1<<30), kgo.BrokerMaxWriteBytes(1<<30),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	defer cl.Close()
	r := &kgo.Record{Topic: "orders", Key: []byte("k"), Value: make([]byte, maxBatch)}
	if err := cl.ProduceSync(k.t.Context(), r).FirstErr(); err != nil {
		k.t.Fatal(err)
	}
}

// A batch that nobody should decompress holds its partition up, alone.
func TestABatchThatIsTooLargeHoldsItsPartitionAlone(t *testing.T) {
	k := startKafka(t, 2)
	k.send(good(0, "a", "paid"))
	k.bomb()
	f := newFold()
	met := make(chan struct{})
	f.hook = func(_ context.Context, b *sink.Batch) error {
		if b != nil && b.Partition == 0 {
			<-met
		}
		return nil
	}
	w := k.start(f)
	until(t, "it stands still", func() bool { return w.paused(0) == pausedKafka })
	close(met)
	k.send(good(1, "b", "paid"))
	until(t, "the other goes on, and what stands before the batch is applied", func() bool { return f.at(1) == 1 && w.Status().Partitions[0].Next == 1 })
	if f.at(0) != 1 || w.paused(0) != pausedKafka {
		t.Errorf("it goes on at %d, paused for %q", f.at(0), w.paused(0))
	}
}

// The client met such a batch while the partition was paused, and threw its
// error away: it shows all the same.
func TestABatchThatIsTooLargeShowsWhereItsErrorWasLost(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 1)
	const before = 20
	k.send(many(before, func(int) *kgo.Record { return good(0, "a", "paid") })...)
	k.bomb()
	paused, reached, once := make(chan struct{}), make(chan struct{}), sync.Once{}
	k.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.cluster.KeepControl()
		for _, t := range req.(*kmsg.FetchRequest).Topics {
			if len(t.Partitions) > 0 && t.Partitions[0].FetchOffset == before {
				once.Do(func() { close(reached) })
				<-paused
			}
		}
		return nil, nil, false
	})
	f := newFold()
	w := k.start(f)
	<-reached
	until(t, "what is before it is applied", func() bool { return f.at(0) == before })
	p := w.ours(0)
	p.pause(pausedOutage, "")
	close(paused)
	until(t, "the batch was met", w.unpack.untold)
	<-time.After(200 * time.Millisecond) // the client throws it away, and does not tell
	p.resume(pausedOutage)
	until(t, "it stands still and says so", func() bool { return w.paused(0) == pausedKafka })
	if f.at(0) != before || !strings.Contains(w.log.String(), "is larger than 256 MiB") {
		t.Errorf("at %d:\n%s", f.at(0), w.log)
	}
}

// The database stands elsewhere than what waits behind such a batch: what is
// before it is read again.
func TestASeekEndsTheWaitBeforeABatchThatIsTooLarge(t *testing.T) {
	k := startKafka(t, 1)
	k.send(good(0, "a", "paid"), good(0, "a", "shipped"))
	k.bomb()
	f := newFold()
	met, once, back := make(chan struct{}), new(atomic.Bool), new(atomic.Bool)
	f.after = func(*sink.Batch) error {
		if once.CompareAndSwap(false, true) {
			<-met
			f.mu.Lock()
			defer f.mu.Unlock()
			f.next[0] = 1
			back.Store(true)
			return outage()
		}
		return nil
	}
	w := k.start(f)
	until(t, "it stands still", func() bool { return w.paused(0) == pausedKafka })
	close(met)
	until(t, "it has read again, and stands still again", func() bool { return back.Load() && f.at(0) == 2 && w.paused(0) == pausedKafka })
}
