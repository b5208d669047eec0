//go:build unix

package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a program that runs, or does not.
type process struct {
	command *exec.Cmd // nil: it does not
	exited  chan struct{}
	exit    error // how it ended; read it after exited is closed
}

// run starts the command on a thread that stays as long as the process does: the signal that ends it with us is tied to
// the thread (prctl(2), PR_SET_PDEATHSIG).
func (p *process) run(cmd *exec.Cmd) error {
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.exit = cmd.Wait()
			close(exited)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	p.command, p.exited = cmd, exited
	return nil
}

func (p *process) end(sig syscall.Signal) error {
	if p.command == nil {
		return nil
	}
	running, name := p.command.Process, p.command.Path
	p.command = nil
	if err := running.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited: // a crash is an exit code of its own
		return nil
	case <-time.After(stopTimeout):
	}
	err := running.Kill()
	<-p.exited
	return errors.Join(fmt.Errorf("%s still up %s after %s, killed", name, stopTimeout, sig), err)
}
