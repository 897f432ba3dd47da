package devnet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lodenet/lode/api/client"
	"github.com/lodenet/lode/clock"
)

const (
	// startTimeout bounds how long a node may take until its RPC answers. One that ends is
	// noticed at once, so this is for one that hangs: a busy machine does not reach it.
	startTimeout = 5 * time.Minute
	// stopTimeout bounds how long it may take to stop when asked; then it is killed. It is
	// longer than a node gives itself: a winning PoSt that was begun is waited for.
	stopTimeout = 90 * time.Second
	// killTimeout bounds how long the kernel may take to end what was killed.
	killTimeout = 10 * time.Second
	// askTimeout bounds one question to a node.
	askTimeout = 5 * time.Second
	// pollEvery is how often a process that starts or stops is looked at.
	pollEvery = 50 * time.Millisecond
)

// pid is the process that runs a node, or 0. The file alone proves nothing after a kill, so
// the process is asked for too, and that it is this node is read from its command line.
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
	switch {
	case err == nil && !bytes.HasSuffix(line, f.cmdline(name)):
		return 0 // the number went to another process, or this one is a zombie
	case err != nil && syscall.Kill(pid, 0) != nil:
		return 0 // it ended in between; elsewhere the system does not tell command lines
	}
	return pid
}

// args are what a node's process is started with.
func (f *Folder) args(name string) []string {
	return []string{"daemon", "--repo", f.Repo(name), "--devnet", f.dir}
}

// cmdline is the end of such a process's command line as the kernel tells it, from behind the
// program on.
func (f *Folder) cmdline(name string) []byte {
	return []byte("\x00" + strings.Join(f.args(name), "\x00") + "\x00")
}

func (f *Folder) pidFile(name string) string { return f.Repo(name) + ".pid" }

// Up starts the nodes that are down and returns when each answers, also those that ran
// already: one that was killed a moment ago can still look alive, and is started when it is
// gone. When none was running the network's clock goes on where it stopped. A node that cannot
// start gives an error with the end of its log; those that run stay.
func (f *Folder) Up(ctx context.Context, exe string) error {
	children, err := f.spawnDown(ctx, exe)
	if err != nil {
		return err
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

// spawnDown starts all nodes that are down at once, each to be waited for.
func (f *Folder) spawnDown(ctx context.Context, exe string) (children []*child, err error) {
	unlock, err := f.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	running := 0
	for _, m := range f.plan.Nodes {
		if f.pid(m.Name) != 0 {
			running++
		}
	}
	if running == 0 {
		if err := resume(f.dir, time.Now()); err != nil {
			return nil, fmt.Errorf("set the network's clock: %w", err)
		}
	}
	children = make([]*child, len(f.plan.Nodes))
	for i, m := range f.plan.Nodes {
		if f.pid(m.Name) != 0 {
			continue
		}
		if children[i], err = f.spawn(exe, m.Name); err != nil {
			return nil, fmt.Errorf("start %s: %w", m.Name, err)
		}
	}
	return children, nil
}

// lock keeps others from starting and stopping nodes of this folder until unlock is called:
// two that both find a node down would start it twice, and the file would hold the number of
// the process that had to give way.
func (f *Folder) lock(ctx context.Context) (unlock func() error, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	file, err := os.OpenFile(filepath.Join(f.dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file.Close, nil // which gives the lock back
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			if err = clock.Sleep(ctx, clock.System{}, pollEvery); err == nil {
				continue
			}
			err = fmt.Errorf("another lode starts or stops nodes of %s: %w", f.dir, err)
		}
		return nil, errors.Join(err, file.Close())
	}
}

const lockFile = "devnet.lock"

// settle waits until a node that has a process answers; when the process ends instead it
// starts another and returns that.
func (f *Folder) settle(ctx context.Context, exe, name string) (*child, error) {
	ctx, cancel := starting(ctx)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last := errNotAsked
	for {
		if f.pid(name) == 0 {
			if c, err := f.respawn(ctx, exe, name); c != nil || err != nil {
				return c, err
			}
		}
		if err := f.answers(ctx, name); err == nil {
			return nil, nil
		} else if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s runs and does not answer (%w); %w; see %s", name, last, context.Cause(ctx), f.Log(name))
		case <-tick.C:
		}
	}
}

// respawn starts a node that has just ended, unless somebody else did: then it is nil.
func (f *Folder) respawn(ctx context.Context, exe, name string) (c *child, err error) {
	unlock, err := f.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if f.pid(name) != 0 {
		return nil, nil
	}
	if c, err = f.spawn(exe, name); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

var (
	errNotAsked = errors.New("it was not asked yet")
	// errStopped: a node ended in good order while its start was waited for.
	errStopped = errors.New("somebody stopped it")
)

// starting bounds a start, with what to say when it is over.
func starting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("gave up after %s", startTimeout))
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
	keepToOurselves()
	cmd := exec.Command(exe, f.args(name)...)
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

// keepToOurselves lets no child have the files that we were started with, beyond the standard
// ones: a node that outlives us would hold a lock of our caller's shell, or keep the reader of a
// pipe waiting. Files that Go opens are of that kind anyway.
func keepToOurselves() {
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return // the system does not tell; what is inherited then is only inconvenient
	}
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// await waits until the node answers.
func (f *Folder) await(ctx context.Context, c *child) error {
	ctx, cancel := starting(ctx)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last := errNotAsked
	for {
		select {
		case <-c.exited:
			return fmt.Errorf("%s ended at once: %w; the end of %s:\n%s", c.name, cmp.Or(c.err, errStopped), f.Log(c.name), tail(f.Log(c.name)))
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer (%w); %w; see %s", c.name, last, context.Cause(ctx), f.Log(c.name))
		case <-tick.C:
			if err := f.answers(ctx, c.name); err == nil {
				return nil
			} else if ctx.Err() == nil {
				last = err
			}
		}
	}
}

// answers is nil when a node answers a question.
func (f *Folder) answers(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	node, _, err := f.dial(ctx, name)
	if err != nil {
		return err
	}
	_, err = node.ChainHead(ctx)
	return errors.Join(err, node.Close())
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
// named in the error. When ctx ends before that, those that still stop are named and left to it.
func (f *Folder) Down(ctx context.Context) error {
	asked, err := f.askToStop(ctx)
	errs := []error{err}
	wait, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	for _, m := range f.plan.Nodes {
		pid := asked[m.Name]
		if pid == 0 || f.gone(wait, m.Name, pid) {
			continue
		}
		if ctx.Err() != nil {
			errs = append(errs, fmt.Errorf("%s still stops: %w", m.Name, context.Cause(ctx)))
			continue
		}
		errs = append(errs, fmt.Errorf("%s did not stop in %s and was killed; see %s", m.Name, stopTimeout, f.Log(m.Name)), signal(pid, syscall.SIGKILL))
		dying, done := context.WithTimeout(ctx, killTimeout)
		if !f.gone(dying, m.Name, pid) {
			errs = append(errs, fmt.Errorf("%s, process %d, is there still after it was killed", m.Name, pid))
		}
		done()
	}
	return errors.Join(errs...)
}

// askToStop asks every node that runs, and tells their processes; also where the folder cannot
// be locked, as on a full disk.
func (f *Folder) askToStop(ctx context.Context) (map[string]int, error) {
	unlock, err := f.lock(ctx)
	if ctx.Err() != nil {
		return nil, err
	}
	errs := []error{err}
	asked := map[string]int{}
	for _, m := range f.plan.Nodes {
		if pid := f.pid(m.Name); pid != 0 {
			asked[m.Name] = pid
			errs = append(errs, signal(pid, syscall.SIGTERM))
		}
	}
	if unlock != nil {
		errs = append(errs, unlock())
	}
	return asked, errors.Join(errs...)
}

// signal signals a process, which may have ended by itself.
func signal(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	return nil
}

// gone waits until a node's process has ended; false means that ctx ended first.
func (f *Folder) gone(ctx context.Context, name string, pid int) bool {
	for f.pid(name) == pid {
		if clock.Sleep(ctx, clock.System{}, pollEvery) != nil {
			return f.pid(name) != pid
		}
	}
	return true
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
