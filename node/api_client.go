package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	market8 "github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/google/uuid"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/market/dag"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/deal/client"
	"github.com/lodenet/lode/market/pieces"
	"github.com/lodenet/lode/market/retrieval"
	"github.com/lodenet/lode/network/host"
)

// clientAPI answers api.Client.
type clientAPI struct{ n *Node }

var _ api.Client = clientAPI{}

func (a clientAPI) DataImport(ctx context.Context, path string) (*api.DataRoot, error) {
	imp, err := a.n.files.ImportFile(ctx, path, dag.Options{SectorSize: abi.SectorSize(a.n.network.Policy.SectorSize), Room: a.n.opt.Repo.Room})
	if err != nil {
		return nil, err
	}
	if a.n.announcer != nil {
		a.n.announcer.Add(imp.Root)
	}
	return dataRoot(imp), nil
}

func (a clientAPI) DataList(ctx context.Context) ([]*api.DataRoot, error) {
	list, err := a.n.files.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*api.DataRoot, 0, len(list))
	for _, imp := range list {
		out = append(out, dataRoot(imp))
	}
	return out, nil
}

func dataRoot(imp *dag.Import) *api.DataRoot {
	out := &api.DataRoot{Root: imp.Root, Name: imp.Name, Size: imp.Size, Created: imp.Created}
	for _, p := range imp.Pieces {
		out.Pieces = append(out.Pieces, api.DataPiece{PieceCID: p.CID, PieceSize: p.PieceSize, CARSize: p.CARSize})
	}
	return out
}

func (a clientAPI) DealMake(ctx context.Context, order *api.DealOrder) ([]*api.ClientDeal, error) {
	if order == nil || !order.Root.Defined() || order.Provider.Empty() {
		return nil, errors.New("deal: a root and a provider are needed")
	}
	wallet := order.Wallet
	if wallet.Empty() {
		var err error
		if wallet, err = a.n.keys.Default(); err != nil {
			return nil, err
		}
	}
	req := client.Request{
		Root: order.Root, Provider: order.Provider, Client: wallet, Start: order.StartEpoch, Duration: order.Duration,
		Collateral: order.Collateral, Verified: order.Verified, RemoveUnsealed: order.RemoveUnsealed, SkipAnnounce: order.SkipAnnounce,
	}
	if order.Price != nil {
		req.MaxPrice = *order.Price
	}
	switch len(order.Addrs) {
	case 0:
	case 1:
		req.Peer = order.Addrs[0]
	default:
		return nil, badParam("the addresses are those of %d peers; a deal is made with one", len(order.Addrs))
	}
	deals, err := a.n.client.Make(ctx, req)
	if err != nil {
		return nil, err
	}
	return a.clientDeals(ctx, deals)
}

func (a clientAPI) DealList(ctx context.Context) ([]*api.ClientDeal, error) {
	deals, err := a.n.client.Deals(ctx)
	if err != nil {
		return nil, err
	}
	out, err := a.clientDeals(ctx, deals)
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 { // newest first
		out[i], out[j] = out[j], out[i]
	}
	return out, err
}

func (a clientAPI) DealGet(ctx context.Context, id uuid.UUID) (*api.ClientDeal, error) {
	d, err := a.n.client.Deal(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.clientDeal(ctx, d)
}

func (a clientAPI) clientDeals(ctx context.Context, deals []*client.Deal) ([]*api.ClientDeal, error) {
	out := make([]*api.ClientDeal, 0, len(deals))
	for _, d := range deals {
		one, err := a.clientDeal(ctx, d)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

func (a clientAPI) clientDeal(ctx context.Context, d *client.Deal) (*api.ClientDeal, error) {
	out := &api.ClientDeal{
		ID: d.UUID, Created: d.Created, Root: d.Root, Piece: d.Piece, Pieces: 1,
		Proposal: api.DealProposal{
			PieceCID: d.PieceCID, PieceSize: d.PieceSize, VerifiedDeal: d.Verified, Client: d.Client, Provider: d.Provider,
			Label: api.DealLabel{Text: d.Root.String()}, StartEpoch: d.Life.Start, EndEpoch: d.End,
			StoragePricePerEpoch: d.PricePerEpoch, ProviderCollateral: big.Zero(), ClientCollateral: big.Zero(),
		},
		State: string(d.State), Checkpoint: string(d.Checkpoint), Waiting: string(d.Next()),
		Sent: d.Sent, Size: d.CARSize, ChainDealID: d.DealID,
		Active: d.State == client.Active, Done: d.State == client.Active || d.State.Ended(),
	}
	if d.State.Ended() {
		out.Err = d.Error
	} else if d.Error != "" {
		out.Waiting += " (" + d.Error + ")"
	}
	if d.Message.Defined() {
		out.PublishCid = &d.Message
	}
	imp, err := a.n.files.Get(ctx, d.Root)
	switch {
	case err == nil:
		out.Pieces = len(imp.Pieces)
	case !errors.Is(err, dag.ErrNotFound):
		return nil, err
	}
	return out, nil
}

func (a clientAPI) DealCheck(ctx context.Context, id uuid.UUID) (*api.DealCheck, error) {
	d, err := a.n.client.Deal(ctx, id)
	if err != nil {
		return nil, err
	}
	out := &api.DealCheck{}
	if out.Deal, err = a.clientDeal(ctx, d); err != nil {
		return nil, err
	}
	st, err := a.n.client.Ask(ctx, d)
	switch {
	case err != nil:
		out.ProviderErr = err.Error()
	case st.Error != "" || st.DealStatus == nil:
		out.ProviderErr = st.Error
	default:
		s := st.DealStatus
		out.Provider = &api.ProviderStatus{
			Checkpoint: s.Status, Err: s.Error, SealingStatus: s.SealingStatus, PublishCid: s.PublishCid,
			ChainDealID: s.ChainDealID, Received: st.NBytesReceived, Size: st.TransferSize,
		}
	}
	if !d.Found {
		return out, nil
	}
	proposal, state, err := a.n.market.Deal(ctx, d.DealID)
	if errors.Is(err, view.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	out.Chain = marketDeal(proposal, state)
	return out, nil
}

// marketDeal is a deal on chain as the api shows it; state is nil before activation.
func marketDeal(p *market8.DealProposal, s *market8.DealState) *api.MarketDeal {
	out := &api.MarketDeal{Proposal: dealProposal(p), State: api.MarketDealState{SectorStartEpoch: -1, LastUpdatedEpoch: -1, SlashEpoch: -1}}
	if s != nil {
		out.State = api.MarketDealState{SectorStartEpoch: s.SectorStartEpoch, LastUpdatedEpoch: s.LastUpdatedEpoch, SlashEpoch: s.SlashEpoch}
	}
	return out
}

func dealProposal(p *market8.DealProposal) api.DealProposal {
	var label api.DealLabel
	if text, err := p.Label.ToString(); err == nil {
		label.Text = text
	} else if raw, err := p.Label.ToBytes(); err == nil {
		label.Bytes = raw
	}
	return api.DealProposal{
		PieceCID: p.PieceCID, PieceSize: p.PieceSize, VerifiedDeal: p.VerifiedDeal, Client: p.Client, Provider: p.Provider,
		Label: label, StartEpoch: p.StartEpoch, EndEpoch: p.EndEpoch, StoragePricePerEpoch: p.StoragePricePerEpoch,
		ProviderCollateral: p.ProviderCollateral, ClientCollateral: p.ClientCollateral,
	}
}

func (a clientAPI) DealAsk(ctx context.Context, provider address.Address) (*api.Ask, error) {
	info, err := a.n.market.MinerInfo(ctx, provider)
	if err != nil {
		return nil, err
	}
	where, err := deal.PeerOf(info.PeerId, info.Multiaddrs)
	if err != nil {
		return nil, err
	}
	if err := a.reach(ctx, where); err != nil {
		return nil, fmt.Errorf("provider %s: %w", provider, err)
	}
	res, err := deal.QueryAsk(ctx, a.n.host, where.ID, &deal.AskRequest{Miner: provider})
	if err != nil {
		return nil, fmt.Errorf("ask of %s: %w", provider, err)
	}
	if res.Ask == nil {
		return nil, fmt.Errorf("ask of %s: the peer %s does not work for this miner", provider, where.ID)
	}
	worker, err := a.n.market.KeyAddress(ctx, info.Worker)
	if err != nil {
		return nil, err
	}
	if err := deal.VerifyAsk(res.Ask, worker); err != nil {
		return nil, fmt.Errorf("ask of %s: %w", provider, err)
	}
	return askOf(res.Ask), nil
}

func askOf(s *deal.SignedAsk) *api.Ask {
	a := s.Ask
	return &api.Ask{
		Miner: a.Miner, Price: a.Price, VerifiedPrice: a.VerifiedPrice, MinPieceSize: a.MinPieceSize, MaxPieceSize: a.MaxPieceSize,
		Timestamp: a.Timestamp, Expiry: a.Expiry, SeqNo: a.SeqNo,
	}
}

// reach connects to a provider that a user asks for, also when nobody answered there a moment
// ago, which libp2p goes by for some seconds.
func (a clientAPI) reach(ctx context.Context, p peer.AddrInfo) error {
	if s, ok := a.n.host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(p.ID)
	}
	if err := a.n.host.Connect(ctx, p); err != nil {
		return fmt.Errorf("cannot be reached (is it running, and is its address right?): %w", err)
	}
	return nil
}

// anyBlocks gives blocks of our own, then those of connected peers and of peers that the DHT
// knows to have them.
func (n *Node) anyBlocks(ctx context.Context) retrieval.BlockGetter {
	if n.host.Offline() {
		return ownBlocks{n.gateway.blocks, nil}
	}
	return ownBlocks{n.gateway.blocks, n.dataSwap.NewSession(ctx)}
}

// ownBlocks asks others only for what is not here.
type ownBlocks struct {
	own    *pieces.Blocks
	others retrieval.BlockGetter // nil on a node without a network
}

// GetBlock implements retrieval.BlockGetter.
func (o ownBlocks) GetBlock(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	b, err := o.own.Get(ctx, c)
	switch {
	case err == nil || !ipld.IsNotFound(err):
		return b, err
	case o.others == nil:
		return nil, fmt.Errorf("%s is not on this node: %w", c, host.ErrOffline)
	}
	return o.others.GetBlock(ctx, c)
}

// retrieveBacklog is how many events of a retrieval wait for a slow reader; further progress
// is left out, the last event never.
const retrieveBacklog = 16

func (a clientAPI) Retrieve(ctx context.Context, order *api.RetrieveOrder) (<-chan *api.RetrieveEvent, error) {
	switch {
	case order == nil || !order.Root.Defined():
		return nil, errors.New("retrieve: no root was given")
	case order.Output == "":
		return nil, errors.New("retrieve: no file to write was given")
	case order.Path != "":
		return nil, errors.New("retrieve: a path inside the DAG cannot be given yet; give the CID of the file itself")
	}
	req := retrieval.Request{Root: order.Root, Out: order.Output}
	for _, u := range order.URLs {
		p, err := retrieval.ParseProvider(u)
		if err != nil {
			return nil, err
		}
		req.Providers = append(req.Providers, p)
	}
	if !order.Provider.Empty() {
		info, err := a.n.market.MinerInfo(ctx, order.Provider)
		if err != nil {
			return nil, err
		}
		where, err := deal.PeerOf(info.PeerId, info.Multiaddrs)
		if err != nil {
			return nil, err
		}
		req.Providers = append(req.Providers, retrieval.Provider{Peer: where})
	}
	if order.Bitswap {
		if len(req.Providers) > 0 {
			return nil, errors.New("retrieve: bitswap asks whoever has it; leave provider and URLs out")
		}
		req.Blocks, req.Patience = a.n.anyBlocks(ctx), order.Patience
	}
	events := make(chan *api.RetrieveEvent, retrieveBacklog)
	req.Progress = func(p retrieval.Progress) {
		select {
		case events <- retrieveEvent(p):
		default:
		}
	}
	return events, a.n.subs.start(ctx, func(ctx context.Context) {
		defer close(events)
		end, err := a.n.fetcher.Fetch(ctx, req)
		ev := retrieveEvent(end)
		if ev.Done = err == nil; err != nil {
			ev.Err = err.Error()
		}
		select {
		case events <- ev: // also when ctx has ended, which is then its story
			return
		default:
		}
		select {
		case events <- ev:
		case <-ctx.Done():
		}
	})
}

func retrieveEvent(p retrieval.Progress) *api.RetrieveEvent {
	return &api.RetrieveEvent{Bytes: p.Bytes, Total: p.Total, Blocks: p.Blocks, Source: p.From}
}

func (a clientAPI) MarketAddBalance(ctx context.Context, wallet, addr address.Address, amount abi.TokenAmount) (cid.Cid, error) {
	raw, err := deal.Encode(&addr)
	if err != nil {
		return cid.Undef, err
	}
	return a.n.send(ctx, outbox.Intent{From: wallet, To: builtin.StorageMarketActorAddr, Value: amount, Method: builtin.MethodsMarket.AddBalance, Params: raw})
}

func (a clientAPI) MarketWithdraw(ctx context.Context, wallet, addr address.Address, amount abi.TokenAmount) (cid.Cid, error) {
	raw, err := deal.Encode(&market8.WithdrawBalanceParams{ProviderOrClientAddress: addr, Amount: amount})
	if err != nil {
		return cid.Undef, err
	}
	return a.n.send(ctx, outbox.Intent{From: wallet, To: builtin.StorageMarketActorAddr, Value: big.Zero(), Method: builtin.MethodsMarket.WithdrawBalance, Params: raw})
}
