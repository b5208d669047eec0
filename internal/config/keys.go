package config

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

// flatten gives the values of a section of the file by flat key, and refuses
// keys that nobody reads.
func flatten(where string, section map[string]any) (map[string]any, error) {
	def := Default()
	known := map[string]bool{}
	for _, f := range fields(&def) {
		known[f.key] = true
	}
	flat := map[string]any{}
	var walk func(prefix string, m map[string]any) error
	walk = func(prefix string, m map[string]any) error {
		for _, name := range sortedKeys(m) {
			key, value := prefix+name, m[name]
			sub, isMap := value.(map[string]any)
			switch {
			case strings.Contains(name, "."):
				return &Error{Msg: fmt.Sprintf("%s: unknown key %q", where, key), Next: "write each part before a dot as a section of its own"}
			case known[key] && value != nil && !isMap:
				flat[key] = value
			case known[key] && isMap:
				return &Error{Msg: fmt.Sprintf("%s: %s is a value, not a section", where, key), Next: "config.example.yaml shows every key"}
			case known[key]:
				// "brokers:" with nothing behind it: the default holds.
			case isMap && isSection(known, key):
				if err := walk(key+".", sub); err != nil {
					return err
				}
			case value == nil && isSection(known, key):
			case isSection(known, key):
				return &Error{Msg: fmt.Sprintf("%s: %s is a section, not a value", where, key), Next: "config.example.yaml shows every key"}
			default:
				return &Error{Msg: fmt.Sprintf("%s: unknown key %q", where, key), Next: didYouMean(nearest(key, known), "config.example.yaml shows every key")}
			}
		}
		return nil
	}
	return flat, walk("", section)
}

func isSection(known map[string]bool, key string) bool {
	for k := range known {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

func sortedKeys(m map[string]any) []string {
	return slices.Sorted(maps.Keys(m))
}

func didYouMean(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return fmt.Sprintf("did you mean %q?", name)
}

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

func environ(list []string) map[string]string {
	env := map[string]string{}
	for _, kv := range list {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, envPrefix) {
			env[name] = value
		}
	}
	return env
}

// envValues are the variables that are set. An empty one counts as not set, as
// a template leaves it that has nothing to put there.
func envValues(env map[string]string, known []field) map[string]any {
	values := map[string]any{}
	for _, f := range known {
		if text := env[envName(f.key)]; text != "" {
			values[f.key] = text
		}
	}
	return values
}

func anyMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// unknownEnv warns of variables that nobody reads. What Kubernetes injects for
// a Service named ordersctl-… is not meant for us.
func unknownEnv(env map[string]string, known []field) []string {
	names := map[string]bool{envPrefix + "CONFIG": true, envPrefix + "CONTEXT": true}
	for _, f := range known {
		names[envName(f.key)] = true
	}
	var out []string
	for name, value := range env {
		injected := strings.HasSuffix(name, "_SERVICE_HOST") || strings.Contains(name, "_SERVICE_PORT") ||
			strings.Contains(name, "_PORT") && (strings.Contains(value, "://") || strings.Contains(name, "_TCP") || strings.Contains(name, "_UDP"))
		if names[name] || injected {
			continue
		}
		warning := fmt.Sprintf("unknown environment variable %s", name)
		if near := nearest(name, names); near != "" {
			warning += fmt.Sprintf(", did you mean %s?", near)
		}
		out = append(out, warning)
	}
	slices.Sort(out)
	return out
}

// assign reads value into the field; text is read by the field's type.
func assign(f reflect.Value, value any) error {
	text, isText := value.(string)
	if u, ok := f.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText(fmt.Append(nil, value))
	}
	if f.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if !isText || err != nil {
			return fmt.Errorf("%v is not a duration, wants one like 500ms, 30s, 2m", quote(value))
		}
		f.SetInt(int64(d))
		return nil
	}
	switch f.Kind() {
	case reflect.String:
		if !isText && f.Type() == reflect.TypeFor[client.Secret]() {
			return errors.New("it is not text: quote it") // and never shown
		}
		if !isText {
			return fmt.Errorf("%v is not text: quote it", value)
		}
		f.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(fmt.Sprint(value))
		if err != nil {
			return fmt.Errorf("%v is not true or false", quote(value))
		}
		f.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(fmt.Sprint(value))
		if err != nil {
			return fmt.Errorf("%v is not a whole number", quote(value))
		}
		f.SetInt(int64(n))
	case reflect.Slice:
		return assignList(f, value)
	default:
		return fmt.Errorf("no way to read a %s", f.Type())
	}
	return nil
}

func assignList(f reflect.Value, value any) error {
	var list []string
	switch v := value.(type) {
	case string:
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
	case []any:
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return fmt.Errorf("%v in the list is not text: quote it", item)
			}
			list = append(list, text)
		}
	default:
		return fmt.Errorf("%v is not a list", value)
	}
	f.Set(reflect.ValueOf(list))
	return nil
}

func quote(value any) string {
	if s, ok := value.(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprint(value)
}

// Entry is one key as config show tells it.
type Entry struct {
	Key    string `json:"key"`
	Value  any    `json:"value"` // string, bool, number or list; secrets as "***"
	Source string `json:"source"`
}

// Entries lists every key with its value and where that came from.
func (l *Loaded) Entries() []Entry {
	c := l.Config
	var out []Entry
	for _, f := range fields(&c) {
		out = append(out, Entry{Key: f.key, Value: show(f.value), Source: l.sources[f.key]})
	}
	return out
}

func show(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case client.Secret:
		return x.String()
	case fmt.Stringer:
		return x.String()
	case []string:
		if x == nil {
			return []string{}
		}
		return x
	default:
		return x
	}
}
