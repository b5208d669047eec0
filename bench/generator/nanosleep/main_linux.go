// Command nanosleep says how late the kernel wakes a thread that sleeps from one arrival to the next and does nothing
// else: what a generator that sleeps so can't be better than. bench/generator/run prints it beside ordersctl's lag.
//
//	nanosleep RATE SECONDS      p50 and p99 in ms
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) } //nolint:forbidigo // a program of its own

func run(args []string, stdout, stderr io.Writer) int {
	var rate, seconds int
	if len(args) == 2 {
		rate, _ = strconv.Atoi(args[0])
		seconds, _ = strconv.Atoi(args[1])
	}
	if rate <= 0 || seconds <= 0 {
		fmt.Fprintln(stderr, "usage: nanosleep RATE SECONDS")
		return 2
	}
	late := measure(rate, seconds)
	slices.Sort(late)
	at := func(percent int) float64 { return late[(len(late)-1)*percent/100].Seconds() * 1e3 }
	fmt.Fprintf(stdout, "%.3f %.3f\n", at(50), at(99))
	return 0
}

// measure gives how late each wake-up was.
func measure(rate, seconds int) []time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(time.Microsecond), 0, 0, 0)
	late := make([]time.Duration, 0, rate*seconds)
	start := time.Now()
	for i := range rate * seconds {
		due := time.Second * time.Duration(i+1) / time.Duration(rate)
		if wait := due - time.Since(start); wait > 0 {
			ts := unix.NsecToTimespec(int64(wait))
			_ = unix.Nanosleep(&ts, nil)
		}
		late = append(late, time.Since(start)-due)
	}
	return late
}
