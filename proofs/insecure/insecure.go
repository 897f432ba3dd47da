package insecure

import (
	"context"
	"crypto/sha3"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
	"github.com/lodenet/lode/proofs/registry"
)

// Name is the system's, as network.toml spells it.
const Name = "insecure"

// System makes and checks the proofs. It is immutable and safe from many goroutines.
type System struct{}

var (
	_ proofs.Prover   = (*System)(nil)
	_ proofs.Verifier = (*System)(nil)
)

// New returns the system.
func New() *System { return &System{} }

// Name implements proofs.Verifier and proofs.Prover.
func (*System) Name() string { return Name }

// ProveSeal implements proofs.Prover. vanilla must be a *porep.Proof that holds.
func (*System) ProveSeal(ctx context.Context, s proof.SealVerifyInfo, vanilla proofs.SealWitness) ([]byte, error) {
	v, ok := vanilla.(*porep.Proof)
	if !ok {
		return nil, fmt.Errorf("sector %d: a seal witness of type %T", s.Number, vanilla)
	}
	if err := porep.Verify(s, v); err != nil {
		return nil, fmt.Errorf("sector %d: %w", s.Number, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return sealProof(s)
}

// VerifySeal implements proofs.Verifier.
func (*System) VerifySeal(_ context.Context, s proof.SealVerifyInfo) (bool, error) {
	want, err := sealProof(s)
	if err != nil {
		return false, err
	}
	return equal(s.Proof, want), nil
}

// VerifySeals implements proofs.Verifier. A statement that is none is false like one whose
// proof does not hold, so that it says nothing about the others; the error is the context's.
func (y *System) VerifySeals(ctx context.Context, s []proof.SealVerifyInfo) ([]bool, error) {
	oks := make([]bool, len(s))
	for i := range s {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		oks[i], _ = y.VerifySeal(ctx, s[i])
	}
	return oks, nil
}

// ProveWindowPoSt implements proofs.Prover. Every vanilla proof must be a *post.SectorProof
// that holds. The answer is one PoStProof, which is what the miner actor takes, of 192
// bytes a partition of the proof.
func (*System) ProveWindowPoSt(ctx context.Context, s proof.WindowPoStVerifyInfo, vanilla []proofs.PoStWitness) ([]proof.PoStProof, error) {
	v, err := sectorProofs(vanilla)
	if err != nil {
		return nil, err
	}
	statement, err := post.CheckWindow(s, v)
	return provePoSt(ctx, statement, err)
}

// ProveWinningPoSt implements proofs.Prover, as ProveWindowPoSt does.
func (*System) ProveWinningPoSt(ctx context.Context, s proof.WinningPoStVerifyInfo, vanilla []proofs.PoStWitness) ([]proof.PoStProof, error) {
	v, err := sectorProofs(vanilla)
	if err != nil {
		return nil, err
	}
	statement, err := post.CheckWinning(s, v)
	return provePoSt(ctx, statement, err)
}

// VerifyWindowPoSt implements proofs.Verifier.
func (*System) VerifyWindowPoSt(_ context.Context, s proof.WindowPoStVerifyInfo) (bool, error) {
	return verifyPoSt(false, s.Prover, s.Randomness, s.ChallengedSectors, s.Proofs)
}

// VerifyWinningPoSt implements proofs.Verifier.
func (*System) VerifyWinningPoSt(_ context.Context, s proof.WinningPoStVerifyInfo) (bool, error) {
	return verifyPoSt(true, s.Prover, s.Randomness, s.ChallengedSectors, s.Proofs)
}

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

func provePoSt(ctx context.Context, s *post.Statement, err error) ([]proof.PoStProof, error) {
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return []proof.PoStProof{{PoStProof: s.Proof, ProofBytes: postProof(s)}}, nil
}

func verifyPoSt(winning bool, prover abi.ActorID, rand abi.PoStRandomness, sectors []proof.SectorInfo, given []proof.PoStProof) (bool, error) {
	if len(given) != 1 {
		return false, fmt.Errorf("%d PoSt proofs, there is one", len(given))
	}
	s, err := post.NewStatement(given[0].PoStProof, prover, rand, sectors)
	if err != nil {
		return false, err
	}
	if s.Winning != winning {
		return false, fmt.Errorf("post proof %d is of the other kind", s.Proof)
	}
	return equal(given[0].ProofBytes, postProof(s)), nil
}

// sealProof is the proof of a statement. Deal IDs are no part of it.
func sealProof(s proof.SealVerifyInfo) ([]byte, error) {
	seal, err := registry.SealOf(s.SealProof)
	if err != nil {
		return nil, err
	}
	if len(s.Randomness) != 32 || len(s.InteractiveRandomness) != 32 {
		return nil, fmt.Errorf("sector %d: a ticket of %d bytes and a seed of %d, they have 32", s.Number, len(s.Randomness), len(s.InteractiveRandomness))
	}
	commD, err := commitment.Unsealed(s.UnsealedCID)
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", s.Number, err)
	}
	commR, err := commitment.Sealed(s.SealedCID)
	if err != nil {
		return nil, fmt.Errorf("sector %d: %w", s.Number, err)
	}
	t := newTranscript("seal")
	t.numbers(uint64(s.SealProof), uint64(s.Miner), uint64(s.Number))
	t.bytes(s.Randomness, s.InteractiveRandomness, commD[:], commR[:])
	return t.proof(seal.ProofBytes), nil
}

func postProof(s *post.Statement) []byte {
	t := newTranscript("post")
	t.numbers(uint64(s.Proof), uint64(s.Prover))
	t.bytes(s.Randomness[:])
	t.numbers(uint64(len(s.Sectors)))
	for i, info := range s.Sectors {
		t.numbers(uint64(info.SealProof), uint64(info.SectorNumber))
		t.bytes(s.CommR[i][:])
	}
	return t.proof(s.Partitions() * proofs.ProofBytes)
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// transcript hashes the fields of a statement so that no two statements give the same
// bytes: fields are of fixed length or have theirs in front.
type transcript struct{ h *sha3.SHAKE }

func newTranscript(kind string) transcript {
	t := transcript{sha3.NewSHAKE256()}
	t.bytes([]byte("lode insecure proof"), []byte(kind))
	return t
}

func (t transcript) numbers(n ...uint64) {
	for _, n := range n {
		_, _ = t.h.Write(binary.LittleEndian.AppendUint64(nil, n)) // a hash never fails
	}
}

func (t transcript) bytes(fields ...[]byte) {
	for _, b := range fields {
		t.numbers(uint64(len(b)))
		_, _ = t.h.Write(b)
	}
}

func (t transcript) proof(length int) []byte {
	p := make([]byte, length)
	_, _ = t.h.Read(p)
	return p
}
