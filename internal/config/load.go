package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

const (
	envPrefix = "ORDERSCTL_"
	fileName  = "ordersctl.yaml"
	// Beside the user's configuration, the name that config use keeps.
	contextFile = "context"
	fileSuffix  = "-file" // of a key that names the file with a secret
	// DefaultContext names the file without any context's overlay.
	DefaultContext = "default"
)

// Sources says where to look.
type Sources struct {
	File    string            // --config; "" searches
	Context string            // --context; "" takes the one in use
	Flags   map[string]string // key → value of the flags that were given
	FlagOf  map[string]string // key → name of its flag, for the source
	Environ []string          // as os.Environ
	WorkDir string            // where ./ordersctl.yaml is looked for
	UserDir string            // the user's config folder for this program
}

// DefaultSources looks where a user expects it.
func DefaultSources() Sources {
	s := Sources{Environ: os.Environ(), WorkDir: "."}
	if dir, err := os.UserConfigDir(); err == nil {
		s.UserDir = filepath.Join(dir, "ordersctl")
	}
	return s
}

// Loaded is a Config and where each of its values came from.
type Loaded struct {
	Config
	File        string   // the file that was read, "" without one
	Context     string   // the context in force, "default" without one
	ContextFrom string   // what chose it
	Contexts    []string // the names in the file
	Warnings    []string // unknown variables of the environment
	sources     map[string]string
}

// layer is one place that values come from.
type layer struct {
	values map[string]any // by key
	source func(key string) string
}

// Load reads and validates the configuration. Errors are [*Error].
func Load(s Sources) (*Loaded, error) {
	l := &Loaded{Config: Default(), Context: DefaultContext, ContextFrom: "default", sources: map[string]string{}}
	env := environ(s.Environ)
	file, overlays, err := l.readFile(s, env)
	if err != nil {
		return nil, err
	}
	overlay, err := l.chooseContext(s, env, overlays)
	if err != nil {
		return nil, err
	}
	known := fields(&l.Config)
	l.Warnings = append(l.Warnings, unknownEnv(env, known)...)
	named := func(name string) func(string) string { return func(string) string { return name } }
	err = l.apply(known, []layer{ // the later goes before the earlier
		{file, named("file")},
		{overlay, named("context " + l.Context)},
		{envValues(env, known), func(key string) string { return "environment " + envName(key) }},
		{anyMap(s.Flags), func(key string) string { return "flag --" + s.FlagOf[key] }},
	})
	if err != nil {
		return nil, err
	}
	return l, l.Validate()
}

// apply puts the layers over the defaults and notes where each value is from.
func (l *Loaded) apply(known []field, layers []layer) error {
	v := viper.New()
	for _, f := range known {
		v.SetDefault(f.key, f.value.Interface())
		l.sources[f.key] = "default"
	}
	for _, over := range layers {
		for key, value := range over.values {
			// A secret and the file that holds it name one thing: the later of the
			// two displaces the other, also where that one is of an earlier layer.
			for _, other := range []string{key + fileSuffix, strings.TrimSuffix(key, fileSuffix)} {
				if _, both := over.values[other]; !both && other != key && l.sources[other] != "" && v.GetString(other) != "" {
					v.Set(other, "")
					l.sources[other] = over.source(key)
				}
			}
			v.Set(key, value)
			l.sources[key] = over.source(key)
		}
	}
	for _, f := range known {
		if l.sources[f.key] == "default" {
			continue
		}
		if err := assign(f.value, v.Get(f.key)); err != nil {
			return &Error{Msg: fmt.Sprintf("%s (%s): %v", f.key, l.sources[f.key], err)}
		}
	}
	return nil
}

// readFile gives the file's values and each context's, by flat key.
func (l *Loaded) readFile(s Sources, env map[string]string) (file map[string]any, contexts []contextOverlay, err error) {
	path, err := l.findFile(s, env)
	if err != nil || path == "" {
		return nil, nil, err
	}
	l.File = path
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, &Error{Msg: "read configuration: " + err.Error()}
	}
	all, err := parse(text)
	if err != nil {
		return nil, nil, &Error{Msg: fmt.Sprintf("read %s: %s", path, oneLine(err)), Next: "config.example.yaml shows every key"}
	}
	list := all["contexts"]
	delete(all, "contexts")
	if file, err = flatten(path, all); err != nil {
		return nil, nil, err
	}
	contexts, err = readContexts(path, list)
	for _, c := range contexts {
		l.Contexts = append(l.Contexts, c.name)
	}
	return file, contexts, err
}

// parse reads one YAML document, keys as they are written: viper would take
// Topic for topic, and silently prefer one of both.
func parse(text []byte) (map[string]any, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	all := map[string]any{}
	if err := dec.Decode(&all); err != nil && !errors.Is(err, io.EOF) {
		// Which may quote a password that begins with an asterisk.
		return nil, errors.New(unknownAnchor.ReplaceAllString(err.Error(), "unknown anchor: quote a value that begins with *"))
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is a second document behind ---, and only the first would be read")
	}
	return all, nil
}

var unknownAnchor = regexp.MustCompile(`unknown anchor '.*' referenced`)

type contextOverlay struct {
	name   string
	values map[string]any
}

func readContexts(path string, list any) ([]contextOverlay, error) {
	if list == nil {
		return nil, nil
	}
	items, ok := list.([]any)
	if !ok {
		return nil, &Error{Msg: fmt.Sprintf("%s: contexts is not a list", path), Next: "write each as \"- name: stage\" with its keys below"}
	}
	var out []contextOverlay
	for i, item := range items {
		m, ok := item.(map[string]any)
		name, _ := m["name"].(string)
		if !ok || name == "" || name == DefaultContext {
			return nil, &Error{Msg: fmt.Sprintf("%s: context %d has no name (or the reserved one %q)", path, i+1, DefaultContext)}
		}
		delete(m, "name")
		values, err := flatten(fmt.Sprintf("%s: context %s", path, name), m)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(c contextOverlay) bool { return c.name == name }) {
			return nil, &Error{Msg: fmt.Sprintf("%s: two contexts are named %q", path, name)}
		}
		out = append(out, contextOverlay{name, values})
	}
	return out, nil
}

// findFile is --config, ORDERSCTL_CONFIG, ./ordersctl.yaml or the one in the
// user's config folder; "" where there is none.
func (l *Loaded) findFile(s Sources, env map[string]string) (string, error) {
	for _, explicit := range []string{s.File, env[envPrefix+"CONFIG"]} {
		if explicit == "" {
			continue
		}
		if _, err := os.Stat(explicit); err != nil {
			return "", &Error{Msg: fmt.Sprintf("read configuration %s: %s", explicit, oneLine(err)), Next: "give an existing file with --config"}
		}
		return explicit, nil
	}
	candidates := []string{filepath.Join(s.WorkDir, fileName)}
	if s.UserDir != "" {
		candidates = append(candidates, filepath.Join(s.UserDir, fileName))
	}
	for _, path := range candidates {
		_, err := os.Stat(path)
		switch {
		case err == nil:
			return path, nil
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			// A service account's home is often /dev/null.
		default:
			l.Warnings = append(l.Warnings, fmt.Sprintf("no configuration read: %s: %s", path, oneLine(err)))
		}
	}
	return "", nil
}

func (l *Loaded) chooseContext(s Sources, env map[string]string, overlays []contextOverlay) (map[string]any, error) {
	name, from := s.Context, "flag --context"
	if name == "" {
		name, from = env[envPrefix+"CONTEXT"], "environment "+envPrefix+"CONTEXT"
	}
	if name == "" {
		inUse, err := InUse(s)
		if err != nil {
			return nil, err
		}
		name, from = inUse, "config use"
	}
	if name == "" || name == DefaultContext {
		if name != "" {
			l.ContextFrom = from
		}
		return nil, nil
	}
	for _, o := range overlays {
		if o.name == name {
			l.Context, l.ContextFrom = name, from
			return o.values, nil
		}
	}
	// Going on without it would point a command meant for one cluster at
	// another.
	have := strings.Join(append([]string{DefaultContext}, l.Contexts...), ", ")
	file := l.File
	if file == "" {
		file = "any configuration file"
	}
	return nil, &Error{Msg: fmt.Sprintf("context %q (%s) is not in %s", name, from, file), Next: fmt.Sprintf("choose one of %s with --context or \"ordersctl config use\"", have)}
}

// InUse is the context that config use chose, "" without one. One that was
// chosen and can't be read is an error: the commands that follow would go to
// another cluster.
func InUse(s Sources) (string, error) {
	if s.UserDir == "" {
		return "", nil
	}
	path := filepath.Join(s.UserDir, contextFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return "", nil
	}
	name := strings.TrimSpace(string(b))
	next := `choose one with --context, or again with "ordersctl config use"`
	if err != nil {
		return "", &Error{Msg: fmt.Sprintf("read which context is in use: %s: %s", path, oneLine(err)), Next: next}
	}
	if name == "" {
		return "", &Error{Msg: fmt.Sprintf("read which context is in use: %s is empty", path), Next: next}
	}
	return name, nil
}

// Use makes name the context of later commands. The file is replaced whole, so
// that a command that starts meanwhile sees the one or the other.
func Use(s Sources, name string) error {
	if s.UserDir == "" {
		return errors.New("find the user's config folder: neither XDG_CONFIG_HOME nor HOME is set")
	}
	if err := os.MkdirAll(s.UserDir, 0o700); err != nil {
		return fmt.Errorf("keep the context's name: %w", err)
	}
	tmp, err := os.CreateTemp(s.UserDir, contextFile+"-")
	if err != nil {
		return fmt.Errorf("keep the context's name: %w", err)
	}
	_, err = tmp.WriteString(name + "\n")
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(s.UserDir, contextFile))
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // the error that counts is the first
		return fmt.Errorf("keep the context's name: %w", err)
	}
	return nil
}

func oneLine(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
