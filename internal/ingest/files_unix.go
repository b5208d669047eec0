//go:build unix

package ingest

import (
	"errors"
	"io/fs"
	"math"
	"os"
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

// exposed tells whether the file's mode lets everybody on this machine do one
// of these things with it.
func exposed(file string, to fs.FileMode) (fs.FileMode, bool) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, false // whoever reads it says so
	}
	return info.Mode(), info.Mode()&to != 0
}

// syncFolder returns when the names of the files in it are on the disk.
func syncFolder(path string) (err error) {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	return folder.Sync()
}
