package offline

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/circuit"
	"github.com/lodenet/lode/proofs/insecure"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/registry"
	"github.com/lodenet/lode/proofs/snark"
)

// System makes and checks succinct proofs.
type System interface {
	proofs.Prover
	proofs.Verifier
}

// Keys are those of the proof system groth16.
type Keys struct {
	// Store is the folder of keys; those with a public seed are made when they are missing.
	Store *params.Store
	// Network is the one by whose keys proofs are made and checked; nil stands for the keys
	// of the public seed of development networks.
	Network *types.Network
}

// System is the proof system of a name, for the statement of a document. It compiles a
// circuit where the store does not have the key of the public seed.
func (k Keys) System(ctx context.Context, name string, d *Document) (System, error) {
	switch name {
	case insecure.Name:
		return insecure.New(), nil
	case snark.Name:
		return k.groth16(ctx, d)
	}
	return nil, fmt.Errorf("this program has no proof system %q; it has %s, %s and %s", name, Vanilla, snark.Name, insecure.Name)
}

func (k Keys) groth16(ctx context.Context, d *Document) (System, error) {
	seed := params.DevnetSeed
	var v *snark.Verifier
	var err error
	if n := k.Network; n != nil {
		if n.Proofs != types.ProofsGroth16 {
			return nil, fmt.Errorf("network %s has the proof system %s and no keys of %s", n.Name, n.Proofs, snark.Name)
		}
		seed = n.Keys.InsecureSeed
		v, err = snark.NewVerifier(n.Keys.Bytes(), abi.SectorSize(n.Policy.SectorSize))
	} else {
		v, err = k.seeded(ctx, d, seed)
	}
	if err != nil {
		return nil, err
	}
	return &succinct{v, snark.NewProver(v, k.Store, seed)}, nil
}

func (k Keys) seeded(ctx context.Context, d *Document, seed string) (*snark.Verifier, error) {
	if k.Store == nil {
		return nil, errors.New("no folder of keys was named")
	}
	c, err := d.circuit()
	if err != nil {
		return nil, err
	}
	return snark.VerifierOf(ctx, k.Store, c, []byte(seed))
}

// succinct joins the two halves of the proof system groth16.
type succinct struct {
	*snark.Verifier
	prover *snark.Prover
}

func (s *succinct) ProveSeal(ctx context.Context, i proof.SealVerifyInfo, v proofs.SealWitness) ([]byte, error) {
	return s.prover.ProveSeal(ctx, i, v)
}

func (s *succinct) ProveWindowPoSt(ctx context.Context, i proof.WindowPoStVerifyInfo, v []proofs.PoStWitness) ([]proof.PoStProof, error) {
	return s.prover.ProveWindowPoSt(ctx, i, v)
}

// ProveWinningPoSt gives the keys back at once: there is one proof and no second.
func (s *succinct) ProveWinningPoSt(ctx context.Context, i proof.WinningPoStVerifyInfo, v []proofs.PoStWitness) ([]proof.PoStProof, error) {
	out, err := s.prover.ProveWinningPoSt(ctx, i, v)
	return out, errors.Join(err, s.prover.Release())
}

// circuit is that of the document's statement.
func (d *Document) circuit() (*circuit.Statement, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if d.Kind == KindSeal {
		s, err := registry.SealOf(d.Seal.Proof)
		if err != nil {
			return nil, err
		}
		return circuit.PoRep(s)
	}
	p, err := registry.PoStOf(d.PoSt.Proof)
	if err != nil {
		return nil, err
	}
	if p.Winning != (d.Kind == KindWinning) {
		return nil, fmt.Errorf("post proof %d is not of kind %s", d.PoSt.Proof, d.Kind)
	}
	return snark.CircuitOf(p)
}
