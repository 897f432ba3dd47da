package prover

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// ErrChild: the child did not prove. It says why; when the kernel killed it, memory is short.
var ErrChild = errors.New("proving process")

const (
	// below is how much lower the priority of a child is than ours, as nice values: it gets a
	// tenth of what it would have when we want every core, and all that we leave. So a winning
	// PoSt hardly waits for it, and it comes to its end on a machine that is always busy. The
	// lowest priority of all would be a seventieth.
	below = 10
	// lowest is the last nice value that there is.
	lowest = 19
	// maxAnswer bounds what a child may write, in bytes. The longest proof, a window PoSt of
	// 10,000 partitions, has less.
	maxAnswer = 4 << 20
	// maxLine bounds a line that a child logs.
	maxLine = 64 << 10
	// killWait is how long the pipes of a child that was killed may stay open.
	killWait = 5 * time.Second
)

// ask runs a child for one job and returns what it made.
func (p *Prover) ask(ctx context.Context, j job) (a answer, err error) {
	p.children.Add(1)
	defer p.children.Add(-1)
	j.Network, j.Keys = p.network, p.opt.Keys
	// The child is killed when ctx ends.
	cmd := exec.CommandContext(ctx, p.opt.Command[0], p.opt.Command[1:]...)
	cmd.WaitDelay = killWait
	// A group of its own gets a priority of its own, and no interrupt from the terminal: the
	// node decides when the child ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrChild, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrChild, err)
	}
	log := &lines{log: p.opt.Log}
	cmd.Stderr = log
	low, err := start(cmd)
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrChild, err)
	}
	if low != nil {
		p.opt.Log.Warn("cannot lower the priority of the proving process; blocks may be late meanwhile", "pid", cmd.Process.Pid, "err", low)
	}
	p.opt.Log.Debug("proving process started", "pid", cmd.Process.Pid)
	begun := time.Now()
	sent := send(stdin, j)
	got := gob.NewDecoder(io.LimitReader(stdout, maxAnswer)).Decode(&a)
	// Standard input stays open until here, since its end ends the child.
	closed := stdin.Close()
	ended := cmd.Wait()
	log.flush()
	switch {
	case ctx.Err() != nil:
		return answer{}, ctx.Err()
	case got == nil && a.Error != "":
		return answer{}, fmt.Errorf("%w: %s", ErrChild, a.Error)
	case got != nil:
		return answer{}, fmt.Errorf("%w: no answer: %w; it said: %q", ErrChild, errors.Join(sent, got, closed, ended), log.last)
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		p.opt.Log.Info("proof made", "took", time.Since(begun).Round(time.Millisecond), "cpu", (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Round(time.Millisecond), "peak_kib", u.Maxrss)
	}
	return a, nil
}

// nice is the nice value of a process or thread, 0 for our own.
func nice(id int) (int, error) {
	// The system call answers 20 less the nice value, since it may answer nothing negative.
	p, err := syscall.Getpriority(syscall.PRIO_PROCESS, id)
	return 20 - p, err
}

func send(w io.Writer, j job) error {
	b := bufio.NewWriter(w)
	if err := gob.NewEncoder(b).Encode(j); err != nil {
		return err
	}
	return b.Flush()
}

// lines logs what a child says, line by line. It is for the one goroutine that copies.
type lines struct {
	log  *slog.Logger
	rest []byte
	last string
}

func (l *lines) Write(b []byte) (int, error) {
	for _, c := range b {
		if c == '\n' || len(l.rest) == maxLine {
			l.flush()
		}
		if c != '\n' {
			l.rest = append(l.rest, c)
		}
	}
	return len(b), nil
}

func (l *lines) flush() {
	if line := strings.TrimSpace(string(l.rest)); line != "" {
		l.last = line
		l.log.Info("proving process says", "line", line)
	}
	l.rest = l.rest[:0]
}
