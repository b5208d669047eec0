package kafka

import "syscall"

// groupAttr also lets the kernel kill the process when we are killed.
func groupAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
