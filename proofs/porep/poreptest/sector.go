package poreptest

import (
	"context"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/porep"
)

// Sector is a sealed sector with all its files in memory.
type Sector struct {
	Task         porep.Task
	CommD, CommR cid.Cid
	Files        porep.Files
}

// Zeros seals a sector of zeros.
func Zeros(t testing.TB, task porep.Task) *Sector {
	t.Helper()
	size, err := task.Proof.SectorSize()
	if err != nil {
		t.Fatal(err)
	}
	return Seal(t, task, make([]byte, size), commp.ZeroPiece(abi.PaddedPieceSize(size)))
}

// Seal seals data, which is padded and has the commitment commD.
func Seal(t testing.TB, task porep.Task, data []byte, commD cid.Cid) *Sector {
	t.Helper()
	s := &Sector{Task: task, CommD: commD, Files: porep.MemFiles()}
	f, err := s.Files.Create(porep.Unsealed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := porep.Label(context.Background(), task, commD, s.Files, nil); err != nil {
		t.Fatal(err)
	}
	if s.CommR, err = porep.Commit(context.Background(), task, commD, s.Files, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// Info is how a proof of spacetime names the sector.
func (s *Sector) Info() proof.SectorInfo {
	return proof.SectorInfo{SealProof: s.Task.Proof, SectorNumber: s.Task.Number, SealedCID: s.CommR}
}

// Prove returns what a proof of the seal says for a seed, with the vanilla proof of it.
func (s *Sector) Prove(t testing.TB, seed abi.InteractiveSealRandomness) (proof.SealVerifyInfo, *porep.Proof) {
	t.Helper()
	vanilla, err := porep.Prove(context.Background(), s.Task, s.CommD, s.CommR, seed, s.Files)
	if err != nil {
		t.Fatal(err)
	}
	return proof.SealVerifyInfo{
		SealProof: s.Task.Proof, SectorID: abi.SectorID{Miner: s.Task.Miner, Number: s.Task.Number}, Randomness: s.Task.Ticket,
		InteractiveRandomness: seed, SealedCID: s.CommR, UnsealedCID: s.CommD,
	}, vanilla
}
