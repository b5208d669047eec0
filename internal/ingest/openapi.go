package ingest

import (
	_ "embed"

	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
)

const routeOpenAPI = "/openapi.json"

// openAPI says what the server takes and answers. It is written by hand, and
// ".ci/run openapi" holds the server against it.
//
//go:embed openapi.json
var openAPI []byte

func (s *Server) openapi(ctx *fasthttp.RequestCtx) answer {
	if !ctx.IsGet() && !ctx.IsHead() { // fasthttp leaves the body of an answer to HEAD out
		a := refuse(fasthttp.StatusMethodNotAllowed, client.NotWritten, "this path takes GET and HEAD only")
		a.allow = "GET, HEAD"
		return a
	}
	return answer{code: fasthttp.StatusOK, body: openAPI}
}
