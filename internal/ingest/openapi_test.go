package ingest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ordersctl/ordersctl/internal/order"
)

// What the server answers is held against the document by ".ci/run openapi".
// Here is what schemathesis does not see.

func (e *edge) openAPI() map[string]any {
	e.t.Helper()
	resp, err := http.Get(strings.TrimSuffix(e.url, "/order") + "/openapi.json")
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		e.t.Errorf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		e.t.Fatal(err)
	}
	return doc.(map[string]any)
}

// at follows a path of keys.
func at(t *testing.T, v any, keys ...string) any {
	t.Helper()
	for _, key := range keys {
		m, ok := v.(map[string]any)
		if !ok || m[key] == nil {
			t.Fatalf("nothing at %q", keys)
		}
		v = m[key]
	}
	return v
}

func TestOpenAPINamesThePathsThatAreServed(t *testing.T) {
	e := start(t, nil)
	got := map[string][]string{}
	for path, item := range at(t, e.openAPI(), "paths").(map[string]any) {
		got[path] = slices.Sorted(maps.Keys(item.(map[string]any)))
	}
	want := map[string][]string{"/order": {"post"}, "/orders": {"post"}, "/openapi.json": {"get", "head"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for path, methods := range want {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, strings.TrimSuffix(e.url, "/order")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		allow := strings.ToUpper(strings.Join(methods, ", "))
		if resp.StatusCode != 405 || resp.Header.Get("Allow") != allow {
			t.Errorf("PATCH %s: %d, Allow %q, want 405, %q", path, resp.StatusCode, resp.Header.Get("Allow"), allow)
		}
	}
}

func TestOpenAPIHasTheOrdersSchema(t *testing.T) {
	file, err := os.ReadFile("../../docs/order.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(file, &want); err != nil {
		t.Fatal(err)
	}
	delete(want, "$schema") // those of a document of its own
	delete(want, "$id")
	text, err := json.Marshal(at(t, start(t, nil).openAPI(), "components", "schemas", "Order"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("openapi.json differs from docs/order.schema.json (-schema +openapi):\n%s", diff)
	}
}

// TestOpenAPIExamplesAreValid holds each example of a body or a header against
// the schema that stands beside it.
func TestOpenAPIExamplesAreValid(t *testing.T) {
	doc := start(t, nil).openAPI()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	seen := 0
	var walk func(pointer string, v any)
	walk = func(pointer string, v any) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		var examples []any
		if example, has := m["example"]; has {
			examples = append(examples, example)
		}
		if named, has := m["examples"].(map[string]any); has {
			for _, example := range named {
				examples = append(examples, at(t, example, "value"))
			}
		}
		if m["schema"] != nil && len(examples) > 0 {
			schema, err := c.Compile("openapi.json#" + pointer + "/schema")
			if err != nil {
				t.Fatal(err)
			}
			for _, example := range examples {
				seen++
				if err := schema.Validate(example); err != nil {
					t.Errorf("%s: %v", pointer, err)
				}
			}
		}
		for key, inner := range m {
			walk(pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), inner)
		}
	}
	walk("", doc)
	if seen < 15 {
		t.Errorf("found %d examples", seen)
	}
	text, err := json.Marshal(at(t, doc, "paths", "/order", "post", "requestBody", "content", "application/json", "example"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := order.NewDecoder(order.Rules{}).Decode(text); err != nil {
		t.Errorf("%s: %v", text, err)
	}
}
