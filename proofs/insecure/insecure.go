package insecure

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
)

// Name is the system's, as network.toml spells it.
const Name = "insecure"

var errTODO = errors.New("coming")

// System makes and checks the proofs. It is immutable.
type System struct{}

var (
	_ proofs.Prover   = (*System)(nil)
	_ proofs.Verifier = (*System)(nil)
)

// New returns the system.
func New() *System { return &System{} }

// Name implements proofs.Verifier and proofs.Prover.
func (*System) Name() string { return Name }

// VerifySeal implements proofs.Verifier.
func (*System) VerifySeal(ctx context.Context, s proof.SealVerifyInfo) (bool, error) {
	return false, errTODO
}

// VerifySeals implements proofs.Verifier.
func (y *System) VerifySeals(ctx context.Context, s []proof.SealVerifyInfo) ([]bool, error) {
	return nil, errTODO
}

// VerifyWindowPoSt implements proofs.Verifier.
func (*System) VerifyWindowPoSt(ctx context.Context, s proof.WindowPoStVerifyInfo) (bool, error) {
	return false, errTODO
}

// VerifyWinningPoSt implements proofs.Verifier.
func (*System) VerifyWinningPoSt(ctx context.Context, s proof.WinningPoStVerifyInfo) (bool, error) {
	return false, errTODO
}

// ProveSeal implements proofs.Prover.
func (*System) ProveSeal(ctx context.Context, s proof.SealVerifyInfo, v proofs.SealWitness) ([]byte, error) {
	return nil, errTODO
}

// ProveWindowPoSt implements proofs.Prover.
func (*System) ProveWindowPoSt(ctx context.Context, s proof.WindowPoStVerifyInfo, v []proofs.PoStWitness) ([]proof.PoStProof, error) {
	return nil, errTODO
}

// ProveWinningPoSt implements proofs.Prover.
func (*System) ProveWinningPoSt(ctx context.Context, s proof.WinningPoStVerifyInfo, v []proofs.PoStWitness) ([]proof.PoStProof, error) {
	return nil, errTODO
}
