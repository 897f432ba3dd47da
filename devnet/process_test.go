package devnet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/storage/prover"
)

// deafEnv makes a fake node take connections and never answer.
const deafEnv = "LODE_TEST_DEAF"

// The test binary stands for lode when it is started as `daemon --repo R --devnet D`, and as
// `prove`.
func TestMain(m *testing.M) {
	if len(os.Args) == 6 && os.Args[1] == "daemon" {
		if err := fakeNode(os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "prove" {
		if err := prover.Serve(context.Background(), os.Stdin, os.Stdout, slog.Default(), func() { os.Exit(1) }); err != nil {
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // libraries start goroutines when they are loaded
}

// fakeNode answers every question with a head. It ends with a signal.
func fakeNode(repo string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(repo, "api"), []byte("http://"+ln.Addr().String())); err != nil {
		return err
	}
	if os.Getenv(deafEnv) != "" {
		fmt.Println("listening")
		for {
			if _, err := ln.Accept(); err != nil {
				return err
			}
			fmt.Println("asked")
		}
	}
	fmt.Println("started")
	head, err := json.Marshal(genesisOfNobody())
	if err != nil {
		return err
	}
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ ID json.RawMessage }
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, ask.ID, head)
	}))
}

func genesisOfNobody() *types.TipSet {
	miner, _ := address.NewIDAddress(1000)
	root := (&types.Message{From: miner, To: miner, Value: big.Zero(), GasFeeCap: big.Zero(), GasPremium: big.Zero()}).Cid()
	ts, err := types.NewTipSet([]*types.BlockHeader{{
		Miner: miner, Ticket: &types.Ticket{VRFProof: []byte{1}}, ParentWeight: big.Zero(), ParentBaseFee: big.Zero(),
		ParentStateRoot: root, ParentMessageReceipts: root, Messages: root,
	}})
	if err != nil {
		panic(err) // of a constant
	}
	return ts
}

// A node that was just killed can look alive for a moment: Up must not be content with that.
func TestUpStartsWhatWasJustKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := fakeFolder(t, "node-0")
	repo := f.Repo("node-0")
	old := exec.Command(exe, "daemon", "--repo", repo, "--devnet", f.dir)
	old.Env = append(os.Environ(), deafEnv+"=1")
	out, err := old.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = old.Process.Kill() // of one that is gone already
	})
	if !said.Scan() || said.Text() != "listening" {
		t.Fatalf("the deaf node says %q", said.Text())
	}
	if err := writeFile(f.pidFile("node-0"), []byte(strconv.Itoa(old.Process.Pid))); err != nil {
		t.Fatal(err)
	}

	up := make(chan error, 1)
	go func() { up <- f.Up(ctx, exe) }()
	asked := make(chan bool, 1)
	go func() { asked <- said.Scan() }()
	select {
	case <-asked:
	case err := <-up:
		t.Fatalf("up did not ask the node that looked alive: %v", err)
	}
	if err := old.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = old.Wait() // it was killed
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	pid := f.pid("node-0")
	if pid == 0 || pid == old.Process.Pid {
		t.Fatalf("pid %d after up, the killed one was %d", pid, old.Process.Pid)
	}
	for err := f.answers(ctx, "node-0"); err != nil; err = f.answers(ctx, "node-0") { // one question has a few seconds, too few on a busy machine
		if clock.Sleep(ctx, clock.System{}, 50*time.Millisecond) != nil {
			t.Errorf("the new node does not answer: %v", err)
			break
		}
	}
}

// fakeFolder is a devnet whose nodes are this program. What still runs is killed at the end.
func fakeFolder(t *testing.T, names ...string) *Folder {
	t.Helper()
	f := &Folder{dir: t.TempDir()}
	for _, name := range names {
		f.plan.Nodes = append(f.plan.Nodes, PlanMember{Name: name})
		if err := os.Mkdir(f.Repo(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(f.Repo(name), "version"), []byte("1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, name := range names {
			if pid := f.pid(name); pid != 0 {
				if err := signal(pid, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				f.gone(context.WithoutCancel(t.Context()), name, pid)
			}
		}
	})
	return f
}

// The number of a process that runs another node, whose name begins alike, is not this node's.
func TestProcessOfAnotherNode(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := fakeFolder(t, "node-1", "node-10")
	c, err := f.spawn(exe, "node-10")
	if err != nil {
		t.Fatal(err)
	}
	pid := f.pid("node-10")
	if pid != c.cmd.Process.Pid {
		t.Errorf("node-10 is process %d, its file says %d", c.cmd.Process.Pid, pid)
	}
	if err := writeFile(f.pidFile("node-1"), []byte(strconv.Itoa(pid))); err != nil {
		t.Fatal(err)
	}
	if got := f.pid("node-1"); got != 0 {
		t.Errorf("node-1 is taken for process %d, which runs node-10", got)
	}
	if err := f.Down(t.Context()); err != nil {
		t.Error(err)
	}
	<-c.exited
	if c.err == nil || f.pid("node-10") != 0 {
		t.Errorf("after down: %v", c.err)
	}
}

// A node that outlives who started it keeps nothing open of theirs.
func TestNodeInheritsNothing(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var p [2]int // as a shell would give it on: not closed for programs that are started
	if err := syscall.Pipe(p[:]); err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(p[0], true); err != nil {
		t.Fatal(err)
	}
	r := os.NewFile(uintptr(p[0]), "pipe")
	defer r.Close() // it was read to its end
	if err := r.SetReadDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	f := fakeFolder(t, "node-0")
	c, err := f.spawn(exe, "node-0")
	if err := errors.Join(err, syscall.Close(p[1])); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || len(b) > 0 {
		t.Errorf("got %q, %v", b, err)
	}
	if err := f.Down(t.Context()); err != nil {
		t.Error(err)
	}
	<-c.exited
}

// Who starts a devnet while somebody else does starts no node a second time: the file with the
// number of the process would name the one that had to give way.
func TestUpAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := fakeFolder(t, "node-0", "node-1")
	ups := make(chan error)
	const many = 3
	for range many {
		go func() { ups <- f.Up(ctx, exe) }()
	}
	for range many {
		if err := <-ups; err != nil {
			t.Error(err)
		}
	}
	if err := f.Down(ctx); err != nil {
		t.Error(err)
	}
	for _, m := range f.plan.Nodes {
		said, err := os.ReadFile(f.Log(m.Name))
		if n := strings.Count(string(said), "started\n"); err != nil || n != 1 {
			t.Errorf("%s was started %d times, %v: %s", m.Name, n, err, said)
		}
	}
	ended, end := context.WithCancel(ctx)
	end()
	if err := f.Up(ended, exe); !errors.Is(err, context.Canceled) || f.pid("node-0") != 0 {
		t.Errorf("up that was interrupted: got %v and process %d", err, f.pid("node-0"))
	}
}
