package order

import "strings"

// What [Texts] allocates at a time: at first the texts of some orders, in the end of some hundred.
const (
	textsFirst = 512
	textsChunk = 16 << 10
)

// Texts keeps the texts of many orders together, which spares an allocation for each. They are
// held in memory as long as any of their neighbours is, so it is for orders that come and go
// together. The zero value is ready to use, nil gives each text memory of its own. It is for one
// goroutine.
type Texts struct {
	chunk strings.Builder // only ever appended to, within its capacity
}

// Join copies the parts, one behind the other.
func (t *Texts) Join(parts ...[]byte) string {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if t == nil {
		var own strings.Builder
		own.Grow(n)
		return write(&own, parts)
	}
	if t.chunk.Cap()-t.chunk.Len() < n {
		// Little at first: it may be all that comes.
		size := min(2*t.chunk.Cap(), textsChunk)
		t.chunk = strings.Builder{}
		t.chunk.Grow(max(n, size, textsFirst))
	}
	return write(&t.chunk, parts)
}

// write appends what there is room for, and gives it.
func write(b *strings.Builder, parts [][]byte) string {
	from := b.Len()
	for _, p := range parts {
		b.Write(p)
	}
	return b.String()[from:]
}
