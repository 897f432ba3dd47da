package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/mining"
	dealprovider "github.com/lodenet/lode/market/deal/provider"
	"github.com/lodenet/lode/market/pieces"
	"github.com/lodenet/lode/node/lifecycle"
	"github.com/lodenet/lode/storage/proving"
	"github.com/lodenet/lode/storage/sealing"
	"github.com/lodenet/lode/storage/sector"
)

// PresealDir is the folder in a repo from which a provider takes sectors that were sealed
// before the network began; it is deleted once they are taken over.
const PresealDir = "preseal"

// proofDeadline is how long the parts may take to stop that wait for a winning PoSt, since
// nothing can stop one that was begun.
const proofDeadline = 30 * time.Second

// provider is the storage provider of a node: it seals, proves, mines and takes deals. Its
// parts run while the role is on.
type provider struct {
	miner   address.Address
	sealing *sealing.Sealing
	proving *proving.Proving
	mining  *mining.Miner
	deals   *dealprovider.Provider
	role    *lifecycle.Role
}

// buildProvider makes the provider when the settings name a miner.
func (n *Node) buildProvider(ctx context.Context) error {
	if n.config.Mining.Miner == "" {
		return nil
	}
	maddr, err := address.NewFromString(n.config.Mining.Miner)
	if err != nil {
		return fmt.Errorf("settings: Mining.Miner: %w", err)
	}
	p := &provider{miner: maddr}
	if p.sealing, err = sealing.New(sealing.Deps{
		DB: n.db, Dir: n.opt.Repo.SectorsDir(), Miner: maddr, Network: n.network, Chain: n.chain, Messages: n.outbox,
		Prover: n.prover, Verifier: n.verifier, Clock: n.clk, Log: n.log,
	}, n.sealingOptions()); err != nil {
		return err
	}
	if p.proving, err = proving.New(proving.Deps{
		Miner: maddr, Network: n.network, Chain: n.chain, Messages: n.outbox, Sectors: p.sealing,
		Prover: n.prover, Verifier: n.verifier, Log: n.log,
	}, proving.Options{MaxFee: n.maxFee()}); err != nil {
		return err
	}
	p.mining = mining.New(mining.Deps{
		Miner: maddr, Network: n.network, DB: n.db, Chain: n.store, Rules: n.engine, Messages: n.pool,
		Prover: p.proving, Signer: n.keys, Publisher: n, Clock: n.clk, Log: n.log, Foresight: n.foresight,
	})
	if p.deals, err = dealprovider.Open(ctx, n.dealConfig(maddr), dealprovider.Deps{
		DB: n.db, Host: n.host, Chain: n.market, Outbox: n.outbox, Keys: n.keys,
		Sealer: sealer{p.sealing}, Index: n.pieces, Clock: n.clk, Log: n.log,
	}); err != nil {
		return err
	}
	if err := takePreseal(ctx, p.sealing, filepath.Join(n.opt.Repo.Dir(), PresealDir)); err != nil {
		return err
	}
	p.role = lifecycle.NewRole("provider", func(context.Context) (*lifecycle.Group, error) {
		g := lifecycle.NewGroup("provider", n.log)
		if n.runProver != nil {
			g.Add("prover", n.runProver, lifecycle.Deadline(proofDeadline))
		}
		g.Add("sealing", p.sealing.Run)
		g.Add("window PoSt", p.proving.Run)
		g.Add("deals taken", p.deals.Run)
		g.Add("mining", n.rightClock.while(p.mining.Run), lifecycle.Deadline(proofDeadline))
		return g, nil
	})
	n.provider = p
	return nil
}

// takenSuffix ends the name of a folder of pre-sealed sectors that were taken over.
const takenSuffix = ".taken"

// takePreseal takes over sectors that were sealed before the network began. The folder goes at
// once, by another name, and then its files one by one: a kill in between must leave no folder
// that looks like one to take over and is not whole.
func takePreseal(ctx context.Context, s presealed, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(dir + takenSuffix)
	} else if err != nil {
		return err
	}
	if err := s.ImportPreseal(ctx, dir); err != nil {
		return fmt.Errorf("pre-sealed sectors: %w", err)
	}
	if err := os.Rename(dir, dir+takenSuffix); err != nil {
		return fmt.Errorf("pre-sealed sectors: %w", err)
	}
	return os.RemoveAll(dir + takenSuffix)
}

// presealed takes over pre-sealed sectors (sealing.Sealing).
type presealed interface {
	ImportPreseal(ctx context.Context, dir string) error
}

func (n *Node) sealingOptions() sealing.Options {
	c := n.config.Sealing
	return sealing.Options{
		WaitDeals: c.WaitDealsDelay, StartBuffer: abi.ChainEpoch(c.StartEpochSealingBuffer), Cooldown: c.Cooldown,
		Confidence: n.confidence(), SeedConfidence: n.confidence(), Lifetime: abi.ChainEpoch(c.CommittedCapacitySectorLifetime),
		Labels: c.Labels, Trees: c.Trees, Proofs: c.Proofs, MaxSectors: c.MaxSealingSectors,
		DropUnsealed: !c.AlwaysKeepUnsealedCopy, MaxFee: n.maxFee(), Poll: n.epoch(),
	}
}

func (n *Node) dealConfig(maddr address.Address) dealprovider.Config {
	c := n.config.Dealmaking
	out := dealprovider.Config{
		Miner: maddr, SectorSize: abi.SectorSize(n.network.Policy.SectorSize), Staging: n.opt.Repo.StagingDir(),
		StagingBytes: c.MaxStagingDealsBytes, PublishWait: c.PublishMsgPeriod, PublishMax: c.MaxDealsPerPublishMsg,
		Confidence: n.confidence(), SealDuration: abi.ChainEpoch(c.ExpectedSealDuration), MaxStartDelay: abi.ChainEpoch(c.MaxDealStartDelay),
		Transfers: c.MaxConcurrentTransfers, PublicOnly: c.RefusePrivateAddresses, Retry: n.epoch(), Poll: n.epoch() / 2,
		RefuseOnline: !c.ConsiderOnlineStorageDeals, RefuseOffline: !c.ConsiderOfflineStorageDeals,
		RefuseVerified: !c.ConsiderVerifiedStorageDeals, RefuseOthers: !c.ConsiderUnverifiedStorageDeals,
	}
	for _, s := range c.PieceCidBlocklist {
		if piece, err := cid.Decode(s); err == nil { // the settings were checked at their reading
			out.Blocked = append(out.Blocked, piece)
		}
	}
	return out
}

// sealer lets the deal provider put pieces into sectors.
type sealer struct{ s *sealing.Sealing }

var _ dealprovider.Sealer = sealer{}

func (s sealer) AddPiece(ctx context.Context, p dealprovider.Piece, r io.Reader) (dealprovider.Placement, error) {
	at, err := s.s.AddPiece(ctx, sealing.Piece{CID: p.CID, Size: p.Size, Deal: sealing.DealInfo{
		DealID: p.DealID, PublishMessage: p.PublishMessage, Proposal: p.Proposal, KeepUnsealed: p.KeepUnsealed,
	}}, r)
	return dealprovider.Placement{Sector: at.Sector, Offset: at.Offset, Size: at.Size}, err
}

func (s sealer) SectorStatus(ctx context.Context, number abi.SectorNumber) (dealprovider.SectorStatus, error) {
	info, err := s.s.Sector(ctx, number)
	if err != nil {
		return dealprovider.SectorStatus{}, err
	}
	return dealprovider.SectorStatus{
		State: string(info.State), Failed: slices.Contains(lost, info.State), Gone: info.State.Gone(), Error: info.LastError,
	}, nil
}

// lost are the states from which a sector will not come to hold its deals.
var lost = []sector.State{
	sector.DealsExpired, sector.FailedUnrecoverable, sector.Removing, sector.RemoveFailed, sector.Removed,
	sector.Terminating, sector.TerminateWait, sector.TerminateFailed, sector.TerminateFinality,
}

// reader gives the pieces that this node sealed, or nil.
func (n *Node) reader() pieces.Reader {
	if n.provider == nil {
		return nil
	}
	return n.provider.sealing
}
