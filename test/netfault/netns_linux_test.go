package netfault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/client"
)

// TestNetns runs the scenarios with real processes in namespaces; `make test-netns` asks for
// it with the program to run.
func TestNetns(t *testing.T) {
	bin := os.Getenv("LODE_NETFAULT_BIN")
	if bin == "" {
		t.Skip("set LODE_NETFAULT_BIN to the lode program to run the scenarios in namespaces (make test-netns)")
	}
	if why := missing(); why != "" {
		fmt.Println("skip  scenarios in network namespaces:", why)
		t.Skip(why)
	}
	sweep(t)
	for _, s := range scenarios(t, levelNetns) {
		t.Run(s.ID, func(t *testing.T) {
			if !s.Alone {
				t.Parallel() // nodes mostly wait; -test.parallel says how many scenarios at once
			}
			separate(t, s, bin)
		})
	}
}

// birthTime is how long it takes to lay down repos and to start the processes, before epoch 0.
const birthTime = 8 * time.Second

func separate(t *testing.T, s scenario, bin string) {
	begin := time.Now()
	b := create(t, s, func() time.Time { return time.Now().Add(birthTime) })
	r := &run{t: t, s: s, level: levelNetns, birth: b.Birth, ids: b.ids, epochs: b.epochs(), fabric: newFabric(s.Seed, s.Link)}
	defer func() { r.report(time.Since(begin)) }()
	w := &netnsWorld{born: b, t: t, bin: bin, nodes: make([]*process, s.Nodes), shaper: newShaper(r.fabric)}
	r.w = w
	for i := range s.Nodes + s.attackers() {
		addrs := []netip.Addr{nsAddr(i, 0)}
		if i >= s.Nodes {
			for k := range attackerAddrs - 1 {
				addrs = append(addrs, nsAddr(i, k+1))
			}
		}
		ns, tun := newNamespace(t, addrs...)
		w.spaces = append(w.spaces, ns)
		w.shaper.add(tun, addrs...)
	}
	w.shaper.run()
	defer func() {
		if err := w.shaper.close(); err != nil {
			t.Error(err)
		}
	}()
	defer w.endAll()
	r.live()
	if t.Failed() {
		w.showLogs()
		return
	}
	r.checkRemains()
}

const (
	nsPort        = 4001
	attackerAddrs = 4
)

// nsAddr is the k-th address of namespace i.
func nsAddr(i, k int) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, byte(k), byte(i + 1)}) }

func nsListen(i int) string {
	a := nsAddr(i, 0)
	return fmt.Sprintf("/ip4/%s/tcp/%d,/ip4/%s/udp/%d/quic-v1", a, nsPort, a, nsPort)
}

// netnsWorld is a process a node, each in a namespace of its own.
type netnsWorld struct {
	*born
	t      *testing.T
	bin    string
	spaces []*namespace
	shaper *shaper
	nodes  []*process // nil: down
	// extraEnv overrides what a node is started with.
	extraEnv []string
	load     *load // nil: no tunnel
}

// process is a running node and our way to its API.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of the process, once exited is closed
	door   *door
	client *client.Client
}

func (w *netnsWorld) repo(i int) string { return filepath.Join(w.dir, w.Members[i].Name) }

func (w *netnsWorld) logFile(i int) string { return w.repo(i) + ".log" }

// readyTime is how long a process may take until it answers. One that ends is noticed at once.
const readyTime = 5 * time.Minute

func (w *netnsWorld) env(i int) []string {
	var others []string
	for j, id := range w.ids {
		if j != i {
			for a := range strings.SplitSeq(nsListen(j), ",") {
				others = append(others, a+"/p2p/"+id.String())
			}
		}
	}
	env := append(os.Environ(), "LODE_RETRIEVAL_LISTENADDRESS=", "LODE_LOGGING_FORMAT=json",
		"LODE_LIBP2P_LISTENADDRESSES="+nsListen(i), "LODE_LIBP2P_BOOTSTRAP="+strings.Join(others, ","))
	return append(env, w.extraEnv...)
}

func (w *netnsWorld) start(i int) error {
	log, err := os.OpenFile(w.logFile(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	_ = os.Remove(filepath.Join(w.repo(i), "api")) // of a life before; none is fine
	cmd := w.spaces[i].command(w.bin, "--repo", w.repo(i), "daemon")
	cmd.Env, cmd.Stdout, cmd.Stderr = w.env(i), log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	w.nodes[i] = p
	if p.door, err = openDoor(w.spaces[i], w.repo(i)); err != nil {
		return err
	}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		select {
		case <-p.exited:
			return fmt.Errorf("it ended at once: %w; see %s", p.err, w.logFile(i))
		default:
		}
		err := p.connect(w.repo(i))
		if err == nil {
			return nil
		}
		if time.Since(begin) > readyTime {
			return fmt.Errorf("it does not answer: %w; see %s", err, w.logFile(i))
		}
	}
}

// connect reaches the API through the door, with the token that the node wrote.
func (p *process) connect(repo string) error {
	token, err := os.ReadFile(filepath.Join(repo, "token"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(repo, "api")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	c, err := client.New(context.Background(), client.Target{Addr: p.door.addr(), Token: strings.TrimSpace(string(token))})
	if err != nil {
		return err
	}
	if _, err := c.ChainHead(ctx); err != nil {
		return errors.Join(err, c.Close())
	}
	p.client = c
	return nil
}

func (w *netnsWorld) api(i int) api.Node { return w.nodes[i].client }

func (w *netnsWorld) stop(i int) error { return w.end(i, syscall.SIGTERM) }

func (w *netnsWorld) kill(i int) error { return w.end(i, syscall.SIGKILL) }

// end signals a node and waits for its end; a node that is asked must end well.
func (w *netnsWorld) end(i int, sig syscall.Signal) error {
	p := w.nodes[i]
	w.nodes[i] = nil
	if p.client != nil {
		if err := p.client.Close(); err != nil {
			w.t.Error(err)
		}
	}
	err := p.cmd.Process.Signal(sig)
	select {
	case <-p.exited:
	case <-time.After(2 * stopTime):
		err = errors.Join(err, errors.New("it did not end and was killed"), p.cmd.Process.Kill())
		<-p.exited
	}
	if sig != syscall.SIGKILL && p.err != nil {
		err = errors.Join(err, fmt.Errorf("it ended with %w; see %s", p.err, w.logFile(i)))
	}
	if p.door != nil {
		err = errors.Join(err, p.door.close())
	}
	return err
}

// carries is nil when a transfer of the tunnel that began after a moment came through.
func (w *netnsWorld) carries(since time.Time) error { return w.load.carries(since) }

// endLoad ends the tunnel's transfers, if there are any.
func (w *netnsWorld) endLoad() (map[string]float64, error) {
	l := w.load
	if w.load = nil; l == nil {
		return nil, nil
	}
	return l.end()
}

// endAll ends what is left after a failure.
func (w *netnsWorld) endAll() {
	_, _ = w.endLoad() // the test has failed already
	for i, p := range w.nodes {
		if p != nil {
			_ = w.kill(i) // the test has failed already
		}
	}
}

func (w *netnsWorld) freeze(i int) error { return w.nodes[i].cmd.Process.Signal(syscall.SIGSTOP) }

func (w *netnsWorld) thaw(i int) error { return w.nodes[i].cmd.Process.Signal(syscall.SIGCONT) }

func (w *netnsWorld) log(i int) ([]byte, error) {
	b, err := os.ReadFile(w.logFile(i))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // it never ran
	}
	return b, err
}

// showLogs prints the end of what the nodes said.
func (w *netnsWorld) showLogs() {
	for i := range w.nodes {
		b, err := w.log(i)
		if err != nil {
			w.t.Error(err)
		}
		w.t.Logf("node %d:\n%s", i, b[max(0, len(b)-3000):])
	}
}

// usage reads what the kernel says of the process.
func (w *netnsWorld) usage(i int) (usage, bool) {
	p := w.nodes[i]
	if p == nil {
		return usage{}, false
	}
	var u usage
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return u, false
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kib, _ := strconv.ParseInt(strings.Fields(string(rest))[0], 10, 64) // the kernel writes numbers
			u.RSS = kib >> 10
		}
	}
	if fds, err := os.ReadDir(proc + "fd"); err == nil {
		u.FDs = len(fds)
	}
	if stat, err := os.ReadFile(proc + "stat"); err == nil {
		const utime, tick = 11, 10 * time.Millisecond // counted from after the name in parentheses
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, s := range f[utime : utime+2] {
			n, _ := strconv.ParseInt(s, 10, 64)
			u.CPU += time.Duration(n) * tick
		}
	}
	return u, true
}

// attack runs this program in a namespace as an attacker.
func (w *netnsWorld) attack(a attack) (func() (map[string]float64, error), error) {
	for _, i := range a.on {
		for s := range strings.SplitSeq(nsListen(i), ",") {
			a.Targets = append(a.Targets, s+"/p2p/"+w.ids[i].String())
		}
	}
	at := len(w.nodes) + a.Number
	a.Listen = nsListen(at)
	for _, x := range w.spaces[at].addrs {
		a.Addrs = append(a.Addrs, x.String())
	}
	what, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := w.spaces[at].command(self)
	cmd.Env = append(os.Environ(), attackerEnv+"="+string(what))
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	stdin, err := cmd.StdinPipe() // its end is the attack's
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() (map[string]float64, error) {
		if err := stdin.Close(); err != nil {
			return nil, err
		}
		timer := time.AfterFunc(2*stopTime, func() { _ = cmd.Process.Kill() }) // it may be gone
		defer timer.Stop()
		if err := cmd.Wait(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, stderr.String())
		}
		var figures map[string]float64
		if err := json.Unmarshal(out.Bytes(), &figures); err != nil {
			return nil, fmt.Errorf("figures %q: %w", out.String(), err)
		}
		return figures, nil
	}, nil
}

// door lets us, outside, reach the API that a node opens on the loopback interface of its
// namespace.
type door struct {
	ns     *namespace
	repo   string
	listen net.Listener
	wg     sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
}

func openDoor(ns *namespace, repo string) (*door, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &door{ns: ns, repo: repo, listen: l}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.wg.Go(d.accept)
	return d, nil
}

func (d *door) addr() string {
	return fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/http", d.listen.Addr().(*net.TCPAddr).Port)
}

func (d *door) close() error {
	d.cancel()
	err := d.listen.Close()
	d.wg.Wait()
	return err
}

func (d *door) accept() {
	for {
		c, err := d.listen.Accept()
		if err != nil {
			return
		}
		d.wg.Go(func() { d.pass(c) })
	}
}

// pass joins a connection of ours with one of the node's.
func (d *door) pass(c net.Conn) {
	defer c.Close()
	addr, err := os.ReadFile(filepath.Join(d.repo, "api"))
	if err != nil {
		return
	}
	f := strings.Split(strings.TrimSpace(string(addr)), "/") // /ip4/127.0.0.1/tcp/PORT/http
	if len(f) < 5 {
		return
	}
	inner, err := d.ns.dial(d.ctx, net.JoinHostPort(f[2], f[4]))
	if err != nil {
		return
	}
	defer inner.Close()
	stop := context.AfterFunc(d.ctx, func() { c.Close(); inner.Close() })
	defer stop()
	var wg sync.WaitGroup
	for _, p := range [][2]net.Conn{{c, inner}, {inner, c}} {
		wg.Go(func() {
			_, _ = io.Copy(p[0], p[1]) // either end may break off; the other hears of it
			_ = p[0].(*net.TCPConn).CloseWrite()
		})
	}
	wg.Wait()
}
