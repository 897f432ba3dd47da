package prover

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
	"github.com/lodenet/lode/proofs/snark"
)

// Options say where a provider proves.
type Options struct {
	// Keys is the folder of proving keys.
	Keys string
	// Command is a program with its arguments that calls Serve; empty: every proof is made
	// in this process.
	Command []string
	Log     *slog.Logger
}

// Prover is the prover of a provider on a network of proof system "groth16". It is safe from
// many goroutines.
type Prover struct {
	opt     Options
	network types.Network
	winning abi.RegisteredPoStProof
	local   *snark.Prover

	children atomic.Int32 // that run
}

var _ proofs.Prover = (*Prover)(nil)

// New makes a prover for a network, whose verifier v is. It opens nothing.
func New(n types.Network, v *snark.Verifier, opt Options) (*Prover, error) {
	seal, err := n.SealProof()
	if err != nil {
		return nil, err
	}
	winning, err := seal.RegisteredWinningPoStProof()
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", n.Name, err)
	}
	log := opt.Log
	store := params.New(opt.Keys, func(p params.Progress) {
		log.Info("proving keys", "circuit", p.Circuit, "step", p.Step, "done", p.Done)
	})
	return &Prover{opt: opt, network: n, winning: winning, local: snark.NewProver(v, store, n.Keys.InsecureSeed)}, nil
}

// Verifier makes the verifier of a network of proof system "groth16".
func Verifier(n types.Network) (*snark.Verifier, error) {
	v, err := snark.NewVerifier(n.Keys.Bytes(), abi.SectorSize(n.Policy.SectorSize))
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", n.Name, err)
	}
	return v, nil
}

// Run opens the keys of winning PoSt, makes them first where that can be done and they are
// missing, and gives them back when the context ends.
func (p *Prover) Run(ctx context.Context) error {
	if err := p.local.Warm(ctx, p.winning); err != nil && ctx.Err() == nil {
		// Each winning PoSt tries again and says so; the rest of the provider can work.
		p.opt.Log.Error("cannot open the keys of winning PoSt; no block can be made", "err", err)
	}
	<-ctx.Done()
	return p.local.Release()
}

// Busy tells whether a child makes a proof.
func (p *Prover) Busy() bool { return p.children.Load() > 0 }

// Name implements proofs.Prover.
func (*Prover) Name() string { return snark.Name }

// ProveWinningPoSt implements proofs.Prover, always in this process.
func (p *Prover) ProveWinningPoSt(ctx context.Context, s proof.WinningPoStVerifyInfo, vanilla []proofs.PoStWitness) ([]proof.PoStProof, error) {
	return p.local.ProveWinningPoSt(ctx, s, vanilla)
}

// ProveSeal implements proofs.Prover.
func (p *Prover) ProveSeal(ctx context.Context, s proof.SealVerifyInfo, vanilla proofs.SealWitness) ([]byte, error) {
	if len(p.opt.Command) == 0 {
		return p.local.ProveSeal(ctx, s, vanilla)
	}
	v, ok := vanilla.(*porep.Proof)
	if !ok || v == nil {
		return nil, fmt.Errorf("sector %d: a seal witness of type %T", s.Number, vanilla)
	}
	a, err := p.ask(ctx, job{Seal: &sealJob{s, v}})
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", s.Number, err)
	}
	return a.Seal, nil
}

// ProveWindowPoSt implements proofs.Prover.
func (p *Prover) ProveWindowPoSt(ctx context.Context, s proof.WindowPoStVerifyInfo, vanilla []proofs.PoStWitness) ([]proof.PoStProof, error) {
	if len(p.opt.Command) == 0 {
		return p.local.ProveWindowPoSt(ctx, s, vanilla)
	}
	v := make([]*post.SectorProof, len(vanilla))
	for i, w := range vanilla {
		sector, ok := w.(*post.SectorProof)
		if !ok || sector == nil {
			return nil, fmt.Errorf("PoSt witness %d is of type %T", i, w)
		}
		v[i] = sector
	}
	a, err := p.ask(ctx, job{Window: &windowJob{s, v}})
	return a.Window, err
}
