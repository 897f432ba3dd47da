package devnet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	f := &Folder{dir: t.TempDir(), plan: Plan{Nodes: []PlanMember{{Name: "node-0"}}}}
	repo := f.Repo("node-0")
	if err := os.Mkdir(repo, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repo, "version"), []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}

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
	for !f.answers(ctx, "node-0") { // one question has a few seconds, too few on a busy machine
		if clock.Sleep(ctx, clock.System{}, 50*time.Millisecond) != nil {
			t.Error("the new node does not answer")
			break
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}
