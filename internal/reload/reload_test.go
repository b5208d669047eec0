package reload_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ordersctl/ordersctl/internal/reload"
)

// watched is a file whose content is its value, "bad" excepted.
type watched struct {
	t     *testing.T
	path  string
	files *reload.Files[string]
	log   bytes.Buffer
}

func watch(t *testing.T, content string) *watched {
	t.Helper()
	w := &watched{t: t, path: filepath.Join(t.TempDir(), "file")}
	w.write(content, time.Hour)
	var err error
	w.files, err = reload.Open("some.setting", []string{w.path}, slog.New(slog.NewTextHandler(&w.log, nil)), func(contents [][]byte) (string, error) {
		if string(contents[0]) == "bad" {
			return "", errors.New("it is bad")
		}
		return string(contents[0]), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// write leaves a file that was changed some time ago.
func (w *watched) write(content string, ago time.Duration) {
	w.t.Helper()
	if err := os.WriteFile(w.path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	at := time.Now().Add(-ago)
	if err := os.Chtimes(w.path, at, at); err != nil {
		w.t.Fatal(err)
	}
}

// pass moves a bubble's clock (see [synctest.Test]).
func pass(d time.Duration) { <-time.After(d) }

func (w *watched) look(want string) {
	w.t.Helper()
	w.files.Look()
	if got := w.files.Current(); got != want {
		w.t.Errorf("it is %q, want %q", got, want)
	}
}

func TestAChangeIsTakenOver(t *testing.T) {
	w := watch(t, "one")
	w.look("one")
	w.write("two", time.Hour) // the same size, and as old as the first
	w.look("two")
	if got := strings.Count(w.log.String(), "read anew"); got != 1 {
		t.Errorf("told %d times:\n%s", got, &w.log)
	}
}

func TestAFileThatIsBeingWrittenIsTakenWhenItStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, "one")
		pass(1100 * time.Millisecond) // a look is due
		w.write("tw", 0)
		w.look("one")
		w.look("one") // the same at the next look, but that came at once
		if got := w.files.Fresh(); got != "one" {
			t.Errorf("half of it was taken: %q", got)
		}
		pass(reload.Every / 2)
		w.write("two", 0)
		pass(reload.Every / 2)
		w.look("one")
		pass(reload.Every)
		w.look("two")
	})
}

func TestADateThatIsWrongHoldsUpForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, "one")
		w.write("two", -500*time.Millisecond)
		w.look("one")
		pass(reload.Every)
		w.write("two", -500*time.Millisecond)
		w.look("two")
	})
}

func TestAClockThatIsWrongHoldsNothingUp(t *testing.T) {
	w := watch(t, "one")
	w.write("two", -time.Hour)
	w.look("two")
}

func TestABrokenFileKeepsWhatWasThereAndIsToldOnce(t *testing.T) {
	w := watch(t, "one")
	for range 2 {
		w.write("bad", time.Hour)
		w.look("one")
		w.look("one")
		w.write("one", time.Hour) // back: the same fault again is news
		w.look("one")
	}
	if got := strings.Count(w.log.String(), "level=ERROR"); got != 2 || !strings.Contains(w.log.String(), "it is bad") || !strings.Contains(w.log.String(), "some.setting") {
		t.Errorf("told %d times:\n%s", got, &w.log)
	}
}

func TestAFileThatIsGoneForAMomentIsNotMissed(t *testing.T) {
	synctest.Test(t, testGoneForAMoment)
}

func testGoneForAMoment(t *testing.T) {
	w := watch(t, "one")
	if err := os.Remove(w.path); err != nil {
		t.Fatal(err)
	}
	w.look("one")
	w.look("one")
	if w.log.Len() > 0 {
		t.Errorf("told at once:\n%s", &w.log)
	}
	pass(reload.Every)
	w.look("one")
	w.look("one")
	if got := strings.Count(w.log.String(), "level=ERROR"); got != 1 {
		t.Errorf("told %d times:\n%s", got, &w.log)
	}
	w.write("two", time.Hour)
	w.look("two")
}

func TestASymbolicLinkThatIsSwappedIsAChange(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"v1", "v2"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "file"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name, "file"), time.Unix(0, 0), time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	point := func(to string) { // as the kubelet does it
		if err := os.Symlink(to, filepath.Join(dir, "tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	point("v1")
	files, err := reload.Open("s", []string{filepath.Join(dir, "data", "file")}, slog.New(slog.DiscardHandler), func(c [][]byte) (string, error) { return string(c[0]), nil })
	if err != nil {
		t.Fatal(err)
	}
	point("v2")
	files.Look()
	if got := files.Current(); got != "v2" {
		t.Errorf("it is %q", got)
	}
}

func TestFreshLooksOnceInAWhile(t *testing.T) {
	w := watch(t, "one")
	w.write("two", time.Hour)
	if got := w.files.Fresh(); got != "one" {
		t.Errorf("it looked at once: %q", got)
	}
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for w.files.Fresh() != "two" {
		<-tick.C
		if time.Now().After(deadline) {
			t.Fatal("it never looked")
		}
	}
}

func TestWhatCantBeReadAtTheStartIsAnError(t *testing.T) {
	for name, content := range map[string]string{"a bad file": "bad", "a file that is far too large": strings.Repeat("x", 5<<20)} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := reload.Open("some.setting", []string{path}, nil, func([][]byte) (string, error) { return "", errors.New("it is bad") })
		if err == nil || !strings.Contains(err.Error(), "some.setting") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
