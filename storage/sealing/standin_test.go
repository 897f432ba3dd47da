package sealing

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/insecure"
	"github.com/lodenet/lode/proofs/porep"
)

type standin struct{ *insecure.System }

func bind(s proof.SealVerifyInfo) []byte {
	h := sha256.Sum256(fmt.Appendf(nil, "%d %v %x %x %s %s", s.SealProof, s.SectorID, s.Randomness, s.InteractiveRandomness, s.SealedCID, s.UnsealedCID))
	return append(h[:], make([]byte, 160)...)
}
func (standin) ProveSeal(ctx context.Context, s proof.SealVerifyInfo, v proofs.SealWitness) ([]byte, error) {
	if err := porep.Verify(s, v.(*porep.Proof)); err != nil {
		return nil, err
	}
	return bind(s), nil
}
func (standin) VerifySeal(ctx context.Context, s proof.SealVerifyInfo) (bool, error) {
	return string(bind(s)) == string(s.Proof), nil
}
func (y standin) VerifySeals(ctx context.Context, s []proof.SealVerifyInfo) ([]bool, error) {
	out := make([]bool, len(s))
	for i := range s {
		out[i], _ = y.VerifySeal(ctx, s[i])
	}
	return out, nil
}
