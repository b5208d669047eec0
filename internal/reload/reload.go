// Package reload holds what was read from files and reads it anew when they
// change, so that keys and certificates rotate without a restart. Start at
// [Open].
//
// It compares contents and not dates, so that it makes no difference whether a
// file was written anew, renamed over or swapped by a symbolic link, as
// Kubernetes does it. It starts no goroutine: the caller says when to look.
package reload

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Every is how often the files are looked at: a rotation takes effect within
	// two of these, and reading some KiB that often costs nothing.
	Every = time.Second
	// A file that was changed this recently may still be being written. It is
	// taken once its date is older, or once it has been seen the same for as long.
	settled = time.Second
	// No certificate or list of keys is larger; what is, was named by mistake.
	maxBytes = 4 << 20
)

// Files is a value that was read from one or more files.
type Files[T any] struct {
	setting string
	paths   []string
	parse   func(contents [][]byte) (T, error)
	log     *slog.Logger

	current atomic.Pointer[T]
	looked  atomic.Int64 // Unix nanoseconds

	mu      sync.Mutex // one look at a time
	taken   digest     // what current was made of
	last    digest     // what the last look saw
	since   time.Time  // since when looks have seen it
	refused digest     // what was refused, and logged
}

type digest [sha256.Size]byte

// Open reads the files for the first time; setting is the name that errors and
// the log call them by.
func Open[T any](setting string, paths []string, log *slog.Logger, parse func(contents [][]byte) (T, error)) (*Files[T], error) {
	f := &Files[T]{setting: setting, paths: paths, parse: parse, log: log}
	contents, _, err := read(paths)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", setting, err)
	}
	value, err := parse(contents)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", setting, err)
	}
	f.taken = digestOf(contents, nil)
	f.last = f.taken
	f.current.Store(&value)
	f.looked.Store(time.Now().UnixNano())
	return f, nil
}

// Current is what was read last, without a look at the files.
func (f *Files[T]) Current() T { return *f.current.Load() }

// Fresh is Current after a look at the files where the last one is [Every] ago.
// Whoever calls it meanwhile does not wait.
func (f *Files[T]) Fresh() T {
	now, last := time.Now().UnixNano(), f.looked.Load()
	if now-last >= int64(Every) && f.looked.CompareAndSwap(last, now) {
		f.Look()
	}
	return f.Current()
}

// Look reads the files and takes over what changed in them. What can't be read
// or does not parse is logged, once, and what was there before stays. Where
// another look is under way there is none: on a file system that hangs it may
// never end, and must not take more with it.
func (f *Files[T]) Look() {
	if !f.mu.TryLock() {
		return
	}
	defer f.mu.Unlock()
	f.looked.Store(time.Now().UnixNano())
	contents, changed, err := read(f.paths)
	seen := digestOf(contents, err)
	if seen != f.last {
		f.last, f.since = seen, time.Now()
	}
	if seen == f.taken {
		f.refused = digest{}
		return
	}
	old := err == nil && time.Since(changed).Abs() >= settled
	if seen == f.refused || !old && time.Since(f.since) < settled {
		return
	}
	var value T
	if err == nil {
		value, err = f.parse(contents)
	}
	if err != nil {
		f.refused = seen
		f.log.Error("a file changed and can't be used, going on with what it held before", "setting", f.setting, "err", err)
		return
	}
	f.taken, f.refused = seen, digest{}
	f.current.Store(&value)
	f.log.Info("a file changed and was read anew", "setting", f.setting)
}

// read gives the contents and when the youngest of the files was changed.
func read(paths []string) (contents [][]byte, changed time.Time, err error) {
	for _, path := range paths {
		content, at, err := readOne(path)
		if err != nil {
			return nil, time.Time{}, err
		}
		contents = append(contents, content)
		if at.After(changed) {
			changed = at
		}
	}
	return contents, changed, nil
}

func readOne(path string) (content []byte, changed time.Time, err error) {
	file, err := open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !info.Mode().IsRegular() {
		// A pipe would hold up whoever looks, and can be read only once.
		return nil, time.Time{}, fmt.Errorf("%q is no regular file, which it has to be to be read again", path)
	}
	content, err = io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err == nil && len(content) > maxBytes {
		err = fmt.Errorf("%q is over %d bytes", path, maxBytes)
	}
	return content, info.ModTime(), err
}

// digestOf tells contents, and failures, from each other.
func digestOf(contents [][]byte, err error) (d digest) {
	h := sha256.New()
	for _, content := range contents {
		one := sha256.Sum256(content)
		h.Write(one[:])
	}
	if err != nil {
		h.Write([]byte(err.Error()))
	}
	h.Sum(d[:0])
	return d
}
