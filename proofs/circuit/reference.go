package circuit

import "github.com/lodenet/lode/proofs/registry"

// The numbers of constraints of the reference's gadgets (spec: proofs 8.4).
const (
	referenceDataLevel = 45382
	referenceLabel     = 522269
	referenceBits      = 256

	referenceTwoLabels = 1044538 // of two layers, which its tests tell exactly
)

func referencePoseidon(arity int) int {
	return map[int]int{2: 311, 4: 377, 8: 505, 11: 598}[arity]
}

func referenceSelect(arity int) int { return map[int]int{2: 2, 4: 8, 8: 22}[arity] }

// referenceLevel is a level of a path: hash, selection, and the bits of the position.
func referenceLevel(arity int) int { return map[int]int{2: 314, 4: 387, 8: 530}[arity] }

// referencePath is that of a path, with its index and root.
func referencePath(arities []int) int {
	n := 2
	for _, arity := range arities {
		n += referenceLevel(arity)
	}
	return n
}

func referencePoRep(s registry.Seal, arities []int) int {
	column, labels := referencePoseidon(s.Layers), s.Layers*referenceLabel
	if s.Layers == 2 {
		labels = referenceTwoLabels
	}
	path := referencePath(arities)
	each := referenceDataLevel*indexBits(s.Nodes()) + 2 + 14*(column+path) + 65 + referenceBits*(6+14*(s.Layers-1)) + labels + 1 + path + column + path
	return 571 + s.Challenges*each
}

func referencePoSt(p registry.PoSt, arities []int) int {
	if p.Winning { // as many sectors of one challenge
		return p.Challenges * (313 + referencePath(arities))
	}
	return p.Sectors * (313 + p.Challenges*referencePath(arities))
}
