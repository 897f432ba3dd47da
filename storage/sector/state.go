package sector

import "slices"

// State is where a sector stands. The words are the ones that tools know from the field
// SealingStatus (spec markets.md C.2).
type State string

// The states, in the order of a sector's life.
const (
	WaitDeals            State = "WaitDeals"            // has room and waits for more pieces
	AddPiece             State = "AddPiece"             // bytes of a piece are being written
	Packing              State = "Packing"              // the rest is filled with zero pieces
	GetTicket            State = "GetTicket"            // drawing the sealing randomness
	PreCommit1           State = "PreCommit1"           // labels
	PreCommit2           State = "PreCommit2"           // trees and replica
	SubmitPreCommitBatch State = "SubmitPreCommitBatch" // pre-commit message being made
	PreCommitBatchWait   State = "PreCommitBatchWait"   // pre-commit message on its way
	WaitSeed             State = "WaitSeed"             // the challenge's randomness is not drawn yet
	Committing           State = "Committing"           // proof of replication
	SubmitCommit         State = "SubmitCommit"         // prove-commit message being made
	CommitWait           State = "CommitWait"           // prove-commit message on its way
	FinalizeSector       State = "FinalizeSector"       // dropping what only sealing needed
	Proving              State = "Proving"              // active on chain
	Faulty               State = "Faulty"               // on chain, but declared or found faulty

	Terminating       State = "Terminating"       // terminate message being made
	TerminateWait     State = "TerminateWait"     // terminate message on its way
	TerminateFinality State = "TerminateFinality" // ended on chain; files wait for finality
	Removing          State = "Removing"          // files being deleted
	Removed           State = "Removed"           // the record alone is left

	AddPieceFailed       State = "AddPieceFailed"
	PackingFailed        State = "PackingFailed"
	SealPreCommit1Failed State = "SealPreCommit1Failed"
	SealPreCommit2Failed State = "SealPreCommit2Failed"
	PreCommitFailed      State = "PreCommitFailed"
	ComputeProofFailed   State = "ComputeProofFailed"
	CommitFailed         State = "CommitFailed"
	FinalizeFailed       State = "FinalizeFailed"
	RecoverDealIDs       State = "RecoverDealIDs" // a reorg gave the deals other numbers
	DealsExpired         State = "DealsExpired"   // a deal's start passed before activation
	TerminateFailed      State = "TerminateFailed"
	RemoveFailed         State = "RemoveFailed"
	FailedUnrecoverable  State = "FailedUnrecoverable" // an operator decides: retry or remove
)

// Stage names a piece of work.
type Stage string

// The stages; each belongs to the state in stages.
const (
	StagePack           Stage = "pack"
	StageTicket         Stage = "ticket"
	StageLabel          Stage = "precommit1"
	StageReplicate      Stage = "precommit2"
	StageSendPreCommit  Stage = "precommit-send"
	StageAwaitPreCommit Stage = "precommit-wait"
	StageSeed           Stage = "seed"
	StageProve          Stage = "commit"
	StageSendCommit     Stage = "commit-send"
	StageAwaitCommit    Stage = "commit-wait"
	StageFinalize       Stage = "finalize"
	StageRecoverDeals   Stage = "recover-deals"
	StageSendTerminate  Stage = "terminate-send"
	StageAwaitTerminate Stage = "terminate-wait"
	StageAwaitFinality  Stage = "terminate-finality"
	StageRemove         Stage = "remove"
)

// Stage is the work of a state; ok is false when the state waits for something from outside.
func (s State) Stage() (stage Stage, ok bool) {
	switch s {
	case Packing:
		return StagePack, true
	case GetTicket:
		return StageTicket, true
	case PreCommit1:
		return StageLabel, true
	case PreCommit2:
		return StageReplicate, true
	case SubmitPreCommitBatch:
		return StageSendPreCommit, true
	case PreCommitBatchWait:
		return StageAwaitPreCommit, true
	case WaitSeed:
		return StageSeed, true
	case Committing:
		return StageProve, true
	case SubmitCommit:
		return StageSendCommit, true
	case CommitWait:
		return StageAwaitCommit, true
	case FinalizeSector:
		return StageFinalize, true
	case RecoverDealIDs:
		return StageRecoverDeals, true
	case Terminating:
		return StageSendTerminate, true
	case TerminateWait:
		return StageAwaitTerminate, true
	case TerminateFinality:
		return StageAwaitFinality, true
	case Removing:
		return StageRemove, true
	}
	return "", false
}

// failed is the state in which a sector waits after its work failed.
func (s State) failed() State {
	switch s {
	case Packing:
		return PackingFailed
	case GetTicket, PreCommit1:
		return SealPreCommit1Failed
	case PreCommit2:
		return SealPreCommit2Failed
	case SubmitPreCommitBatch, PreCommitBatchWait, WaitSeed:
		return PreCommitFailed
	case Committing:
		return ComputeProofFailed
	case SubmitCommit, CommitWait, RecoverDealIDs:
		return CommitFailed
	case FinalizeSector:
		return FinalizeFailed
	case Terminating, TerminateWait, TerminateFinality:
		return TerminateFailed
	case Removing:
		return RemoveFailed
	}
	return FailedUnrecoverable
}

var failures = []State{
	AddPieceFailed, PackingFailed, SealPreCommit1Failed, SealPreCommit2Failed, PreCommitFailed,
	ComputeProofFailed, CommitFailed, FinalizeFailed, TerminateFailed, RemoveFailed, FailedUnrecoverable,
}

// Failure tells whether the sector waits after a failure.
func (s State) Failure() bool { return slices.Contains(failures, s) }

// OnChain tells whether the sector is one that the chain knows as live.
func (s State) OnChain() bool {
	switch s {
	case FinalizeSector, FinalizeFailed, Proving, Faulty, Terminating, TerminateWait, TerminateFailed:
		return true
	}
	return false
}

// Gone tells whether the sector's files are deleted, or are being so.
func (s State) Gone() bool { return s == Removing || s == RemoveFailed || s == Removed }

// Sealing tells whether the sector is between its first piece and the chain's acceptance.
func (s State) Sealing() bool {
	return !s.Gone() && s != TerminateFinality && !s.OnChain()
}
