package post

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/internal/parallel"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/registry"
)

var (
	// ErrInvalid: a vanilla proof does not hold. The text says where.
	ErrInvalid = errors.New("vanilla proof does not hold")
	// ErrDamaged: a sector's files do not belong to its CommR any more: it is faulty.
	ErrDamaged = errors.New("the replica does not match CommR")
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

// ProveSector makes the vanilla proof of one sector; sectorIndex is its place in Set (0 for
// a winning PoSt). It reads the files Sealed and Aux and those of tree R, and checks what it
// read: a sector whose files are missing, of a wrong size or ErrDamaged is to be declared
// faulty.
func ProveSector(ctx context.Context, t abi.RegisteredPoStProof, info proof.SectorInfo, sectorIndex int, rand abi.PoStRandomness, f porep.Files) (*SectorProof, error) {
	p, err := registry.PoStOf(t)
	if err != nil {
		return nil, err
	}
	r, err := trim(rand)
	if err != nil {
		return nil, err
	}
	if sectorIndex < 0 || (p.Winning && sectorIndex != 0) {
		return nil, fmt.Errorf("sector %d: there is no place %d in post proof %d", info.SectorNumber, sectorIndex, t)
	}
	commR, err := checkSector(p, info)
	if err != nil {
		return nil, err
	}
	v, err := proveSector(ctx, p, info.SectorNumber, commR, challenges(p, info.SectorNumber, sectorIndex, r), f)
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", info.SectorNumber, err)
	}
	return v, nil
}

func proveSector(ctx context.Context, p registry.PoSt, number abi.SectorNumber, commR fr32.Node, challenges []uint64, f porep.Files) (*SectorProof, error) {
	replica, err := porep.OpenReplica(f, p.Shape, p.Nodes())
	if err != nil {
		return nil, damaged(err)
	}
	defer replica.Close()
	if replica.Root() != replica.Roots.CommRLast {
		return nil, fmt.Errorf("%w: the root of tree R is not the one that p_aux has", ErrDamaged)
	}
	v := &SectorProof{
		Proof: p.Proof, Sector: number,
		CommC: replica.Roots.CommC, CommRLast: replica.Roots.CommRLast,
		Paths: make([]merkle.Path, len(challenges)),
	}
	err = parallel.Each(ctx, len(challenges), func(i int) (err error) {
		v.Paths[i], err = replica.Path(challenges[i])
		return err
	})
	if err != nil {
		return nil, damaged(err)
	}
	if err := v.check(p, commR, challenges); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return v, nil
}

// damaged adds ErrDamaged to what only damage can be: no replica and no tree has bytes that
// are no field element.
func damaged(err error) error {
	if errors.Is(err, fr32.ErrNotCanonical) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// check does what the spec asks of one sector's vanilla proof (7.4).
func (v *SectorProof) check(p registry.PoSt, commR fr32.Node, challenges []uint64) error {
	if got, err := (porep.Roots{CommC: v.CommC, CommRLast: v.CommRLast}).CommR(); err != nil || got != commR {
		return fmt.Errorf("the roots do not make CommR (%v)", err)
	}
	if len(v.Paths) != len(challenges) {
		return fmt.Errorf("%d paths for %d challenges", len(v.Paths), len(challenges))
	}
	for i := range v.Paths {
		root, err := v.Paths[i].Root(p.Shape, p.Nodes())
		if err != nil || root != v.CommRLast || v.Paths[i].Index() != challenges[i] {
			return fmt.Errorf("path %d does not lead from node %d to CommRLast (%v)", i, challenges[i], err)
		}
	}
	return nil
}

// Verify checks the vanilla proofs of all sectors, in the order of the statement's. It is
// ErrInvalid when one does not hold.
func (s *Statement) Verify(vanilla []*SectorProof) error {
	if len(vanilla) != len(s.Sectors) {
		return fmt.Errorf("%w: %d proofs of %d sectors", ErrInvalid, len(vanilla), len(s.Sectors))
	}
	for i, v := range vanilla {
		number := s.Sectors[i].SectorNumber
		if v == nil || v.Proof != s.Proof || v.Sector != number {
			return fmt.Errorf("%w: proof %d is not of sector %d for post proof %d", ErrInvalid, i, number, s.Proof)
		}
		if err := v.check(s.PoSt, s.CommR[i], s.Challenges(i)); err != nil {
			return fmt.Errorf("%w: sector %d: %w", ErrInvalid, number, err)
		}
	}
	return nil
}

// VerifyWindow checks the vanilla proofs of a window PoSt directly; vanilla[i] belongs to
// ChallengedSectors[i]. It is ErrInvalid when they do not hold, another error when the
// statement is none. Proofs is not looked at: the kind of PoSt is that of the vanilla proofs.
func VerifyWindow(s proof.WindowPoStVerifyInfo, vanilla []*SectorProof) error {
	_, err := verify(false, s.Prover, s.Randomness, s.ChallengedSectors, vanilla)
	return err
}

// VerifyWinning is VerifyWindow for a winning PoSt.
func VerifyWinning(s proof.WinningPoStVerifyInfo, vanilla []*SectorProof) error {
	_, err := verify(true, s.Prover, s.Randomness, s.ChallengedSectors, vanilla)
	return err
}

// CheckWindow returns the statement that vanilla proofs of a window PoSt hold for, after what
// VerifyWindow does.
func CheckWindow(s proof.WindowPoStVerifyInfo, vanilla []*SectorProof) (*Statement, error) {
	return verify(false, s.Prover, s.Randomness, s.ChallengedSectors, vanilla)
}

// CheckWinning is CheckWindow for a winning PoSt.
func CheckWinning(s proof.WinningPoStVerifyInfo, vanilla []*SectorProof) (*Statement, error) {
	return verify(true, s.Prover, s.Randomness, s.ChallengedSectors, vanilla)
}

func verify(winning bool, prover abi.ActorID, rand abi.PoStRandomness, sectors []proof.SectorInfo, vanilla []*SectorProof) (*Statement, error) {
	if len(vanilla) == 0 || vanilla[0] == nil || len(vanilla) != len(sectors) {
		return nil, fmt.Errorf("%w: %d proofs of %d sectors", ErrInvalid, len(vanilla), len(sectors))
	}
	s, err := NewStatement(vanilla[0].Proof, prover, rand, sectors)
	if err != nil {
		return nil, err
	}
	if s.Winning != winning {
		return nil, fmt.Errorf("%w: post proof %d is of the other kind", ErrInvalid, s.Proof)
	}
	ordered := make([]*SectorProof, len(s.Sectors))
	for i, info := range sectors {
		at, _ := slices.BinarySearchFunc(s.Sectors, info.SectorNumber, func(e proof.SectorInfo, n abi.SectorNumber) int {
			return cmp.Compare(e.SectorNumber, n)
		})
		ordered[at] = vanilla[i]
	}
	return s, s.Verify(ordered)
}
