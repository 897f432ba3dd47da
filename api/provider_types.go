package api

import (
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
)

// SectorInfo is all about a sector. From SealProof on, the chain speaks: zero unless asked.
type SectorInfo struct {
	SectorID             abi.SectorNumber
	State                string
	CommD                *cid.Cid
	CommR                *cid.Cid
	Proof                []byte
	Deals                []abi.DealID
	Pieces               []SectorPiece
	Ticket               SealTicket
	Seed                 SealTicket
	PreCommitMsg         *cid.Cid
	CommitMsg            *cid.Cid
	Retries              uint64
	ToUpgrade            bool
	ReplicaUpdateMessage *cid.Cid
	LastErr              string
	Log                  []SectorLog

	SealProof          abi.RegisteredSealProof
	Activation         abi.ChainEpoch
	Expiration         abi.ChainEpoch
	DealWeight         abi.DealWeight
	VerifiedDealWeight abi.DealWeight
	InitialPledge      abi.TokenAmount
	OnTime             abi.ChainEpoch
	Early              abi.ChainEpoch
}

// SealTicket is randomness with the epoch it was drawn from.
type SealTicket struct {
	Value []byte
	Epoch abi.ChainEpoch
}

// SectorPiece is a piece in a sector; a filler has no deal.
type SectorPiece struct {
	Piece    abi.PieceInfo
	DealInfo *PieceDeal
}

// PieceDeal is the deal that a piece belongs to.
type PieceDeal struct {
	DealID     abi.DealID
	PublishCid *cid.Cid
}

// SectorLog is an event in a sector's life.
type SectorLog struct {
	Kind      string
	Timestamp uint64 // unix seconds
	Trace     string
	Message   string
}

// SectorProgress is a sector in short.
type SectorProgress struct {
	Sector   abi.SectorNumber
	State    string
	Deals    int
	Used     abi.PaddedPieceSize
	Size     abi.SectorSize
	Progress float64 // of the job that runs, 0 to 1; 0 when none does
	Active   bool    // on chain and counting
	Expires  abi.ChainEpoch
	LastErr  string
}

// DeadlineStatus is a proving deadline and what the node did for it.
type DeadlineStatus struct {
	Index      uint64
	Open       abi.ChainEpoch
	Close      abi.ChainEpoch
	OpensIn    time.Duration // on the network's clock; 0 while open
	Current    bool
	Partitions int
	Sectors    uint64
	Live       uint64
	Faulty     uint64
	Recovering uint64
	Proven     int    // partitions proven in the open window
	Status     string // idle, waiting, computing, submitted, proven, missed, failed
	Err        string
}

// MiningStatus counts what a miner did since it started.
type MiningStatus struct {
	On      bool
	Why     string // why it went off by itself
	Miner   address.Address
	Won     uint64 // elections
	Mined   uint64 // blocks published
	Late    uint64 // blocks made too late to count
	Missed  uint64 // elections won without a block
	Skipped uint64 // rounds that went by while an earlier one was worked on
	Ahead   uint64 // winning PoSts that were made before their rounds
	Orphans uint64 // blocks that the chain did not keep
	PoSt    PoStCounters
}

// PoStCounters count deadlines that had something to prove.
type PoStCounters struct {
	OnTime  uint64
	Late    uint64
	Missed  uint64
	Skipped uint64
}

// Ask are a provider's terms. Prices are attoFIL per GiB and epoch.
type Ask struct {
	Miner         address.Address
	Price         abi.TokenAmount
	VerifiedPrice abi.TokenAmount
	MinPieceSize  abi.PaddedPieceSize
	MaxPieceSize  abi.PaddedPieceSize
	Timestamp     abi.ChainEpoch
	Expiry        abi.ChainEpoch
	SeqNo         uint64
}

// ProviderDeal is a deal as the provider sees it.
type ProviderDeal struct {
	ID          uuid.UUID
	Created     time.Time
	Proposal    DealProposal
	Root        cid.Cid // of the payload, as the client says
	Checkpoint  string  // spec markets.md A.6
	Waiting     string  // what the deal waits for, for people
	Err         string
	Received    uint64 // bytes of Size
	Size        uint64
	PublishCid  *cid.Cid
	ChainDealID abi.DealID // known once PublishCid is; 0 is a real id
	Sector      *abi.SectorNumber
	SectorState string
	Offset      abi.PaddedPieceSize
}
