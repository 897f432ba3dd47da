package proving

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"golang.org/x/sync/errgroup"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/post"
)

// infos are the chain's facts of the sectors of a batch.
func (p *Proving) infos(ctx context.Context, head *types.TipSet, batch []target) (map[uint64]proof.SectorInfo, error) {
	v, err := p.deps.Chain.View(ctx, head)
	if err != nil {
		return nil, err
	}
	var prove []uint64
	for _, t := range batch {
		prove = append(prove, t.prove...)
	}
	on, err := v.SectorsIn(ctx, p.deps.Miner, bitfield.NewFromSet(prove))
	if err != nil {
		return nil, err
	}
	out := make(map[uint64]proof.SectorInfo, len(on))
	for _, s := range on {
		out[uint64(s.SectorNumber)] = sectorInfo(s)
	}
	return out, nil
}

// checkAll reads every sector of a batch and returns those that cannot be proven.
func (p *Proving) checkAll(ctx context.Context, batch []target, infos map[uint64]proof.SectorInfo) (map[uint64]bool, error) {
	var list []proof.SectorInfo
	for _, t := range batch {
		for _, n := range t.prove {
			list = append(list, infos[n])
		}
	}
	results, err := p.check(ctx, list)
	if err != nil {
		return nil, err
	}
	skip := map[uint64]bool{}
	for n, err := range results {
		if err != nil {
			skip[uint64(n)] = true
		}
	}
	return skip, nil
}

// check proves each sector for a challenge of our own, which reads it at many places and shows
// whether it is what the chain has. The sectors' owner is told.
func (p *Proving) check(ctx context.Context, list []proof.SectorInfo) (map[abi.SectorNumber]error, error) {
	own := make([]byte, 32)
	if _, err := rand.Read(own); err != nil {
		return nil, err
	}
	own[31] &= 0x3f
	results := make(map[abi.SectorNumber]error, len(list))
	var mu sync.Mutex // guards results
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.opt.Readers)
	for _, si := range list {
		g.Go(func() error {
			err := p.checkOne(gctx, si, own)
			if gctx.Err() != nil {
				return gctx.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			results[si.SectorNumber] = err
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for n, err := range results {
		if err != nil {
			p.log.Warn("sector cannot be proven", "sector", n, "err", err)
		}
	}
	return results, p.deps.Sectors.Readable(ctx, results)
}

func (p *Proving) checkOne(ctx context.Context, si proof.SectorInfo, own abi.PoStRandomness) error {
	t, err := si.SealProof.RegisteredWindowPoStProof()
	if err != nil {
		return err
	}
	_, err = post.ProveSector(ctx, t, si, 0, own, p.deps.Sectors.Files(si.SectorNumber))
	return err
}

// proveWindow proves a statement and checks the proof. bad are the sectors that failed, which
// is why there is an error; with none of them the error is another.
func (p *Proving) proveWindow(ctx context.Context, st statement, challenge []byte) (out []proof.PoStProof, bad map[uint64]error, err error) {
	set, err := post.Set(st.sectors)
	if err != nil {
		return nil, nil, err
	}
	of, bad, err := p.witnesses(ctx, set, challenge)
	if err != nil {
		return nil, bad, err
	}
	witnesses := make([]proofs.PoStWitness, len(st.sectors))
	for i, si := range st.sectors {
		witnesses[i] = of[si.SectorNumber]
	}
	s := proof.WindowPoStVerifyInfo{Randomness: challenge, ChallengedSectors: st.sectors, Prover: p.id}
	if s.Proofs, err = p.deps.Prover.ProveWindowPoSt(ctx, s, witnesses); err != nil {
		return nil, nil, fmt.Errorf("window PoSt: %w", err)
	}
	ok, err := p.deps.Verifier.VerifyWindowPoSt(ctx, s)
	if err != nil {
		return nil, nil, fmt.Errorf("check of the window PoSt: %w", err)
	}
	if !ok {
		return nil, nil, errors.New("the window PoSt does not hold")
	}
	return s.Proofs, nil, nil
}

// witnesses makes the vanilla proofs of a set; bad are the sectors that failed.
func (p *Proving) witnesses(ctx context.Context, set []proof.SectorInfo, challenge []byte) (of map[abi.SectorNumber]proofs.PoStWitness, bad map[uint64]error, err error) {
	made := make([]*post.SectorProof, len(set))
	errs := make([]error, len(set))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.opt.Readers)
	for i, si := range set {
		g.Go(func() error {
			t, err := si.SealProof.RegisteredWindowPoStProof()
			if err != nil {
				return err
			}
			made[i], errs[i] = post.ProveSector(gctx, t, si, i, challenge, p.deps.Sectors.Files(si.SectorNumber))
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	of, bad = map[abi.SectorNumber]proofs.PoStWitness{}, map[uint64]error{}
	for i, si := range set {
		of[si.SectorNumber] = made[i]
		if errs[i] != nil {
			bad[uint64(si.SectorNumber)] = errs[i]
		}
	}
	return of, bad, errors.Join(errs...)
}
