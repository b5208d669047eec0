//go:build unix

package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	terminate = syscall.SIGTERM
	pause     = syscall.SIGSTOP
	resume    = syscall.SIGCONT
)

// The broker logs this line once it takes requests.
const readyLine = "Kafka Server started"

// broker is one JVM with its data; it may come and go.
type broker struct {
	id    int
	dir   string
	ports []int
	log   string // standard output and error of every run, one after another

	mu      sync.Mutex
	process *process // guarded by mu; the last run, nil before the first
}

func (b *broker) address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.ports[port]))
}

func (b *broker) properties() string { return filepath.Join(b.dir, "server.properties") }

// start runs cmd and waits for the line that says it takes requests.
func (b *broker) start(ctx context.Context, cmd *exec.Cmd) error {
	log, err := os.OpenFile(b.log, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own descriptor
	info, err := log.Stat()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	p, err := startProcess(cmd)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.process = p
	b.mu.Unlock()

	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		// The size before the start: a line of an earlier run says nothing about this one.
		ready, err := containsAfter(log, info.Size(), readyLine)
		if err != nil || ready {
			return err
		}
		select {
		case <-p.exited:
			return fmt.Errorf("kafka ended before it was ready: %w; the end of its log:\n%s", p.err, b.logTail())
		case <-ctx.Done():
			return fmt.Errorf("wait for kafka to be ready: %w; the end of its log:\n%s", ctx.Err(), b.logTail())
		case <-tick.C:
		}
	}
}

// end sends the signal and waits. A broker that is down stays down.
func (b *broker) end(sig os.Signal) error {
	p := b.running()
	if p == nil {
		return nil
	}
	if err := p.signal(sig); err != nil {
		return err
	}
	if sig == terminate {
		// SIGTERM waits behind a Pause.
		if err := p.signal(resume); err != nil {
			return err
		}
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopTimeout):
	}
	if err := p.signal(os.Kill); err != nil {
		return err
	}
	<-p.exited
	return fmt.Errorf("still up %s after %s, killed; the end of its log:\n%s", stopTimeout, sig, b.logTail())
}

func (b *broker) signal(sig os.Signal) error {
	p := b.running()
	if p == nil {
		return errors.New("not running")
	}
	return p.signal(sig)
}

func (b *broker) running() *process {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process == nil {
		return nil
	}
	select {
	case <-b.process.exited:
		return nil
	default:
		return b.process
	}
}

// logTail is the last 4 KiB of the log: some 30 lines, enough for an exception with its causes.
func (b *broker) logTail() []byte {
	data, err := os.ReadFile(b.log)
	if err != nil {
		return []byte(err.Error())
	}
	return data[max(0, len(data)-4096):]
}

func containsAfter(f *os.File, offset int64, line string) (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	data := make([]byte, max(0, info.Size()-offset))
	n, err := f.ReadAt(data, offset)
	if n < len(data) && err != nil {
		return false, err
	}
	return bytes.Contains(data, []byte(line)), nil
}

// process is a command that has been started and is waited for.
type process struct {
	*os.Process
	exited chan struct{}
	err    error // what Wait returned; read it after exited is closed
}

// startProcess starts cmd from a thread that stays until the process has ended: Linux sends Pdeathsig when the thread
// that forked goes away, not when the program does (golang.org/issue/27505).
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		p.Process = cmd.Process
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// signal takes a process that ended by itself as done.
func (p *process) signal(sig os.Signal) error {
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// ownGroup keeps a terminal's Ctrl-C from the command, so that whoever started it decides when it ends; cancelling its
// context ends the whole group.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = groupAttr()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for readers of its output, should a child have kept it open
}
