//go:build !linux

package bench

import "time"

// sleep is as exact as the runtime's timers are: up to a millisecond late.
func sleep(d time.Duration) { time.Sleep(d) }
