//go:build e2e

package sink

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestDiskFull fills the disk under a real database: that is an outage, whatever
// way a batch is written, and over when there is room again.
func TestDiskFull(t *testing.T) {
	dir := server.SmallTablespace(t, "small", 48)
	for _, long := range []bool{false, true} {
		t.Run(fmt.Sprint("postgres, the long way ", long), func(t *testing.T) {
			database := fmt.Sprint("full_", long)
			exec(t, "postgres", "CREATE DATABASE "+database+" TABLESPACE small")
			testDiskFull(t, server.URL(database), dir, long, "SQLSTATE 53100")
		})
		t.Run(fmt.Sprint("sqlite, the long way ", long), func(t *testing.T) {
			testDiskFull(t, "sqlite:"+filepath.Join(dir, fmt.Sprint("full_", long, ".db")), dir, long, "database or disk is full")
		})
	}
}

func testDiskFull(t *testing.T, url, dir string, long bool, says string) {
	cfg := DefaultConfig()
	cfg.URL = URL(url)
	migrated(t, cfg)
	s := open(t, cfg)
	if long {
		theLongWay(s)
	}
	const size = 2000 // more than the free room of the pages that are there
	batch := func(first int64) *Batch {
		var entries []Entry
		for i := first; i < first+size; i++ {
			entries = append(entries, entry(i, fmt.Sprint("o", i), fmt.Sprint("e", i), 1))
		}
		return &Batch{Group: "g", Topic: "orders", TopicID: testID(1), First: first, Next: first + size, Entries: entries}
	}
	batchOf(t, s, 0)
	mustWrite(t, s, batch(0))

	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	b := batch(size)
	for range 3 {
		_, err := s.Write(t.Context(), b)
		if err == nil || ClassOf(err) != ClassOutage {
			t.Fatalf("written to a full disk: %v (%s)", err, ClassOf(err))
		}
		explained(t, err, says, "make room", 1)
		for i := range b.Entries {
			if b.Entries[i].Refusal != nil {
				t.Fatalf("entry %d is refused: %+v", i, b.Entries[i].Refusal)
			}
		}
	}
	if list, err := s.Committed(t.Context(), "g"); err != nil || len(list) != 1 || list[0].Next != size {
		t.Errorf("the offsets are %+v, %v", list, err)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if w, buried, err := buryAndWrite(t.Context(), s, b); err != nil || w.Next != 2*size || len(buried) != 0 {
		t.Errorf("written up to %d, %d dead letters, %v", w.Next, len(buried), err)
	}
	if n, err := s.Totals(t.Context()); err != nil || n != (Totals{Orders: 2 * size, Events: 2 * size}) {
		t.Errorf("the tables hold %+v, %v", n, err)
	}
}

// fill takes all that is left of a disk.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%d bytes were written, %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
