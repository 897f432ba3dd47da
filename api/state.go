package api

import (
	"context"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/dline"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
)

// State reads what actors hold. A method with a tipset key answers from that tipset's parent
// state.
type State interface {
	// StateGetActor is an actor's entry; code 11 when there is none.
	//
	//perm:read
	StateGetActor(ctx context.Context, addr address.Address, tsk types.TipSetKey) (*types.Actor, error)
	// StateReadState is an actor's state, decoded.
	//
	//perm:read
	StateReadState(ctx context.Context, addr address.Address, tsk types.TipSetKey) (*ActorState, error)
	// StateListActors lists the ID addresses of all actors.
	//
	//perm:read
	StateListActors(ctx context.Context, tsk types.TipSetKey) ([]address.Address, error)
	// StateLookupID translates to an ID address.
	//
	//perm:read
	StateLookupID(ctx context.Context, addr address.Address, tsk types.TipSetKey) (address.Address, error)
	// StateAccountKey translates to the key address of an account.
	//
	//perm:read
	StateAccountKey(ctx context.Context, addr address.Address, tsk types.TipSetKey) (address.Address, error)
	// StateLookupRobustAddress translates an ID address to one that survives a reorg.
	//
	//perm:read
	StateLookupRobustAddress(ctx context.Context, id address.Address, tsk types.TipSetKey) (address.Address, error)
	// StateNetworkName is the name of the network, as in its gossip topics.
	//
	//perm:read
	StateNetworkName(ctx context.Context) (string, error)
	// StateNetworkVersion is the protocol version at a tipset.
	//
	//perm:read
	StateNetworkVersion(ctx context.Context, tsk types.TipSetKey) (network.Version, error)
	// StateGetNetworkParams tells what defines the network.
	//
	//perm:read
	StateGetNetworkParams(ctx context.Context) (*NetworkParams, error)
	// StateCirculatingSupply is the supply in circulation by the plain definition.
	//
	//perm:read
	StateCirculatingSupply(ctx context.Context, tsk types.TipSetKey) (abi.TokenAmount, error)
	// StateVMCirculatingSupplyInternal is the supply that actors compute with, in parts.
	//
	//perm:read
	StateVMCirculatingSupplyInternal(ctx context.Context, tsk types.TipSetKey) (CirculatingSupply, error)

	// StateCall runs a message on the state, after those of its sender in the tipset, and
	// forgets the changes. It costs nothing, and zero gas means a block's.
	//
	//perm:read
	StateCall(ctx context.Context, msg *types.Message, tsk types.TipSetKey) (*InvocResult, error)
	// StateSearchMsg finds a message on chain; nil when it is not there. lookback is how many
	// epochs to search, −1 for all.
	//
	//perm:read
	StateSearchMsg(ctx context.Context, from types.TipSetKey, msg cid.Cid, lookback abi.ChainEpoch, allowReplaced bool) (*MsgLookup, error)
	// StateWaitMsg waits until a message has so many epochs on top of it.
	//
	//perm:read
	StateWaitMsg(ctx context.Context, msg cid.Cid, confidence uint64, lookback abi.ChainEpoch, allowReplaced bool) (*MsgLookup, error)

	// StateListMiners lists the miners that the power actor knows.
	//
	//perm:read
	StateListMiners(ctx context.Context, tsk types.TipSetKey) ([]address.Address, error)
	// StateMinerInfo tells who a miner is.
	//
	//perm:read
	StateMinerInfo(ctx context.Context, miner address.Address, tsk types.TipSetKey) (*MinerInfo, error)
	// StateMinerPower is a miner's power and the network's.
	//
	//perm:read
	StateMinerPower(ctx context.Context, miner address.Address, tsk types.TipSetKey) (*MinerPower, error)
	// StateMinerAvailableBalance is what a miner's owner can withdraw, in attoFIL.
	//
	//perm:read
	StateMinerAvailableBalance(ctx context.Context, miner address.Address, tsk types.TipSetKey) (abi.TokenAmount, error)
	// StateMinerProvingDeadline is the deadline that is open or comes next.
	//
	//perm:read
	StateMinerProvingDeadline(ctx context.Context, miner address.Address, tsk types.TipSetKey) (*dline.Info, error)
	// StateMinerDeadlines are the 48 deadlines of a proving period.
	//
	//perm:read
	StateMinerDeadlines(ctx context.Context, miner address.Address, tsk types.TipSetKey) ([]Deadline, error)
	// StateMinerPartitions are the partitions of one deadline.
	//
	//perm:read
	StateMinerPartitions(ctx context.Context, miner address.Address, deadline uint64, tsk types.TipSetKey) ([]Partition, error)
	// StateMinerFaults are the faulty sectors.
	//
	//perm:read
	StateMinerFaults(ctx context.Context, miner address.Address, tsk types.TipSetKey) (bitfield.BitField, error)
	// StateMinerRecoveries are the faulty sectors that will be proven next.
	//
	//perm:read
	StateMinerRecoveries(ctx context.Context, miner address.Address, tsk types.TipSetKey) (bitfield.BitField, error)
	// StateMinerSectors are the sectors on chain, those in the set or all when it is null.
	//
	//perm:read
	StateMinerSectors(ctx context.Context, miner address.Address, set *bitfield.BitField, tsk types.TipSetKey) ([]*SectorOnChainInfo, error)
	// StateMinerActiveSectors are the sectors that count for power.
	//
	//perm:read
	StateMinerActiveSectors(ctx context.Context, miner address.Address, tsk types.TipSetKey) ([]*SectorOnChainInfo, error)
	// StateMinerSectorCount counts them.
	//
	//perm:read
	StateMinerSectorCount(ctx context.Context, miner address.Address, tsk types.TipSetKey) (MinerSectors, error)
	// StateSectorGetInfo is a committed sector; nil when there is none.
	//
	//perm:read
	StateSectorGetInfo(ctx context.Context, miner address.Address, sector abi.SectorNumber, tsk types.TipSetKey) (*SectorOnChainInfo, error)
	// StateSectorPreCommitInfo is a sector that is not proven yet; nil when there is none.
	//
	//perm:read
	StateSectorPreCommitInfo(ctx context.Context, miner address.Address, sector abi.SectorNumber, tsk types.TipSetKey) (*SectorPreCommitOnChainInfo, error)
	// StateSectorPartition is where a committed sector is proven.
	//
	//perm:read
	StateSectorPartition(ctx context.Context, miner address.Address, sector abi.SectorNumber, tsk types.TipSetKey) (*SectorLocation, error)

	// StateMarketBalance is an address's escrow in the market actor.
	//
	//perm:read
	StateMarketBalance(ctx context.Context, addr address.Address, tsk types.TipSetKey) (MarketBalance, error)
	// StateMarketStorageDeal is a published deal.
	//
	//perm:read
	StateMarketStorageDeal(ctx context.Context, deal abi.DealID, tsk types.TipSetKey) (*MarketDeal, error)
	// StateDealProviderCollateralBounds are the limits of a provider's collateral for a piece.
	//
	//perm:read
	StateDealProviderCollateralBounds(ctx context.Context, size abi.PaddedPieceSize, verified bool, tsk types.TipSetKey) (CollateralBounds, error)
	// StateVerifiedClientStatus is how many bytes of verified deals a client may make; nil
	// when it is not a verified client.
	//
	//perm:read
	StateVerifiedClientStatus(ctx context.Context, addr address.Address, tsk types.TipSetKey) (*abi.StoragePower, error)
}
