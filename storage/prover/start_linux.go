package prover

import (
	"os/exec"
	"runtime"
	"syscall"
)

// start starts a child at its priority. Here every thread has a priority of its own and gives
// it on to what it starts: a thread of ours lowers itself, starts the child and ends. So no
// thread of the child's, however early, keeps our priority, as one may that is being made while
// the group is lowered. An error of low is only about the priority.
func start(cmd *exec.Cmd) (low, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked, which ends the thread
		if syscall.Gettid() == syscall.Getpid() {
			// The main thread cannot end, so another does it while this one is taken.
			low, err = start(cmd)
			runtime.UnlockOSThread()
			return
		}
		var ours int
		if ours, low = nice(0); low == nil {
			low = syscall.Setpriority(syscall.PRIO_PROCESS, 0, min(ours+below, lowest))
		}
		err = cmd.Start()
	}()
	<-done
	return low, err
}
