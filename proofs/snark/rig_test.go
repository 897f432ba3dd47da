package snark

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/porep/poreptest"
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

// sealed seals a sector of zeros.
func sealed(t testing.TB, n abi.SectorNumber) *poreptest.Sector {
	t.Helper()
	return poreptest.Zeros(t, porep.Task{Proof: sealType, Miner: miner, Number: n, Ticket: ticket})
}

// sectors seals some.
func sectors(t testing.TB, n int) (infos []proof.SectorInfo, files []porep.Files) {
	t.Helper()
	for i := range n {
		s := sealed(t, abi.SectorNumber(3*i+1))
		infos, files = append(infos, s.Info()), append(files, s.Files)
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

// TestGolden makes all that the golden file holds again: the same keys, and proofs that hold
// under them, which are others each time. With -update it writes the file.
func TestGolden(t *testing.T) {
	if !*update {
		vectors.Huge(t, "makes a proof of replication and perhaps its keys, minutes and gigabytes")
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
	v := g.verifier(t)
	p := NewProver(v, store, params.DevnetSeed)
	defer p.Release()
	infos, files := sectors(t, 2)
	g.Window = proof.WindowPoStVerifyInfo{Randomness: random, ChallengedSectors: infos, Prover: miner}
	if g.Window.Proofs, err = p.ProveWindowPoSt(bg, g.Window, witnesses(t, window, infos, files)); err != nil {
		t.Fatal(err)
	}
	if ok, err := v.VerifyWindowPoSt(bg, g.Window); !ok || err != nil {
		t.Errorf("window PoSt: got %v, %v", ok, err)
	}
	g.Winning = proof.WinningPoStVerifyInfo{Randomness: random, ChallengedSectors: infos[:1], Prover: miner}
	if g.Winning.Proofs, err = p.ProveWinningPoSt(bg, g.Winning, witnesses(t, winning, infos[:1], files)); err != nil {
		t.Fatal(err)
	}
	if ok, err := v.VerifyWinningPoSt(bg, g.Winning); !ok || err != nil {
		t.Errorf("winning PoSt: got %v, %v", ok, err)
	}
	seal, vanilla := sealed(t, 5).Prove(t, seed)
	if seal.Proof, err = p.ProveSeal(bg, seal, vanilla); err != nil {
		t.Fatal(err)
	}
	if ok, err := v.VerifySeal(bg, seal); !ok || err != nil {
		t.Errorf("seal: got %v, %v", ok, err)
	}
	g.Seal = seal
	if !*update {
		if want := readGolden(t); !maps.EqualFunc(g.Keys, want.Keys, bytes.Equal) || seal.SealedCID != want.Seal.SealedCID {
			t.Error("the keys or the sector are not those of the golden file")
		}
		return
	}
	b, err := json.MarshalIndent(g, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
