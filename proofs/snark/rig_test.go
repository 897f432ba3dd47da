package snark

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
)

const (
	sealType   = abi.RegisteredSealProof_StackedDrg2KiBV1_1
	sectorSize = abi.SectorSize(2 << 10)
	miner      = abi.ActorID(1000)
	winning    = abi.RegisteredPoStProof_StackedDrgWinning2KiBV1
	window     = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1
	window11   = abi.RegisteredPoStProof_StackedDrgWindow2KiBV1_1
)

var (
	bg     = context.Background()
	ticket = abi.SealRandomness(bytes.Repeat([]byte{1}, 32))
	seed   = abi.InteractiveSealRandomness(bytes.Repeat([]byte{2}, 32))
	random = abi.PoStRandomness(bytes.Repeat([]byte{0x3f}, 32))
)

// update rewrites the golden file. It needs proving keys of a proof of replication, which it
// makes in the usual folder when they are missing.
var update = flag.Bool("update", false, "make the golden proofs again")

// golden are real proofs of sectors of 2 KiB under the keys of the public seed.
type golden struct {
	Keys    map[string][]byte // verifying keys by circuit
	Seal    proof.SealVerifyInfo
	Window  proof.WindowPoStVerifyInfo  // of two sectors
	Winning proof.WinningPoStVerifyInfo // of one
}

var goldenFile = filepath.Join("testdata", "golden.json")

func readGolden(t testing.TB) *golden {
	t.Helper()
	b, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	g := new(golden)
	if err := json.Unmarshal(b, g); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *golden) verifier(t testing.TB) *Verifier {
	t.Helper()
	v, err := NewVerifier(g.Keys, sectorSize)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sealed seals a sector of zeros and returns what its seal proof says, with the vanilla proof.
func sealed(t testing.TB, n abi.SectorNumber) (proof.SealVerifyInfo, *porep.Proof, porep.Files) {
	t.Helper()
	task := porep.Task{Proof: sealType, Miner: miner, Number: n, Ticket: ticket}
	files, commD := porep.MemFiles(), commp.ZeroPiece(2048)
	data, err := files.Create(porep.Unsealed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := data.WriteAt(make([]byte, 2048), 0); err != nil {
		t.Fatal(err)
	}
	if err := porep.Label(bg, task, commD, files, nil); err != nil {
		t.Fatal(err)
	}
	commR, err := porep.Commit(bg, task, commD, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	vanilla, err := porep.Prove(bg, task, commD, commR, seed, files)
	if err != nil {
		t.Fatal(err)
	}
	return proof.SealVerifyInfo{
		SealProof: sealType, SectorID: abi.SectorID{Miner: miner, Number: n}, Randomness: ticket,
		InteractiveRandomness: seed, SealedCID: commR, UnsealedCID: commD,
	}, vanilla, files
}

// sectors seals some.
func sectors(t testing.TB, n int) (infos []proof.SectorInfo, files []porep.Files) {
	t.Helper()
	for i := range n {
		s, _, f := sealed(t, abi.SectorNumber(3*i+1))
		infos = append(infos, proof.SectorInfo{SealProof: sealType, SectorNumber: s.Number, SealedCID: s.SealedCID})
		files = append(files, f)
	}
	return infos, files
}

// witnesses are the vanilla proofs of sectors in order.
func witnesses(t testing.TB, p abi.RegisteredPoStProof, infos []proof.SectorInfo, files []porep.Files) (w []proofs.PoStWitness) {
	t.Helper()
	for i := range infos {
		v, err := post.ProveSector(bg, p, infos[i], i, random, files[i])
		if err != nil {
			t.Fatal(err)
		}
		w = append(w, v)
	}
	return w
}

// TestGolden proves again what the golden file holds, with its keys, and with -update writes
// it. What it proves of replication needs minutes and gigabytes.
func TestGolden(t *testing.T) {
	if !*update {
		t.Skip("run with -update to make testdata anew")
	}
	dir, err := params.DefaultDir(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	store := params.New(dir, func(p params.Progress) { t.Log(p.Circuit, p.Step, p.Done) })
	g := new(golden)
	if g.Keys, err = MakeKeys(bg, store, sectorSize, []byte(params.DevnetSeed)); err != nil {
		t.Fatal(err)
	}
	p := NewProver(g.verifier(t), store, params.DevnetSeed)
	defer p.Release()
	infos, files := sectors(t, 2)
	g.Window = proof.WindowPoStVerifyInfo{Randomness: random, ChallengedSectors: infos, Prover: miner}
	if g.Window.Proofs, err = p.ProveWindowPoSt(bg, g.Window, witnesses(t, window, infos, files)); err != nil {
		t.Fatal(err)
	}
	g.Winning = proof.WinningPoStVerifyInfo{Randomness: random, ChallengedSectors: infos[:1], Prover: miner}
	if g.Winning.Proofs, err = p.ProveWinningPoSt(bg, g.Winning, witnesses(t, winning, infos[:1], files)); err != nil {
		t.Fatal(err)
	}
	seal, vanilla, _ := sealed(t, 5)
	if seal.Proof, err = p.ProveSeal(bg, seal, vanilla); err != nil {
		t.Fatal(err)
	}
	g.Seal = seal
	b, err := json.MarshalIndent(g, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
