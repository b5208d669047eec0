package ingest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ordersctl/ordersctl/internal/ingest"
)

// say sends bytes as they are and reads until the server closes.
func (e *edge) say(text string) string {
	e.t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(e.t.Context(), "tcp", e.server.Addr())
	if err != nil {
		e.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		e.t.Fatal(err)
	}
	// The server may close before it has read everything.
	_, _ = io.WriteString(conn, text)
	all, err := io.ReadAll(conn)
	if err != nil {
		e.t.Errorf("after %q: %v", all, err)
	}
	return string(all)
}

// request is a POST with these header lines, "|" for CR LF.
func request(lines, body string) string {
	return "POST /order HTTP/1.1\r\nHost: a\r\n" + strings.ReplaceAll(lines, "|", "\r\n") + "\r\n\r\n" + body
}

func chunked(text string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text), text) }

func TestNothingIsSmuggledBehindARefusedRequest(t *testing.T) {
	e := start(t, func(o *ingest.Options) { o.HeaderTimeout, o.BodyTimeout = 2*time.Second, 2*time.Second })
	length := func(text string) string { return fmt.Sprintf("Content-Length: %d", len(text)) }
	first, second := body("refused"), body("smuggled")
	smuggled := request(length(second), second)
	inside := chunked("") + smuggled // ends where the chunks end, goes on where the length says
	for name, send := range map[string]string{
		"CL.TE":                             request("Content-Length: "+fmt.Sprint(len(inside))+"|Transfer-Encoding: chunked", inside),
		"CL.TE with an order":               request(length(first)+"|Transfer-Encoding: chunked", chunked(first)),
		"TE.CL":                             request("Transfer-Encoding: chunked|Content-Length: 4", chunked(smuggled)),
		"both, no length":                   request("Content-Length: 0|Transfer-Encoding: chunked", inside),
		"both, in other letters":            request("content-LENGTH: 5|tRANSFER-encoding: CHUNKED", inside),
		"TE.TE, two headers":                request("Transfer-Encoding: chunked|Transfer-Encoding: identity", inside),
		"TE.TE, two of the same":            request("Transfer-Encoding: chunked|Transfer-Encoding: chunked", inside),
		"identity":                          request("Transfer-Encoding: identity|"+length(first), first),
		"identity, no length":               request("Transfer-Encoding: identity", first),
		"a list":                            request("Transfer-Encoding: chunked, identity", inside),
		"gzip, chunked":                     request("Transfer-Encoding: gzip, chunked", inside),
		"xchunked":                          request("Transfer-Encoding: xchunked", inside),
		"quoted":                            request(`Transfer-Encoding: "chunked"`, inside),
		"nothing":                           request("Transfer-Encoding:|"+length(first), first),
		"a space before the colon":          request("Transfer-Encoding : chunked|"+length(first), first),
		"a tab before the colon":            request("Transfer-Encoding\t: chunked|"+length(first), first),
		"a space in the name":               request("Transfer Encoding: chunked|"+length(first), first),
		"a length, then a space":            request("Content-Length : 5|"+length(first), first),
		"a fold":                            request("X: y| Transfer-Encoding: chunked|"+length(first), first),
		"a folded value":                    request("Transfer-Encoding:| chunked|"+length(first), first),
		"a fold by tab":                     request("Transfer-Encoding: x|\tchunked|"+length(first), first),
		"a fold at the top":                 request(" X: y|"+length(first), first),
		"bare LF behind a header":           request("X: y\nTransfer-Encoding: chunked|"+length(first), first),
		"bare LF at the end of the header":  strings.Replace(request(length(first), first), "\r\n\r\n", "\r\n\n\r\n\r\n", 1),
		"bare CR in a value":                request("X: y\rTransfer-Encoding: chunked|"+length(first), first),
		"bare CR in a name":                 request("\rTransfer-Encoding: chunked|"+length(first), first),
		"a vertical tab in front":           request("Transfer-Encoding: \x0bchunked", inside),
		"a NUL":                             request("Transfer-Encoding: chunked\x00|"+length(first), first),
		"two lengths":                       request(length(first)+"|Content-Length: 0", first),
		"two lengths that agree":            request(length(first)+"|"+length(first), first),
		"a list of lengths":                 request("Content-Length: 5, 5", first),
		"a sign before the length":          request("Content-Length: +5", first),
		"a negative length":                 request("Content-Length: -1", first),
		"a hexadecimal length":              request("Content-Length: 0x10", first),
		"a length with a space in it":       request("Content-Length: 1 0", first),
		"a length beyond 64 bits":           request("Content-Length: 18446744073709551617", first),
		"an empty length":                   request("Content-Length:", first),
		"a chunk size with 0x":              request("Transfer-Encoding: chunked", "0x10\r\n"+first),
		"a chunk size with a sign":          request("Transfer-Encoding: chunked", "+10\r\n"+first),
		"a negative chunk size":             request("Transfer-Encoding: chunked", "-1\r\n"+first),
		"a chunk size beyond 64 bits":       request("Transfer-Encoding: chunked", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
		"a chunk size with a space before":  request("Transfer-Encoding: chunked", " 5\r\nhello\r\n0\r\n\r\n"),
		"a chunk size that ends in LF":      request("Transfer-Encoding: chunked", "5\nhello\r\n0\r\n\r\n"),
		"an extension that ends in LF":      request("Transfer-Encoding: chunked", "5;x\nhello\r\n0\r\n\r\n"),
		"an extension with a bare CR":       request("Transfer-Encoding: chunked", "5;x\ry\r\nhello\r\n0\r\n\r\n"),
		"a chunk that is longer than said":  request("Transfer-Encoding: chunked", "3\r\nhello\r\n0\r\n\r\n"),
		"a chunk that ends in LF":           request("Transfer-Encoding: chunked", "5\r\nhello\n0\r\n\r\n"),
		"no chunk at all":                   request("Transfer-Encoding: chunked", "\r\n"+first),
		"a trailer with a length":           request("Transfer-Encoding: chunked|Trailer: Content-Length", "0\r\nContent-Length: 5\r\n\r\n"),
		"chunks for HTTP/1.0":               strings.Replace(request("Transfer-Encoding: chunked|Connection: keep-alive", inside), "HTTP/1.1", "HTTP/1.0", 1),
		"a version of its own":              strings.Replace(request(length(first), first), "HTTP/1.1", "HTTP/1.9", 1),
		"HTTP/2":                            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"HTTP/2 by its version":             strings.Replace(request(length(first), first), "HTTP/1.1", "HTTP/2.0", 1),
		"two hosts":                         request("Host: b|"+length(first), first),
		"no host":                           "POST /order HTTP/1.1\r\n" + length(first) + "\r\n\r\n" + first,
		"a GET with both":                   strings.Replace(request("Content-Length: 5|Transfer-Encoding: chunked", inside), "POST", "GET", 1),
		"both, asked whether to go on":      request("Content-Length: 5|Transfer-Encoding: chunked|Expect: 100-continue", inside),
		"a method that stands for a fault":  strings.Replace(request(length(first), first), "POST", "\x00\x01", 1),
		"a body that is too large":          request("Content-Length: 99999999", first),
		"a body that is too large, in turn": request("Content-Length: 99999999|Expect: 100-continue", ""),
	} {
		t.Run(name, func(t *testing.T) {
			e.t = t
			answer := e.say(send + smuggled)
			if n := strings.Count(answer, "X-Request-Id: "); n != 1 || !strings.HasPrefix(answer, "HTTP/1.1 4") {
				t.Errorf("%d answers: %s", n, answer)
			}
			if !strings.Contains(answer, `"outcome":"not_written"`) || !strings.Contains(answer, "Connection: close") {
				t.Errorf("got %s", answer)
			}
		})
	}
	e.t = t
	for _, r := range e.records() {
		t.Errorf("in the topic: %s", r.Key)
	}
}

func TestWhatIsPlainlyWrittenIsTaken(t *testing.T) {
	e := start(t, nil)
	for name, c := range map[string]struct {
		send    string
		answers int
	}{
		"one after the other":     {request(fmt.Sprintf("Content-Length: %d", len(body("a"))), body("a")) + request(fmt.Sprintf("Content-Length: %d|Connection: close", len(body("b"))), body("b")), 2},
		"chunks":                  {request("Transfer-Encoding: chunked|Connection: close", chunked(body("c"))), 1},
		"chunks with extensions":  {request("Transfer-Encoding: \tChunked \t|Connection: close", fmt.Sprintf("%x;a=b\r\n%s\r\n0\r\n\r\n", len(body("d")), body("d"))), 1},
		"HTTP/1.0":                {fmt.Sprintf("POST /order HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", len(body("e")), body("e")), 1},
		"names in other letters":  {request(fmt.Sprintf("CONTENT-length: %d|connection: CLOSE", len(body("f"))), body("f")), 1},
		"no space after a colon":  {request(fmt.Sprintf("Content-Length:%d|Connection:close|X-Empty:", len(body("g"))), body("g")), 1},
		"many tabs after a colon": {request(fmt.Sprintf("Content-Length:\t\t%d\t|Connection: close", len(body("h"))), body("h")), 1},
	} {
		answer := e.say(c.send)
		if strings.Count(answer, "HTTP/1.1 202") != c.answers {
			t.Errorf("%s: %s", name, answer)
		}
	}
	if n := len(e.records()); n != 8 {
		t.Errorf("%d orders are in the topic", n)
	}
}

func TestAClientThatAsksFirstIsToldBeforeItSends(t *testing.T) {
	e := start(t, nil)
	text := body("a")
	for name, c := range map[string]struct{ send, want string }{
		"too large":    {request("Content-Length: 99999999|Expect: 100-continue", ""), "HTTP/1.1 413"},
		"small enough": {request(fmt.Sprintf("Content-Length: %d|Expect: 100-continue|Connection: close", len(text)), text), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202"},
	} {
		if answer := e.say(c.send); !strings.HasPrefix(answer, c.want) {
			t.Errorf("%s: %s", name, answer)
		}
	}
}

func TestASlowClientIsToldAndLeft(t *testing.T) {
	e := start(t, func(o *ingest.Options) { o.HeaderTimeout, o.BodyTimeout = 300*time.Millisecond, 600*time.Millisecond })
	for name, send := range map[string]string{
		"nothing":         "",
		"half a header":   "POST /order HTTP/1.1\r\nHost: a\r\nContent-Le",
		"half a body":     request("Content-Length: 100", `{"id`),
		"half a chunk":    request("Transfer-Encoding: chunked", "20\r\n{"),
		"half the chunks": request("Transfer-Encoding: chunked", "1\r\n{\r\n"),
	} {
		begin := time.Now()
		answer := e.say(send)
		if took := time.Since(begin); took > 5*time.Second || !strings.HasPrefix(answer, "HTTP/1.1 408") || !strings.Contains(answer, "application/problem+json") {
			t.Errorf("%s: after %s: %s", name, took, answer)
		}
	}
	// One byte after the other does not buy more time.
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", e.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begin := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, b := range []byte("POST /order HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 10_000)) {
		if _, err := conn.Write([]byte{b}); err != nil {
			break
		}
		if <-tick.C; time.Since(begin) > 10*time.Second {
			t.Fatal("a client that drips is still heard after 10 s")
		}
	}
	if e.metric(`ordersctl_http_rejected_total{reason="too_slow"}`) == "0" {
		t.Error("nobody is counted as slow")
	}
}

func TestEveryAnswerHasTheSecurityHeadersAndNamesNoSoftware(t *testing.T) {
	e := start(t, nil)
	for name, send := range map[string]string{
		"accepted":   request(fmt.Sprintf("Content-Length: %d|Connection: close", len(body("a"))), body("a")),
		"refused":    request("Content-Length: 2|Connection: close", "{}"),
		"elsewhere":  "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"no request": "\r\n\r\nhello\r\n\r\n",
		"two ways":   request("Content-Length: 5|Transfer-Encoding: chunked", "0\r\n\r\n"),
	} {
		answer := e.say(send)
		for _, want := range []string{"X-Content-Type-Options: nosniff\r\n", "Cache-Control: no-store\r\n", "X-Request-Id: "} {
			if !strings.Contains(answer, want) {
				t.Errorf("%s: no %q in %s", name, want, answer)
			}
		}
		for _, not := range []string{"Server:", "fasthttp", "go1.", "goroutine"} {
			if strings.Contains(answer, not) {
				t.Errorf("%s: %q in %s", name, not, answer)
			}
		}
	}
	if h := e.mustPost(body("b")).header; h.Get("Server") != "" {
		t.Errorf("Server: %s", h.Get("Server"))
	}
}

// The clock of http.Client is not ours: this is a client that reads slowly.
func TestARequestBehindAnotherIsAnsweredInItsTurn(t *testing.T) {
	e := start(t, nil)
	answer := e.say(request("Content-Length: 2", "{}") + request(fmt.Sprintf("Content-Length: %d|Connection: close", len(body("a"))), body("a")))
	if strings.Count(answer, "X-Request-Id: ") != 2 || !strings.Contains(answer, "HTTP/1.1 "+fmt.Sprint(http.StatusAccepted)) {
		t.Errorf("got %s", answer)
	}
}
