package circuit

import (
	"slices"

	"github.com/consensys/gnark/constraint"
	bls12381 "github.com/consensys/gnark/constraint/bls12-381"
)

// orient decides for each constraint x·y = z which factor comes first, of which the meaning
// is the same. A Groth16 prover works in G2 for every variable that is in some second factor,
// at several times the cost of G1. Those that are in both factors of one constraint, such as
// all bits, are among them anyway, so second factors are made of these where possible.
func orient(cs *bls12381.R1CS) {
	wires := cs.GetNbPublicVariables() + cs.GetNbSecretVariables() + cs.GetNbInternalVariables()
	second := make([]bool, wires)
	second[0] = true // the constant
	seen := make([]int32, wires)
	for i := range cs.Instructions {
		f, ok := factorsOf(cs, i)
		if !ok {
			continue
		}
		for wire := range f.wires(f.x) {
			seen[wire] = int32(i + 1)
		}
		for wire := range f.wires(f.y) {
			second[wire] = second[wire] || seen[wire] == int32(i+1)
		}
	}
	for i := range cs.Instructions {
		f, ok := factorsOf(cs, i)
		if !ok {
			continue
		}
		added := func(factor []uint32) (n int) {
			for wire := range f.wires(factor) {
				if !second[wire] {
					n++
				}
			}
			return n
		}
		if added(f.x) < added(f.y) {
			f = f.swap()
		}
		for wire := range f.wires(f.y) {
			second[wire] = true
		}
	}
}

// factors are the two of one constraint, as gnark keeps them: pairs of a coefficient's number
// and a wire's.
type factors struct {
	lengths []uint32 // of x and y
	x, y    []uint32
}

// factorsOf reads those of an instruction; ok is false when it is no constraint.
func factorsOf(cs *bls12381.R1CS, i int) (f factors, ok bool) {
	in := cs.Instructions[i]
	if _, ok := cs.Blueprints[in.BlueprintID].(*constraint.BlueprintGenericR1C); !ok {
		return f, false
	}
	const header, perTerm = 4, 2 // the whole length and those of x, y and z
	data := in.Unpack(&cs.System).Calldata
	f.lengths = data[1:3]
	nx, ny := int(f.lengths[0])*perTerm, int(f.lengths[1])*perTerm
	f.x, f.y = data[header:][:nx], data[header+nx:][:ny]
	return f, true
}

// wires are those of a factor.
func (factors) wires(factor []uint32) func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		for i := 1; i < len(factor); i += 2 {
			if !yield(factor[i]) {
				return
			}
		}
	}
}

// swap exchanges the factors in place, and returns them as they are then.
func (f factors) swap() factors {
	x := slices.Clone(f.x)
	both := f.x[:len(f.x)+len(f.y)]
	copy(both, f.y)
	copy(both[len(f.y):], x)
	f.x, f.y = both[:len(f.y)], both[len(f.y):]
	f.lengths[0], f.lengths[1] = f.lengths[1], f.lengths[0]
	return f
}
