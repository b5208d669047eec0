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

// postRaw is a POST with these header lines, "|" for CR LF.
func postRaw(lines, body string) string {
	return "POST /order HTTP/1.1\r\nHost: a\r\n" + strings.ReplaceAll(lines, "|", "\r\n") + "\r\n\r\n" + body
}

func inChunks(text string) string { return inChunksWith(text, "") }

// inChunksWith has a trailer, of whole lines.
func inChunksWith(text, trailer string) string {
	return fmt.Sprintf("%x\r\n%s\r\n0\r\n%s\r\n", len(text), text, trailer)
}

func TestNothingIsSmuggledBehindARefusedRequest(t *testing.T) {
	e := start(t, func(o *ingest.Options) { o.HeaderTimeout, o.BodyTimeout = 2*time.Second, 2*time.Second })
	length := func(text string) string { return fmt.Sprintf("Content-Length: %d", len(text)) }
	first, second := body("refused"), body("smuggled")
	smuggled := postRaw(length(second), second)
	inside := inChunks("") + smuggled // ends where the chunks end, goes on where the length says
	for name, send := range map[string]string{
		"CL.TE":                             postRaw("Content-Length: "+fmt.Sprint(len(inside))+"|Transfer-Encoding: chunked", inside),
		"CL.TE with an order":               postRaw(length(first)+"|Transfer-Encoding: chunked", inChunks(first)),
		"TE.CL":                             postRaw("Transfer-Encoding: chunked|Content-Length: 4", inChunks(smuggled)),
		"both, no length":                   postRaw("Content-Length: 0|Transfer-Encoding: chunked", inside),
		"both, in other letters":            postRaw("content-LENGTH: 5|tRANSFER-encoding: CHUNKED", inside),
		"TE.TE, two headers":                postRaw("Transfer-Encoding: chunked|Transfer-Encoding: identity", inside),
		"TE.TE, two of the same":            postRaw("Transfer-Encoding: chunked|Transfer-Encoding: chunked", inside),
		"identity":                          postRaw("Transfer-Encoding: identity|"+length(first), first),
		"identity, no length":               postRaw("Transfer-Encoding: identity", first),
		"a list":                            postRaw("Transfer-Encoding: chunked, identity", inside),
		"gzip, chunked":                     postRaw("Transfer-Encoding: gzip, chunked", inside),
		"xchunked":                          postRaw("Transfer-Encoding: xchunked", inside),
		"quoted":                            postRaw(`Transfer-Encoding: "chunked"`, inside),
		"nothing":                           postRaw("Transfer-Encoding:|"+length(first), first),
		"a space before the colon":          postRaw("Transfer-Encoding : chunked|"+length(first), first),
		"a tab before the colon":            postRaw("Transfer-Encoding\t: chunked|"+length(first), first),
		"a space in the name":               postRaw("Transfer Encoding: chunked|"+length(first), first),
		"a length, then a space":            postRaw("Content-Length : 5|"+length(first), first),
		"a fold":                            postRaw("X: y| Transfer-Encoding: chunked|"+length(first), first),
		"a folded value":                    postRaw("Transfer-Encoding:| chunked|"+length(first), first),
		"a fold by tab":                     postRaw("Transfer-Encoding: x|\tchunked|"+length(first), first),
		"a fold at the top":                 postRaw(" X: y|"+length(first), first),
		"bare LF behind a header":           postRaw("X: y\nTransfer-Encoding: chunked|"+length(first), first),
		"bare LF at the end of the header":  strings.Replace(postRaw(length(first), first), "\r\n\r\n", "\r\n\n\r\n\r\n", 1),
		"bare CR in a value":                postRaw("X: y\rTransfer-Encoding: chunked|"+length(first), first),
		"bare CR in a name":                 postRaw("\rTransfer-Encoding: chunked|"+length(first), first),
		"a vertical tab in front":           postRaw("Transfer-Encoding: \x0bchunked", inside),
		"a NUL":                             postRaw("Transfer-Encoding: chunked\x00|"+length(first), first),
		"two lengths":                       postRaw(length(first)+"|Content-Length: 0", first),
		"two lengths that agree":            postRaw(length(first)+"|"+length(first), first),
		"a list of lengths":                 postRaw("Content-Length: 5, 5", first),
		"a sign before the length":          postRaw("Content-Length: +5", first),
		"a negative length":                 postRaw("Content-Length: -1", first),
		"a hexadecimal length":              postRaw("Content-Length: 0x10", first),
		"a length with a space in it":       postRaw("Content-Length: 1 0", first),
		"a length beyond 64 bits":           postRaw("Content-Length: 18446744073709551617", first),
		"an empty length":                   postRaw("Content-Length:", first),
		"a chunk size with 0x":              postRaw("Transfer-Encoding: chunked", "0x10\r\n"+first),
		"a chunk size with a sign":          postRaw("Transfer-Encoding: chunked", "+10\r\n"+first),
		"a negative chunk size":             postRaw("Transfer-Encoding: chunked", "-1\r\n"+first),
		"a chunk size beyond 64 bits":       postRaw("Transfer-Encoding: chunked", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
		"a chunk size with a space before":  postRaw("Transfer-Encoding: chunked", " 5\r\nhello\r\n0\r\n\r\n"),
		"a chunk size that ends in LF":      postRaw("Transfer-Encoding: chunked", "5\nhello\r\n0\r\n\r\n"),
		"an extension that ends in LF":      postRaw("Transfer-Encoding: chunked", "5;x\nhello\r\n0\r\n\r\n"),
		"an extension with a bare CR":       postRaw("Transfer-Encoding: chunked", "5;x\ry\r\nhello\r\n0\r\n\r\n"),
		"a chunk that is longer than said":  postRaw("Transfer-Encoding: chunked", "3\r\nhello\r\n0\r\n\r\n"),
		"a chunk that ends in LF":           postRaw("Transfer-Encoding: chunked", "5\r\nhello\n0\r\n\r\n"),
		"no chunk at all":                   postRaw("Transfer-Encoding: chunked", "\r\n"+first),
		"a trailer with a length":           postRaw("Transfer-Encoding: chunked|Trailer: Content-Length", "0\r\nContent-Length: 5\r\n\r\n"),
		"a trailer":                         postRaw("Transfer-Encoding: chunked", inChunksWith(first, "X: y\r\n")),
		"a trailer that is announced":       postRaw("Transfer-Encoding: chunked|Trailer: X", inChunksWith(first, "X: y\r\n")),
		"a trailer that does not come":      postRaw("Transfer-Encoding: chunked|Trailer: X", inChunks(first)),
		"a key in a trailer":                postRaw("Transfer-Encoding: chunked", inChunksWith(first, "Idempotency-Key: k\r\n")),
		"a trailer that ends in LF":         postRaw("Transfer-Encoding: chunked", inChunksWith(first, "X: y\n")),
		"a trailer that is folded":          postRaw("Transfer-Encoding: chunked", inChunksWith(first, "X: y\r\n z\r\n")),
		"a trailer with a space in front":   postRaw("Transfer-Encoding: chunked", inChunksWith(first, "X : y\r\n")),
		"a trailer behind nothing":          postRaw("Transfer-Encoding: chunked", "0\r\nX: y\r\n\r\n"),
		"chunks for HTTP/1.0":               strings.Replace(postRaw("Transfer-Encoding: chunked|Connection: keep-alive", inside), "HTTP/1.1", "HTTP/1.0", 1),
		"a version of its own":              strings.Replace(postRaw(length(first), first), "HTTP/1.1", "HTTP/1.9", 1),
		"HTTP/2":                            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"HTTP/2 by its version":             strings.Replace(postRaw(length(first), first), "HTTP/1.1", "HTTP/2.0", 1),
		"two hosts":                         postRaw("Host: b|"+length(first), first),
		"no host":                           "POST /order HTTP/1.1\r\n" + length(first) + "\r\n\r\n" + first,
		"a GET with both":                   strings.Replace(postRaw("Content-Length: 5|Transfer-Encoding: chunked", inside), "POST", "GET", 1),
		"both, asked whether to go on":      postRaw("Content-Length: 5|Transfer-Encoding: chunked|Expect: 100-continue", inside),
		"a method that stands for a fault":  strings.Replace(postRaw(length(first), first), "POST", "\x00BPOST", 1),
		"a body that is too large":          postRaw("Content-Length: 99999999", first),
		"a body that is too large, in turn": postRaw("Content-Length: 99999999|Expect: 100-continue", ""),
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

func TestARequestThatIsRefusedByItsHeaderKeepsItsMethod(t *testing.T) {
	e := start(t, func(o *ingest.Options) { o.AccessLog = true })
	const both = "Content-Length: 5|Transfer-Encoding: chunked"
	for _, method := range []string{"POST", "GET", "HEAD", "BREW"} {
		answer := e.say(strings.Replace(postRaw(both, ""), "POST", method, 1))
		if _, text, _ := strings.Cut(answer, "\r\n\r\n"); (text == "") != (method == "HEAD") {
			t.Errorf("%s: %s", method, answer)
		}
		if n := strings.Count(e.log.String(), "msg=request method="+method+" path=/order code=400"); n != 1 {
			t.Errorf("%s: %d lines in the access log:\n%s", method, n, e.log.String())
		}
	}
	if n := strings.Count(e.log.String(), `msg="order refused"`); n != 4 {
		t.Errorf("%d refusals are logged", n)
	}
	for method, want := range map[string]string{"POST": "1", "GET": "1", "HEAD": "1", "other": "1"} {
		if got := e.metric(fmt.Sprintf(`ordersctl_http_requests_total{code="400",method=%q,route="/order"}`, method)); got != want {
			t.Errorf("%s of %s are counted", got, method)
		}
	}
}

// What the library reads leniently in chunks has to be the end of what is read.
func TestNothingIsRunBehindChunks(t *testing.T) {
	e := start(t, nil)
	text := body("a")
	for name, send := range map[string]string{
		"as they should be":                 inChunks(text),
		"a size with a space behind":        strings.Replace(inChunks(text), "\r\n", " \r\n", 1),
		"a size with a tab behind":          strings.Replace(inChunks(text), "\r\n", "\t\r\n", 1),
		"an end in LF alone":                strings.TrimSuffix(inChunks(text), "\r\n") + "\n",
		"an end in LF alone, of no content": "0\r\n\n",
	} {
		answer := e.say(postRaw("Transfer-Encoding: chunked", send) + postRaw(fmt.Sprintf("Content-Length: %d", len(body("next"))), body("next")))
		if strings.Count(answer, "X-Request-Id: ") != 1 || !strings.Contains(answer, "Connection: close\r\n") {
			t.Errorf("%s: %s", name, answer)
		}
	}
	for _, r := range e.records() {
		if string(r.Key) != "a" {
			t.Errorf("in the topic: %s", r.Key)
		}
	}
}

func TestWhatIsPlainlyWrittenIsTaken(t *testing.T) {
	e := start(t, nil)
	for name, c := range map[string]struct {
		send    string
		answers int
	}{
		"one after the other":     {postRaw(fmt.Sprintf("Content-Length: %d", len(body("a"))), body("a")) + postRaw(fmt.Sprintf("Content-Length: %d|Connection: close", len(body("b"))), body("b")), 2},
		"chunks":                  {postRaw("Transfer-Encoding: chunked|Connection: close", inChunks(body("c"))), 1},
		"chunks with extensions":  {postRaw("Transfer-Encoding: \tChunked \t|Connection: close", fmt.Sprintf("%x;a=b\r\n%s\r\n0\r\n\r\n", len(body("d")), body("d"))), 1},
		"HTTP/1.0":                {fmt.Sprintf("POST /order HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", len(body("e")), body("e")), 1},
		"names in other letters":  {postRaw(fmt.Sprintf("CONTENT-length: %d|connection: CLOSE", len(body("f"))), body("f")), 1},
		"no space after a colon":  {postRaw(fmt.Sprintf("Content-Length:%d|Connection:close|X-Empty:", len(body("g"))), body("g")), 1},
		"many tabs after a colon": {postRaw(fmt.Sprintf("Content-Length:\t\t%d\t|Connection: close", len(body("h"))), body("h")), 1},
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
		"too large":    {postRaw("Content-Length: 99999999|Expect: 100-continue", ""), "HTTP/1.1 413"},
		"small enough": {postRaw(fmt.Sprintf("Content-Length: %d|Expect: 100-continue|Connection: close", len(text)), text), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202"},
	} {
		if answer := e.say(c.send); !strings.HasPrefix(answer, c.want) {
			t.Errorf("%s: %s", name, answer)
		}
	}
}

func TestASlowClientIsToldAndLeft(t *testing.T) {
	t.Parallel()
	e := start(t, func(o *ingest.Options) { o.HeaderTimeout, o.BodyTimeout = 300*time.Millisecond, 600*time.Millisecond })
	for name, send := range map[string]string{
		"nothing":         "",
		"half a header":   "POST /order HTTP/1.1\r\nHost: a\r\nContent-Le",
		"half a body":     postRaw("Content-Length: 100", `{"id`),
		"half a chunk":    postRaw("Transfer-Encoding: chunked", "20\r\n{"),
		"half the chunks": postRaw("Transfer-Encoding: chunked", "1\r\n{\r\n"),
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

func TestAPageCantHaveItsVisitorsPost(t *testing.T) {
	e := start(t, nil)
	length := fmt.Sprintf("Content-Length: %d|Connection: close|", len(body("a")))
	for name, c := range map[string]struct{ send, want string }{
		"a form":                  {postRaw(length+"Origin: https://a.example|Content-Type: text/plain", body("a")), "415"},
		"what has no type":        {postRaw(length+"Origin: https://a.example", body("a")), "415"},
		"what has none, unknown":  {postRaw(length+"Origin: null", body("a")), "415"},
		"the question before":     {"OPTIONS /order HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n\r\n", "405"},
		"a page behind a gateway": {postRaw(length+"Origin: https://a.example|Content-Type: application/json", body("a")), "202"},
		"a program":               {postRaw(length+"X: y", body("a")), "202"},
	} {
		answer := e.say(c.send)
		if !strings.HasPrefix(answer, "HTTP/1.1 "+c.want) || strings.Contains(answer, "Access-Control") {
			t.Errorf("%s: %s", name, answer)
		}
	}
}

func TestEveryAnswerHasTheSecurityHeadersAndNamesNoSoftware(t *testing.T) {
	e := start(t, nil)
	for name, send := range map[string]string{
		"accepted":   postRaw(fmt.Sprintf("Content-Length: %d|Connection: close", len(body("a"))), body("a")),
		"refused":    postRaw("Content-Length: 2|Connection: close", "{}"),
		"elsewhere":  "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"no request": "\r\n\r\nhello\r\n\r\n",
		"two ways":   postRaw("Content-Length: 5|Transfer-Encoding: chunked", "0\r\n\r\n"),
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
	answer := e.say(postRaw("Content-Length: 2", "{}") + postRaw(fmt.Sprintf("Content-Length: %d|Connection: close", len(body("a"))), body("a")))
	if strings.Count(answer, "X-Request-Id: ") != 2 || !strings.Contains(answer, "HTTP/1.1 "+fmt.Sprint(http.StatusAccepted)) {
		t.Errorf("got %s", answer)
	}
}
