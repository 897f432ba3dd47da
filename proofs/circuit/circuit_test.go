package circuit

import (
	"bytes"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/backend/witness"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/porep/poreptest"
	"github.com/lodenet/lode/proofs/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

	sector := poreptest.Seal(t, porep.Task{Proof: p, Miner: miner, Number: number, Ticket: ticket}, data, commD)
	s := &sealed{files: sector.Files}
	s.info, s.vanilla = sector.Prove(t, seed)
	return s
}

var (
	sectorsOnce sync.Once
	sectors     []*sealed
)

// small returns three sectors of 2 KiB for all tests. They must leave them as they are.
func small(t testing.TB) []*sealed {
	t.Helper()
	sectorsOnce.Do(func() {
		for _, n := range []abi.SectorNumber{3, 4, 9} {
			sectors = append(sectors, seal(t, sealType, n))
		}
	})
	if len(sectors) != 3 {
		t.Fatal("the sectors could not be sealed")
	}
	return sectors
}

func sealOf(t testing.TB, p abi.RegisteredSealProof) registry.Seal {
	t.Helper()
	s, err := registry.SealOf(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func postOf(t testing.TB, p abi.RegisteredPoStProof) registry.PoSt {
	t.Helper()
	s, err := registry.PoStOf(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newGadget compiles a gadget.
func newGadget(t testing.TB, in, public int, define func(api frontend.API, in, public []frontend.Variable)) constraint.ConstraintSystem {
	t.Helper()
	return mustCompile(t, &gadget{In: make([]frontend.Variable, in), Public: make([]frontend.Variable, public), define: define})
}

// values is the witness of a gadget.
func values(t testing.TB, in, public []fr.Element) witness.Witness {
	t.Helper()
	g := &gadget{In: make([]frontend.Variable, len(in)), Public: make([]frontend.Variable, len(public))}
	assign(g.In, in)
	assign(g.Public, public)
	return mustFill(t, g)
}

func mustCompile(t testing.TB, c frontend.Circuit) constraint.ConstraintSystem {
	t.Helper()
	cs, err := compile(c, "test")
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func mustFill(t testing.TB, c frontend.Circuit) witness.Witness {
	t.Helper()
	w, err := fill(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func solved(cs constraint.ConstraintSystem, w witness.Witness) bool {
	_, err := cs.Solve(w)
	return err == nil
}

// refusesChanges changes every value of a witness that holds, public ones first, and expects
// that it does not hold any more; but not those that free says may be anything.
func refusesChanges(t *testing.T, cs constraint.ConstraintSystem, w witness.Witness, each int, free func(i int) bool) {
	t.Helper()
	if !solved(cs, w) {
		t.Fatal("the witness does not hold")
	}
	v := w.Vector().(fr.Vector)
	one := fr.One()
	for i := 0; i < len(v); i += each {
		v[i].Add(&v[i], &one)
		if solved(cs, w) != (free != nil && free(i)) {
			t.Errorf("value %d of %d changed: holds: %v", i, len(v), solved(cs, w))
		}
		v[i].Sub(&v[i], &one)
	}
	if !solved(cs, w) {
		t.Fatal("the witness did not come back")
	}
}
