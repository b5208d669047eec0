package sink

import (
	"encoding/binary"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
)

// PostgreSQL's types of array elements (pg_type.oid) in the binary protocol.
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidTimestamptz = 1184
	oidNumeric     = 1700
)

// array is one parameter of unnest, written straight in PostgreSQL's binary
// form: the library's own way reflects on each element, which is half of what a
// batch costs here.
type array struct {
	buf   []byte
	count int
	nulls bool
}

// arrayHeader is dimensions, has-nulls, element type, length, lower bound.
const arrayHeader = 20

func newArray(oid uint32, rows, size int) *array {
	a := &array{buf: make([]byte, arrayHeader, arrayHeader+rows*(4+size))}
	binary.BigEndian.PutUint32(a.buf[0:], 1)
	binary.BigEndian.PutUint32(a.buf[8:], oid)
	binary.BigEndian.PutUint32(a.buf[16:], 1)
	return a
}

// bytes ends the array.
func (a *array) bytes() []byte {
	if a.count == 0 {
		binary.BigEndian.PutUint32(a.buf[0:], 0) // an empty array has no dimension
		return a.buf[:12]
	}
	if a.nulls {
		binary.BigEndian.PutUint32(a.buf[4:], 1)
	}
	binary.BigEndian.PutUint32(a.buf[12:], uint32(a.count))
	return a.buf
}

func (a *array) text(s string) {
	a.count++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(s)))
	a.buf = append(a.buf, s...)
}

// textOrNull is NULL for "".
func (a *array) textOrNull(s string) {
	if s == "" {
		a.null()
		return
	}
	a.text(s)
}

func (a *array) raw(b []byte) {
	a.count++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(b)))
	a.buf = append(a.buf, b...)
}

func (a *array) null() {
	a.count++
	a.nulls = true
	a.buf = append(a.buf, 0xff, 0xff, 0xff, 0xff)
}

func (a *array) bool(v bool) {
	a.count++
	b := byte(0)
	if v {
		b = 1
	}
	a.buf = append(a.buf, 0, 0, 0, 1, b)
}

func (a *array) int2(v int16) {
	a.count++
	a.buf = append(a.buf, 0, 0, 0, 2)
	a.buf = binary.BigEndian.AppendUint16(a.buf, uint16(v))
}

func (a *array) int4(v int32) {
	a.count++
	a.buf = append(a.buf, 0, 0, 0, 4)
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(v))
}

func (a *array) int8(v int64) {
	a.count++
	a.buf = append(a.buf, 0, 0, 0, 8)
	a.buf = binary.BigEndian.AppendUint64(a.buf, uint64(v))
}

// time is cut to the microsecond; a zero one is NULL.
func (a *array) time(t time.Time) {
	if t.IsZero() {
		a.null()
		return
	}
	const year2000 = 946_684_800_000_000 // PostgreSQL's epoch
	a.int8(t.UnixMicro() - year2000)
}

// total is a numeric: groups of four decimal digits, which a total in
// ten-thousandths falls into by itself, the last of them after the point.
func (a *array) total(t order.Total) {
	const base, most = 10_000, 5
	var groups [most]uint16
	n := 0
	for v := uint64(t); v > 0; v /= base {
		groups[most-1-n] = uint16(v % base)
		n++
	}
	first, weight := most-n, n-2 // weight is the power of base of the first group
	last := most
	for last > first && groups[last-1] == 0 { // numeric_recv strips them; shorter to send
		last--
	}
	if n == 0 {
		weight = 0
	}
	a.count++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(8+2*(last-first)))
	a.buf = binary.BigEndian.AppendUint16(a.buf, uint16(last-first))
	a.buf = binary.BigEndian.AppendUint16(a.buf, uint16(weight))
	a.buf = append(a.buf, 0, 0, 0, 4) // positive; four decimals
	for _, g := range groups[first:last] {
		a.buf = binary.BigEndian.AppendUint16(a.buf, g)
	}
}

func four(v int32) []byte  { return binary.BigEndian.AppendUint32(nil, uint32(v)) }
func eight(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

func readInt4(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }
func readInt8(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }
