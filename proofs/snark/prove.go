package snark

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/backend/witness"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/circuit"
	"github.com/lodenet/lode/proofs/params"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
	"github.com/lodenet/lode/proofs/registry"
)

type element = fr.Element

// Store finds proving keys, or makes those that have a seed. It is safe from many goroutines.
type Store interface {
	ProvingKey(ctx context.Context, w params.Want) (*params.Keys, error)
}

var _ Store = (*params.Store)(nil)

// ErrReleased: the keys were given back while a proof was wanted, since its node stops.
var ErrReleased = errors.New("the proving keys were given back")

// Prover makes proofs that a Verifier accepts. It takes every core while it proves, and cannot
// be stopped within one partition. It is safe from many goroutines.
type Prover struct {
	verifier *Verifier
	store    Store
	seed     []byte // of the keys, nil when a ceremony made them

	// mu guards what is below: for reading while a winning PoSt is made, for writing to change it.
	mu sync.RWMutex
	// held are the keys of winning PoSt, which has no time to open them. All others are
	// opened for each proof, since they may take gigabytes.
	held map[string]*params.Keys
}

var _ proofs.Prover = (*Prover)(nil)

// NewProver makes a prover for whom the verifier checks. seed is the public one that the
// network's keys were made from, empty when they are a ceremony's.
func NewProver(v *Verifier, s Store, seed string) *Prover {
	p := &Prover{verifier: v, store: s, held: map[string]*params.Keys{}}
	if seed != "" {
		p.seed = []byte(seed)
	}
	return p
}

// Name implements proofs.Prover.
func (*Prover) Name() string { return Name }

// ProveSeal implements proofs.Prover. vanilla must be a *porep.Proof that holds.
func (p *Prover) ProveSeal(ctx context.Context, s proof.SealVerifyInfo, vanilla proofs.SealWitness) ([]byte, error) {
	v, seal, err := checkSeal(s, vanilla)
	if err != nil {
		return nil, err
	}
	c, err := circuit.PoRep(seal)
	if err != nil {
		return nil, err
	}
	out, err := p.once(ctx, c, seal.Partitions, func(k int) (witness.Witness, error) { return circuit.PoRepWitness(s, v, k) })
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", s.Number, err)
	}
	return out, nil
}

// checkSeal checks the vanilla proof of a seal, which must be a *porep.Proof.
func checkSeal(s proof.SealVerifyInfo, vanilla proofs.SealWitness) (*porep.Proof, registry.Seal, error) {
	seal, err := registry.SealOf(s.SealProof)
	if err != nil {
		return nil, seal, err
	}
	if seal.Feature != registry.Interactive {
		return nil, seal, fmt.Errorf("sector %d: seal proof %d is not interactive", s.Number, s.SealProof)
	}
	v, ok := vanilla.(*porep.Proof)
	if !ok {
		return nil, seal, fmt.Errorf("sector %d: a seal witness of type %T", s.Number, vanilla)
	}
	if err := porep.Verify(s, v); err != nil {
		return nil, seal, fmt.Errorf("sector %d: %w", s.Number, err)
	}
	return v, seal, nil
}

// ProveWindowPoSt implements proofs.Prover. Every vanilla proof must be a *post.SectorProof
// that holds. The answer is one PoStProof, which is what the miner actor takes, of 192 bytes
// a partition of the proof.
func (p *Prover) ProveWindowPoSt(ctx context.Context, s proof.WindowPoStVerifyInfo, vanilla []proofs.PoStWitness) ([]proof.PoStProof, error) {
	v, err := sectorProofs(vanilla)
	if err != nil {
		return nil, err
	}
	st, err := post.CheckWindow(s, v)
	if err != nil {
		return nil, err
	}
	c, err := circuit.Window(st.PoSt)
	if err != nil {
		return nil, err
	}
	b, err := p.once(ctx, c, st.Partitions(), postWitness(st, v))
	return []proof.PoStProof{{PoStProof: st.Proof, ProofBytes: b}}, err
}

// ProveWinningPoSt implements proofs.Prover, as ProveWindowPoSt does. Its keys stay open, so
// that only the first proof waits for them; Warm opens them before.
func (p *Prover) ProveWinningPoSt(ctx context.Context, s proof.WinningPoStVerifyInfo, vanilla []proofs.PoStWitness) ([]proof.PoStProof, error) {
	v, err := sectorProofs(vanilla)
	if err != nil {
		return nil, err
	}
	st, err := post.CheckWinning(s, v)
	if err != nil {
		return nil, err
	}
	c, err := circuit.Winning(st.PoSt)
	if err != nil {
		return nil, err
	}
	if err := p.hold(ctx, c); err != nil {
		return nil, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	keys := p.held[c.Name()]
	if keys == nil {
		return nil, ErrReleased
	}
	b, err := prove(ctx, keys, st.Partitions(), postWitness(st, v))
	return []proof.PoStProof{{PoStProof: st.Proof, ProofBytes: b}}, err
}

// sectorProofs asserts that all vanilla proofs are *post.SectorProof.
func sectorProofs(vanilla []proofs.PoStWitness) ([]*post.SectorProof, error) {
	v := make([]*post.SectorProof, len(vanilla))
	for i, w := range vanilla {
		p, ok := w.(*post.SectorProof)
		if !ok {
			return nil, fmt.Errorf("PoSt witness %d is of type %T", i, w)
		}
		v[i] = p
	}
	return v, nil
}

// postWitness takes vanilla proofs, which were checked, in any order.
func postWitness(st *post.Statement, vanilla []*post.SectorProof) func(k int) (witness.Witness, error) {
	of := make(map[abi.SectorNumber]*post.SectorProof, len(vanilla))
	for _, v := range vanilla {
		of[v.Sector] = v
	}
	ordered := make([]*post.SectorProof, len(st.Sectors))
	for i, info := range st.Sectors {
		ordered[i] = of[info.SectorNumber]
	}
	return func(k int) (witness.Witness, error) { return circuit.PoStWitness(st, ordered, k) }
}

// Warm opens, and if need be makes, the keys of a winning PoSt.
func (p *Prover) Warm(ctx context.Context, t abi.RegisteredPoStProof) error {
	st, err := registry.PoStOf(t)
	if err != nil {
		return err
	}
	c, err := circuit.Winning(st)
	if err != nil {
		return err
	}
	return p.hold(ctx, c)
}

// hold opens keys until Release.
func (p *Prover) hold(ctx context.Context, c *circuit.Statement) error {
	p.mu.RLock()
	_, ok := p.held[c.Name()]
	p.mu.RUnlock()
	if ok {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.held[c.Name()]; ok {
		return nil
	}
	keys, err := p.open(ctx, c)
	if err == nil {
		p.held[c.Name()] = keys
	}
	return err
}

func (p *Prover) open(ctx context.Context, c *circuit.Statement) (*params.Keys, error) {
	vk, err := p.verifier.key(c)
	if err != nil {
		return nil, err
	}
	return p.store.ProvingKey(ctx, params.Want{Circuit: c, Pin: vk.Digest(), Seed: p.seed})
}

// once proves with keys that are opened for it.
func (p *Prover) once(ctx context.Context, c *circuit.Statement, partitions int, of func(k int) (witness.Witness, error)) (_ []byte, err error) {
	keys, err := p.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	return prove(ctx, keys, partitions, of)
}

// prove makes the proofs of all partitions, one after the other.
func prove(ctx context.Context, keys *params.Keys, partitions int, of func(k int) (witness.Witness, error)) ([]byte, error) {
	out := make([]byte, 0, partitions*proofs.ProofBytes)
	for k := range partitions {
		w, err := of(k)
		if err != nil {
			return nil, err
		}
		b, _, err := keys.Prove(ctx, w)
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}

// Release gives back the keys that are held. It waits for a winning PoSt that is being made.
// The next one opens them again.
func (p *Prover) Release() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, keys := range p.held {
		errs = append(errs, keys.Close())
	}
	clear(p.held)
	return errors.Join(errs...)
}
