package process

import (
	"strings"
	"testing"
)

// Somebody starts a member with another database: that is allowed, and all of
// the log comes into it, but never without a word.
func TestADatabaseThatTheGroupHasNotBeenInIsSaid(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 2)
	k.send(good(0, "a", "paid"), good(1, "b", "paid"))
	const said = "probably read into another one"
	run := func(f *fold, what string, want int) {
		t.Helper()
		w := k.start(f)
		until(t, what+" runs", func() bool { return f.at(0) == 1 && f.at(1) == 1 && w.committedAll() })
		w.end()
		if n := strings.Count(w.log.String(), said); n != want {
			t.Errorf("%s: it says so %d times, want %d:\n%s", what, n, want, w.log)
		}
	}
	ours, other := newFold(), newFold()
	run(ours, "a new group", 0)
	run(ours, "a group that comes back", 0)
	run(other, "a database without offsets of the group", 1)
	run(other, "it has some now", 0)
}
