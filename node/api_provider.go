package node

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/google/uuid"

	"github.com/lodenet/lode/api"
	dealprovider "github.com/lodenet/lode/market/deal/provider"
	"github.com/lodenet/lode/storage/sealing"
	"github.com/lodenet/lode/storage/sector"
)

// providerAPI answers api.Provider.
type providerAPI struct{ n *Node }

var _ api.Provider = providerAPI{}

func (a providerAPI) provider() (*provider, error) {
	if a.n.provider == nil {
		return nil, api.ErrNoRole.With("it is no provider; name the node of one with --repo or --api, or make this one a provider with lode miner create")
	}
	return a.n.provider, nil
}

func (a providerAPI) ActorAddress(context.Context) (address.Address, error) {
	p, err := a.provider()
	if err != nil {
		return address.Undef, err
	}
	return p.miner, nil
}

func (a providerAPI) ActorSectorSize(ctx context.Context, miner address.Address) (abi.SectorSize, error) {
	info, err := a.n.market.MinerInfo(ctx, miner)
	if err != nil {
		return 0, err
	}
	return info.SectorSize, nil
}

func (a providerAPI) SectorsList(ctx context.Context) ([]abi.SectorNumber, error) {
	infos, err := a.sectors(ctx)
	out := make([]abi.SectorNumber, 0, len(infos))
	for _, s := range infos {
		out = append(out, s.Number)
	}
	return out, err
}

func (a providerAPI) sectors(ctx context.Context) ([]sealing.Info, error) {
	p, err := a.provider()
	if err != nil {
		return nil, err
	}
	return p.sealing.Sectors(ctx)
}

func (a providerAPI) SectorsStatus(ctx context.Context, number abi.SectorNumber, onChain bool) (*api.SectorInfo, error) {
	p, err := a.provider()
	if err != nil {
		return nil, err
	}
	s, err := p.sealing.Sector(ctx, number)
	if err != nil {
		return nil, err
	}
	out := &api.SectorInfo{
		SectorID: s.Number, State: string(s.State), Proof: s.Proof,
		Ticket: api.SealTicket{Value: s.Ticket, Epoch: s.TicketEpoch}, Seed: api.SealTicket{Value: s.Seed, Epoch: s.SeedEpoch},
		Retries: uint64(s.Attempts), LastErr: s.LastError,
		DealWeight: big.Zero(), VerifiedDealWeight: big.Zero(), InitialPledge: big.Zero(),
	}
	if s.CommD.Defined() {
		out.CommD = &s.CommD
	}
	if s.CommR.Defined() {
		out.CommR = &s.CommR
	}
	for _, pc := range s.Pieces {
		piece := api.SectorPiece{Piece: abi.PieceInfo{Size: pc.Size, PieceCID: pc.CID}}
		if pc.Deal != nil {
			publish := pc.Deal.PublishMessage
			piece.DealInfo = &api.PieceDeal{DealID: pc.Deal.ID, PublishCid: &publish}
			out.Deals = append(out.Deals, pc.Deal.ID)
		}
		out.Pieces = append(out.Pieces, piece)
	}
	entries, err := p.sealing.Log(ctx, number)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		out.Log = append(out.Log, api.SectorLog{Kind: e.Event, Timestamp: uint64(e.At.Unix()), Message: string(e.State), Trace: e.Detail})
	}
	if !onChain {
		return out, nil
	}
	v, err := a.n.engine.View(ctx, a.n.store.Head())
	if err != nil {
		return nil, err
	}
	info, found, err := v.Sector(ctx, p.miner, number)
	if err != nil || !found {
		return out, err
	}
	out.SealProof, out.Activation, out.Expiration = info.SealProof, info.Activation, info.Expiration
	out.DealWeight, out.VerifiedDealWeight, out.InitialPledge = info.DealWeight, info.VerifiedDealWeight, info.InitialPledge
	return out, nil
}

func (a providerAPI) SectorsSummary(ctx context.Context) (map[string]int, error) {
	infos, err := a.sectors(ctx)
	out := map[string]int{}
	for _, s := range infos {
		out[string(s.State)]++
	}
	return out, err
}

func (a providerAPI) PledgeSector(ctx context.Context) (abi.SectorID, error) {
	p, err := a.provider()
	if err != nil {
		return abi.SectorID{}, err
	}
	id, err := address.IDFromAddress(p.miner)
	if err != nil {
		return abi.SectorID{}, err
	}
	number, err := p.sealing.Pledge(ctx)
	return abi.SectorID{Miner: abi.ActorID(id), Number: number}, err
}

func (a providerAPI) SectorStartSealing(ctx context.Context, number abi.SectorNumber) error {
	p, err := a.provider()
	if err != nil {
		return err
	}
	return p.sealing.Start(ctx, number)
}

func (a providerAPI) SectorTerminate(ctx context.Context, number abi.SectorNumber) error {
	p, err := a.provider()
	if err != nil {
		return err
	}
	return p.sealing.Terminate(ctx, number)
}

func (a providerAPI) SectorRemove(ctx context.Context, number abi.SectorNumber) error {
	p, err := a.provider()
	if err != nil {
		return err
	}
	return p.sealing.Remove(ctx, number)
}

func (a providerAPI) SectorRetry(ctx context.Context, number abi.SectorNumber) error {
	p, err := a.provider()
	if err != nil {
		return err
	}
	return p.sealing.Retry(ctx, number)
}

func (a providerAPI) SectorsProgress(ctx context.Context) ([]api.SectorProgress, error) {
	infos, err := a.sectors(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]api.SectorProgress, 0, len(infos))
	for _, s := range infos {
		one := api.SectorProgress{
			Sector: s.Number, State: string(s.State), Size: abi.SectorSize(a.n.network.Policy.SectorSize),
			Active: s.State == sector.Proving || s.State == sector.FinalizeSector, Expires: s.Expiration, LastErr: s.LastError,
		}
		if s.Percent > 0 {
			one.Progress = float64(s.Percent) / 100
		}
		for _, p := range s.Pieces {
			if p.Deal != nil {
				one.Deals++
				one.Used += p.Size
			}
		}
		out = append(out, one)
	}
	return out, nil
}

func (a providerAPI) ProvingStatus(ctx context.Context) ([]api.DeadlineStatus, error) {
	p, err := a.provider()
	if err != nil {
		return nil, err
	}
	deadlines, err := p.proving.Deadlines(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]api.DeadlineStatus, 0, len(deadlines))
	for _, d := range deadlines {
		out = append(out, api.DeadlineStatus{
			Index: d.Index, Open: d.Open, Close: d.Close, OpensIn: d.OpensIn, Current: d.Current, Partitions: d.Partitions,
			Sectors: d.Sectors, Live: d.Live, Faulty: d.Faulty, Recovering: d.Recovering, Proven: int(d.Proven),
			Status: string(d.Status), Err: d.Err,
		})
	}
	return out, nil
}

func (a providerAPI) MiningStart(ctx context.Context) error {
	p, err := a.provider()
	if err != nil {
		return err
	}
	return p.role.Enable(ctx)
}

func (a providerAPI) MiningStop(ctx context.Context) error {
	p, err := a.provider()
	if err != nil {
		return err
	}
	return p.role.Disable(ctx)
}

func (a providerAPI) MiningStatus(ctx context.Context) (*api.MiningStatus, error) {
	p, err := a.provider()
	if err != nil {
		return nil, err
	}
	on, why := p.role.Status(ctx)
	m, w := p.mining.Stats(), p.proving.Counters()
	out := &api.MiningStatus{
		On: on, Miner: p.miner, Won: m.Won, Mined: m.Published, Late: m.Late, Missed: m.Failed, Skipped: m.Skipped, Ahead: m.Ahead,
		PoSt: api.PoStCounters{OnTime: w.OnTime, Late: w.Late, Missed: w.Missed, Skipped: w.Skipped},
	}
	if why != nil {
		out.Why = why.Error()
	}
	return out, nil
}

func (a providerAPI) ProviderDeals(ctx context.Context) ([]*api.ProviderDeal, error) {
	p, err := a.provider()
	if err != nil {
		return nil, err
	}
	deals, err := p.deals.Deals(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*api.ProviderDeal, 0, len(deals))
	for _, d := range deals {
		out = append(out, providerDeal(d))
	}
	return out, nil
}

func (a providerAPI) ProviderDeal(ctx context.Context, id uuid.UUID) (*api.ProviderDeal, error) {
	p, err := a.provider()
	if err != nil {
		return nil, err
	}
	d, err := p.deals.Deal(ctx, id)
	if err != nil {
		return nil, err
	}
	return providerDeal(d), nil
}

func providerDeal(d *dealprovider.Deal) *api.ProviderDeal {
	out := &api.ProviderDeal{
		ID: d.UUID, Created: d.Created, Proposal: dealProposal(&d.Signed.Proposal), Root: d.DataRoot,
		Checkpoint: string(d.State), Waiting: string(d.Next()), Err: d.Error,
		Received: d.Received, Size: d.Transfer.Size, ChainDealID: d.DealID, SectorState: d.Sector, Offset: d.Place.Offset,
	}
	if d.Message.Defined() {
		out.PublishCid = &d.Message
	}
	if d.Place.Size > 0 {
		out.Sector = &d.Place.Sector
	}
	return out
}

func (a providerAPI) ProviderAsk(ctx context.Context) (*api.Ask, error) {
	p, err := a.provider()
	if err != nil {
		return nil, err
	}
	ask, err := p.deals.Ask(ctx)
	if err != nil {
		return nil, err
	}
	return askOf(ask), nil
}

func (a providerAPI) ProviderSetAsk(ctx context.Context, ask *api.Ask) error {
	if ask == nil {
		return errors.New("no ask was given")
	}
	p, err := a.provider()
	if err != nil {
		return err
	}
	head := a.n.store.Head().Height()
	_, err = p.deals.SetAsk(ctx, dealprovider.Offer{
		Price: ask.Price, VerifiedPrice: ask.VerifiedPrice, MinPiece: ask.MinPieceSize, MaxPiece: ask.MaxPieceSize,
		Duration: max(0, ask.Expiry-head),
	})
	return err
}
