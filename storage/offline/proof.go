package offline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
)

// ErrInvalid: the proof of a document does not hold. The text says why.
var ErrInvalid = errors.New("the proof does not hold")

// ProveSeal makes the vanilla proof that the sector was sealed, for the challenges that
// follow from a seed.
func (s *Sector) ProveSeal(ctx context.Context, seed Bytes) (*Document, error) {
	vanilla, err := porep.Prove(ctx, s.task(), s.CommD, s.CommR, seed[:], newFolder(s.dir))
	if err != nil {
		return nil, err
	}
	return &Document{
		Kind: KindSeal, System: Vanilla,
		Seal:        &SealStatement{s.Proof, s.Miner, s.Number, s.Ticket, seed, s.CommD, s.CommR},
		VanillaSeal: fromSeal(vanilla),
	}, nil
}

// ProvePoSt makes the vanilla proof that the replica is still there, of KindWindow or
// KindWinning, for the challenges that follow from randomness.
func (s *Sector) ProvePoSt(ctx context.Context, kind string, randomness Bytes) (*Document, error) {
	p, err := s.postProof(kind)
	if err != nil {
		return nil, err
	}
	info := proof.SectorInfo{SealProof: s.Proof, SectorNumber: s.Number, SealedCID: s.CommR}
	vanilla, err := post.ProveSector(ctx, p, info, 0, randomness[:], newFolder(s.dir))
	if err != nil {
		return nil, err
	}
	return &Document{
		Kind: kind, System: Vanilla,
		PoSt:        &PoStStatement{p, s.Miner, randomness, []PoStSector{{s.Proof, s.Number, s.CommR}}},
		VanillaPoSt: []VanillaPoSt{fromPoSt(vanilla)},
	}, nil
}

func (s *Sector) postProof(kind string) (abi.RegisteredPoStProof, error) {
	switch kind {
	case KindWindow:
		return s.Proof.RegisteredWindowPoStProof()
	case KindWinning:
		return s.Proof.RegisteredWinningPoStProof()
	}
	return 0, fmt.Errorf("a proof of spacetime is %s or %s, not %q", KindWindow, KindWinning, kind)
}

// Condense puts a succinct proof in place of the vanilla one.
func (d *Document) Condense(ctx context.Context, system System) error {
	if err := d.check(); err != nil {
		return err
	}
	var b []byte
	var err error
	switch {
	case d.System != Vanilla:
		return fmt.Errorf("the document has no vanilla proof: its proof system is %q", d.System)
	case d.Kind == KindSeal:
		b, err = system.ProveSeal(ctx, d.Seal.info(), d.VanillaSeal.proof())
	default:
		var out []proof.PoStProof
		out, err = d.provePoSt(ctx, system)
		for _, p := range out {
			b = append(b, p.ProofBytes...)
		}
	}
	if err != nil {
		return err
	}
	if len(b) == 0 || len(b)%proofs.ProofBytes != 0 {
		return fmt.Errorf("proof system %s made a proof of %d bytes, not one of %d a partition", system.Name(), len(b), proofs.ProofBytes)
	}
	d.System, d.VanillaSeal, d.VanillaPoSt, d.Proofs = system.Name(), nil, nil, nil
	for p := range slices.Chunk(b, proofs.ProofBytes) {
		d.Proofs = append(d.Proofs, ProofBytes(p))
	}
	return nil
}

func (d *Document) provePoSt(ctx context.Context, system System) ([]proof.PoStProof, error) {
	var witnesses []proofs.PoStWitness
	for _, v := range d.vanillaPoSt() {
		witnesses = append(witnesses, v)
	}
	if d.Kind == KindWinning {
		return system.ProveWinningPoSt(ctx, d.winning(nil), witnesses)
	}
	return system.ProveWindowPoSt(ctx, d.window(nil), witnesses)
}

func (d *Document) window(p []proof.PoStProof) proof.WindowPoStVerifyInfo {
	return proof.WindowPoStVerifyInfo{Randomness: d.PoSt.Randomness[:], Proofs: p, ChallengedSectors: d.PoSt.sectors(), Prover: d.PoSt.Miner}
}

func (d *Document) winning(p []proof.PoStProof) proof.WinningPoStVerifyInfo {
	return proof.WinningPoStVerifyInfo(d.window(p))
}

func (d *Document) vanillaPoSt() (v []*post.SectorProof) {
	for i, p := range d.VanillaPoSt {
		v = append(v, p.proof(d.PoSt.Proof, d.PoSt.Sectors[i].Number))
	}
	return v
}

// check tells whether the document has the parts that its kind needs.
func (d *Document) check() error {
	seal := d.Kind == KindSeal
	switch {
	case !seal && d.Kind != KindWindow && d.Kind != KindWinning:
		return fmt.Errorf("kind %q is not %s, %s or %s", d.Kind, KindSeal, KindWindow, KindWinning)
	case seal && (d.Seal == nil || d.PoSt != nil || len(d.VanillaPoSt) > 0):
		return errors.New("a seal's document has its statement in seal, and nothing in post and vanilla_post")
	case !seal && (d.PoSt == nil || d.Seal != nil || d.VanillaSeal != nil):
		return errors.New("the document of a proof of spacetime has its statement in post, and nothing in seal and vanilla_seal")
	case d.System == Vanilla && len(d.Proofs) > 0:
		return errors.New("the system is vanilla, and there are succinct proofs")
	case d.System == Vanilla && seal && d.VanillaSeal == nil:
		return errors.New("there is no proof in vanilla_seal")
	case d.System == Vanilla && !seal && len(d.VanillaPoSt) != len(d.PoSt.Sectors):
		return fmt.Errorf("%d proofs in vanilla_post for %d sectors", len(d.VanillaPoSt), len(d.PoSt.Sectors))
	case d.System != Vanilla && (d.VanillaSeal != nil || len(d.VanillaPoSt) > 0):
		return fmt.Errorf("the system is %q, and there is a vanilla proof", d.System)
	}
	return nil
}

// Verify checks the proof, a succinct one by these keys. It is ErrInvalid when it does not
// hold, another error when the document makes no sense or there is no system of its name.
func (d *Document) Verify(ctx context.Context, keys Keys) error {
	if err := d.check(); err != nil {
		return err
	}
	if d.System == Vanilla {
		err := d.verifyVanilla()
		if errors.Is(err, porep.ErrInvalid) || errors.Is(err, post.ErrInvalid) {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return err
	}
	s, err := keys.System(ctx, d.System, d)
	if err != nil {
		return err
	}
	ok, err := d.verifyWith(ctx, s)
	if err == nil && !ok {
		err = fmt.Errorf("%w (proof system %s)", ErrInvalid, d.System)
	}
	return err
}

func (d *Document) verifyVanilla() error {
	switch d.Kind {
	case KindSeal:
		return porep.Verify(d.Seal.info(), d.VanillaSeal.proof())
	case KindWindow:
		return post.VerifyWindow(d.window(nil), d.vanillaPoSt())
	}
	return post.VerifyWinning(d.winning(nil), d.vanillaPoSt())
}

func (d *Document) verifyWith(ctx context.Context, s System) (bool, error) {
	var b []byte
	for _, p := range d.Proofs {
		b = append(b, p[:]...)
	}
	if d.Kind == KindSeal {
		info := d.Seal.info()
		info.Proof = b
		return s.VerifySeal(ctx, info)
	}
	given := []proof.PoStProof{{PoStProof: d.PoSt.Proof, ProofBytes: b}}
	if d.Kind == KindWindow {
		return s.VerifyWindowPoSt(ctx, d.window(given))
	}
	return s.VerifyWinningPoSt(ctx, d.winning(given))
}

// Prove makes a proof of the sector in a folder: vanilla, or of a proof system by these keys.
func Prove(ctx context.Context, dir, kind string, randomness Bytes, system string, keys Keys) (*Document, error) {
	s, err := Open(dir)
	if err != nil {
		return nil, err
	}
	var d *Document
	if kind == KindSeal {
		d, err = s.ProveSeal(ctx, randomness)
	} else {
		d, err = s.ProvePoSt(ctx, kind, randomness)
	}
	if err != nil || system == Vanilla {
		return d, err
	}
	y, err := keys.System(ctx, system, d)
	if err != nil {
		return nil, err
	}
	return d, d.Condense(ctx, y)
}

// Summary says in a line what the document claims.
func (d *Document) Summary() string {
	switch {
	case d.Seal != nil:
		return fmt.Sprintf("miner t0%d sealed the data %v as sector %d, replica %v", d.Seal.Miner, d.Seal.CommD, d.Seal.Number, d.Seal.CommR)
	case d.PoSt != nil && len(d.PoSt.Sectors) == 1:
		return fmt.Sprintf("miner t0%d has sector %d, replica %v", d.PoSt.Miner, d.PoSt.Sectors[0].Number, d.PoSt.Sectors[0].CommR)
	case d.PoSt != nil:
		return fmt.Sprintf("miner t0%d has %d sectors", d.PoSt.Miner, len(d.PoSt.Sectors))
	}
	return "nothing"
}
