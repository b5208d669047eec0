package ingest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ordersctl/ordersctl/internal/ingest"
	"github.com/ordersctl/ordersctl/internal/unit"
)

// suite is the public corpus in internal/order/testdata/JSONTestSuite by file name.
func suite(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../order/testdata/JSONTestSuite/test_parsing/*.json")
	if err != nil {
		t.Fatal(err)
	}
	docs := make(map[string][]byte, len(files))
	for _, file := range files {
		if docs[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if len(docs) != 318 {
		t.Fatalf("the corpus has %d files, want 318", len(docs))
	}
	return docs
}

// poster posts bodies on one connection that is kept: a server that lost its place in the stream would answer the
// next one wrong.
func poster(t *testing.T) func(path string, body []byte) reply {
	e := start(t, func(o *ingest.Options) { o.MaxBody, o.Kafka.Linger = unit.MiB, 0 })
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return func(path string, body []byte) reply {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.TrimSuffix(e.url, "/order")+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		r := reply{code: resp.StatusCode, header: resp.Header}
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatalf("%q is answered %d %q: %v", body, resp.StatusCode, raw, err)
		}
		return r
	}
}

func TestNothingOfThePublicCorpusIsAnOrder(t *testing.T) {
	post := poster(t)
	for name, doc := range suite(t) {
		if _, ok := oracleID(doc); ok {
			t.Errorf("the oracle takes %s", name)
		}
		for _, path := range []string{"/order", "/orders"} {
			r := post(path, doc)
			if r.code != 400 || r.Outcome != "not_written" || r.Retry || r.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s at %s is answered %+v", name, path, r)
			}
		}
	}
}

func TestThePublicCorpusAsOneFieldsValue(t *testing.T) {
	post := poster(t)
	answers := map[int]int{}
	for name, doc := range suite(t) {
		inner, opened := bytes.CutPrefix(bytes.TrimSpace(doc), []byte("["))
		inner, closed := bytes.CutSuffix(inner, []byte("]"))
		values := [][]byte{doc}
		if opened && closed { // most of the corpus is arrays of one text or number
			values = append(values, inner)
		}
		for _, value := range values {
			for _, field := range []string{`"id"`, `"user_id"`, `"total"`, `"status"`, `"timestamp"`} {
				body := orderWith(field, value)
				want := 400
				if _, ok := oracleID(body); ok {
					want = 202
				}
				if r := post("/order", body); r.code != want {
					t.Errorf("%s as %s is answered %+v, want %d", name, field, r, want)
				}
				answers[want]++
			}
		}
	}
	if answers[202] < 50 || answers[400] < 1500 {
		t.Errorf("the oracle asks for %v: either is too few to show anything", answers)
	}
}

// orderWith is a valid order but for one field's value.
func orderWith(field string, value []byte) []byte {
	const valid = `{"id":"1","user_id":"2","total":3,"status":"paid","timestamp":"2024-10-01T12:34:56Z"}`
	before, rest, _ := strings.Cut(valid, field+":")
	_, after, more := strings.Cut(rest, `,`)
	if more {
		after = "," + after
	} else {
		after = "}"
	}
	return append(append([]byte(before+field+":"), value...), after...)
}
