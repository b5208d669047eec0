//go:build !linux

package bench

import "time"

func waitedForCPU() (time.Duration, bool) { return 0, false }

func machineTime() (busy, total time.Duration, ok bool) { return 0, 0, false }
