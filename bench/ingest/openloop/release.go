//go:build linux

package main

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// release hands out n arrivals, one every 1/rate seconds from start on, each when its time has come, and closes due.
// It says how late each was. time.Sleep is a millisecond late where a thread of its own with the least timer slack is
// some tens of microseconds late.
func release(ctx context.Context, start time.Time, rate, n int, due chan<- arrival) (lags []time.Duration, err error) {
	defer close(due)
	// A thread that sleeps in the kernel keeps its processor from the runtime for a while: one more for the others.
	runtime.GOMAXPROCS(runtime.NumCPU() + 1)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	lags = make([]time.Duration, 0, n)
	for i := range n {
		intended := start.Add(time.Duration(float64(i) / float64(rate) * float64(time.Second)))
		for wait := time.Until(intended); wait > 0; wait = time.Until(intended) {
			pause := unix.NsecToTimespec(wait.Nanoseconds())
			_ = unix.Nanosleep(&pause, nil) // interrupted by a signal it is called again
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		lags = append(lags, time.Since(intended))
		due <- arrival{i, intended}
	}
	return lags, nil
}
