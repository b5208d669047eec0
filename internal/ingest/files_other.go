//go:build !unix

package ingest

import "io/fs"

// fileLimit is not known where there is none.
func fileLimit() (n int, known bool) { return 0, false }

// exposed is not known from the mode where there are no users in it.
func exposed(string, fs.FileMode) (fs.FileMode, bool) { return 0, false }

// syncFolder has nothing to do where folders can't be synced.
func syncFolder(string) error { return nil }
