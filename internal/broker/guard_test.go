package broker

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// frame is a request with the given head and n bytes after it.
func frame(key, version int16, n int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+n))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 1)
	for i := range n {
		b = append(b, byte(i))
	}
	return b
}

// chunks is a connection whose reads come in pieces of the given sizes, over
// and over.
type chunks struct {
	net.Conn // nil: what is not defined here must not be called
	data     []byte
	sizes    []byte
	reads    int
	closed   int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := len(c.data)
	if len(c.sizes) > 0 {
		n = int(c.sizes[c.reads%len(c.sizes)])%64 + 1
		c.reads++
	}
	n = copy(p, c.data[:min(n, len(c.data))])
	c.data = c.data[n:]
	return n, nil
}

func (c *chunks) Close() error         { c.closed++; return nil }
func (c *chunks) RemoteAddr() net.Addr { return hostPort("127.0.0.1:50000") }

func TestGuardPassesWholeFramesAndNothingElse(t *testing.T) {
	var (
		produce = frame(int16(kmsg.Produce), 9, 500)
		fetch   = frame(int16(kmsg.Fetch), 12, 3)
		short   = frame(int16(kmsg.ApiVersions), 0, 2)
	)
	size := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

	for _, row := range []struct {
		when string
		sent []byte
		pass []byte
		say  string // what is logged; "" means that the connection stays open
	}{
		{"nothing comes", nil, nil, ""},
		{"one request comes", produce, produce, ""},
		{"the shortest request comes", short, short, ""},
		{"several come at once", cat(produce, fetch, short, fetch), cat(produce, fetch, short, fetch), ""},
		{"the client leaves in the middle of a request", cat(fetch, produce[:40]), cat(fetch, produce[:40]), ""},
		{"the client leaves in the middle of a size", cat(fetch, produce[:3]), fetch, ""},
		{"an unsupported version comes, which kfake can answer", frame(18, 99, 2), frame(18, 99, 2), ""},
		{"an unknown key comes first", frame(95, 0, 10), nil, "an unknown API key came to the Kafka port"},
		{"an unknown key comes after a good request", cat(fetch, frame(9999, 0, 10), fetch), fetch, "an unknown API key came to the Kafka port"},
		{"a negative key comes", frame(-1, 0, 10), nil, "an unknown API key came to the Kafka port"},
		{"a negative size comes", size(math.MaxUint32), nil, "a frame of an impossible size came to the Kafka port"},
		{"a size of zero comes", size(0), nil, "a frame of an impossible size came to the Kafka port"},
		{"a size without room for a header comes", size(minFrame - 1), nil, "a frame of an impossible size came to the Kafka port"},
		{"a size over the cap comes, and no more than that", size(maxFrame + 1), nil, "a frame of an impossible size came to the Kafka port"},
		{"a size at the cap comes", cat(size(maxFrame), produce[4:]), cat(size(maxFrame), produce[4:]), ""},
		{"a TLS client hello comes", []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01}, nil, "a TLS handshake came to the Kafka port, which speaks plaintext only"},
	} {
		t.Run(row.when, func(t *testing.T) {
			for _, sizes := range [][]byte{nil, {0}, {2, 0, 6}} {
				log, records := newLog(t)
				inner := &chunks{data: bytes.Clone(row.sent), sizes: sizes}
				closed := 0
				c := newConn(inner, "", log, func() { closed++ })

				got, err := io.ReadAll(c)
				if diff := cmp.Diff(row.pass, got, cmpEmpty); diff != "" {
					t.Errorf("passed on with chunks %v (-want +got):\n%s", sizes, diff)
				}
				if row.say == "" {
					if err != nil || inner.closed != 0 || len(records.all()) != 0 {
						t.Errorf("err %v, closed %d times, logged %v; want an open connection and silence", err, inner.closed, records.all())
					}
					continue
				}
				if err != errRefused || inner.closed != 1 || closed != 1 {
					t.Errorf("err %v, closed %d times, told %d times; want %v, once, once", err, inner.closed, closed, errRefused)
				}
				if !records.has(slog.LevelWarn, row.say) {
					t.Errorf("logged %v, want %q at WARN", records.all(), row.say)
				}
				if n, err := c.Read(make([]byte, 10)); n != 0 || err != errRefused {
					t.Errorf("read after refusal: %d, %v; want 0, %v", n, err, errRefused)
				}
			}
		})
	}
}

// halves is a connection that can be closed for writing alone.
type halves struct {
	*chunks
	answer     bytes.Buffer
	halfClosed bool
	unread     int // what was left when it was closed
}

func (h *halves) Write(p []byte) (int, error) { return h.answer.Write(p) }
func (h *halves) CloseWrite() error           { h.halfClosed = true; return nil }
func (h *halves) SetDeadline(time.Time) error { return nil }
func (h *halves) Close() error                { h.unread = len(h.data); return nil }

func TestHTTPIsReadToItsEndSoThatNoResetEatsTheAnswer(t *testing.T) {
	request := "POST /orders HTTP/1.1\r\n\r\n" + strings.Repeat("x", 200_000)
	inner := &halves{chunks: &chunks{data: []byte(request)}, unread: -1}
	log, _ := newLog(t)

	if _, err := io.ReadAll(newConn(inner, "", log, func() {})); err != errRefused {
		t.Errorf("read: %v, want %v", err, errRefused)
	}
	if !inner.halfClosed || inner.unread != 0 {
		t.Errorf("half closed %t, %d bytes unread at close; want true, 0", inner.halfClosed, inner.unread)
	}
	if !strings.HasPrefix(inner.answer.String(), "HTTP/1.1 400 ") {
		t.Errorf("answered %q", inner.answer.String())
	}
}

func TestGuardKnowsTheKeysThatKfakeCanMake(t *testing.T) {
	for key := math.MinInt16; key <= math.MaxInt16; key++ {
		if got, want := isKnown(int16(key)), kmsg.RequestForKey(int16(key)) != nil; got != want {
			t.Errorf("key %d: known %t, want %t", key, got, want)
		}
	}
}

// FuzzGuard holds the guard, fed and read in arbitrary pieces, against a second
// reading of the rules that has all bytes at hand.
func FuzzGuard(f *testing.F) {
	good := frame(0, 9, 100)
	f.Add(good, []byte{0}, uint64(1))
	f.Add(append(bytes.Clone(good), frame(95, 0, 4)...), []byte{2, 9}, uint64(2))
	f.Add(append(frame(18, 4, 2), 0x16, 0x03, 0x01, 0x00), []byte{3}, uint64(3))
	f.Add([]byte{0, 0, 0, 10, 0, 3}, []byte{}, uint64(4))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}, []byte{1}, uint64(5))

	f.Fuzz(func(t *testing.T, data, sizes []byte, seed uint64) {
		if len(data) >= 4 && isHTTP(data[:4]) {
			return // is answered, which needs a real connection
		}
		want, refused := model(data)

		c := newConn(&chunks{data: bytes.Clone(data), sizes: sizes}, "", slog.New(slog.DiscardHandler), func() {})
		rng := rand.New(rand.NewPCG(seed, 0))
		var got []byte
		var err error
		for err == nil {
			p := make([]byte, rng.IntN(70)+1)
			var n int
			n, err = c.Read(p)
			got = append(got, p[:n]...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("passed on %x, want %x", got, want)
		}
		if (err == errRefused) != refused {
			t.Errorf("ended with %v, want refused %t", err, refused)
		}
	})
}

// model returns what of data may pass and whether the rest is refused rather
// than cut short.
func model(data []byte) (pass []byte, refused bool) {
	at := 0
	for {
		rest := data[at:]
		if len(rest) < 4 {
			return data[:at], false
		}
		if isHTTP(rest[:4]) {
			return data[:at], true
		}
		size := int64(int32(binary.BigEndian.Uint32(rest)))
		if size < minFrame || size > maxFrame {
			return data[:at], true
		}
		if len(rest) < 8 {
			return data[:at], false
		}
		if kmsg.RequestForKey(int16(binary.BigEndian.Uint16(rest[4:]))) == nil {
			return data[:at], true
		}
		if int64(len(rest)) < 4+size {
			return data, false
		}
		at += 4 + int(size)
	}
}

// BenchmarkGuard reads requests over TCP as kfake does, with the guard and
// without.
func BenchmarkGuard(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"small", 200}, {"batch_1MiB", 1 << 20}} {
		for _, guarded := range []bool{false, true} {
			name := size.name + "/bare"
			if guarded {
				name = size.name + "/guarded"
			}
			b.Run(name, func(b *testing.B) {
				server := sendForever(b, frame(0, 9, size.n))
				if guarded {
					server = newConn(server, "", slog.New(slog.DiscardHandler), func() {})
				}
				b.SetBytes(int64(12 + size.n))
				b.ReportAllocs()
				head, body := make([]byte, 4), make([]byte, 8+size.n)
				for b.Loop() {
					if _, err := io.ReadFull(server, head); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(server, body); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// sendForever returns the reading end of a TCP connection on which data comes
// again and again.
func sendForever(b *testing.B, data []byte) net.Conn {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := client.Write(data); err != nil {
				return
			}
		}
	}()
	b.Cleanup(func() {
		client.Close()
		server.Close()
		<-done
	})
	return server
}
