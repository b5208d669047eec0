package ingest

import (
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

func TestAnnounced(t *testing.T) {
	const most = int(maxOrdersBody)
	for name, c := range map[string]struct {
		length, most int
		want         int64
	}{
		"a small body":                    {64 << 10, most, 0},
		"a large one":                     {1 << 20, most, 1 << 20},
		"in chunks, of whatever length":   {-1, most, int64(most)},
		"too large, which is refused":     {most + 1, most, int64(most)},
		"in chunks where all are small":   {-1, 64 << 10, 0},
		"too large where all are small":   {1 << 20, 64 << 10, 0},
		"the largest of a larger setting": {1 << 20, 1 << 20, 1 << 20},
	} {
		if got := announced(c.length, c.most); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestMemoryIsHeldFromTheAnnouncementToTheAnswer(t *testing.T) {
	var m memory
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	c := &lingering{Conn: ours, memory: &m}
	h := new(fasthttp.RequestHeader)
	now := time.Now()
	used := func(when string, want int64) {
		t.Helper()
		if got := m.used.Load(); got != want {
			t.Errorf("%s: %d bytes are held, want %d", when, got, want)
		}
	}
	if !m.lease(h, 8<<20, now, now.Add(time.Minute)) {
		t.Fatal("no room at the start")
	}
	used("announced", 8<<20)
	m.settle(h, c)
	if !c.hold(1 << 20) {
		t.Fatal("no room for the answer")
	}
	used("being answered", 9<<20)
	go func() { _, _ = theirs.Write([]byte("x")) }() // its reader tells
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	used("written", 0)
	m.lease(h, 8<<20, now, now.Add(time.Minute))
	m.lease(h, 2<<20, now, now.Add(time.Minute))
	used("the connection's next one", 2<<20)
	m.settle(h, c)
	_ = c.Close() // a pipe's end
	used("closed", 0)
	m.lease(h, 2<<20, now, now.Add(time.Minute))
	m.settle(h, nil)
	used("cut off", 0)
	if len(m.leases) != 0 || m.leased.Load() != 0 {
		t.Errorf("%d leases are left", len(m.leases))
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory
	now := time.Now()
	var headers []*fasthttp.RequestHeader
	for range int(maxMemory / maxOrdersBody) {
		h := new(fasthttp.RequestHeader)
		headers = append(headers, h)
		if !m.lease(h, int64(maxOrdersBody), now, now.Add(time.Minute)) {
			t.Fatal("no room, and it is not all held")
		}
	}
	late := new(fasthttp.RequestHeader)
	if m.lease(late, 1, now, now.Add(time.Minute)) {
		t.Error("room where all is held")
	}
	// Bodies that never came do not hold it for ever.
	if !m.lease(late, int64(maxOrdersBody), now.Add(2*time.Minute), now.Add(3*time.Minute)) {
		t.Error("no room after the time of the others was over")
	}
	if got := m.used.Load(); got != int64(maxOrdersBody) || len(m.leases) != 1 {
		t.Errorf("%d bytes in %d leases", got, len(m.leases))
	}
	_ = headers // a header stands for its connection
}
