//go:build !unix

package reload

import "os"

func open(path string) (*os.File, error) { return os.Open(path) }
