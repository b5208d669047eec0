package order_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/order"
)

// suite is the public corpus of testdata/JSONTestSuite by file name: n_ is not JSON, y_ is, of i_
// the standard leaves it open.
func suite(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/JSONTestSuite/test_parsing/*.json")
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

// notJSON tells whether the first fault is about the document and not about one of its fields.
func notJSON(faults []string) bool { return len(faults) == 1 && !strings.HasPrefix(faults[0], "/") }

func TestNothingOfThePublicCorpusIsAnOrder(t *testing.T) {
	d := order.NewDecoder(order.Rules{})
	for name, doc := range suite(t) {
		o, err := d.Decode(doc)
		if err == nil {
			t.Errorf("%s is decoded as %v", name, o)
			continue
		}
		if faults := faultsOf(t, err); strings.HasPrefix(name, "n_") && !notJSON(faults) {
			t.Errorf("%s is no JSON, but its faults are %q", name, faults)
		}
	}
}

// TestThePublicCorpusAsOneFieldsValue: whatever stands there, the decoder takes what the
// reference takes, and never anything that is not JSON.
func TestThePublicCorpusAsOneFieldsValue(t *testing.T) {
	d := order.NewDecoder(order.Rules{})
	taken := make(map[string]int)
	for name, value := range values(suite(t)) {
		for field, doc := range ordersWith(value) {
			got, err := d.Decode(doc)
			want, refErr := reference(doc, nil)
			if (err == nil) != (refErr == nil) {
				t.Errorf("%s as %s: the reference says %v, the decoder %v", name, field, refErr, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s as %s (-reference +got):\n%s", name, field, diff)
			}
			if err == nil && strings.HasPrefix(name, "n_") {
				t.Errorf("%s as %s is decoded as %v", name, field, got)
			}
			if err == nil {
				taken[field]++
			}
		}
	}
	// Some values are valid where they stand, or this test would show nothing.
	want := map[string]int{"id": 40, "user_id": 40, "total": 15, "status": 5}
	if diff := cmp.Diff(want, taken); diff != "" {
		t.Errorf("orders taken by field (-want +got):\n%s", diff)
	}
}

// values are the documents, and of those in brackets also what the brackets hold: most of the
// corpus is arrays of one text or number.
func values(docs map[string][]byte) map[string][]byte {
	all := maps.Clone(docs)
	for name, doc := range docs {
		inner, opened := bytes.CutPrefix(bytes.TrimSpace(doc), []byte("["))
		inner, closed := bytes.CutSuffix(inner, []byte("]"))
		if opened && closed {
			all[name+", without its brackets"] = inner
		}
	}
	return all
}

// ordersWith are valid orders but for one field each, which has the value.
func ordersWith(value []byte) map[string][]byte {
	docs := make(map[string][]byte)
	for field, rest := range map[string]string{
		"id":        `"user_id":"2","total":3,"status":"paid","timestamp":"2024-10-01T12:34:56Z"}`,
		"user_id":   `"id":"1","total":3,"status":"paid","timestamp":"2024-10-01T12:34:56Z"}`,
		"total":     `"id":"1","user_id":"2","status":"paid","timestamp":"2024-10-01T12:34:56Z"}`,
		"status":    `"id":"1","user_id":"2","total":3,"timestamp":"2024-10-01T12:34:56Z"}`,
		"timestamp": `"id":"1","user_id":"2","total":3,"status":"paid"}`,
	} {
		doc := append([]byte(`{"`+field+`":`), value...)
		docs[field] = append(append(doc, ','), rest...)
	}
	return docs
}
