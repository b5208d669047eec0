//go:build unix

package ingest

import (
	"math"
	"syscall"
)

// fileLimit is how many files the process may have open. The Go runtime has
// raised the soft limit to the hard one at its start.
func fileLimit() (n int, known bool) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || uint64(limit.Cur) > math.MaxInt32 {
		return 0, false
	}
	return int(limit.Cur), true
}
