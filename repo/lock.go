package repo

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrLocked: another process has the repo. See LockedError.
var ErrLocked = errors.New("repo is in use")

// LockedError says who has the repo.
type LockedError struct {
	Dir string
	PID int // 0 when unknown
}

// Error implements error.
func (e *LockedError) Error() string {
	who := "another process"
	if e.PID > 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("%v: %s has %s; stop it, or use another folder with --repo", ErrLocked, who, e.Dir)
}

// Is makes it an ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// takeLock locks a file for this process, or rather for the returned file: the kernel gives
// the lock back when that is closed, however the process ends. The file stays.
func takeLock(path, dir string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, explain(err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for wait := time.Duration(0); errors.Is(err, syscall.EWOULDBLOCK); wait += lockPoll {
		b, _ := readSmall(path, 32)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		if wait >= lockWait || !dying(pid) {
			return nil, errors.Join(&LockedError{Dir: dir, PID: pid}, f.Close())
		}
		time.Sleep(lockPoll)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, explain(err)), f.Close())
	}
	return f, nil
}

// A process that was killed keeps its locks until the kernel has taken it down, which can take
// longer than starting the next one.
const (
	lockWait = 10 * time.Second
	lockPoll = 20 * time.Millisecond
)

// dying tells of a process that it was killed or has ended. One that runs has a command line;
// its memory, and with it the command line, goes before its files do.
func dying(pid int) bool {
	if pid <= 0 {
		return false
	}
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && len(line) == 0
}
