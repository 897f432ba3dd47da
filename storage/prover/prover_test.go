package prover

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/porep/poreptest"
	"github.com/lodenet/lode/proofs/post"
	"github.com/lodenet/lode/proofs/snark"
)

const (
	// childEnv makes the test binary a child that behaves as its value says.
	childEnv = "LODE_TEST_PROVER"
	sealType = abi.RegisteredSealProof_StackedDrg2KiBV1_1
	window   = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1
	miner    = abi.ActorID(1000)
)

var (
	bg     = context.Background()
	random = abi.PoStRandomness(bytes.Repeat([]byte{0x3f}, 32))
	quiet  = slog.New(slog.NewTextHandler(io.Discard, nil))
)

func TestMain(m *testing.M) {
	mode := os.Getenv(childEnv)
	if mode == "" {
		goleak.VerifyTestMain(m)
		return
	}
	os.Exit(child(mode))
}

// child is what runs in place of the program.
func child(mode string) int {
	switch mode {
	case "prove":
		if err := Serve(bg, os.Stdin, os.Stdout, quiet, func() { os.Exit(1) }); err != nil {
			return 1
		}
	case "die":
		os.Stderr.WriteString("out of luck\n")
		return 3
	case "babble":
		os.Stdout.WriteString("this is no answer")
	case "hang": // until the parent is gone, which is never before the test has killed it
		os.Stderr.WriteString("hanging\n")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "priority": // of all threads, once the job is there
		var j job
		if err := gob.NewDecoder(os.Stdin).Decode(&j); err != nil {
			return 1
		}
		var said []string
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return 1
		}
		for _, task := range tasks {
			id, _ := strconv.Atoi(task.Name())
			if n, err := nice(id); err == nil {
				said = append(said, strconv.Itoa(n))
			}
		}
		_ = gob.NewEncoder(os.Stdout).Encode(answer{Error: strings.Join(said, " ")})
	}
	return 0
}

// network is one of 2 KiB sectors with the keys of the public seed, as the golden file of the
// proof system has them.
func network(t *testing.T) types.Network {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "proofs", "snark", "testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Keys map[string]types.KeyBytes }
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	n := types.Devnet()
	n.Proofs, n.Policy.SectorSize = types.ProofsGroth16, 2<<10
	n.Keys = types.Keys{InsecureSeed: params.DevnetSeed, Verifying: golden.Keys}
	return n
}

func newProver(t *testing.T, mode string, log *slog.Logger) (*Prover, *snark.Verifier) {
	t.Helper()
	n := network(t)
	v, err := Verifier(n)
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Keys: t.TempDir(), Log: log}
	if mode != "" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(childEnv, mode)
		opt.Command = []string{exe}
	}
	p, err := New(n, v, opt)
	if err != nil {
		t.Fatal(err)
	}
	return p, v
}

// twoSectors are a window PoSt to prove.
func twoSectors(t *testing.T) (proof.WindowPoStVerifyInfo, []proofs.PoStWitness) {
	t.Helper()
	s := proof.WindowPoStVerifyInfo{Randomness: random, Prover: miner}
	var w []proofs.PoStWitness
	for i := range 2 {
		sector := poreptest.Zeros(t, porep.Task{Proof: sealType, Miner: miner, Number: abi.SectorNumber(i + 1), Ticket: make([]byte, 32)})
		info := sector.Info()
		v, err := post.ProveSector(bg, window, info, i, random, sector.Files)
		if err != nil {
			t.Fatal(err)
		}
		s.ChallengedSectors, w = append(s.ChallengedSectors, info), append(w, v)
	}
	return s, w
}

// TestWindow proves in a child and in this process.
func TestWindow(t *testing.T) {
	s, w := twoSectors(t)
	dir := t.TempDir() // the child makes the keys, and the second prover finds them
	for _, mode := range []string{"prove", ""} {
		p, v := newProver(t, mode, quiet)
		p.opt.Keys = dir
		made, err := p.ProveWindowPoSt(bg, s, w)
		if err != nil {
			t.Fatalf("mode %q: %v", mode, err)
		}
		proven := s
		proven.Proofs = made
		if ok, err := v.VerifyWindowPoSt(bg, proven); !ok || err != nil {
			t.Errorf("mode %q: got %v, %v", mode, ok, err)
		}
	}
}

func TestRefused(t *testing.T) {
	s, w := twoSectors(t)
	w[1].(*post.SectorProof).Paths[0].Leaf[0] ^= 1
	p, _ := newProver(t, "prove", quiet)
	if _, err := p.ProveWindowPoSt(bg, s, w); !errors.Is(err, ErrChild) || !strings.Contains(err.Error(), post.ErrInvalid.Error()) {
		t.Errorf("a vanilla proof that does not hold: got %v", err)
	}
	if _, err := p.ProveWindowPoSt(bg, s, []proofs.PoStWitness{nil, (*post.SectorProof)(nil)}); err == nil {
		t.Error("no vanilla proofs were accepted")
	}
	if _, err := p.ProveSeal(bg, proof.SealVerifyInfo{}, nil); err == nil {
		t.Error("no seal witness was accepted")
	}
	if _, err := p.ProveSeal(bg, proof.SealVerifyInfo{SealProof: sealType}, &porep.Proof{}); !errors.Is(err, ErrChild) {
		t.Errorf("an empty seal: got %v", err)
	}
}

func TestChildFails(t *testing.T) {
	s, w := twoSectors(t)
	for mode, want := range map[string]string{"die": "out of luck", "babble": "no answer"} {
		p, _ := newProver(t, mode, quiet)
		if _, err := p.ProveWindowPoSt(bg, s, w); !errors.Is(err, ErrChild) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it to say %q", mode, err, want)
		}
	}
	p, _ := newProver(t, "die", quiet)
	p.opt.Command = []string{filepath.Join(t.TempDir(), "none")}
	if _, err := p.ProveWindowPoSt(bg, s, w); !errors.Is(err, ErrChild) {
		t.Errorf("no program: got %v", err)
	}
}

// A child ends with the context, whatever it does.
func TestKilled(t *testing.T) {
	s, w := twoSectors(t)
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	var p *Prover
	p, _ = newProver(t, "hang", slog.New(onMessage{slog.DiscardHandler, "proving process says", func() {
		if !p.Busy() {
			t.Error("not busy while a child proves")
		}
		cancel()
	}}))
	if _, err := p.ProveWindowPoSt(ctx, s, w); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if p.Busy() {
		t.Error("busy when the child is gone")
	}
}

// onMessage calls a function when a message is logged.
type onMessage struct {
	slog.Handler
	message string
	do      func()
}

func (h onMessage) Enabled(context.Context, slog.Level) bool { return true }

func (h onMessage) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		h.do()
	}
	return nil
}

func TestPriority(t *testing.T) {
	s, w := twoSectors(t)
	p, _ := newProver(t, "priority", quiet)
	_, err := p.ProveWindowPoSt(bg, s, w)
	if !errors.Is(err, ErrChild) {
		t.Fatal(err)
	}
	_, said, _ := strings.Cut(err.Error(), ErrChild.Error()+": ")
	threads := strings.Fields(said)
	if len(threads) == 0 {
		t.Fatalf("got %v", err)
	}
	ours, err := nice(0)
	if err != nil {
		t.Fatal(err)
	}
	want := strconv.Itoa(min(ours+below, lowest))
	for _, got := range threads {
		if got != want {
			t.Errorf("a thread has nice value %s, want %s, ours is %d", got, want, ours)
		}
	}
}

// A child whose parent is gone leaves.
func TestParentGone(t *testing.T) {
	r, w := io.Pipe()
	gone := make(chan struct{})
	out := new(bytes.Buffer)
	done := make(chan error, 1)
	go func() { done <- Serve(bg, r, out, quiet, func() { close(gone) }) }()
	if err := send(w, job{Network: network(t)}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := gob.NewDecoder(out).Decode(&a); err != nil || a.Error == "" {
		t.Errorf("an empty job: got %v, %v", a, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	<-gone
	if err := Serve(bg, strings.NewReader("no job"), io.Discard, quiet, func() {}); err == nil {
		t.Error("what is no job was accepted")
	}
}

func TestRun(t *testing.T) {
	p, _ := newProver(t, "", quiet)
	if p.Name() != "groth16" {
		t.Error(p.Name())
	}
	for range 2 { // a provider can be switched off and on
		ctx, cancel := context.WithCancel(bg)
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
