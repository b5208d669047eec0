//go:build unix && !linux

package kafka

import "syscall"

// groupAttr has no way to tie the process to our life here: kill -9 on us leaves brokers behind.
func groupAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
