package order_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/order"
)

// row is one document of testdata/corpus.json, which the decoder, the reference and the published
// schema are all held against.
type row struct {
	Name   string   `json:"name"`
	Body   string   `json:"body"`
	Base64 []byte   `json:"base64"` // instead of body, for what is not UTF-8
	Faults []string `json:"faults"` // none: accepted
	// Schema is why a schema cannot express this row's fault; empty where it does.
	Schema string `json:"schema"`
}

func (r row) data() []byte {
	if r.Base64 != nil {
		return r.Base64
	}
	return []byte(r.Body)
}

func corpus(t testing.TB) []row {
	t.Helper()
	data, err := os.ReadFile("testdata/corpus.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, r := range rows {
		if seen[r.Name] || r.Name == "" {
			t.Fatalf("the corpus has %q twice, or a row without a name", r.Name)
		}
		seen[r.Name] = true
	}
	return rows
}

// faultsOf are the faults of err, line by line, nil for no error.
func faultsOf(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var faults order.Faults
	if !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("error is %T %v, want non-empty Faults", err, err)
	}
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.String()
	}
	return texts
}

func TestDecodeCorpus(t *testing.T) {
	d := order.NewDecoder(order.Rules{})
	for _, r := range corpus(t) {
		t.Run(r.Name, func(t *testing.T) {
			got, err := d.Decode(r.data())
			if diff := cmp.Diff(r.Faults, faultsOf(t, err)); diff != "" {
				t.Fatalf("faults (-want +got):\n%s", diff)
			}
			want, refErr := reference(r.data(), nil)
			if (refErr == nil) != (err == nil) {
				t.Fatalf("the reference says %v, the decoder %v", refErr, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("order (-reference +got):\n%s", diff)
			}
		})
	}
}
