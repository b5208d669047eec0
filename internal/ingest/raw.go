package ingest

import (
	"bytes"

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
	faultCoding
	faultVersion
	faultPage
	faultKey // the API key; what is wrong with it, the key tells
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
	case faultCoding:
		return "Transfer-Encoding has to be chunked, once"
	case faultPage:
		return "a web page has to name the content-type of what it sends: application/json"
	}
	return "only HTTP/1.1 and HTTP/1.0 are spoken here"
}

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
		}
	}
	switch {
	case lengths > 0 && codings > 0:
		return faultBothLengths
	case lengths > 1 || codings > 1:
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
	most := int(s.maxBodyOf(h.RequestURI()))
	config := fasthttp.RequestConfig{ReadTimeout: s.opts.BodyTimeout, MaxRequestBodySize: most}
	f := faultOf(h)
	length := h.ContentLength()
	switch {
	case f != faultNone:
	case fromPage(h):
		f = faultPage
	case s.stranger(h, length):
		f = faultKey
	}
	switch {
	case f != faultNone:
		abandon(h, f)
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
// The method carries the fault; no client can send one with a NUL in it.
func abandon(h *fasthttp.RequestHeader, f fault) {
	h.SetMethodBytes([]byte{0, byte(f)})
	h.SetContentLength(0)
	h.SetConnectionClose()
	h.Del(fasthttp.HeaderExpect)
}

// abandoned gives the answer to a request that was refused by its header.
func (s *Server) abandoned(ctx *fasthttp.RequestCtx, requestID string) (a answer, refused bool) {
	method := ctx.Method()
	if len(method) != 2 || method[0] != 0 {
		return answer{}, false
	}
	linger(ctx.Conn())
	switch f := fault(method[1]); f {
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
	s.refusals.log(refusal{requestID: requestID, code: a.code, outcome: client.NotWritten, reason: a.problem.Detail})
	return a, true
}
