package tail

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
	"github.com/ordersctl/ordersctl/internal/unit"
)

// Filter says which records to print: those for which every condition holds.
// The zero Filter lets all pass.
type Filter struct {
	conditions []condition
	onHeaders  bool // some condition looks at headers
}

// condition judges a record. One on an order's field can't judge a record that
// is no order (needsOrder); such a record is shown, since a filter must not
// hide what is broken.
type condition struct {
	needsOrder   bool
	needsHeaders bool
	holds        func(*view) bool
}

// match tells whether to print a record, and whether that is because of the
// filter and not for want of a verdict.
func (f *Filter) match(v *view) (show, judged bool) {
	judged = true
	for i := range f.conditions {
		c := &f.conditions[i]
		if c.needsOrder && !v.hasOrder() {
			judged = false
			continue
		}
		if !c.holds(v) {
			return false, true
		}
	}
	return true, judged
}

func (f *Filter) empty() bool { return len(f.conditions) == 0 }

func (f *Filter) add(c condition) {
	f.conditions = append(f.conditions, c)
	f.onHeaders = f.onHeaders || c.needsHeaders
}

// Key keeps the records with that key.
func (f *Filter) Key(key string) {
	want := []byte(key)
	f.add(condition{holds: func(v *view) bool { return v.record.Key != nil && bytes.Equal(v.record.Key, want) }})
}

// fieldNames are what Where takes on its left side.
const fieldNames = "id, user_id, total, status, timestamp, key, header.NAME"

var whereForm = regexp.MustCompile(`^\s*([A-Za-z_]+(?:\.[^\s=!<>~]+)?)\s*(==|!=|>=|<=|=|>|<|~)\s*(.*?)\s*$`)

// Where adds a condition such as "status=pending", "total>100" or
// "header.client~^shop-". Totals compare as exact decimals, timestamps as times
// (RFC 3339, a day, an age); the others know =, != and ~ (a regular expression).
// Quotes around the whole value are not part of it.
func (f *Filter) Where(text string, now time.Time) error {
	m := whereForm.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("condition %q is not FIELD OPERATOR VALUE, with one of = != > >= < <= ~", text)
	}
	name, op, value := m[1], m[2], unquote(m[3])
	if op == "==" {
		op = "="
	}
	c, err := whereCondition(name, op, value, now)
	if err != nil {
		return fmt.Errorf("condition %q: %w", text, err)
	}
	f.add(c)
	return nil
}

// unquote takes off what people put around a value who know SQL or JSON; with
// it nothing would match, and nothing would say why.
func unquote(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}

func whereCondition(name, op, value string, now time.Time) (condition, error) {
	if header, ok := strings.CutPrefix(name, "header."); ok {
		return headerCondition(header, op, value)
	}
	switch name {
	case "total":
		return totalCondition(op, value)
	case "timestamp":
		return timestampCondition(op, value, now)
	}
	text := map[string]func(*view) string{
		"id":      func(v *view) string { return v.parsed.ID },
		"user_id": func(v *view) string { return v.parsed.UserID },
		"status":  func(v *view) string { return v.parsed.Status },
		"key":     func(v *view) string { return string(v.record.Key) },
	}[name]
	if text == nil {
		return condition{}, fmt.Errorf("%q is no field, one of %s", name, fieldNames)
	}
	test, err := textTest(name, op, value)
	return condition{needsOrder: name != "key", holds: func(v *view) bool { return test(text(v)) }}, err
}

// textTest compares text; it is nil with an error.
func textTest(name, op, value string) (func(string) bool, error) {
	switch op {
	case "=":
		return func(s string) bool { return s == value }, nil
	case "!=":
		return func(s string) bool { return s != value }, nil
	case "~":
		re, err := regexp.Compile(value)
		if err != nil {
			return nil, regexpError(err)
		}
		return re.MatchString, nil
	}
	return nil, fmt.Errorf("%s has no order, so %s says nothing: use =, != or ~", name, op)
}

func regexpError(err error) error {
	return errors.New(strings.Replace(err.Error(), "error parsing regexp", "not a regular expression", 1))
}

func totalCondition(op, value string) (condition, error) {
	if op == "~" {
		test, err := textTest("total", op, value)
		return condition{needsOrder: true, holds: func(v *view) bool { return test(v.parsed.Total.String()) }}, err
	}
	want, err := order.ParseTotal(value)
	if err != nil {
		return condition{}, err
	}
	holds := compares(op)
	return condition{needsOrder: true, holds: func(v *view) bool { return holds(cmp.Compare(v.parsed.Total, want)) }}, nil
}

func timestampCondition(op, value string, now time.Time) (condition, error) {
	if op == "~" {
		test, err := textTest("timestamp", op, value)
		return condition{needsOrder: true, holds: func(v *view) bool {
			return test(v.parsed.Timestamp.UTC().Format(time.RFC3339Nano))
		}}, err
	}
	want, _, err := unit.ParseTime(value, now)
	if err != nil {
		return condition{}, err
	}
	holds := compares(op)
	return condition{needsOrder: true, holds: func(v *view) bool { return holds(v.parsed.Timestamp.Compare(want)) }}, nil
}

// compares gives what op asks of a comparison's result.
func compares(op string) func(int) bool {
	switch op {
	case "=":
		return func(c int) bool { return c == 0 }
	case "!=":
		return func(c int) bool { return c != 0 }
	case ">":
		return func(c int) bool { return c > 0 }
	case ">=":
		return func(c int) bool { return c >= 0 }
	case "<":
		return func(c int) bool { return c < 0 }
	default:
		return func(c int) bool { return c <= 0 }
	}
}

// headerCondition asks for one header of that name for which it holds; with !=
// for none that is equal, so that a record without the header passes.
func headerCondition(name, op, value string) (condition, error) {
	test, err := textTest("header."+name, strings.TrimPrefix(op, "!"), value)
	if err != nil {
		return condition{}, err
	}
	found := func(v *view) bool {
		for i := range v.record.Headers {
			if h := &v.record.Headers[i]; h.Key == name && test(string(h.Value)) {
				return true
			}
		}
		return false
	}
	if op == "!=" {
		return condition{needsHeaders: true, holds: func(v *view) bool { return !found(v) }}, nil
	}
	return condition{needsHeaders: true, holds: found}, nil
}

const grepForms = "k: (key), v: (value), hk: (a header's name), hv: (a header's value), h:NAME=, t: (topic), with ! before it for the contrary"

// Grep adds a filter as kcl's consume -G takes it: a place, a colon and a
// regular expression, "!" before it to turn it round. It looks at raw bytes, so
// it judges every record, order or not.
func (f *Filter) Grep(text string) error {
	place, negate := strings.CutPrefix(text, "!")
	name, pattern, ok := strings.Cut(place, ":")
	header := ""
	if ok && name == "h" {
		header, pattern, ok = strings.Cut(pattern, "=")
	}
	if !ok {
		return fmt.Errorf("filter %q is not PLACE:REGEXP, with one of %s", text, grepForms)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("filter %q: %w", text, regexpError(err))
	}
	var holds func(*view) bool
	switch name {
	case "k":
		holds = func(v *view) bool { return re.Match(v.record.Key) }
	case "v":
		holds = func(v *view) bool { return re.Match(v.record.Value) }
	case "t":
		holds = func(v *view) bool { return re.MatchString(v.record.Topic) }
	case "hk", "hv", "h":
		holds = func(v *view) bool { return grepHeaders(v, name, header, re) }
	default:
		return fmt.Errorf("filter %q: %q is none of %s", text, name+":", grepForms)
	}
	f.add(condition{needsHeaders: name[0] == 'h', holds: func(v *view) bool { return holds(v) != negate }})
	return nil
}

func grepHeaders(v *view, place, name string, re *regexp.Regexp) bool {
	for i := range v.record.Headers {
		h := &v.record.Headers[i]
		switch {
		case place == "hk" && re.MatchString(h.Key),
			place == "hv" && re.Match(h.Value),
			place == "h" && h.Key == name && re.Match(h.Value):
			return true
		}
	}
	return false
}
