// Command nanosleep says how late the kernel wakes a thread that sleeps from one arrival to the next and does nothing
// else: what a generator that sleeps so can't be better than. bench/generator/run prints it beside ordersctl's lag.
//
//	nanosleep RATE SECONDS      p50 and p99 in ms
package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	rate, seconds := number(1), number(2)
	runtime.LockOSThread()
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
	slices.Sort(late)
	for _, percent := range []int{50, 99} {
		fmt.Printf("%.3f ", late[(len(late)-1)*percent/100].Seconds()*1e3) //nolint:forbidigo // a program of its own
	}
	fmt.Println() //nolint:forbidigo // a program of its own
}

func number(arg int) int {
	if len(os.Args) == 3 {
		if n, err := strconv.Atoi(os.Args[arg]); err == nil && n > 0 {
			return n
		}
	}
	fmt.Fprintln(os.Stderr, "usage: nanosleep RATE SECONDS")
	os.Exit(2)
	return 0
}
