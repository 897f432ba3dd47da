package registry

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
)

// ErrUnknown: the number names no registered proof.
var ErrUnknown = errors.New("unknown registered proof")

// Version says which of two graphs a seal uses and how a PoSt counts its challenges.
type Version int

// The versions, in the order they came.
const (
	V1_0 Version = iota
	V1_1
	V1_2
)

// Feature says how the challenges of a seal come about.
type Feature int

// The features a seal proof can have.
const (
	Interactive    Feature = iota // from the seed that the chain gives after the commitment
	Synthetic                     // the seed selects among challenges fixed by the commitment
	NonInteractive                // from the commitment alone
)

// Seal is what a registered seal proof stands for (spec: 2.1).
type Seal struct {
	Proof      abi.RegisteredSealProof
	Version    Version
	Feature    Feature
	SectorSize abi.SectorSize
	Layers     int
	Shape      merkle.Shape
	Partitions int      // succinct proofs a sector
	Challenges int      // challenges a partition
	ProofBytes int      // length of the whole proof
	PoRepID    [32]byte // seeds the graph
}

// Nodes is how many nodes a sector has.
func (s Seal) Nodes() uint64 { return uint64(s.SectorSize) / fr32.NodeBytes }

// PoSt is what a registered PoSt proof stands for (spec: 2.4).
type PoSt struct {
	Proof      abi.RegisteredPoStProof
	Version    Version
	Winning    bool
	SectorSize abi.SectorSize
	Shape      merkle.Shape
	Challenges int // challenges a sector
	Sectors    int // sectors a partition
}

// Nodes is how many nodes a sector has.
func (p PoSt) Nodes() uint64 { return uint64(p.SectorSize) / fr32.NodeBytes }

// size is what depends on the sector's size alone.
type size struct {
	bytes         abi.SectorSize
	layers        int
	shape         merkle.Shape
	partitions    int
	challenges    int // a partition
	niPartitions  int
	niBytes       int // an aggregate, not a multiple of proofs.ProofBytes
	windowSectors int // a partition
}

var sizes = [...]size{
	{2 << 10, 2, merkle.Shape{Base: 8}, 1, 2, 13, 14164, 2},
	{8 << 20, 2, merkle.Shape{Base: 8}, 1, 2, 13, 14164, 2},
	{512 << 20, 2, merkle.Shape{Base: 8}, 1, 2, 13, 14164, 2},
	{32 << 30, 11, merkle.Shape{Base: 8, Sub: 8}, 10, 18, 126, 23092, 2349},
	{64 << 30, 11, merkle.Shape{Base: 8, Sub: 8, Top: 2}, 10, 18, 126, 23092, 2300},
}

const (
	sealKinds         = 4
	postKinds         = 3
	winningChallenges = 66
	windowChallenges  = 10
)

// SealOf returns what p stands for, or ErrUnknown.
func SealOf(p abi.RegisteredSealProof) (Seal, error) {
	if p < 0 || int(p) >= sealKinds*len(sizes) {
		return Seal{}, fmt.Errorf("seal proof %d: %w", p, ErrUnknown)
	}
	z := sizes[int(p)%len(sizes)]
	s := Seal{
		Proof: p, SectorSize: z.bytes, Layers: z.layers, Shape: z.shape,
		Partitions: z.partitions, Challenges: z.challenges, ProofBytes: z.partitions * proofs.ProofBytes,
	}
	switch int(p) / len(sizes) {
	case 0:
		s.Version = V1_0
	case 1:
		s.Version = V1_1
	case 2:
		s.Version, s.Feature = V1_2, Synthetic
	case 3:
		s.Version, s.Feature = V1_2, NonInteractive
		s.Partitions, s.ProofBytes = z.niPartitions, z.niBytes
	}
	binary.LittleEndian.PutUint64(s.PoRepID[:], uint64(p))
	return s, nil
}

// PoStOf returns what p stands for, or ErrUnknown.
func PoStOf(p abi.RegisteredPoStProof) (PoSt, error) {
	if p < 0 || int(p) >= postKinds*len(sizes) {
		return PoSt{}, fmt.Errorf("post proof %d: %w", p, ErrUnknown)
	}
	z := sizes[int(p)%len(sizes)]
	s := PoSt{Proof: p, SectorSize: z.bytes, Shape: z.shape, Challenges: windowChallenges, Sectors: z.windowSectors}
	switch int(p) / len(sizes) {
	case 0:
		s.Winning, s.Challenges, s.Sectors = true, winningChallenges, 1
	case 2:
		s.Version = V1_2
	}
	return s, nil
}

// ProverID is the 32-byte form of a miner's actor number that seals and PoSt bind to: the
// payload of its ID address, followed by zeros (spec: 2.3).
func ProverID(miner abi.ActorID) (id [32]byte) {
	binary.PutUvarint(id[:], uint64(miner))
	return id
}
