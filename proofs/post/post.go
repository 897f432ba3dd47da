package post

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/porep"
)

// SectorProof is a vanilla proof of spacetime of one sector.
type SectorProof struct {
	Proof            abi.RegisteredPoStProof
	Sector           abi.SectorNumber
	CommC, CommRLast merkle.Node
	Paths            []merkle.Path // in tree R, one a challenge
}

// PoStWitness implements proofs.PoStWitness.
func (*SectorProof) PoStWitness() {}

var errTODO = errors.New("coming")

// Set returns the sectors in the order in which they are proved: ascending by number, each
// once. A sectorIndex counts in this order.
func Set(sectors []proof.SectorInfo) ([]proof.SectorInfo, error) { return nil, errTODO }

// WinningSectors returns the indexes, in the caller's ordered list of eligible sectors, of
// those that a winning PoSt proves: one.
func WinningSectors(miner abi.ActorID, rand abi.PoStRandomness, eligible uint64) ([]uint64, error) {
	return nil, errTODO
}

// ProveSector makes the vanilla proof of one sector; sectorIndex is its place in Set.
func ProveSector(ctx context.Context, t abi.RegisteredPoStProof, info proof.SectorInfo, sectorIndex int, rand abi.PoStRandomness, f porep.Files) (*SectorProof, error) {
	return nil, errTODO
}

// VerifyWindow checks the vanilla proofs of a window PoSt directly.
func VerifyWindow(s proof.WindowPoStVerifyInfo, vanilla []*SectorProof) error { return errTODO }

// VerifyWinning checks the vanilla proofs of a winning PoSt directly.
func VerifyWinning(s proof.WinningPoStVerifyInfo, vanilla []*SectorProof) error { return errTODO }
