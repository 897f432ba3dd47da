package api

import (
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/types"
)

// ActorState is an actor with its state in the field names of its Go type.
type ActorState struct {
	Balance abi.TokenAmount
	Code    cid.Cid
	State   any
}

// NetworkParams define a network for its clients.
type NetworkParams struct {
	NetworkName             string
	BlockDelaySecs          uint64
	ConsensusMinerMinPower  abi.StoragePower
	PreCommitChallengeDelay abi.ChainEpoch
	GenesisTimestamp        uint64
}

// CirculatingSupply in parts, attoFIL.
type CirculatingSupply struct {
	FilVested           abi.TokenAmount
	FilMined            abi.TokenAmount
	FilBurnt            abi.TokenAmount
	FilLocked           abi.TokenAmount
	FilCirculating      abi.TokenAmount
	FilReserveDisbursed abi.TokenAmount
}

// InvocResult is what a message would do.
type InvocResult struct {
	MsgCid         cid.Cid
	Msg            *types.Message
	MsgRct         *types.MessageReceipt
	GasCost        MsgGasCost
	ExecutionTrace any
	Error          string
	Duration       int64 // nanoseconds
}

// MsgGasCost tells where a message's gas goes, attoFIL.
type MsgGasCost struct {
	Message            cid.Cid
	GasUsed            abi.TokenAmount
	BaseFeeBurn        abi.TokenAmount
	OverEstimationBurn abi.TokenAmount
	MinerPenalty       abi.TokenAmount
	MinerTip           abi.TokenAmount
	Refund             abi.TokenAmount
	TotalCost          abi.TokenAmount
}

// MsgLookup is a message that ran. Message differs from what was asked for when a
// replacement with other fees ran instead. TipSet and Height are of the tipset that holds the
// receipt, the one after the message's.
type MsgLookup struct {
	Message   cid.Cid
	Receipt   types.MessageReceipt
	ReturnDec any
	TipSet    types.TipSetKey
	Height    abi.ChainEpoch
}

// MinerInfo tells who a miner is. Multiaddrs are binary.
type MinerInfo struct {
	Owner                      address.Address
	Worker                     address.Address
	NewWorker                  address.Address
	ControlAddresses           []address.Address
	WorkerChangeEpoch          abi.ChainEpoch // −1 when no change is pending
	PeerId                     *peer.ID       // wire name
	Multiaddrs                 []abi.Multiaddrs
	WindowPoStProofType        abi.RegisteredPoStProof
	SectorSize                 abi.SectorSize
	WindowPoStPartitionSectors uint64
	ConsensusFaultElapsed      abi.ChainEpoch
	PendingOwnerAddress        *address.Address
	Beneficiary                address.Address
	BeneficiaryTerm            *BeneficiaryTerm
	PendingBeneficiaryTerm     *BeneficiaryTerm
}

// BeneficiaryTerm exists in later actors; here it is always null.
type BeneficiaryTerm struct {
	Quota      abi.TokenAmount
	UsedQuota  abi.TokenAmount
	Expiration abi.ChainEpoch
}

// MinerPower is a miner's part of the network's power.
type MinerPower struct {
	MinerPower  Claim
	TotalPower  Claim
	HasMinPower bool
}

// Claim is power, bytes and weighted bytes.
type Claim struct {
	RawBytePower    abi.StoragePower
	QualityAdjPower abi.StoragePower
}

// Deadline is one of the 48 of a proving period.
type Deadline struct {
	PostSubmissions      bitfield.BitField
	DisputableProofCount uint64
	DailyFee             abi.TokenAmount // always 0
}

// Partition is a set of sectors proven together.
type Partition struct {
	AllSectors        bitfield.BitField
	FaultySectors     bitfield.BitField
	RecoveringSectors bitfield.BitField
	LiveSectors       bitfield.BitField
	ActiveSectors     bitfield.BitField
}

// SectorOnChainInfo is a committed sector as the miner actor keeps it.
type SectorOnChainInfo struct {
	miner.SectorOnChainInfo
	// PowerBaseEpoch is what newer readers look for; it equals Activation.
	PowerBaseEpoch abi.ChainEpoch
}

// SectorPreCommitOnChainInfo is a sector that waits for its proof.
type SectorPreCommitOnChainInfo = miner.SectorPreCommitOnChainInfo

// SectorLocation is where a sector is proven.
type SectorLocation struct {
	Deadline  uint64
	Partition uint64
}

// MinerSectors counts sectors.
type MinerSectors struct {
	Live   uint64
	Active uint64
	Faulty uint64
}

// MarketBalance is money in the market actor, attoFIL. Locked is part of Escrow.
type MarketBalance struct {
	Escrow abi.TokenAmount
	Locked abi.TokenAmount
}

// CollateralBounds are the least and most collateral, attoFIL.
type CollateralBounds struct {
	Min abi.TokenAmount
	Max abi.TokenAmount
}

// MarketDeal is a deal on chain.
type MarketDeal struct {
	Proposal DealProposal
	State    MarketDealState
}

// MarketDealState is −1 in each epoch that has not come.
type MarketDealState struct {
	SectorNumber     abi.SectorNumber // 0 when unknown
	SectorStartEpoch abi.ChainEpoch
	LastUpdatedEpoch abi.ChainEpoch
	SlashEpoch       abi.ChainEpoch
}

// DealProposal is what client and provider agreed on.
type DealProposal struct {
	PieceCID             cid.Cid
	PieceSize            abi.PaddedPieceSize
	VerifiedDeal         bool
	Client               address.Address
	Provider             address.Address
	Label                DealLabel
	StartEpoch           abi.ChainEpoch
	EndEpoch             abi.ChainEpoch
	StoragePricePerEpoch abi.TokenAmount // attoFIL
	ProviderCollateral   abi.TokenAmount // attoFIL
	ClientCollateral     abi.TokenAmount // attoFIL
}
