package bench

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is how much later than asked the kernel may wake a thread to save
// power; its default is 50 µs.
const timerSlack = time.Microsecond

// sleeper is this goroutine alone on a thread that the kernel wakes when asked
// to. time.Sleep would wake when the scheduler next looks at its timers, a
// millisecond off. The thread is not given back: it ends with the goroutine,
// so that nobody else's sleep gets our slack.
func newSleeper() sleeper {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) // as good as it gets
	return sleeper{}
}

type sleeper struct{}

func (sleeper) sleep(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // woken early by a signal, the caller looks at its clock again
}
