package ingest

import (
	"bytes"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
)

// fault is why a request is refused when its header has come, before its body
// is read.
type fault byte

const (
	faultNone fault = iota
	faultBareLF
	faultFold
	faultName
	faultBothLengths
	faultLengths
	faultCoding
	faultTrailer
	faultVersion
	faultPage
	faultKey    // the API key; what is wrong with it, the key tells
	faultMemory // no room for a body that long
)

func (f fault) detail() string {
	switch f {
	case faultBareLF:
		return "a header line ends in LF alone, HTTP wants CR LF"
	case faultFold:
		return "a header line goes on in the next one, which HTTP/1.1 does not allow"
	case faultName:
		return "a header's name is no name: it holds a space or there is no colon behind it"
	case faultBothLengths:
		return "there are a Content-Length and a Transfer-Encoding: which of them says where the request ends would be a guess"
	case faultLengths:
		return "there is more than one Content-Length"
	case faultCoding:
		return "Transfer-Encoding has to be chunked, once"
	case faultTrailer:
		return "a trailer behind the chunks is not taken: send its fields in the header"
	case faultPage:
		return "a web page has to name the content-type of what it sends: application/json"
	}
	return "only HTTP/1.1 and HTTP/1.0 are spoken here"
}

// chunked is the library's length of a body that comes in chunks.
const chunked = -1

// faultOf finds what two servers in a row could read in two ways: whoever
// stands before us might see another end of the request than we do, and take
// what follows for the next client's (request smuggling, RFC 9112 11.2). The
// library reads such headers leniently and, where both lengths are given, shows
// neither, so this looks at the bytes that came.
func faultOf(h *fasthttp.RequestHeader) fault {
	if !h.IsHTTP11() && string(h.Protocol()) != "HTTP/1.0" {
		return faultVersion
	}
	lengths, codings := 0, 0
	for rest := h.RawHeaders(); len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 1 || rest[end-1] != '\r' {
			return faultBareLF
		}
		line := rest[:end-1]
		rest = rest[end+1:]
		if len(line) == 0 {
			break // the end of the header
		}
		if line[0] == ' ' || line[0] == '\t' {
			return faultFold
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 1 || bytes.IndexByte(line[:colon], ' ') >= 0 {
			return faultName
		}
		switch {
		case isName(line[:colon], "content-length"):
			lengths++
		case isName(line[:colon], "transfer-encoding"):
			codings++
			if !isName(bytes.Trim(line[colon+1:], " \t"), "chunked") {
				return faultCoding
			}
		case isName(line[:colon], "trailer"):
			return faultTrailer
		}
	}
	switch {
	case lengths > 0 && codings > 0:
		return faultBothLengths
	case lengths > 1:
		return faultLengths
	case codings > 1:
		return faultCoding
	}
	return faultNone
}

// isName compares without regard to case; name is in lower case.
func isName(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != name[i] {
			return false
		}
	}
	return true
}

// headerReceived decides on a request before its body is read.
func (s *Server) headerReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	most := int(s.maxBodyOf(h))
	config := fasthttp.RequestConfig{ReadTimeout: s.opts.BodyTimeout, MaxRequestBodySize: most}
	f := faultOf(h)
	length := h.ContentLength()
	switch {
	case f != faultNone:
	case fromPage(h):
		f = faultPage
	case s.stranger(h, length):
		f = faultKey
	case !s.lease(h, length, most):
		f = faultMemory
	}
	switch {
	case f != faultNone:
		abandon(h, f)
	case length == chunked:
		// The library reads the ends of chunks more leniently than a proxy before us
		// may: what follows them is not run (see docs/security.md).
		h.SetConnectionClose()
	case length > most:
		// 413 comes next. Asked to go on, the client would first send it all.
		h.Del(fasthttp.HeaderExpect)
	}
	return config
}

// fromPage tells whether a browser sends what it does not ask for first. With a
// content-type of ours it would have asked, and been refused; without one any
// page could have its visitors post orders to a server in their own network.
func fromPage(h *fasthttp.RequestHeader) bool {
	return len(h.ContentType()) == 0 && len(h.Peek(fasthttp.HeaderOrigin)) > 0 && h.IsPost()
}

// lease makes sure of room for the body before any is made.
func (s *Server) lease(h *fasthttp.RequestHeader, length, most int) bool {
	size := announced(length, most)
	if size == 0 {
		return true
	}
	now := time.Now()
	return s.guard.memory.lease(h, size, now, now.Add(s.opts.BodyTimeout+leaseSlack))
}

// stranger tells whether someone who is not known is about to send much. What is
// short is read all the same: its connection can then go on after the 401.
func (s *Server) stranger(h *fasthttp.RequestHeader, length int) bool {
	short := 0 <= length && length <= int(s.opts.MaxBody) && len(h.Peek(fasthttp.HeaderExpect)) == 0
	if s.guard.keys == nil || short || !h.IsPost() {
		return false
	}
	name, _ := s.guard.nameOf(h)
	return name == ""
}

// abandon makes the library go on to the handler without the body, and close
// the connection after the answer: where the next request begins is not known.
// The fault stands before the method; no client can send one with a NUL in it.
func abandon(h *fasthttp.RequestHeader, f fault) {
	// As a letter: the library makes a space of what would be a line end.
	h.SetMethodBytes(append([]byte{0, 'A' + byte(f)}, h.Method()...))
	h.SetContentLength(0)
	h.SetConnectionClose()
	h.Del(fasthttp.HeaderExpect)
}

// chunkFault is what can be said of the chunks of a request that was read whole.
// The library puts the fields of a trailer among those of the header.
func chunkFault(ctx *fasthttp.RequestCtx) fault {
	if ctx.Request.Header.ContentLength() == chunked {
		linger(ctx.Conn())
	}
	if len(ctx.Request.Header.PeekTrailerKeys()) > 0 {
		return faultTrailer
	}
	return faultNone
}

// abandoned gives the answer to a request that was refused by its header, or
// for what its chunks brought.
func (s *Server) abandoned(ctx *fasthttp.RequestCtx, requestID string) (a answer, refused bool) {
	method := ctx.Method()
	if len(method) < 2 || method[0] != 0 {
		f := chunkFault(ctx)
		if f == faultNone {
			return answer{}, false
		}
		s.metrics.reject(rejectedMalformed)
		return refuse(fasthttp.StatusBadRequest, client.NotWritten, f.detail()), true
	}
	f := fault(method[1] - 'A')
	ctx.Request.Header.SetMethodBytes(method[2:])
	linger(ctx.Conn())
	switch f {
	case faultMemory:
		a = s.busy(rejectedMemory, "too many large requests are being read and answered")
	case faultKey:
		// Where the keys were read anew meanwhile, it may be known by now.
		a = refuse(fasthttp.StatusUnauthorized, client.NotWritten, "this API key was not known yet")
		if _, refusal := s.caller(&ctx.Request.Header); refusal != nil {
			a = *refusal
		}
	case faultPage:
		a = refuse(fasthttp.StatusUnsupportedMediaType, client.NotWritten, f.detail())
	default:
		s.metrics.reject(rejectedMalformed)
		a = refuse(fasthttp.StatusBadRequest, client.NotWritten, f.detail())
	}
	if !ctx.IsPost() { // of a POST the handler tells
		s.refusals.log(refusal{requestID: requestID, code: a.code, outcome: client.NotWritten, reason: a.problem.Detail})
	}
	return a, true
}
