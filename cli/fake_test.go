package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/dline"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	poweractor "github.com/filecoin-project/specs-actors/v8/actors/builtin/power"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

// The things that the fake node talks about.
var (
	fakeMiner  = must(address.NewIDAddress(1000))
	fakeKey    = must(address.NewSecp256k1Address([]byte("a key of the wallet")))
	fakeOther  = must(address.NewSecp256k1Address([]byte("somebody else")))
	fakePeer   = must(peer.Decode("12D3KooWERnvgQMjdPUAu935g9NZURgr8xLu9gQ6nyxjpizRCdct"))
	fakeRoot   = types.EmptyArrayCid
	fakeDeal   = uuid.MustParse("9f4c2f36-0c3b-4b6e-9a57-2f4f6a1d8e10")
	fakeTime   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	milliFIL   = big.Div(types.FilecoinPrecision, big.NewInt(1000))
	errFaraway = errors.New("it is too far away")
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func fakeTipSet(h abi.ChainEpoch) *types.TipSet {
	parents := []cid.Cid{types.EmptyAMTCid}
	if h > 1 {
		parents = fakeTipSet(h - 1).Cids()
	}
	return must(types.NewTipSet([]*types.BlockHeader{{
		Miner: fakeMiner, Ticket: &types.Ticket{VRFProof: []byte{byte(h)}}, ElectionProof: &types.ElectionProof{WinCount: 2},
		Parents: parents, ParentWeight: big.NewInt(1000 + int64(h)), ParentStateRoot: types.EmptyArrayCid, ParentMessageReceipts: types.EmptyAMTCid,
		Messages: types.EmptyAMTCid, Timestamp: uint64(fakeTime.Unix()) + 4*uint64(h), ParentBaseFee: big.NewInt(100), Height: h,
	}}))
}

func fakeMessage(nonce uint64) *types.SignedMessage {
	return &types.SignedMessage{
		Message: types.Message{To: fakeOther, From: fakeKey, Nonce: nonce, Value: big.Mul(milliFIL, big.NewInt(1500)),
			GasLimit: 600_000, GasFeeCap: big.NewInt(100_000), GasPremium: big.NewInt(99_000), Method: 0},
		Signature: crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: make([]byte, 65)},
	}
}

func fakeProposal() api.DealProposal {
	return api.DealProposal{
		PieceCID: fakeRoot, PieceSize: 4 << 20, Client: fakeKey, Provider: fakeMiner, Label: api.DealLabel{Text: "x"},
		StartEpoch: 200, EndEpoch: 518_600, StoragePricePerEpoch: big.NewInt(2_000_000), ProviderCollateral: milliFIL, ClientCollateral: big.Zero(),
	}
}

func fakeClientDeal() *api.ClientDeal {
	return &api.ClientDeal{
		ID: fakeDeal, Created: fakeTime, Root: fakeRoot, Piece: 0, Pieces: 2, Proposal: fakeProposal(), State: "sealing", Checkpoint: "AddedPiece",
		Waiting: "sector 3 to be proven", Sent: 3 << 20, Size: 3 << 20, PublishCid: &fakeRoot, ChainDealID: 7,
	}
}

// fakeNode answers everything that the commands ask.
func fakeNode() *api.Proxy {
	p := &api.Proxy{}
	c := &p.Call
	c.Version = func(context.Context) (api.Version, error) {
		return api.Version{Version: "1.2.3", APIVersion: api.APIVersion, BlockDelay: 4, Agent: "lode/1.2.3", Network: "devnet", Proofs: "insecure"}, nil
	}
	c.ID = func(context.Context) (peer.ID, error) { return fakePeer, nil }
	c.StartTime = func(context.Context) (time.Time, error) { return fakeTime, nil }
	c.NodeStatus = func(context.Context, bool) (api.NodeStatus, error) {
		return api.NodeStatus{
			SyncStatus: api.NodeSyncStatus{Epoch: 120, Behind: 1}, PeerStatus: api.NodePeerStatus{PeersToPublishMsgs: 2, PeersToPublishBlocks: 3},
			ChainStatus: api.NodeChainStatus{BaseFee: big.NewInt(100)}, Healthy: true,
		}, nil
	}
	c.Shutdown = func(context.Context) error { return nil }
	c.AuthNew = func(_ context.Context, perms []api.Permission) ([]byte, error) {
		return fmt.Appendf(nil, "token-for-%d", len(perms)), nil
	}
	c.AuthVerify = func(_ context.Context, token string) ([]api.Permission, error) {
		if token != "good" {
			return nil, errors.New("token is not valid on this node")
		}
		return []api.Permission{api.PermRead, api.PermWrite}, nil
	}
	fakeChain(c)
	fakeState(c)
	fakeWallet(c)
	fakeProvider(c)
	fakeClient(c)
	return p
}

func fakeChain(c *api.Calls) {
	c.ChainHead = func(context.Context) (*types.TipSet, error) { return fakeTipSet(3), nil }
	c.ChainNotify = func(context.Context) (<-chan []*api.HeadChange, error) {
		ch := make(chan []*api.HeadChange, 1)
		ch <- []*api.HeadChange{{Type: api.HeadCurrent, Val: fakeTipSet(3)}}
		return ch, nil
	}
	c.ChainGetTipSet = func(_ context.Context, k types.TipSetKey) (*types.TipSet, error) {
		for h := abi.ChainEpoch(3); h > 0; h-- {
			if ts := fakeTipSet(h); ts.Key() == k {
				return ts, nil
			}
		}
		ts := *fakeTipSet(1).Blocks()[0]
		ts.Height = 0
		return types.NewTipSet([]*types.BlockHeader{&ts})
	}
	c.ChainGetTipSetByHeight = func(_ context.Context, h abi.ChainEpoch, _ types.TipSetKey) (*types.TipSet, error) {
		if h > 3 {
			return nil, errors.New("epoch is after the head")
		}
		return fakeTipSet(h), nil
	}
	c.ChainGetBlock = func(context.Context, cid.Cid) (*types.BlockHeader, error) { return fakeTipSet(2).Blocks()[0], nil }
	c.ChainGetBlockMessages = func(context.Context, cid.Cid) (*api.BlockMessages, error) {
		m := fakeMessage(4)
		return &api.BlockMessages{SecpkMessages: []*types.SignedMessage{m}, Cids: []cid.Cid{m.Cid()}}, nil
	}
	c.ChainGetMessage = func(context.Context, cid.Cid) (*types.Message, error) { return &fakeMessage(4).Message, nil }
	c.ChainReadObj = func(_ context.Context, obj cid.Cid) ([]byte, error) { return []byte{0x80}, nil }
	c.MpoolPending = func(context.Context, types.TipSetKey) ([]*types.SignedMessage, error) {
		other := fakeMessage(0)
		other.Message.From = fakeOther
		return []*types.SignedMessage{fakeMessage(5), fakeMessage(6), other}, nil
	}
	c.MpoolSelect = func(context.Context, types.TipSetKey, float64) ([]*types.SignedMessage, error) { return nil, nil }
	c.MpoolGetNonce = func(context.Context, address.Address) (uint64, error) { return 7, nil }
	c.MpoolGetConfig = func(context.Context) (*api.MpoolConfig, error) {
		return &api.MpoolConfig{SizeLimitHigh: 30000, SizeLimitLow: 20000, ReplaceByFeeRatio: 1.1, GasLimitOverestimation: 1.25}, nil
	}
	c.MpoolPush = func(_ context.Context, m *types.SignedMessage) (cid.Cid, error) { return m.Cid(), nil }
	makesMiner := false
	c.MpoolPushMessage = func(_ context.Context, m *types.Message, _ *api.MessageSendSpec) (*types.SignedMessage, error) {
		s := fakeMessage(8)
		makesMiner = m.To == builtin.StoragePowerActorAddr
		s.Message.To, s.Message.Value, s.Message.Method, s.Message.Params = m.To, m.Value, m.Method, m.Params
		return s, nil
	}
	c.GasEstimateMessageGas = func(_ context.Context, m *types.Message, _ *api.MessageSendSpec, _ types.TipSetKey) (*types.Message, error) {
		if m.Value.GreaterThan(big.Mul(big.NewInt(1000), types.FilecoinPrecision)) {
			return nil, fmt.Errorf("the address has 12.5 FIL; send it some first")
		}
		out := *m
		out.GasLimit, out.GasFeeCap, out.GasPremium = 600_000, big.NewInt(100_000), big.NewInt(99_000)
		return &out, nil
	}
	c.StateWaitMsg = func(_ context.Context, msg cid.Cid, _ uint64, _ abi.ChainEpoch, _ bool) (*api.MsgLookup, error) {
		r := types.MessageReceipt{GasUsed: 480_000}
		if makesMiner {
			r.Return = fakeCreated()
		}
		if msg.Equals(fakeRoot) {
			r.ExitCode = 16
		}
		return &api.MsgLookup{Message: msg, Receipt: r, TipSet: fakeTipSet(3).Key(), Height: 3}, nil
	}
	c.StateSearchMsg = func(_ context.Context, _ types.TipSetKey, msg cid.Cid, _ abi.ChainEpoch, _ bool) (*api.MsgLookup, error) {
		if msg.Equals(fakeRoot) {
			return nil, nil
		}
		return &api.MsgLookup{Message: msg, TipSet: fakeTipSet(3).Key(), Height: 3}, nil
	}
	c.NetPeers = func(context.Context) ([]peer.AddrInfo, error) {
		return []peer.AddrInfo{{ID: fakePeer, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/4001")}}}, nil
	}
	c.NetAddrsListen = func(context.Context) (peer.AddrInfo, error) {
		return peer.AddrInfo{ID: fakePeer, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/4001"), ma.StringCast("/ip4/127.0.0.1/udp/4001/quic-v1")}}, nil
	}
	c.NetAgentVersion = func(context.Context, peer.ID) (string, error) { return "lode/1.2.3", nil }
	c.NetConnect = func(_ context.Context, i peer.AddrInfo) error {
		if len(i.Addrs) > 0 && i.Addrs[0].String() == "/ip4/10.0.0.1/tcp/1" {
			return errFaraway
		}
		return nil
	}
	c.NetDisconnect = func(context.Context, peer.ID) error { return nil }
	c.P2PListen = func(_ context.Context, o *api.P2POffer) error {
		if o.Protocol != "/x/ssh" && !o.AllowCustomProtocol {
			return errors.New("protocol name must be within '/x/' namespace")
		}
		return nil
	}
	c.P2PForward = func(context.Context, *api.P2PForwarding) (string, error) { return "/ip4/127.0.0.1/tcp/2222", nil }
	c.P2PHold = func(context.Context, string, string) (<-chan string, error) {
		ch := make(chan string, 2)
		ch <- "held"
		ch <- "closed"
		return ch, nil
	}
	c.P2PList = func(context.Context) ([]api.P2PListener, error) {
		return []api.P2PListener{
			{Protocol: "/x/ssh", ListenAddress: "/p2p/" + fakePeer.String(), TargetAddress: "/ip4/127.0.0.1/tcp/22", Kind: "listen", Allow: []peer.ID{fakePeer}, Streams: 2},
			{Protocol: "/x/web", ListenAddress: "/p2p/" + fakePeer.String(), TargetAddress: "/dns/example.org/tcp/80", Kind: "listen", AllowAny: true, Ephemeral: true},
			{Protocol: "/x/ssh", ListenAddress: "/ip4/127.0.0.1/tcp/2222", TargetAddress: "/p2p/" + fakePeer.String(), Kind: "forward", Declared: true, Problem: "address already in use"},
		}, nil
	}
	c.P2PClose = func(context.Context, api.P2PMatch) (int, error) { return 2, nil }
	c.P2PStreams = func(context.Context) ([]api.P2PStream, error) {
		return []api.P2PStream{
			{HandlerID: "0", Protocol: "/x/ssh", OriginAddress: "/p2p/" + fakePeer.String(), TargetAddress: "/ip4/127.0.0.1/tcp/22", Kind: "listen", Opened: fakeTime, BytesIn: 5 << 20, BytesOut: 300},
			{HandlerID: "1", Protocol: "/x/ssh", OriginAddress: "/ip4/127.0.0.1/tcp/40000", TargetAddress: "/p2p/" + fakePeer.String(), Kind: "forward", Opened: fakeTime, SettingUp: true},
		}, nil
	}
	c.P2PStreamClose = func(_ context.Context, id uint64) error {
		if id > 1 {
			return fmt.Errorf("no such tunnel stream: %d", id)
		}
		return nil
	}
	c.P2PStreamCloseAll = func(context.Context) (int, error) { return 2, nil }
	c.P2PStats = func(context.Context) (*api.P2PStats, error) {
		return &api.P2PStats{
			Open: 2, Opened: 9, BytesIn: 5 << 20, BytesOut: 300, SetupTime: 9 * time.Millisecond,
			Setup: []api.P2PSetup{{Within: time.Millisecond, Count: 8}, {Within: 10 * time.Millisecond}, {Count: 1}}, Ends: map[string]int64{"eof": 6, "peer-not-allowed": 3},
		}, nil
	}
	fakeNet(c)
	c.SyncState = func(context.Context) (*api.SyncState, error) {
		return &api.SyncState{ActiveSyncs: []api.ActiveSync{{WorkerID: 1, Base: fakeTipSet(1), Target: fakeTipSet(3), Stage: api.StageMessages, Height: 2, Start: fakeTime, End: fakeTime.Add(3 * time.Second)}}}, nil
	}
}

func fakeState(c *api.Calls) {
	c.StateListActors = func(context.Context, types.TipSetKey) ([]address.Address, error) {
		return []address.Address{fakeMiner}, nil
	}
	c.StateGetActor = func(context.Context, address.Address, types.TipSetKey) (*types.Actor, error) {
		return &types.Actor{Code: builtin.StorageMinerActorCodeID, Head: fakeRoot, Nonce: 0, Balance: types.FilecoinPrecision}, nil
	}
	c.StateReadState = func(context.Context, address.Address, types.TipSetKey) (*api.ActorState, error) {
		return &api.ActorState{Balance: big.Zero(), Code: builtin.StorageMinerActorCodeID, State: map[string]any{"Info": "x"}}, nil
	}
	c.StateLookupID = func(_ context.Context, a address.Address, _ types.TipSetKey) (address.Address, error) {
		if a != fakeMiner {
			return a, api.ErrActorNotFound.With("%s", a)
		}
		return a, nil
	}
	c.StateListMiners = func(context.Context, types.TipSetKey) ([]address.Address, error) {
		return []address.Address{fakeMiner}, nil
	}
	c.StateMinerInfo = func(context.Context, address.Address, types.TipSetKey) (*api.MinerInfo, error) {
		return &api.MinerInfo{Owner: must(address.NewIDAddress(100)), Worker: must(address.NewIDAddress(100)), WorkerChangeEpoch: -1, PeerId: &fakePeer, SectorSize: 8 << 20}, nil
	}
	c.StateMinerPower = func(context.Context, address.Address, types.TipSetKey) (*api.MinerPower, error) {
		claim := api.Claim{RawBytePower: big.NewInt(16 << 20), QualityAdjPower: big.NewInt(16 << 20)}
		total := api.Claim{RawBytePower: big.NewInt(48 << 20), QualityAdjPower: big.NewInt(48 << 20)}
		return &api.MinerPower{MinerPower: claim, TotalPower: total, HasMinPower: true}, nil
	}
	c.StateMinerSectorCount = func(context.Context, address.Address, types.TipSetKey) (api.MinerSectors, error) {
		return api.MinerSectors{Live: 2, Active: 2}, nil
	}
	c.StateMinerAvailableBalance = func(context.Context, address.Address, types.TipSetKey) (abi.TokenAmount, error) {
		return types.FilecoinPrecision, nil
	}
	c.StateMarketBalance = func(context.Context, address.Address, types.TipSetKey) (api.MarketBalance, error) {
		return api.MarketBalance{Escrow: types.FilecoinPrecision, Locked: milliFIL}, nil
	}
	c.StateMinerProvingDeadline = func(context.Context, address.Address, types.TipSetKey) (*dline.Info, error) {
		return dline.NewInfo(0, 5, 120, 48, 1008, 21, 20, 70), nil
	}
}

func fakeWallet(c *api.Calls) {
	c.WalletNew = func(context.Context, api.KeyType) (address.Address, error) { return fakeOther, nil }
	c.WalletList = func(context.Context) ([]address.Address, error) { return []address.Address{fakeKey, fakeOther}, nil }
	c.WalletBalance = func(_ context.Context, a address.Address) (abi.TokenAmount, error) {
		if a == fakeKey {
			return big.Mul(milliFIL, big.NewInt(12_500)), nil
		}
		return big.Zero(), nil
	}
	c.WalletDefaultAddress = func(context.Context) (address.Address, error) { return fakeKey, nil }
	c.WalletSetDefault = func(context.Context, address.Address) error { return nil }
	c.WalletExport = func(context.Context, address.Address) (*api.KeyInfo, error) {
		return &api.KeyInfo{Type: api.KeySecp256k1, PrivateKey: make([]byte, 32)}, nil
	}
	c.WalletImport = func(context.Context, *api.KeyInfo) (address.Address, error) { return fakeOther, nil }
	c.WalletDelete = func(context.Context, address.Address) error { return nil }
	c.WalletSign = func(context.Context, address.Address, []byte) (*crypto.Signature, error) {
		return &crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: []byte{0xab, 0xcd}}, nil
	}
	c.WalletSignMessage = func(_ context.Context, _ address.Address, m *types.Message) (*types.SignedMessage, error) {
		s := fakeMessage(0)
		s.Message = *m
		return s, nil
	}
	c.WalletVerify = func(_ context.Context, _ address.Address, _ []byte, s *crypto.Signature) (bool, error) {
		return s.Data[0] == 0xab, nil
	}
	c.MarketAddBalance = func(context.Context, address.Address, address.Address, abi.TokenAmount) (cid.Cid, error) {
		return fakeRoot, nil
	}
	c.MarketWithdraw = c.MarketAddBalance
}

// fakeCreated is what the power actor returns for a new miner.
func fakeCreated() []byte {
	var b bytes.Buffer
	if err := (&poweractor.CreateMinerReturn{IDAddress: must(address.NewIDAddress(1003)), RobustAddress: must(address.NewActorAddress([]byte("miner")))}).MarshalCBOR(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func fakeProvider(c *api.Calls) {
	c.ActorAddress = func(context.Context) (address.Address, error) { return fakeMiner, nil }
	c.MiningStart = func(context.Context) error { return nil }
	c.MiningStop = func(context.Context) error { return nil }
	c.MiningStatus = func(context.Context) (*api.MiningStatus, error) {
		return &api.MiningStatus{On: true, Miner: fakeMiner, Won: 9, Mined: 8, Missed: 1, PoSt: api.PoStCounters{OnTime: 4}}, nil
	}
	c.SectorsProgress = func(context.Context) ([]api.SectorProgress, error) {
		return []api.SectorProgress{
			{Sector: 0, State: "Proving", Size: 8 << 20, Active: true, Expires: 518_400},
			{Sector: 3, State: "PreCommit1", Deals: 1, Used: 4 << 20, Size: 8 << 20, Progress: 0.42},
		}, nil
	}
	c.SectorsStatus = func(_ context.Context, n abi.SectorNumber, _ bool) (*api.SectorInfo, error) {
		if n != 3 {
			return nil, fmt.Errorf("sector %d: not one of this provider", n)
		}
		return &api.SectorInfo{
			SectorID: 3, State: "PreCommit1", Ticket: api.SealTicket{Epoch: 90}, Pieces: []api.SectorPiece{
				{Piece: abi.PieceInfo{Size: 4 << 20, PieceCID: fakeRoot}, DealInfo: &api.PieceDeal{DealID: 7}},
				{Piece: abi.PieceInfo{Size: 4 << 20, PieceCID: fakeRoot}},
			}, Log: []api.SectorLog{{Kind: "event;sealing.SectorPacked", Timestamp: uint64(fakeTime.Unix()), Message: "packed"}},
			DealWeight: big.Zero(), VerifiedDealWeight: big.Zero(), InitialPledge: milliFIL,
		}, nil
	}
	c.PledgeSector = func(context.Context) (abi.SectorID, error) { return abi.SectorID{Miner: 1000, Number: 4}, nil }
	c.SectorStartSealing = func(context.Context, abi.SectorNumber) error { return nil }
	c.SectorRetry, c.SectorTerminate, c.SectorRemove = c.SectorStartSealing, c.SectorStartSealing, c.SectorStartSealing
	c.ProvingStatus = func(context.Context) ([]api.DeadlineStatus, error) {
		return []api.DeadlineStatus{
			{Index: 4, Open: 84, Close: 105, OpensIn: 40 * time.Minute, Status: "idle"},
			{Index: 5, Open: 105, Close: 126, Current: true, Partitions: 1, Sectors: 2, Live: 2, Proven: 1, Status: "proven"},
			{Index: 6, Open: 126, Close: 147, OpensIn: 24 * time.Second, Partitions: 1, Sectors: 1, Live: 1, Faulty: 1, Status: "failed", Err: "sector 9 cannot be read"},
		}, nil
	}
	c.ProviderAsk = func(context.Context) (*api.Ask, error) {
		return &api.Ask{Miner: fakeMiner, Price: big.NewInt(500_000_000), VerifiedPrice: big.Zero(), MinPieceSize: 256, MaxPieceSize: 8 << 20, Expiry: 100_000}, nil
	}
	c.ProviderSetAsk = func(context.Context, *api.Ask) error { return nil }
	c.ProviderDeals = func(context.Context) ([]*api.ProviderDeal, error) {
		n := abi.SectorNumber(3)
		return []*api.ProviderDeal{{ID: fakeDeal, Created: fakeTime, Proposal: fakeProposal(), Root: fakeRoot, Checkpoint: "AddedPiece", ChainDealID: 7, Sector: &n, SectorState: "PreCommit1", Received: 3 << 20, Size: 3 << 20}}, nil
	}
	c.ProviderDeal = func(ctx context.Context, id uuid.UUID) (*api.ProviderDeal, error) {
		if id != fakeDeal {
			return nil, errors.New("no such deal here")
		}
		list, err := c.ProviderDeals(ctx)
		return list[0], err
	}
}

func fakeClient(c *api.Calls) {
	root := func() *api.DataRoot {
		return &api.DataRoot{Root: fakeRoot, Name: "holiday.tar", Size: 3 << 20, Created: fakeTime, Pieces: []api.DataPiece{
			{PieceCID: fakeRoot, PieceSize: 4 << 20, CARSize: 3<<20 + 400}, {PieceCID: types.EmptyAMTCid, PieceSize: 1 << 20, CARSize: 900},
		}}
	}
	c.DataImport = func(_ context.Context, path string) (*api.DataRoot, error) { return root(), nil }
	c.DataList = func(context.Context) ([]*api.DataRoot, error) { return []*api.DataRoot{root()}, nil }
	c.DealAsk = func(_ context.Context, a address.Address) (*api.Ask, error) {
		if a != fakeMiner {
			return nil, fmt.Errorf("provider %s does not answer: %w", a, errFaraway)
		}
		return c.ProviderAsk(context.Background())
	}
	c.DealMake = func(context.Context, *api.DealOrder) ([]*api.ClientDeal, error) {
		return []*api.ClientDeal{fakeClientDeal()}, nil
	}
	c.DealList = func(context.Context) ([]*api.ClientDeal, error) { return []*api.ClientDeal{fakeClientDeal()}, nil }
	c.DealGet = func(_ context.Context, id uuid.UUID) (*api.ClientDeal, error) {
		if id != fakeDeal {
			return nil, fmt.Errorf("no deal %s here; lode deal ls lists them", id)
		}
		d := fakeClientDeal()
		d.Active, d.Done, d.Waiting = true, true, ""
		return d, nil
	}
	c.DealCheck = func(context.Context, uuid.UUID) (*api.DealCheck, error) {
		return &api.DealCheck{
			Deal:     fakeClientDeal(),
			Provider: &api.ProviderStatus{Checkpoint: "AddedPiece", SealingStatus: "WaitSeed"},
			Chain:    &api.MarketDeal{Proposal: fakeProposal(), State: api.MarketDealState{SectorStartEpoch: -1, LastUpdatedEpoch: -1, SlashEpoch: -1}},
		}, nil
	}
	c.Retrieve = func(_ context.Context, o *api.RetrieveOrder) (<-chan *api.RetrieveEvent, error) {
		ch := make(chan *api.RetrieveEvent, 2)
		defer close(ch)
		if o.Provider == must(address.NewIDAddress(1001)) {
			ch <- &api.RetrieveEvent{Err: "no provider has it"}
			return ch, nil
		}
		ch <- &api.RetrieveEvent{Bytes: 1 << 20, Total: 3 << 20}
		ch <- &api.RetrieveEvent{Bytes: 3 << 20, Total: 3 << 20, Blocks: 13, Source: "t01000", Done: true}
		return ch, nil
	}
}
