package prover

import (
	"github.com/filecoin-project/go-state-types/proof"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
)

// job is what a child is to prove, in gob. Exactly one of Seal and Window is set. Both ends
// are the same program, so the form needs no version.
type job struct {
	Network types.Network
	Keys    string // folder of proving keys
	Seal    *sealJob
	Window  *windowJob
}

type sealJob struct {
	Info    proof.SealVerifyInfo
	Vanilla *porep.Proof
}

type windowJob struct {
	Info    proof.WindowPoStVerifyInfo
	Vanilla []*post.SectorProof
}

// answer is what a child made, or why it made nothing.
type answer struct {
	Seal   []byte
	Window []proof.PoStProof
	Error  string
}
