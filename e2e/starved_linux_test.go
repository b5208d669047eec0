//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A generator that gets a small part of one CPU can't keep its schedule. It has
// to say so, whatever the server's figures look like.
func TestAStarvedBenchIsInvalid(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	onOneCPU(t)
	for range 8 {
		busy := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
		if err := busy.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = busy.Process.Kill()
			_ = busy.Wait()
		}()
	}
	file := filepath.Join(t.TempDir(), "run.json")
	// Late where it is asked for little; where it is asked for much all of its
	// connections look busy, and it is never late.
	// A closed loop is never late, and its server is the other CPU's here.
	for _, load := range []string{"-r 5k", "-r 50k", "-c 8", "-r max"} {
		args := append([]string{"bench", "--to", server.URL + "/order", "-d", "3s", "--verify", "none", "--threshold", "p99<1us", "--json", file}, strings.Fields(load)...)
		stdout, stderr, code := try(t, "localhost:1", "", args...)
		r := readBench(t, file)
		last := stdout[strings.LastIndex(strings.TrimSpace(stdout), "\n")+1:]
		// It outranks the threshold, which is missed as well.
		if code != 5 || r.Verdict.Word != "INVALID" || r.Verdict.ExitCode != 5 || !strings.HasPrefix(last, "INVALID  generator ") {
			t.Errorf("%s: exit code %d, %+v\n%s%s", load, code, r.Verdict, stdout, stderr)
		}
		if !strings.Contains(last, " from 0:0") || !strings.Contains(last, "CPU") {
			t.Errorf("%s: neither the moment nor the reason: %s", load, last)
		}
		if !strings.Contains(stderr, "hint: run it where it has a CPU to itself") {
			t.Errorf("%s: nothing says what to do: %s", load, stderr)
		}
		t.Logf("%s: %s", load, last)
	}
}

// onOneCPU pins this goroutine's thread, and so the programs that it starts, to
// the first CPU that it may use.
func onOneCPU(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.SchedSetaffinity(0, &all)
		runtime.UnlockOSThread()
	})
}
