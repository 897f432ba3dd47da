package devnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lodenet/lode/api/client"
)

const (
	// startTimeout bounds how long a node may take until its RPC answers.
	startTimeout = 60 * time.Second
	// stopTimeout bounds how long it may take to stop when asked; then it is killed.
	// A winning PoSt that was begun is waited for.
	stopTimeout = 40 * time.Second
	// askTimeout bounds one question to a node.
	askTimeout = 5 * time.Second
	// pollEvery is how often a process that starts or stops is looked at.
	pollEvery = 50 * time.Millisecond
)

// pid is the process that runs a node, or 0. The file alone proves nothing after a kill, so
// the process is asked for too, and that it is ours is read from its command line.
func (f *Folder) pid(name string) int {
	b, err := os.ReadFile(f.pidFile(name))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 || syscall.Kill(pid, 0) != nil {
		return 0
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err == nil && !bytes.Contains(line, []byte(f.Repo(name))) {
		return 0 // the number went to another process, or this one is a zombie
	}
	return pid
}

func (f *Folder) pidFile(name string) string { return f.Repo(name) + ".pid" }

// Up starts the nodes that are down and returns when each answers, also those that ran
// already: one that was killed a moment ago can still look alive, and is started when it is
// gone. When none was running the network's clock goes on where it stopped. A node that cannot
// start gives an error with the end of its log; those that run stay.
func (f *Folder) Up(ctx context.Context, exe string) error {
	running := 0
	for _, m := range f.plan.Nodes {
		if f.pid(m.Name) != 0 {
			running++
		}
	}
	if running == 0 {
		if err := resume(f.dir, time.Now()); err != nil {
			return fmt.Errorf("set the network's clock: %w", err)
		}
	}
	// All start at once; each is then waited for.
	children := make([]*child, len(f.plan.Nodes))
	for i, m := range f.plan.Nodes {
		if f.pid(m.Name) != 0 {
			continue
		}
		c, err := f.spawn(exe, m.Name)
		if err != nil {
			return fmt.Errorf("start %s: %w", m.Name, err)
		}
		children[i] = c
	}
	var errs []error
	for i, m := range f.plan.Nodes {
		c := children[i]
		if c == nil {
			var err error
			if c, err = f.settle(ctx, exe, m.Name); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		if c != nil {
			errs = append(errs, f.await(ctx, c))
		}
	}
	return errors.Join(errs...)
}

// settle waits until a node that has a process answers; when the process ends instead it
// starts another and returns that.
func (f *Folder) settle(ctx context.Context, exe, name string) (*child, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if f.pid(name) == 0 {
			c, err := f.spawn(exe, name)
			if err != nil {
				return nil, fmt.Errorf("start %s: %w", name, err)
			}
			return c, nil
		}
		if f.answers(ctx, name) {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s runs and does not answer after %s: %w; see %s", name, startTimeout, ctx.Err(), f.Log(name))
		case <-tick.C:
		}
	}
}

// child is a process of ours that was just started.
type child struct {
	name string
	cmd  *exec.Cmd
	// exited is closed when it ended; err then says how.
	exited chan struct{}
	err    error
}

func (f *Folder) spawn(exe, name string) (*child, error) {
	log, err := os.OpenFile(f.Log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(exe, "daemon", "--repo", f.Repo(name), "--devnet", f.dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives our terminal
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := writeFile(f.pidFile(name), []byte(strconv.Itoa(cmd.Process.Pid)+"\n")); err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	c := &child{name: name, cmd: cmd, exited: make(chan struct{})}
	// This goroutine ends with the child, or with our process when the child outlives it.
	go func() {
		c.err = cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

// await waits until the node answers.
func (f *Folder) await(ctx context.Context, c *child) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.exited:
			return fmt.Errorf("%s ended at once: %w; the end of %s:\n%s", c.name, c.err, f.Log(c.name), tail(f.Log(c.name)))
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer after %s: %w; see %s", c.name, startTimeout, ctx.Err(), f.Log(c.name))
		case <-tick.C:
			if f.answers(ctx, c.name) {
				return nil
			}
		}
	}
}

func (f *Folder) answers(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	node, _, err := f.dial(ctx, name)
	if err != nil {
		return false
	}
	_, err = node.ChainHead(ctx)
	return errors.Join(err, node.Close()) == nil
}

// dial reaches the node that runs on a repo, by the address that it announced.
func (f *Folder) dial(ctx context.Context, name string) (*client.Client, string, error) {
	target, err := client.FromRepo(f.Repo(name))
	if err != nil {
		return nil, "", err
	}
	node, err := client.New(ctx, target)
	return node, target.Addr, err
}

// Down stops all nodes. One that does not stop in time is killed, which loses nothing, and
// named in the error.
func (f *Folder) Down(ctx context.Context) error {
	var errs []error
	asked := map[string]int{}
	for _, m := range f.plan.Nodes {
		if pid := f.pid(m.Name); pid != 0 {
			asked[m.Name] = pid
			errs = append(errs, syscall.Kill(pid, syscall.SIGTERM))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for name, pid := range asked {
		for f.pid(name) == pid {
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
			}
			errs = append(errs, fmt.Errorf("%s did not stop in time and was killed", name), syscall.Kill(pid, syscall.SIGKILL))
			break
		}
	}
	return errors.Join(errs...)
}

func (f *Folder) nodeStatus(ctx context.Context, m PlanMember) NodeStatus {
	s := NodeStatus{Name: m.Name, PID: f.pid(m.Name), Roles: m.Roles, Repo: f.Repo(m.Name)}
	if s.PID == 0 {
		s.Reason = "not running"
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	node, rpc, err := f.dial(ctx, m.Name)
	if err != nil {
		s.Reason = err.Error()
		return s
	}
	defer node.Close()
	s.RPC = rpc
	head, err := node.ChainHead(ctx)
	if err != nil {
		s.Reason = err.Error()
		return s
	}
	s.Height = head.Height()
	if peers, err := node.NetPeers(ctx); err == nil {
		s.Peers = len(peers)
	}
	st, err := node.NodeStatus(ctx, false)
	if err != nil {
		s.Reason = err.Error()
		return s
	}
	s.Healthy, s.Reason = st.Healthy, st.Reason
	return s
}

// tail is the end of a log.
func tail(path string) string {
	const most = 2000
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if st, err := file.Stat(); err == nil && st.Size() > most {
		if _, err := file.Seek(-most, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	b, err := io.ReadAll(file)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
