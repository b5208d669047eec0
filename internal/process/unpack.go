package process

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What is fetched is bounded as it is in the log, compressed: 400 KiB of zeros
// may be a gigabyte here. These bound what it becomes.
const (
	// Between two polls: what is over stays in the log, and is fetched again. One
	// batch always goes through, or nothing ever would.
	maxUnpacked = 32 << 20
	// Of one batch: at the usual limit of 1 MiB in the log it is 256 times smaller
	// there. A partition with a larger one stands still: else it would take all of
	// the process with it, at each start anew.
	maxBatch = 256 << 20
	// Of batches that no producer of orders writes: so much of them is garbage
	// before another is decompressed. Left to itself Go lets the heap double.
	largeBatch = 8 << 20
)

// errEnough has the client leave a batch in the log for now.
var errEnough = errors.New("enough was decompressed for now")

// unpacker decompresses what is fetched, up to a limit between two polls.
type unpacker struct {
	codecs kgo.Decompressor // refuses what is over maxBatch

	mu    sync.Mutex // held while a batch is decompressed: how large it becomes is known afterwards
	bytes int        // guarded by mu: since the last poll
	large int        // guarded by mu: of large batches since they were collected

	refused, told atomic.Int64 // batches that are too large: as often as one was met, and as often as the client said so
}

// untold says whether the client met a batch that is too large and did not say
// so.
func (u *unpacker) untold() bool { return u.refused.Load() > u.told.Load() }

// newUnpacker takes the bounded decompressor of a client, which is not to be had
// otherwise.
func newUnpacker(cl *kgo.Client) *unpacker {
	return &unpacker{codecs: cl.OptValue(kgo.WithDecompressor).(kgo.Decompressor)} //nolint:forcetypeassert // that option's type
}

// Decompress is as of [kgo.Decompressor].
func (u *unpacker) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.bytes >= maxUnpacked {
		return nil, errEnough
	}
	if u.large >= maxUnpacked {
		u.large = 0
		runtime.GC()
	}
	out, err := u.codecs.Decompress(src, codec)
	if errors.Is(err, kgo.ErrMaxDecompress) {
		u.refused.Add(1)
	}
	u.bytes += len(out)
	if len(out) >= largeBatch {
		u.large += len(out)
	}
	return out, err
}

// polled makes room: what was decompressed has been handed over.
func (u *unpacker) polled() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytes = 0
}

// tooLargeError is a batch that is not decompressed.
type tooLargeError struct {
	group string
	batch *kgo.ErrDecompressTooLarge
}

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("the batch at %s/%d@%d..%d is larger than %d MiB when decompressed: it is not read", e.batch.Topic, e.batch.Partition, e.batch.Offset, e.batch.NextOffset-1, maxBatch>>20)
}

// Hint is the next step.
func (e *tooLargeError) Hint() string {
	return fmt.Sprintf("no producer of orders writes such batches: once all that is before it is applied (/status has next_offset %d), stop process and skip it with \"ordersctl group seek %s --to %s/%d@%d\"; sooner, and those records are skipped as well", e.batch.Offset, e.group, e.batch.Topic, e.batch.Partition, e.batch.NextOffset)
}

// Unwrap gives the cause.
func (e *tooLargeError) Unwrap() error { return e.batch }
