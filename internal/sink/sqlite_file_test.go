package sink

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// TestFileGone deletes and replaces the file under an open store: what is
// written then is in no file that anybody could open.
func TestFileGone(t *testing.T) {
	cfg := liteKit().fresh(t)
	s := open(t, cfg)
	mustWrite(t, s, batchOf(t, s, 0, entry(0, "a", "e0", 1)))
	file := string(cfg.URL)
	next := &Batch{Group: "g", Topic: "orders", TopicID: testID(1), First: 1, Next: 2, Entries: []Entry{entry(1, "b", "e1", 1)}}
	refuses := func(when string) {
		t.Helper()
		for doing, do := range map[string]func() error{
			"write": func() error {
				_, err := s.Write(t.Context(), next)
				return err
			},
			"write, the long way": func() error {
				theLongWay(s)
				_, err := s.Write(t.Context(), next)
				return err
			},
			"claim": func() error {
				_, err := s.Claim(t.Context(), Claim{"g", "orders", testID(1), map[int32]int64{0: 0}})
				return err
			},
		} {
			if err := do(); err == nil || ClassOf(err) != ClassOutage || !strings.Contains(err.Error(), file) {
				t.Errorf("%s, %s: %v (%s)", when, doing, err, ClassOf(err))
			}
		}
	}
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	refuses("moved away")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refuses("replaced")
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, next)
}

// TestAClosedDatabaseIsOneFile: who copies the file of a store that was closed
// has all of it, and who puts another in its place is not overruled by a log
// that was left.
func TestAClosedDatabaseIsOneFile(t *testing.T) {
	cfg := liteKit().fresh(t)
	s, err := Open(t.Context(), cfg, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, batchOf(t, s, 0, entry(0, "a", "e0", 1)))
	if _, err := s.Totals(t.Context()); err != nil { // a reader is open too
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, beside := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(string(cfg.URL) + beside); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", beside, err)
		}
	}
}
