//go:build !linux

package bench

import (
	"runtime"
	"time"
)

func newSleeper() sleeper {
	runtime.LockOSThread()
	return sleeper{}
}

type sleeper struct{}

// sleep is as exact as the runtime's timers are: up to a millisecond late.
func (sleeper) sleep(d time.Duration) { time.Sleep(d) }
