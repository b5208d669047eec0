package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is how much later than asked the kernel may wake a thread to save
// power; its default is 50 µs.
const timerSlack = time.Microsecond

// sleep has the kernel wake this thread when asked to. time.Sleep would wake
// when the scheduler next looks at its timers, a millisecond off. The thread
// keeps the slack: what else sleeps on it is woken on time, too.
func sleep(d time.Duration) {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) // as good as it gets
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // woken early by a signal, the caller looks at its clock again
}
