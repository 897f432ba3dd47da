package circuit

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/registry"
)

const (
	miner    = abi.ActorID(1000)
	sealType = abi.RegisteredSealProof_StackedDrg2KiBV1_1
)

var (
	ticket = abi.SealRandomness(bytes.Repeat([]byte{0xa5}, 32))
	seed   = abi.InteractiveSealRandomness(bytes.Repeat([]byte{3}, 32))
)

// sealed is a sector that went through all steps.
type sealed struct {
	info    proof.SealVerifyInfo
	files   porep.Files
	vanilla *porep.Proof
}

// seal takes a sector of data that is not all zeros through all steps.
func seal(t testing.TB, p abi.RegisteredSealProof, number abi.SectorNumber) *sealed {
	t.Helper()
	size, err := p.SectorSize()
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, abi.PaddedPieceSize(size).Unpadded())
	for i := range payload {
		payload[i] = byte(i*i + i>>8 + int(number))
	}
	w := commp.New()
	_, _ = w.Write(payload)
	commD, _, err := w.Sum()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size)
	fr32.Pad(data, payload)

	s := &sealed{files: porep.MemFiles()}
	file, err := s.files.Create(porep.Unsealed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	task := porep.Task{Proof: p, Miner: miner, Number: number, Ticket: ticket}
	if err := porep.Label(ctx, task, commD, s.files, nil); err != nil {
		t.Fatal(err)
	}
	var commR cid.Cid
	if commR, err = porep.Commit(ctx, task, commD, s.files, nil); err != nil {
		t.Fatal(err)
	}
	if s.vanilla, err = porep.Prove(ctx, task, commD, commR, seed, s.files); err != nil {
		t.Fatal(err)
	}
	s.info = proof.SealVerifyInfo{
		SealProof: p, SectorID: abi.SectorID{Miner: miner, Number: number},
		Randomness: ticket, InteractiveRandomness: seed, SealedCID: commR, UnsealedCID: commD,
	}
	return s
}

var sector = sync.OnceValue(func() *sealed { return nil })

func mustCompile(t testing.TB, c frontend.Circuit) constraint.ConstraintSystem {
	t.Helper()
	cs, err := compile(c, "test")
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func TestPoRep(t *testing.T) {
	s := seal(t, sealType, 7)
	z, err := registry.SealOf(sealType)
	if err != nil {
		t.Fatal(err)
	}
	st, err := PoRep(z)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := st.Compile()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(st.Name(), cs.GetNbConstraints(), cs.GetNbPublicVariables())
	w, err := PoRepWitness(s.info, s.vanilla, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := cs.IsSolved(w); err != nil {
		t.Fatal(err)
	}
}
