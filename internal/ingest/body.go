package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/unit"
)

// maxOrdersBody bounds a body of POST /orders, before and after it is
// unpacked: ten thousand usual orders and a half.
const maxOrdersBody = 8 * unit.MiB

// maxBodyOf is how large the body may be: many orders only where they are
// taken.
func (s *Server) maxBodyOf(h *fasthttp.RequestHeader) unit.Size {
	if uri := h.RequestURI(); h.IsPost() && bytes.HasSuffix(pathOf(uri), []byte(routeOrders)) {
		return maxOrdersBody
	}
	return s.opts.MaxBody
}

// pathOf is the URI without its query. In absolute form it has the host before
// the path.
func pathOf(uri []byte) []byte {
	path, _, _ := bytes.Cut(uri, []byte("?"))
	return path
}

// readBody gives the body, unpacked where it is packed. It is the request's
// memory, to be read until the answer is made.
func readBody(ctx *fasthttp.RequestCtx, most int64) ([]byte, answer, bool) {
	body := ctx.PostBody()
	switch enc := string(ctx.Request.Header.ContentEncoding()); {
	case enc == "", strings.EqualFold(enc, "identity"):
		return body, answer{}, true
	case !strings.EqualFold(enc, "gzip"):
		return nil, refuse(fasthttp.StatusUnsupportedMediaType, client.NotWritten,
			fmt.Sprintf("content-encoding %q is not taken: send gzip or none", ascii(enc))), false
	}
	unpacked, err := unpack(body, most)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, refuse(fasthttp.StatusRequestEntityTooLarge, client.NotWritten, "the body is over "+unit.Size(most).String()+" when it is unpacked"), false
	case err != nil:
		return nil, refuse(fasthttp.StatusBadRequest, client.NotWritten, "the body is not gzip: "+ascii(err.Error())), false
	}
	return unpacked, answer{}, true
}

var errTooLarge = errors.New("too large")

// unpack stops at the limit: a few KiB can be a great many when unpacked.
func unpack(body []byte, most int64) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	unpacked, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(unpacked)) > most {
		return nil, errTooLarge
	}
	return unpacked, nil
}

// checkType says why the body of POST /order can't be read as JSON, "" where
// it can. A request without a content type is taken at its word; curl -d,
// which names a form, is told what to add: to guess would hide a client's
// mistake that the next server punishes.
func checkType(ctx *fasthttp.RequestCtx) string {
	contentType := string(ctx.Request.Header.ContentType())
	if contentType == "" || contentType == "application/json" {
		return ""
	}
	_, detail := mediaTypeOf(contentType, "application/json")
	return detail
}

// mediaTypeOf reads a content type; the detail says why it is none of those
// that are taken.
func mediaTypeOf(contentType string, taken ...string) (mediaType, detail string) {
	mediaType, params, err := mime.ParseMediaType(contentType)
	charset, given := params["charset"]
	if mediaType == "application/x-www-form-urlencoded" {
		return "", "content-type is application/x-www-form-urlencoded, as curl -d sends it by itself: add -H 'Content-Type: " + taken[0] + "'"
	}
	for _, known := range taken {
		if err != nil || mediaType != known {
			continue
		}
		if given && !strings.EqualFold(charset, "utf-8") {
			return "", fmt.Sprintf("charset %q is not taken, JSON is UTF-8 (RFC 8259)", ascii(charset))
		}
		return known, ""
	}
	return "", fmt.Sprintf("content-type %q is not taken: send %s", ascii(contentType), strings.Join(taken, " or "))
}
