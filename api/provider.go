package api

import (
	"context"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/google/uuid"
)

// Provider is the storage provider's side: sectors, proofs, blocks and deals taken. Those of
// the first group are what Filecoin tools ask a miner (spec api.md A.9), the others lode's own.
type Provider interface {
	// ActorAddress is the miner actor that this node works for.
	//
	//perm:read
	ActorAddress(ctx context.Context) (address.Address, error)
	// ActorSectorSize is its sector size in bytes.
	//
	//perm:read
	ActorSectorSize(ctx context.Context, miner address.Address) (abi.SectorSize, error)
	// SectorsList lists the numbers of all sectors that the node knows.
	//
	//perm:read
	SectorsList(ctx context.Context) ([]abi.SectorNumber, error)
	// SectorsStatus tells all about a sector; what the chain says only when asked for.
	//
	//perm:read
	SectorsStatus(ctx context.Context, sector abi.SectorNumber, onChain bool) (*SectorInfo, error)
	// SectorsSummary counts sectors by state.
	//
	//perm:read
	SectorsSummary(ctx context.Context) (map[string]int, error)
	// PledgeSector begins a sector without data.
	//
	//perm:write
	PledgeSector(ctx context.Context) (abi.SectorID, error)
	// SectorStartSealing seals a sector that still waits for deals.
	//
	//perm:write
	SectorStartSealing(ctx context.Context, sector abi.SectorNumber) error
	// SectorTerminate ends a sector that is on chain before its time. The chain takes a fee, and
	// deals in it end with the provider's collateral lost.
	//
	//perm:admin
	SectorTerminate(ctx context.Context, sector abi.SectorNumber) error
	// SectorRemove deletes a sector that is not on chain, with its files. A deposit made for it
	// is lost.
	//
	//perm:admin
	SectorRemove(ctx context.Context, sector abi.SectorNumber) error
	// SectorRetry lets a sector that failed go on at once, instead of after its pause.
	//
	//perm:write
	SectorRetry(ctx context.Context, sector abi.SectorNumber) error

	// SectorsProgress lists all sectors in short.
	//
	//perm:read
	SectorsProgress(ctx context.Context) ([]SectorProgress, error)
	// ProvingStatus lists the 48 deadlines and what the node did in each.
	//
	//perm:read
	ProvingStatus(ctx context.Context) ([]DeadlineStatus, error)
	// MiningStart begins to seal, prove and make blocks.
	//
	//perm:admin
	MiningStart(ctx context.Context) error
	// MiningStop ends that and waits for it.
	//
	//perm:admin
	MiningStop(ctx context.Context) error
	// MiningStatus tells what came of it.
	//
	//perm:read
	MiningStatus(ctx context.Context) (*MiningStatus, error)
	// ProviderDeals lists the deals that this provider has taken or refused, newest first.
	//
	//perm:read
	ProviderDeals(ctx context.Context) ([]*ProviderDeal, error)
	// ProviderDeal is one of them.
	//
	//perm:read
	ProviderDeal(ctx context.Context, id uuid.UUID) (*ProviderDeal, error)
	// ProviderAsk are the terms that this provider offers.
	//
	//perm:read
	ProviderAsk(ctx context.Context) (*Ask, error)
	// ProviderSetAsk changes the terms. Miner, Timestamp and SeqNo are ignored.
	//
	//perm:admin
	ProviderSetAsk(ctx context.Context, ask *Ask) error
}
