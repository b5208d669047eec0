package ingest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// KeyPrefix begins every key, so that one that was left somewhere is
// recognised, by people and by programs that search for secrets.
const KeyPrefix = "ordersctl_"

// AddKey makes an API key, appends its line to the file and gives the key,
// which is kept nowhere. A file that can't be read as one of keys is left
// alone: serve would go on without the new line.
func AddKey(file, name string) (key string, err error) {
	if err := ValidateKeyName(name); err != nil {
		return "", err
	}
	content, err := os.ReadFile(file)
	made := errors.Is(err, fs.ErrNotExist)
	switch {
	case made:
	case err != nil:
		return "", fmt.Errorf("read the API keys: %w", err)
	default:
		if err := appendable(content); err != nil {
			return "", fmt.Errorf("read the API keys of %q: %w", file, err)
		}
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // it never fails (crypto/rand)
	key = KeyPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	hash := sha256.Sum256([]byte(key))
	line := name + ":" + hex.EncodeToString(hash[:]) + "\n"
	if n := len(content); n > 0 && content[n-1] != '\n' {
		line = "\n" + line
	}
	if err = appendTo(file, line); err == nil && made {
		err = syncFolder(filepath.Dir(file))
	}
	if err != nil {
		return "", fmt.Errorf("write the API key's line: %w", err)
	}
	return key, nil
}

// appendable takes a file that may have no key that is in force.
func appendable(content []byte) error {
	var some [sha256.Size]byte
	_, _ = rand.Read(some[:])
	_, err := parseKeys(append(content[:len(content):len(content)], "\nx:"+hex.EncodeToString(some[:])+"\n"...))
	return err
}

// appendTo returns when the line is on the disk: a key is shown only once.
func appendTo(file, line string) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.WriteString(f, line); err != nil {
		return err
	}
	return f.Sync()
}
