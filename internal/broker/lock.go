package broker

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// InUseError says that another broker has the data directory open.
type InUseError struct {
	Dir string
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("open data directory %q: in use by another broker", e.Dir)
}

// Hint says what to do about it.
func (e *InUseError) Hint() string {
	return "another ordersctl dev uses this directory: stop it, or give this one its own with --data-dir"
}

// lockDir makes dir and takes its lock, because kfake takes none: two of them
// would write into each other's segments. The lock goes with the process,
// however that ends. Its file stays: removing it would let two processes hold
// "the" lock, each on a file of its own.
func lockDir(dir string) (*flock.Flock, error) {
	// Orders are personal data: nobody else's to read.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "broker.lock"))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data directory %q: %w", dir, err)
	}
	if !ok {
		return nil, &InUseError{Dir: dir}
	}
	return lock, nil
}
