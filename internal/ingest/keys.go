package ingest

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/reload"
)

const (
	// Each request is compared with every key: at this many that is 50 µs.
	maxKeys = 1000
	// What is longer is no key of ours, and not worth hashing.
	maxKeyBytes = 512
)

// apiKey is one line of the file of API keys.
type apiKey struct {
	name string
	// Plain SHA-256 is enough: a key is 256 random bits, and not a password that
	// could be guessed, so there is nothing that a slow or salted hash would make
	// harder.
	hash  [sha256.Size]byte
	until time.Time // zero: no end
}

// keySet are the API keys that are known.
type keySet []apiKey

// openKeys reads the file of API keys. At the start there has to be one in
// force. Later a file without any is taken at its word, and nobody gets in:
// whoever deletes the last line takes that key back.
func openKeys(file string, log *slog.Logger) (*reload.Files[keySet], error) {
	const setting = "serve.api-keys-file"
	started := false
	keys, err := reload.Open(setting, []string{file}, log, func(contents [][]byte) (keySet, error) {
		keys, err := parseKeys(contents[0])
		if err != nil {
			return nil, err
		}
		if err := keys.inForce(time.Now()); err != nil {
			if !started {
				return nil, err
			}
			log.Error("no API key is in force: every order is refused with 401", "setting", setting, "err", err)
		}
		return keys, nil
	})
	if err != nil {
		return nil, &keyFileError{err}
	}
	started = true
	return keys, nil
}

// keyFileError is a file of API keys that can't be used.
type keyFileError struct{ err error }

func (e *keyFileError) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *keyFileError) Unwrap() error { return e.err }

// Hint says how to make one.
func (e *keyFileError) Hint() string {
	return `"ordersctl serve key NAME --file FILE" makes a key and its line`
}

// ExitCode is that of usage and configuration.
func (e *keyFileError) ExitCode() int { return 2 }

// parseKeys reads lines of NAME:SHA256HEX or NAME:SHA256HEX:EXPIRY. Its errors
// do not quote: where the hash belongs may stand the key itself.
func parseKeys(content []byte) (keySet, error) {
	var keys keySet
	lines := map[[sha256.Size]byte]int{}
	n := 0
	for line := range bytes.Lines(content) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		key, err := parseKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if first := lines[key.hash]; first != 0 {
			return nil, fmt.Errorf("line %d: it is the key of line %d again", n, first)
		}
		lines[key.hash] = n
		keys = append(keys, key)
	}
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("%d keys are too many, at most %d", len(keys), maxKeys)
	}
	return keys, nil
}

func parseKey(line []byte) (apiKey, error) {
	fields := bytes.SplitN(line, []byte(":"), 3)
	if len(fields) < 2 {
		return apiKey{}, errors.New("want NAME:SHA256HEX, and :EXPIRY if it has one")
	}
	key := apiKey{name: string(bytes.TrimSpace(fields[0]))}
	if err := ValidateKeyName(key.name); err != nil {
		return apiKey{}, errors.New("want a name of 1 to 64 characters A-Z a-z 0-9 . _ - before the first colon, and not anonymous or direct")
	}
	hash := bytes.TrimSpace(fields[1])
	if n, err := hex.Decode(key.hash[:], hash[:min(len(hash), 2*sha256.Size)]); err != nil || n != sha256.Size || len(hash) != 2*sha256.Size {
		return apiKey{}, errors.New("want the key's SHA-256 as 64 hexadecimal digits after the first colon")
	}
	if key.hash == sha256.Sum256(nil) {
		return apiKey{}, errors.New("this is the SHA-256 of nothing: the key was empty when its line was made")
	}
	if len(fields) == 3 {
		var err error
		if key.until, err = parseExpiry(string(bytes.TrimSpace(fields[2]))); err != nil {
			return apiKey{}, err
		}
	}
	return key, nil
}

// parseExpiry takes a day, to whose end in UTC the key is good, or a moment.
func parseExpiry(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.New("want the expiry as 2027-01-31 or 2027-01-31T12:00:00Z after the second colon")
	}
	return at, nil
}

// inForce says why none of the keys opens anything.
func (k keySet) inForce(now time.Time) error {
	for i := range k {
		if k[i].valid(now) {
			return nil
		}
	}
	if len(k) > 0 {
		return errors.New("every key in it has expired")
	}
	return errors.New("there is no key in it")
}

func (k *apiKey) valid(now time.Time) bool { return k.until.IsZero() || now.Before(k.until) }

// nameOf is the name of the key that was presented, "" where it is not known.
// It takes as long for one key as for another, known or not.
func (k keySet) nameOf(presented []byte, now time.Time) string {
	if len(presented) == 0 {
		return "" // nothing is no key, whatever stands in the file
	}
	hash := sha256.Sum256(presented)
	found := -1
	for i := range k {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(k[i].hash[:], hash[:]), i, found)
	}
	if found < 0 || !k[found].valid(now) {
		return ""
	}
	return k[found].name
}

var keyName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// ValidateKeyName says what is wrong with the name of an API key.
func ValidateKeyName(name string) error {
	if name == client.ClientAnonymous || name == client.ClientDirect {
		return fmt.Errorf("the name %q is taken: it stands for those who have no key", name)
	}
	if !keyName.MatchString(name) {
		return fmt.Errorf("the name %q is not of 1 to 64 characters A-Z a-z 0-9 . _ -", name)
	}
	return nil
}

// caller is the name of whoever sends the request. Without a key that is known,
// where one is asked for, there is a refusal instead.
func (s *Server) caller(h *fasthttp.RequestHeader) (name string, refusal *answer) {
	if s.guard.keys == nil {
		return client.ClientAnonymous, nil
	}
	name, given := s.guard.nameOf(h)
	if name != "" {
		return name, nil
	}
	s.metrics.reject(rejectedKey)
	a := refuse(fasthttp.StatusUnauthorized, client.NotWritten, "this API key is not known, or has expired")
	// RFC 6750 3: an error code only where something was presented.
	a.authenticate = `Bearer error="invalid_token"`
	if !given {
		a.problem.Detail = "an API key is missing, send it as Authorization: Bearer KEY"
		a.authenticate = "Bearer"
	}
	return "", &a
}

// nameOf is the name of the key in the header, "" where it is not known; given
// tells whether there is one at all.
func (g *guard) nameOf(h *fasthttp.RequestHeader) (name string, given bool) {
	presented, given := bearer(h)
	return g.keys.Current().nameOf(presented, time.Now()), given
}

// bearer gives the key in the header, and whether there was one at all. More
// than one header is none: which of them counts would be a guess.
func bearer(h *fasthttp.RequestHeader) (key []byte, given bool) {
	const scheme = "Bearer "
	all := h.PeekAll(fasthttp.HeaderAuthorization)
	if len(all) == 0 {
		return nil, false
	}
	v := all[0]
	if len(all) > 1 || len(v) <= len(scheme) || len(v) > maxKeyBytes || !bytes.EqualFold(v[:len(scheme)], []byte(scheme)) {
		return nil, true
	}
	return bytes.TrimLeft(v[len(scheme):], " "), true
}
