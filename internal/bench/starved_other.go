//go:build !linux

package bench

import "time"

func waitedForCPU() (waited time.Duration, times int64, ok bool) { return 0, 0, false }

func machineTime() (busy, total time.Duration, ok bool) { return 0, 0, false }
