package proofs

import (
	"context"

	"github.com/filecoin-project/go-state-types/proof"
)

// ProofBytes is the length of one succinct proof.
const ProofBytes = 192

// Verifier checks proofs. All methods are deterministic and safe from many goroutines. A
// false result with a nil error means a well-formed statement whose proof does not hold; an
// error means that the statement itself could not be understood, with the reason. Both are
// a refusal.
type Verifier interface {
	// Name is the proof system's, as network.toml spells it.
	Name() string
	VerifySeal(ctx context.Context, s proof.SealVerifyInfo) (bool, error)
	// VerifySeals checks many; the answer i is for statement i.
	VerifySeals(ctx context.Context, s []proof.SealVerifyInfo) ([]bool, error)
	VerifyWindowPoSt(ctx context.Context, s proof.WindowPoStVerifyInfo) (bool, error)
	VerifyWinningPoSt(ctx context.Context, s proof.WinningPoStVerifyInfo) (bool, error)
}

// Prover makes proofs of statements from vanilla proofs. It checks the vanilla proof first
// and refuses to prove what does not hold. The Proof field of a statement is ignored.
type Prover interface {
	Name() string
	// ProveSeal returns one succinct proof a partition, one after the other.
	ProveSeal(ctx context.Context, s proof.SealVerifyInfo, vanilla SealWitness) ([]byte, error)
	// ProveWindowPoSt proves one partition's sectors; vanilla[i] belongs to ChallengedSectors[i].
	ProveWindowPoSt(ctx context.Context, s proof.WindowPoStVerifyInfo, vanilla []PoStWitness) ([]proof.PoStProof, error)
	ProveWinningPoSt(ctx context.Context, s proof.WinningPoStVerifyInfo, vanilla []PoStWitness) ([]proof.PoStProof, error)
}

// SealWitness is a vanilla proof of replication (*porep.Proof). A proof system asserts the
// type it knows.
type SealWitness interface {
	// SealWitness marks the type.
	SealWitness()
}

// PoStWitness is a vanilla proof of spacetime of one sector (*post.SectorProof).
type PoStWitness interface {
	// PoStWitness marks the type.
	PoStWitness()
}
