package porep

import (
	"context"
	"errors"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/merkle"
)

// Task says which sector is sealed, for whom and how.
type Task struct {
	Proof  abi.RegisteredSealProof
	Miner  abi.ActorID
	Number abi.SectorNumber
	Ticket abi.SealRandomness
}

// Progress is told how much of a step's work is done, in nodes; done never falls and ends at
// total. It is called by one goroutine at a time and should return quickly. It may be nil.
type Progress func(done, total int64)

// ErrMismatch: data, files and commitments do not belong together.
var ErrMismatch = errors.New("does not match its commitment")

// Proof is a vanilla proof of replication: what a succinct proof proves knowledge of.
type Proof struct {
	CommC, CommRLast merkle.Node
	Partitions       [][]Challenge
}

// Challenge proves one challenged node.
type Challenge struct {
	Data    merkle.Path // in tree D
	Replica merkle.Path // in tree R
	Column  Column      // of the challenged node
	Parents []Column    // of its parents, 6 of the base graph and then 8 of the expander
}

// Column is the labels of a node in all layers, and the way of their hash to CommC.
type Column struct {
	Labels []merkle.Node
	Path   merkle.Path
}

// SealWitness implements proofs.SealWitness.
func (*Proof) SealWitness() {}

var errTODO = errors.New("coming")

// Label is the first step of sealing (PreCommit1).
func Label(ctx context.Context, t Task, commD cid.Cid, f Files, progress Progress) error {
	return errTODO
}

// Commit is the second step of sealing (PreCommit2).
func Commit(ctx context.Context, t Task, commD cid.Cid, f Files, progress Progress) (cid.Cid, error) {
	return cid.Undef, errTODO
}

// Prove makes the vanilla proof (Commit1).
func Prove(ctx context.Context, t Task, commD, commR cid.Cid, seed abi.InteractiveSealRandomness, f Files) (*Proof, error) {
	return nil, errTODO
}

// Verify checks a vanilla proof directly.
func Verify(s proof.SealVerifyInfo, p *Proof) error { return errTODO }

// Unseal writes length bytes of the padded data from offset on.
func Unseal(ctx context.Context, t Task, commD cid.Cid, f Files, w io.Writer, offset, length int64) error {
	return errTODO
}
