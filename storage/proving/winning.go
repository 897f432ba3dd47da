package proving

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/post"
)

// WinningPoSt proves for an election. sectors is the miner's proving set at the look-back,
// ordered by number; randomness is the draw for the epoch. It never waits for the window's or
// the sealing's work, and the proof is checked before it is returned. Safe from many
// goroutines.
func (p *Proving) WinningPoSt(ctx context.Context, miner address.Address, sectors []proof.SectorInfo, randomness abi.PoStRandomness) ([]proof.PoStProof, error) {
	if miner != p.deps.Miner {
		return nil, fmt.Errorf("winning PoSt: asked for miner %s, this is %s", miner, p.deps.Miner)
	}
	chosen, err := post.WinningSectors(p.id, randomness, uint64(len(sectors)))
	if err != nil {
		return nil, fmt.Errorf("winning PoSt: %w", err)
	}
	s := proof.WinningPoStVerifyInfo{Randomness: randomness, Prover: p.id}
	var witnesses []proofs.PoStWitness
	for i, at := range chosen {
		si := sectors[at]
		t, err := si.SealProof.RegisteredWinningPoStProof()
		if err != nil {
			return nil, fmt.Errorf("winning PoSt: %w", err)
		}
		w, err := post.ProveSector(ctx, t, si, i, randomness, p.deps.Sectors.Files(si.SectorNumber))
		if err != nil {
			return nil, fmt.Errorf("winning PoSt: sector %d: %w", si.SectorNumber, err)
		}
		s.ChallengedSectors = append(s.ChallengedSectors, si)
		witnesses = append(witnesses, w)
	}
	if s.Proofs, err = p.deps.Prover.ProveWinningPoSt(ctx, s, witnesses); err != nil {
		return nil, fmt.Errorf("winning PoSt: %w", err)
	}
	ok, err := p.deps.Verifier.VerifyWinningPoSt(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("check of the winning PoSt: %w", err)
	}
	if !ok {
		return nil, errors.New("the winning PoSt does not hold")
	}
	return s.Proofs, nil
}
