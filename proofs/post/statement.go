package post

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/registry"
)

// ErrConflict: two different sectors have the same number.
var ErrConflict = errors.New("two sectors of one number")

// Statement is what a PoSt proves: that the sectors' replicas are stored. Nothing of it
// changes after NewStatement.
type Statement struct {
	registry.PoSt
	Prover     abi.ActorID
	Randomness [32]byte           // trimmed
	Sectors    []proof.SectorInfo // as Set orders them
	CommR      []fr32.Node        // of the sectors
}

// NewStatement checks what a PoSt is said to prove. The randomness is trimmed to a field
// element, as provers and verifiers both must do (spec: 7). Sectors may come in any order
// and more than once; ErrConflict says that one came in two forms.
func NewStatement(t abi.RegisteredPoStProof, prover abi.ActorID, rand abi.PoStRandomness, sectors []proof.SectorInfo) (*Statement, error) {
	p, err := registry.PoStOf(t)
	if err != nil {
		return nil, err
	}
	s := &Statement{PoSt: p, Prover: prover}
	if s.Randomness, err = trim(rand); err != nil {
		return nil, err
	}
	if s.Sectors, err = Set(sectors); err != nil {
		return nil, err
	}
	if len(s.Sectors) == 0 {
		return nil, errors.New("a PoSt of no sectors")
	}
	if p.Winning && len(s.Sectors) != 1 {
		return nil, fmt.Errorf("a winning PoSt of %d sectors, it is of one", len(s.Sectors))
	}
	for _, info := range s.Sectors {
		commR, err := checkSector(p, info)
		if err != nil {
			return nil, err
		}
		s.CommR = append(s.CommR, commR)
	}
	return s, nil
}

func checkSector(p registry.PoSt, info proof.SectorInfo) (fr32.Node, error) {
	seal, err := registry.SealOf(info.SealProof)
	if err != nil {
		return fr32.Node{}, fmt.Errorf("sector %d: %w", info.SectorNumber, err)
	}
	if seal.SectorSize != p.SectorSize {
		return fr32.Node{}, fmt.Errorf("sector %d has %d bytes, post proof %d is for %d", info.SectorNumber, seal.SectorSize, p.Proof, p.SectorSize)
	}
	commR, err := commitment.Sealed(info.SealedCID)
	if err != nil {
		return fr32.Node{}, fmt.Errorf("sector %d: %w", info.SectorNumber, err)
	}
	return commR, nil
}

func trim(rand abi.PoStRandomness) ([32]byte, error) {
	if len(rand) != 32 {
		return [32]byte{}, fmt.Errorf("PoSt randomness of %d bytes, it has 32", len(rand))
	}
	n := fr32.Node(rand)
	fr32.Trim(&n)
	return n, nil
}

// Partitions is how many succinct proofs there are; a short last one proves its last sector
// again and again.
func (s *Statement) Partitions() int {
	return (len(s.Sectors) + s.PoSt.Sectors - 1) / s.PoSt.Sectors
}

// Challenges are the nodes that the i-th sector's proof opens.
func (s *Statement) Challenges(i int) []uint64 {
	return challenges(s.PoSt, s.Sectors[i].SectorNumber, i, s.Randomness)
}

// challenges: in the older versions they depend on the sector's place in the whole proof
// (spec: 7.2). A winning PoSt is one sector, 66 times over with one challenge each, which
// comes to the same numbers as one sector in the first place with 66.
func challenges(p registry.PoSt, number abi.SectorNumber, index int, rand [32]byte) []uint64 {
	first := uint64(0)
	if p.Version != registry.V1_2 {
		first = uint64(index) * uint64(p.Challenges)
	}
	c := make([]uint64, p.Challenges)
	for n := range c {
		b := binary.LittleEndian.AppendUint64(rand[:], uint64(number))
		h := sha256.Sum256(binary.LittleEndian.AppendUint64(b, first+uint64(n)))
		c[n] = binary.LittleEndian.Uint64(h[:]) % p.Nodes()
	}
	return c
}

// Set returns the sectors in the order in which they are proved: ascending by number, each
// once. A sectorIndex counts in this order. A number that stands for two different sectors
// is ErrConflict.
func Set(sectors []proof.SectorInfo) ([]proof.SectorInfo, error) {
	set := slices.Clone(sectors)
	slices.SortStableFunc(set, func(a, b proof.SectorInfo) int { return cmp.Compare(a.SectorNumber, b.SectorNumber) })
	set = slices.Compact(set)
	for i := 1; i < len(set); i++ {
		if set[i-1].SectorNumber == set[i].SectorNumber {
			return nil, fmt.Errorf("sector %d: %w", set[i].SectorNumber, ErrConflict)
		}
	}
	return set, nil
}

// WinningSectors returns the indexes, in the caller's ordered list of eligible sectors, of
// those that a winning PoSt proves, of which there is one (spec: 7.1).
func WinningSectors(miner abi.ActorID, rand abi.PoStRandomness, eligible uint64) ([]uint64, error) {
	if eligible == 0 {
		return nil, errors.New("no sector is eligible for a winning PoSt")
	}
	r, err := trim(rand)
	if err != nil {
		return nil, err
	}
	prover := registry.ProverID(miner)
	const i = 0
	h := sha256.Sum256(binary.LittleEndian.AppendUint64(append(prover[:], r[:]...), i))
	return []uint64{binary.LittleEndian.Uint64(h[:]) % eligible}, nil
}
