package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// waitedForCPU is how long this process's threads were ready to run and had no
// CPU, all together, and how many times they got one (proc(5), schedstat).
// Threads that have ended are not in it.
func waitedForCPU() (waited time.Duration, times int64, ok bool) {
	files, err := filepath.Glob("/proc/self/task/*/schedstat")
	if err != nil || len(files) == 0 {
		return 0, 0, false
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		fields := bytes.Fields(b)
		if len(fields) != 3 {
			continue
		}
		ns, err := strconv.ParseInt(string(fields[1]), 10, 64)
		n, nErr := strconv.ParseInt(string(fields[2]), 10, 64)
		if err == nil && nErr == nil {
			waited += time.Duration(ns)
			times += n
			ok = true
		}
	}
	return waited, times, ok
}

// machineTime is the time that this machine's CPUs were busy and that there
// was in all (proc(5), stat).
func machineTime() (busy, total time.Duration, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, false
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, 0, false
	}
	const jiffy = 10 * time.Millisecond // USER_HZ is 100 on every platform of Go's
	const idle, iowait, steal = 4, 5, 8
	for i, f := range fields[1 : steal+1] { // beyond it: guests, who are in user already
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, 0, false
		}
		d := time.Duration(n) * jiffy
		total += d
		if i+1 != idle && i+1 != iowait {
			busy += d
		}
	}
	return busy, total, true
}
