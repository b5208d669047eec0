package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

const (
	envPrefix = "ORDERSCTL_"
	fileName  = "ordersctl.yaml"
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
	l.Warnings = unknownEnv(env, known)

	v := viper.New()
	for _, f := range known {
		v.SetDefault(f.key, f.value.Interface())
		if err := v.BindEnv(f.key, envName(f.key)); err != nil {
			return nil, fmt.Errorf("bind %s: %w", f.key, err)
		}
	}
	for _, layer := range []map[string]any{file, overlay} {
		for key, value := range layer {
			if err := v.MergeConfigMap(nest(key, value)); err != nil {
				return nil, &Error{Msg: fmt.Sprintf("read %s: %v", key, err)}
			}
		}
	}
	for key, value := range s.Flags {
		v.Set(key, value)
	}
	for _, f := range known {
		source := l.sourceOf(f.key, s, env, file, overlay)
		l.sources[f.key] = source
		if source == "default" {
			continue
		}
		value := v.Get(f.key)
		if text, ok := env[envName(f.key)]; ok && strings.HasPrefix(source, "environment") {
			value = text // Viper reads the process's own environment, tests give another
		}
		if err := assign(f.value, value); err != nil {
			return nil, &Error{Msg: fmt.Sprintf("%s (%s): %v", f.key, source, err)}
		}
	}
	return l, l.Validate()
}

func (l *Loaded) sourceOf(key string, s Sources, env map[string]string, file, overlay map[string]any) string {
	if _, ok := s.Flags[key]; ok {
		return "flag --" + s.FlagOf[key]
	}
	if env[envName(key)] != "" {
		return "environment " + envName(key)
	}
	if _, ok := overlay[key]; ok {
		return "context " + l.Context
	}
	if _, ok := file[key]; ok {
		return "file"
	}
	return "default"
}

// readFile gives the file's values and each context's, by flat key.
func (l *Loaded) readFile(s Sources, env map[string]string) (file map[string]any, contexts []contextOverlay, err error) {
	path, err := findFile(s, env)
	if err != nil || path == "" {
		return nil, nil, err
	}
	l.File = path
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, &Error{Msg: "read configuration: " + err.Error()}
	}
	v := viper.New()
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(text)); err != nil {
		var parse viper.ConfigParseError
		if errors.As(err, &parse) {
			err = parse.Unwrap()
		}
		return nil, nil, &Error{Msg: fmt.Sprintf("read %s: %s", path, oneLine(err)), Next: "config.example.yaml shows every key"}
	}
	all := v.AllSettings()
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
func findFile(s Sources, env map[string]string) (string, error) {
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
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", &Error{Msg: "read configuration: " + oneLine(err)}
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
		name, from = InUse(s), "config use"
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

// InUse is the context that config use chose, "" without one.
func InUse(s Sources) string {
	if s.UserDir == "" {
		return ""
	}
	b, err := os.ReadFile(filepath.Join(s.UserDir, "context"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Use makes name the context of later commands.
func Use(s Sources, name string) error {
	if s.UserDir == "" {
		return errors.New("find the user's config folder: neither XDG_CONFIG_HOME nor HOME is set")
	}
	if err := os.MkdirAll(s.UserDir, 0o700); err != nil {
		return fmt.Errorf("keep the context's name: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.UserDir, "context"), []byte(name+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the context's name: %w", err)
	}
	return nil
}

// nest makes {"a": {"b": value}} of "a.b".
func nest(key string, value any) map[string]any {
	parts := strings.Split(key, ".")
	for i := len(parts) - 1; i > 0; i-- {
		value = map[string]any{parts[i]: value}
	}
	return map[string]any{parts[0]: value}
}

func oneLine(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
