//go:build !linux

package prover

import (
	"os/exec"
	"syscall"
)

// start starts a child and gives its group its priority. An error of low is only about the
// priority.
func start(cmd *exec.Cmd) (low, err error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ours, err := nice(0)
	if err != nil {
		return err, nil
	}
	return syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, min(ours+below, lowest)), nil
}
