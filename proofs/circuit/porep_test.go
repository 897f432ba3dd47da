package circuit

import (
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/constraint"
	bls12381 "github.com/consensys/gnark/constraint/bls12-381"
	"github.com/consensys/gnark/frontend"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/registry"
	"github.com/lodenet/lode/proofs/sdr"
)

// oneChallenge is the seal proof of the small sectors with a single challenge, which is
// their first: half the work.
func oneChallenge(t testing.TB) registry.Seal {
	z := sealOf(t, sealType)
	z.Challenges = 1
	return z
}

func first(p *porep.Proof) *porep.Proof {
	return &porep.Proof{CommC: p.CommC, CommRLast: p.CommRLast, Partitions: [][]porep.Challenge{p.Partitions[0][:1]}}
}

var (
	oneOnce sync.Once
	one     constraint.ConstraintSystem
)

// oneSystem compiles oneChallenge once for all tests.
func oneSystem(t testing.TB) constraint.ConstraintSystem {
	t.Helper()
	oneOnce.Do(func() {
		s, err := PoRep(oneChallenge(t))
		if err != nil {
			t.Fatal(err)
		}
		if one, err = s.Compile(); err != nil {
			t.Fatal(err)
		}
	})
	if one == nil {
		t.Fatal("the circuit does not compile")
	}
	return one
}

func oneAssignment(t testing.TB) *porepCircuit {
	t.Helper()
	s := small(t)[0]
	c, err := porepAssignment(oneChallenge(t), s.info, first(s.vanilla), 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPoRep(t *testing.T) {
	cs := oneSystem(t)
	w := mustFill(t, oneAssignment(t))
	solution, err := cs.Solve(w)
	if err != nil {
		t.Fatal(err)
	}
	everyWireIsHeld(t, cs.(*bls12381.R1CS), solution.(*bls12381.R1CSSolution).W)
}

// Every part of the statement and of the witness counts.
func TestPoRepRefusesChanges(t *testing.T) {
	cs := oneSystem(t)
	other := small(t)[1].vanilla.Partitions[0][0]
	var n nodes
	foreign := newLevels([]int{8, 8})
	n.path(foreign, &other.Column.Path)
	if n.err != nil {
		t.Fatal(n.err)
	}
	changes := map[string]func(c *porepCircuit){
		"commC":                   func(c *porepCircuit) { increase(&c.CommC) },
		"commRLast":               func(c *porepCircuit) { increase(&c.CommRLast) },
		"data leaf":               func(c *porepCircuit) { increase(&c.Challenges[0].Data[0].Left) },
		"data sibling":            func(c *porepCircuit) { increase(&c.Challenges[0].Data[5].Right) },
		"replica leaf":            func(c *porepCircuit) { increase(&c.Challenges[0].Replica[0][0]) },
		"replica node":            func(c *porepCircuit) { increase(&c.Challenges[0].Replica[1][7]) },
		"column leaf":             func(c *porepCircuit) { increase(&c.Challenges[0].Column[0][3]) },
		"base parent's label":     func(c *porepCircuit) { increase(&c.Challenges[0].Parents[0].Labels[0]) },
		"expander parent's label": func(c *porepCircuit) { increase(&c.Challenges[0].Parents[13].Labels[1]) },
		"parent's path":           func(c *porepCircuit) { increase(&c.Challenges[0].Parents[9].Path[1][2]) },
		"another sector's column": func(c *porepCircuit) { c.Challenges[0].Column = foreign },
		"parents exchanged": func(c *porepCircuit) {
			p := c.Challenges[0].Parents
			p[7], p[8] = p[8], p[7]
		},
	}
	for i := range porepHeader + porepEach {
		if parent := i - porepHeader; parent > 1 && parent < sdr.Parents {
			continue // one parent's index is like another's
		}
		changes[publicName(i)] = func(c *porepCircuit) { increase(&c.Inputs[i]) }
	}
	for name, change := range changes {
		c := oneAssignment(t)
		change(c)
		if solved(cs, mustFill(t, c)) {
			t.Errorf("%s changed: the proof holds", name)
		}
	}
}

func publicName(i int) string { return "public input " + string(rune('a'+i)) }

func increase(v *frontend.Variable) {
	e, one := (*v).(fr.Element), fr.One()
	e.Add(&e, &one)
	*v = e
}

// everyWireIsHeld changes each variable of a solution by itself and expects that a constraint
// fails: none is free to be chosen.
func everyWireIsHeld(t *testing.T, cs *bls12381.R1CS, values fr.Vector) {
	t.Helper()
	held := make([]bool, len(values))
	held[0] = true
	delta := fr.NewElement(0x5eed)
	it := cs.GetR1CIterator()
	for c := it.Next(); c != nil; c = it.Next() {
		parts := [3]constraint.LinearExpression{c.L, c.R, c.O}
		var sums [3]fr.Element
		for i, p := range parts {
			for _, term := range p {
				var x fr.Element
				x.Mul(&cs.Coefficients[term.CID], &values[term.VID])
				sums[i].Add(&sums[i], &x)
			}
		}
		for _, p := range parts {
			for _, term := range p {
				if held[term.VID] {
					continue
				}
				changed := sums
				for i, p := range parts {
					for _, other := range p {
						if other.VID == term.VID {
							var x fr.Element
							x.Mul(&cs.Coefficients[other.CID], &delta)
							changed[i].Add(&changed[i], &x)
						}
					}
				}
				var product fr.Element
				product.Mul(&changed[0], &changed[1])
				held[term.VID] = !product.Equal(&changed[2])
			}
		}
	}
	free := 0
	for _, ok := range held {
		if !ok {
			free++
		}
	}
	if free > 0 {
		t.Errorf("%d of %d variables are free", free, len(values))
	}
}

// All seal proofs that share a circuit hold in it, whole.
func TestPoRepKinds(t *testing.T) {
	vectors.Huge(t, "whole partitions take a while")
	st, err := PoRep(sealOf(t, sealType))
	if err != nil {
		t.Fatal(err)
	}
	cs, err := st.Compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []abi.RegisteredSealProof{
		abi.RegisteredSealProof_StackedDrg2KiBV1,
		abi.RegisteredSealProof_StackedDrg2KiBV1_1,
		abi.RegisteredSealProof_StackedDrg2KiBV1_1_Feat_SyntheticPoRep,
	} {
		if same, err := PoRep(sealOf(t, p)); err != nil || same.Name() != st.Name() {
			t.Errorf("seal proof %d has another circuit (%v)", p, err)
		}
		s := seal(t, p, 7)
		checkPoRep(t, st, cs, s)
	}
}

func TestPoRep8MiB(t *testing.T) {
	vectors.Huge(t, "8 MiB take a minute and 3 GiB")
	const p = abi.RegisteredSealProof_StackedDrg8MiBV1_1
	st, err := PoRep(sealOf(t, p))
	if err != nil {
		t.Fatal(err)
	}
	cs, err := st.Compile()
	if err != nil {
		t.Fatal(err)
	}
	checkPoRep(t, st, cs, seal(t, p, 7))
}

func checkPoRep(t *testing.T, st *Statement, cs constraint.ConstraintSystem, s *sealed) {
	t.Helper()
	w, err := PoRepWitness(s.info, s.vanilla, 0)
	if err != nil {
		t.Fatal(err)
	}
	in, err := PoRepInputs(s.info, 0)
	if err != nil || len(in) != st.PublicInputs() || len(in)+1 != cs.GetNbPublicVariables() {
		t.Errorf("%d public inputs, want %d (%v)", len(in), st.PublicInputs(), err)
	}
	for i, v := range w.Vector().(fr.Vector)[:len(in)] {
		if v != in[i] {
			t.Errorf("public input %d differs", i)
		}
	}
	if !solved(cs, w) {
		t.Errorf("%s: the proof of seal proof %d does not hold", st.Name(), s.info.SealProof)
	}
}

// The large shapes have their place in code, though not in memory.
func TestLargeShapes(t *testing.T) {
	for _, p := range []abi.RegisteredSealProof{abi.RegisteredSealProof_StackedDrg32GiBV1_1, abi.RegisteredSealProof_StackedDrg64GiBV1_1} {
		s, err := PoRep(sealOf(t, p))
		if err != nil || s.PublicInputs() != 3+18*18 {
			t.Errorf("seal proof %d: %v", p, err)
		}
	}
	for _, p := range []abi.RegisteredPoStProof{abi.RegisteredPoStProof_StackedDrgWindow32GiBV1_1, abi.RegisteredPoStProof_StackedDrgWindow64GiBV1_1} {
		z := postOf(t, p)
		s, err := Window(z)
		if err != nil || s.PublicInputs() != z.Sectors*11 {
			t.Errorf("post proof %d: %v", p, err)
		}
	}
}

func TestPoRepRefusesBadInput(t *testing.T) {
	s := small(t)[0]
	for name, change := range map[string]func(i *proof.SealVerifyInfo){
		"unknown proof": func(i *proof.SealVerifyInfo) { i.SealProof = 99 },
		"short ticket":  func(i *proof.SealVerifyInfo) { i.Randomness = i.Randomness[:31] },
		"no seed":       func(i *proof.SealVerifyInfo) { i.InteractiveRandomness = nil },
		"no commD":      func(i *proof.SealVerifyInfo) { i.UnsealedCID = cid.Undef },
		"CIDs swapped":  func(i *proof.SealVerifyInfo) { i.UnsealedCID, i.SealedCID = i.SealedCID, i.UnsealedCID },
	} {
		info := s.info
		change(&info)
		if _, err := PoRepInputs(info, 0); err == nil {
			t.Errorf("%s: has inputs", name)
		}
		if _, err := PoRepWitness(info, s.vanilla, 0); err == nil {
			t.Errorf("%s: has a witness", name)
		}
	}
	for _, k := range []int{-1, 1} {
		if _, err := PoRepInputs(s.info, k); err == nil {
			t.Errorf("partition %d has inputs", k)
		}
		if _, err := PoRepWitness(s.info, s.vanilla, k); err == nil {
			t.Errorf("partition %d has a witness", k)
		}
	}
	if _, err := PoRepWitness(s.info, nil, 0); err == nil {
		t.Error("no vanilla proof has a witness")
	}
	for name, change := range map[string]func(c *porep.Challenge){
		"no parents":      func(c *porep.Challenge) { c.Parents = nil },
		"short data path": func(c *porep.Challenge) { c.Data.Elements = c.Data.Elements[1:] },
		"wide data path":  func(c *porep.Challenge) { c.Data.Elements = c.Replica.Elements },
		"no replica path": func(c *porep.Challenge) { c.Replica.Elements = nil },
		"not canonical":   func(c *porep.Challenge) { c.Replica.Leaf[31] = 0xff },
		"no labels": func(c *porep.Challenge) {
			c.Parents = append([]porep.Column(nil), c.Parents...)
			c.Parents[3].Labels = nil
		},
		"narrow path":      func(c *porep.Challenge) { c.Column.Path.Elements = c.Data.Elements[:2] },
		"position too far": func(c *porep.Challenge) { c.Data.Elements = moved(c.Data.Elements) },
	} {
		p := *s.vanilla
		challenge := p.Partitions[0][0]
		change(&challenge)
		p.Partitions = [][]porep.Challenge{{challenge, p.Partitions[0][1]}}
		if _, err := PoRepWitness(s.info, &p, 0); err == nil {
			t.Errorf("%s: has a witness", name)
		}
	}
	if _, err := PoRep(registry.Seal{}); err == nil {
		t.Error("an empty seal proof has a circuit")
	}
}
