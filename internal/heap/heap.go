// Package heap sets how much memory is traded for less garbage collection.
package heap

import "runtime"

// floor is memory that is never touched, so it is never resident.
const floor = 64 << 20

// Raise lets at least 64 MiB of garbage gather before it is collected, for the
// programs through which millions of orders go: little of them lives long, and
// with a heap of 20 MiB Go would collect it dozens of times a second
// (docs/performance.md). Unlike a higher GOGC it costs the same where much
// lives. The caller calls the result at its end.
func Raise() (lower func()) {
	ballast := make([]byte, floor)
	return func() { runtime.KeepAlive(ballast) }
}
