package tail

import (
	"encoding/binary"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// withoutHeaders decompresses batches and takes the headers out of their
// records, for readings that look at none: the client library makes a string of
// each header's name, which costs a reading of orders, with six headers each,
// more than all the rest. Batches that are not compressed keep theirs.
type withoutHeaders struct{ inner kgo.Decompressor }

// WithoutHeaders is a decompressor for readings that look at no header: they are
// spared the making of them.
func WithoutHeaders() kgo.Decompressor { return withoutHeaders{kgo.DefaultDecompressor()} }

// Decompress implements kgo.Decompressor.
func (d withoutHeaders) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	out, err := d.inner.Decompress(src, codec)
	if err == nil && codec != kgo.CodecNone {
		dropHeaders(out)
	}
	return out, err
}

// dropHeaders sets the number of headers to zero in each record of a batch
// (https://kafka.apache.org/documentation/#record). What follows the number is
// left where it is: a record says its length, and a decoder goes on behind it.
// At anything that is not such a record it stops: message sets of Kafka before
// 0.11 begin with a zero byte, which would be a record of no length.
func dropHeaders(b []byte) {
	for len(b) > 0 {
		length, n := binary.Varint(b)
		if n <= 0 || length <= 0 || length > int64(len(b)-n) {
			return
		}
		at, ok := headerCount(b[n : n+int(length)])
		if !ok {
			return
		}
		b[n+at] = 0
		b = b[n+int(length):]
	}
}

// headerCount finds where a record counts its headers.
func headerCount(record []byte) (at int, ok bool) {
	at = 1        // attributes
	for range 2 { // timestamp and offset, as differences to the batch's
		_, n := binary.Varint(record[min(at, len(record)):])
		if n <= 0 {
			return 0, false
		}
		at += n
	}
	for range 2 { // key and value; -1 is null
		size, n := binary.Varint(record[at:])
		if n <= 0 || size < -1 || size > int64(len(record)-at-n) {
			return 0, false
		}
		at += n + int(max(size, 0))
	}
	// One byte counts up to 63 headers. A longer count has a first byte that asks
	// for a second, and a zero in its place ends it all the same.
	return at, at < len(record)
}

// needsHeaders tells whether the format prints a header. It may say so of one
// that does not ("%%h"), which costs time and nothing else.
func (f Format) needsHeaders() bool {
	switch f.Layout {
	case JSON, Table:
		return true
	}
	return strings.Contains(f.Layout, "%h") || strings.Contains(f.Layout, "%H")
}
