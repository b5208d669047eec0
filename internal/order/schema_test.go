package order_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ordersctl/ordersctl/internal/order"
)

const schemaFile = "../../docs/order.schema.json"

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// heavyNumber is a number that this validator calculates with for seconds, or panics on.
var heavyNumber = regexp.MustCompile(`[eE][+-]?[0-9]{4,}`)

// TestSchemaAgreesWithDecoder: the schema accepts what the decoder accepts and refuses what it
// refuses, save the rows that say why a schema cannot. An excuse that is not needed is a fault.
func TestSchemaAgreesWithDecoder(t *testing.T) {
	schema := compileSchema(t)
	d := order.NewDecoder(order.Rules{})
	for _, r := range corpus(t) {
		t.Run(r.Name, func(t *testing.T) {
			_, decodeErr := d.Decode(r.data())
			excused := r.Schema != ""
			if excused && decodeErr == nil {
				t.Fatal("the decoder accepts the row: it needs no excuse")
			}
			if heavyNumber.Match(r.data()) {
				if !excused {
					t.Fatal("the row cannot be shown to a validator and does not say so")
				}
				return
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.data()))
			if err == nil {
				err = schema.Validate(value)
			} else if excused {
				return // not JSON
			}
			if agree := (err == nil) == (decodeErr == nil); agree == excused {
				t.Errorf("the schema says %v, the decoder %v, the excuse is %q", err, decodeErr, r.Schema)
			}
		})
	}
}

func TestSchemaExamplesAreOrders(t *testing.T) {
	schema := compileSchema(t)
	if len(schema.Examples) == 0 {
		t.Fatal("the schema has no examples")
	}
	for _, example := range schema.Examples {
		if err := schema.Validate(example); err != nil {
			t.Errorf("example against its own schema: %v", err)
		}
		data, err := json.Marshal(example)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := order.NewDecoder(order.Rules{}).Decode(data); err != nil {
			t.Errorf("example %s: %v", data, err)
		}
	}
	for name, property := range schema.Properties {
		if len(property.Examples) == 0 || property.Description == "" {
			t.Errorf("%s has no examples or no description", name)
		}
		for _, example := range property.Examples {
			if err := property.Validate(example); err != nil {
				t.Errorf("example of %s: %v", name, err)
			}
		}
	}
}
