package ingest

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// header is what curl sends, with a key.
func header(b *testing.B) *fasthttp.RequestHeader {
	b.Helper()
	h := &fasthttp.RequestHeader{}
	text := "POST /order HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nContent-Type: application/json\r\n" +
		"Authorization: Bearer " + KeyPrefix + strings.Repeat("x", 43) + "\r\nContent-Length: 120\r\n\r\n"
	if err := h.Read(bufio.NewReader(strings.NewReader(text))); err != nil {
		b.Fatal(err)
	}
	return h
}

func BenchmarkFaultOf(b *testing.B) {
	h := header(b)
	b.ReportAllocs()
	for b.Loop() {
		if faultOf(h) != faultNone {
			b.Fatal("refused")
		}
	}
}

func BenchmarkKeyAmong(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := header(b)
			keys, err := parseKeys([]byte(many(n)))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				key, _ := bearer(h)
				if keys.nameOf(key, time.Now()) != "" {
					b.Fatal("known")
				}
			}
		})
	}
}
