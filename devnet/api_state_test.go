package devnet

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/dline"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/ipfs/go-cid"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/wallet"
)

func testWallet(t *testing.T, a *apiTest) {
	def := must[address.Address](t)(a.WalletDefaultAddress(a.ctx))
	for _, kind := range []api.KeyType{api.KeyBLS, api.KeySecp256k1} {
		addr := must[address.Address](t)(a.WalletNew(a.ctx, kind))
		if !slices.Contains(must[[]address.Address](t)(a.WalletList(a.ctx)), addr) {
			t.Errorf("new address %s is not listed", addr)
		}
		if got := must[abi.TokenAmount](t)(a.WalletBalance(a.ctx, addr)); !got.IsZero() {
			t.Errorf("balance of a new address: got %s", got)
		}
		sig := must[*crypto.Signature](t)(a.WalletSign(a.ctx, addr, []byte("text")))
		if !must[bool](t)(a.miner.WalletVerify(a.ctx, addr, []byte("text"), sig)) {
			t.Errorf("signature of %s is refused", addr)
		}
		if must[bool](t)(a.WalletVerify(a.ctx, addr, []byte("other"), sig)) || must[bool](t)(a.WalletVerify(a.ctx, def, []byte("text"), sig)) {
			t.Errorf("signature of %s is taken for another", addr)
		}
		key := must[*api.KeyInfo](t)(a.WalletExport(a.ctx, addr))
		if err := a.WalletDelete(a.ctx, addr); err != nil || must[bool](t)(a.WalletHas(a.ctx, addr)) {
			t.Errorf("delete %s: %v, or it is still there", addr, err)
		}
		if _, err := a.WalletSign(a.ctx, addr, nil); !errors.Is(err, wallet.ErrNoKey) {
			t.Errorf("sign with a deleted key: got %v, want %v", err, wallet.ErrNoKey)
		}
		if key.Type != kind || must[address.Address](t)(a.WalletImport(a.ctx, key)) != addr {
			t.Errorf("export gave another key, of type %s", key.Type)
		}
		if got := must[address.Address](t)(a.WalletValidateAddress(a.ctx, addr.String())); got != addr {
			t.Errorf("parsed: got %s, want %s", got, addr)
		}
	}
	// The ID address leads to the key.
	id := must[address.Address](t)(a.StateLookupID(a.ctx, def, head))
	if !must[bool](t)(a.WalletHas(a.ctx, id)) || must[bool](t)(a.WalletHas(a.ctx, builtin.SystemActorAddr)) {
		t.Error("wallet does not know its account by the ID, or has a key of the system")
	}
	sig := must[*crypto.Signature](t)(a.WalletSign(a.ctx, id, []byte("text")))
	if !must[bool](t)(a.WalletVerify(a.ctx, id, []byte("text"), sig)) {
		t.Error("signature by the ID is refused")
	}
	if err := a.WalletSetDefault(a.ctx, id); err != nil || must[address.Address](t)(a.WalletDefaultAddress(a.ctx)) != def {
		t.Errorf("set default: %v", err)
	}
}

func testChain(t *testing.T, a *apiTest) {
	top := must[*types.TipSet](t)(a.ChainHead(a.ctx))
	genesis := must[*types.TipSet](t)(a.ChainGetGenesis(a.ctx))
	if genesis.Height() != 0 || genesis.Cids()[0].String() != a.net.Birth.Network.Genesis {
		t.Errorf("genesis: got %s", genesis)
	}
	for h := abi.ChainEpoch(0); h <= top.Height(); h++ {
		below := must[*types.TipSet](t)(a.ChainGetTipSetByHeight(a.ctx, h, top.Key()))
		above := must[*types.TipSet](t)(a.ChainGetTipSetAfterHeight(a.ctx, h, top.Key()))
		if below.Height() > h || above.Height() < h || !above.Equals(below) && !above.IsChildOf(below) {
			t.Errorf("epoch %d is between %s and %s", h, below, above)
		}
	}
	up := must[[]*api.HeadChange](t)(a.ChainGetPath(a.ctx, genesis.Key(), top.Key()))
	down := must[[]*api.HeadChange](t)(a.ChainGetPath(a.ctx, top.Key(), genesis.Key()))
	if len(up) == 0 || len(up) != len(down) || !up[len(up)-1].Val.Equals(top) || !down[0].Val.Equals(top) {
		t.Fatalf("paths of %d and %d steps", len(up), len(down))
	}
	at, weight := genesis, big.NewInt(-1)
	for i, c := range up {
		w := must[big.Int](t)(a.ChainTipSetWeight(a.ctx, c.Val.Key()))
		if c.Type != api.HeadApply || !c.Val.IsChildOf(at) || w.LessThanEqual(weight) {
			t.Errorf("step %d: %s of %s with weight %s", i, c.Type, c.Val, w)
		}
		if d := down[len(down)-1-i]; d.Type != api.HeadRevert || !d.Val.Equals(c.Val) {
			t.Errorf("step back %d: %s of %s", i, d.Type, d.Val)
		}
		at, weight = c.Val, w
	}
	if same := must[[]*api.HeadChange](t)(a.ChainGetPath(a.ctx, top.Key(), top.Key())); len(same) != 0 {
		t.Errorf("path to the same tipset: %d steps", len(same))
	}
	b := genesis.Cids()[0]
	if h := must[*types.BlockHeader](t)(a.ChainGetBlock(a.ctx, b)); h.Cid() != b {
		t.Errorf("block: got %s, want %s", h.Cid(), b)
	}
	msgs := must[[]api.ParentMessage](t)(a.ChainGetParentMessages(a.ctx, b))
	receipts := must[[]*types.MessageReceipt](t)(a.ChainGetParentReceipts(a.ctx, b))
	if len(msgs) != 0 || len(receipts) != 0 {
		t.Errorf("the genesis has %d parent messages and %d receipts", len(msgs), len(receipts))
	}
}

func testObjects(t *testing.T, a *apiTest) {
	b := must[*types.TipSet](t)(a.ChainGetGenesis(a.ctx)).Cids()[0]
	raw := must[[]byte](t)(a.ChainReadObj(a.ctx, b))
	if got := must[cid.Cid](t)(types.CidBuilder.Sum(raw)); got != b || !must[bool](t)(a.ChainHasObj(a.ctx, b)) {
		t.Errorf("object: got the bytes of %s, want %s", got, b)
	}
	old := must[*types.TipSet](t)(a.ChainGetTipSetByHeight(a.ctx, 1, head)).ParentState()
	now := must[*types.TipSet](t)(a.ChainHead(a.ctx)).ParentState()
	all := must[api.ObjStat](t)(a.ChainStatObj(a.ctx, now, cid.Undef))
	more := must[api.ObjStat](t)(a.ChainStatObj(a.ctx, now, old))
	none := must[api.ObjStat](t)(a.ChainStatObj(a.ctx, now, now))
	if none != (api.ObjStat{}) || more.Size == 0 || more.Size >= all.Size || more.Links >= all.Links {
		t.Errorf("states: got %+v in all, %+v over the first, %+v over itself", all, more, none)
	}
}

func testState(t *testing.T, a *apiTest) {
	def := must[address.Address](t)(a.WalletDefaultAddress(a.ctx))
	id := must[address.Address](t)(a.StateLookupID(a.ctx, def, head))
	if got := must[address.Address](t)(a.StateAccountKey(a.ctx, id, head)); got != def {
		t.Errorf("key of %s: got %s, want %s", id, got, def)
	}
	if got := must[address.Address](t)(a.StateLookupRobustAddress(a.ctx, id, head)); got != def {
		t.Errorf("robust address of %s: got %s, want %s", id, got, def)
	}
	actors := must[[]address.Address](t)(a.StateListActors(a.ctx, head))
	if !slices.Contains(actors, id) || !slices.Contains(actors, builtin.StorageMarketActorAddr) {
		t.Errorf("actors: got %s", actors)
	}
	for _, addr := range actors {
		st := must[*api.ActorState](t)(a.StateReadState(a.ctx, addr, head))
		if text, err := json.Marshal(st); err != nil || st.State == nil {
			t.Errorf("state of %s: %v, %s", addr, err, text)
		}
	}
	if name := must[string](t)(a.StateNetworkName(a.ctx)); name != a.net.Birth.Network.Name {
		t.Errorf("name: got %s", name)
	}
	if v, err := a.StateNetworkVersion(a.ctx, head); err != nil || v != types.NetworkVersion {
		t.Errorf("version: got %d, %v", v, err)
	}
	p := must[*api.NetworkParams](t)(a.StateGetNetworkParams(a.ctx))
	if p.BlockDelaySecs != 1 || !p.ConsensusMinerMinPower.Equals(big.NewInt(2<<10)) || p.GenesisTimestamp != a.net.Birth.Network.GenesisTime {
		t.Errorf("parameters: got %+v", p)
	}
	s := must[api.CirculatingSupply](t)(a.StateVMCirculatingSupplyInternal(a.ctx, head))
	want := big.Sub(big.Add(s.FilVested, s.FilMined), big.Add(s.FilBurnt, s.FilLocked))
	if s.FilMined.Sign() <= 0 || !s.FilCirculating.Equals(want) {
		t.Errorf("supply: got %+v, want %s circulating", s, want)
	}
	if plain := must[abi.TokenAmount](t)(a.StateCirculatingSupply(a.ctx, head)); plain.Sign() <= 0 || plain.GreaterThan(types.TotalFilecoin) {
		t.Errorf("plain supply: got %s", plain)
	}
	if m := must[api.MarketBalance](t)(a.StateMarketBalance(a.ctx, def, head)); !m.Escrow.IsZero() || !m.Locked.IsZero() {
		t.Errorf("market balance: got %+v", m)
	}
	c := must[api.CollateralBounds](t)(a.StateDealProviderCollateralBounds(a.ctx, 2<<10, false, head))
	if c.Min.Sign() <= 0 || !c.Max.Equals(types.TotalFilecoin) {
		t.Errorf("collateral: got %+v", c)
	}
	if left := must[*abi.StoragePower](t)(a.StateVerifiedClientStatus(a.ctx, def, head)); left != nil {
		t.Errorf("data cap of anyone: got %s", left)
	}
}

func testMiner(t *testing.T, a *apiTest) {
	m := a.net.Birth.Members[0].Miner
	if got := must[[]address.Address](t)(a.StateListMiners(a.ctx, head)); !slices.Equal(got, []address.Address{m}) {
		t.Errorf("miners: got %s, want %s", got, m)
	}
	info := must[*api.MinerInfo](t)(a.StateMinerInfo(a.ctx, m, head))
	id := must[peer.ID](t)(a.miner.ID(a.ctx))
	owner := must[address.Address](t)(a.miner.WalletDefaultAddress(a.ctx))
	if key := must[address.Address](t)(a.StateAccountKey(a.ctx, info.Owner, head)); key != owner || info.SectorSize != 2<<10 || info.PeerId == nil || *info.PeerId != id {
		t.Errorf("info: got %+v, want owner %s and peer %s", info, owner, id)
	}
	p := must[*api.MinerPower](t)(a.StateMinerPower(a.ctx, m, head))
	if !p.MinerPower.RawBytePower.Equals(big.NewInt(4<<10)) || !p.TotalPower.RawBytePower.Equals(p.MinerPower.RawBytePower) || !p.HasMinPower {
		t.Errorf("power: got %+v", p)
	}
	if free := must[abi.TokenAmount](t)(a.StateMinerAvailableBalance(a.ctx, m, head)); free.Sign() <= 0 {
		t.Errorf("available balance: got %s", free)
	}
	if d := must[*dline.Info](t)(a.StateMinerProvingDeadline(a.ctx, m, head)); d.HasElapsed() || d.Close <= d.Open {
		t.Errorf("deadline: got %+v", d)
	}
	if ds := must[[]api.Deadline](t)(a.StateMinerDeadlines(a.ctx, m, head)); len(ds) != 48 {
		t.Errorf("deadlines: got %d", len(ds))
	}
	if c := must[api.MinerSectors](t)(a.StateMinerSectorCount(a.ctx, m, head)); c != (api.MinerSectors{Live: 2, Active: 2}) {
		t.Errorf("counts: got %+v", c)
	}
	all := must[[]*api.SectorOnChainInfo](t)(a.StateMinerSectors(a.ctx, m, nil, head))
	active := must[[]*api.SectorOnChainInfo](t)(a.StateMinerActiveSectors(a.ctx, m, head))
	if len(all) != 2 || len(active) != 2 {
		t.Fatalf("sectors: got %d and %d active", len(all), len(active))
	}
	last := all[1].SectorNumber
	one := bitfield.NewFromSet([]uint64{uint64(last), 1 << 50})
	if got := must[[]*api.SectorOnChainInfo](t)(a.StateMinerSectors(a.ctx, m, &one, head)); len(got) != 1 || got[0].SectorNumber != last {
		t.Errorf("sectors of a set: got %+v", got)
	}
	if s := must[*api.SectorOnChainInfo](t)(a.StateSectorGetInfo(a.ctx, m, last, head)); s == nil || s.SealedCID != all[1].SealedCID || s.PowerBaseEpoch != s.Activation {
		t.Errorf("sector: got %+v", s)
	}
	if s := must[*api.SectorOnChainInfo](t)(a.StateSectorGetInfo(a.ctx, m, 999, head)); s != nil {
		t.Errorf("sector that is not there: got %+v", s)
	}
	if s := must[*api.SectorPreCommitOnChainInfo](t)(a.StateSectorPreCommitInfo(a.ctx, m, 999, head)); s != nil {
		t.Errorf("pre-commit that is not there: got %+v", s)
	}
	at := must[*api.SectorLocation](t)(a.StateSectorPartition(a.ctx, m, last, head))
	parts := must[[]api.Partition](t)(a.StateMinerPartitions(a.ctx, m, at.Deadline, head))
	if in, err := parts[at.Partition].ActiveSectors.IsSet(uint64(last)); err != nil || !in {
		t.Errorf("sector %d is not in partition %+v: %v", last, at, err)
	}
	faults := must[bitfield.BitField](t)(a.StateMinerFaults(a.ctx, m, head))
	recoveries := must[bitfield.BitField](t)(a.StateMinerRecoveries(a.ctx, m, head))
	if !must[bool](t)(faults.IsEmpty()) || !must[bool](t)(recoveries.IsEmpty()) {
		t.Error("a healthy miner has faults or recoveries")
	}
	if robust := must[address.Address](t)(a.StateLookupRobustAddress(a.ctx, m, head)); robust.Protocol() != address.Actor || must[address.Address](t)(a.StateLookupID(a.ctx, robust, head)) != m {
		t.Errorf("robust address of the miner: got %s", robust)
	}
}

func testCalls(t *testing.T, a *apiTest) {
	from := must[address.Address](t)(a.WalletDefaultAddress(a.ctx))
	rich := must[abi.TokenAmount](t)(a.WalletBalance(a.ctx, from))
	good := &types.Message{From: from, To: builtin.BurntFundsActorAddr, Value: big.NewInt(1)}
	bad := &types.Message{From: from, To: builtin.BurntFundsActorAddr, Value: big.Add(rich, big.NewInt(1))}
	if r := must[*api.InvocResult](t)(a.StateCall(a.ctx, good, head)); r.MsgRct.ExitCode != 0 || r.Error != "" || r.ExecutionTrace == nil {
		t.Errorf("call: got %+v", r)
	}
	if r := must[*api.InvocResult](t)(a.StateCall(a.ctx, bad, head)); r.MsgRct.ExitCode != int64(exitcode.SysErrInsufficientFunds) || r.Error == "" {
		t.Errorf("call without funds: got %+v", r)
	}
	limit := must[int64](t)(a.GasEstimateGasLimit(a.ctx, good, head))
	m := must[*types.Message](t)(a.GasEstimateMessageGas(a.ctx, good, &api.MessageSendSpec{MaxFee: big.NewInt(1_000_000_000)}, head))
	if limit <= 0 || m.GasLimit < limit || m.RequiredFunds().GreaterThan(big.NewInt(1_000_000_000)) || m.GasFeeCap.LessThan(m.GasPremium) {
		t.Errorf("estimate: got limit %d and %+v", limit, m)
	}
	premium := must[abi.TokenAmount](t)(a.GasEstimateGasPremium(a.ctx, 10, from, limit, head))
	soon := must[abi.TokenAmount](t)(a.GasEstimateFeeCap(a.ctx, good, 1, head))
	late := must[abi.TokenAmount](t)(a.GasEstimateFeeCap(a.ctx, good, 20, head))
	if premium.Sign() <= 0 || soon.Sign() <= 0 || late.LessThanEqual(soon) {
		t.Errorf("premium %s, fee cap for 1 epoch %s and for 20 %s", premium, soon, late)
	}
	if _, err := a.GasEstimateMessageGas(a.ctx, bad, nil, head); !errors.Is(err, api.ErrReverted) {
		t.Errorf("estimate without funds: got %v, want %v", err, api.ErrReverted)
	}
	if _, err := a.MpoolPushMessage(a.ctx, bad, nil); !errors.Is(err, api.ErrReverted) {
		t.Errorf("push without funds: got %v, want %v", err, api.ErrReverted)
	}
}

// testUnknown asks for what is not there.
func testUnknown(t *testing.T, a *apiTest) {
	nothing := must[cid.Cid](t)(types.CidBuilder.Sum([]byte("nothing")))
	key := types.NewTipSetKey(nothing)
	nobody := must[address.Address](t)(address.NewSecp256k1Address([]byte("nobody")))
	nobodyID := must[address.Address](t)(address.NewIDAddress(99_999))
	def := must[address.Address](t)(a.WalletDefaultAddress(a.ctx))
	top := must[*types.TipSet](t)(a.ChainHead(a.ctx))
	lost := func(err error) int { // the code on the wire
		if err == nil {
			return 0
		}
		var e *api.Error
		if errors.As(err, &e) {
			return e.Code
		}
		return api.CodeError
	}
	for _, c := range []struct {
		name string
		want int
		ask  func() error
	}{
		{"tipset", api.CodeError, func() error { _, err := a.ChainGetTipSet(a.ctx, key); return err }},
		{"state of no tipset", api.CodeError, func() error { _, err := a.StateGetActor(a.ctx, def, key); return err }},
		{"block", api.CodeError, func() error { _, err := a.ChainGetBlock(a.ctx, nothing); return err }},
		{"parent messages", api.CodeError, func() error { _, err := a.ChainGetParentMessages(a.ctx, nothing); return err }},
		{"message", api.CodeError, func() error { _, err := a.ChainGetMessage(a.ctx, nothing); return err }},
		{"object", api.CodeError, func() error { _, err := a.ChainReadObj(a.ctx, nothing); return err }},
		{"size of no object", api.CodeError, func() error { _, err := a.ChainStatObj(a.ctx, nothing, cid.Undef); return err }},
		{"the future", api.CodeError, func() error { _, err := a.ChainGetTipSetByHeight(a.ctx, top.Height()+1000, head); return err }},
		{"before the genesis", api.CodeError, func() error { _, err := a.ChainGetTipSetAfterHeight(a.ctx, -1, head); return err }},
		{"actor by key", api.CodeActorNotFound, func() error { _, err := a.StateGetActor(a.ctx, nobody, head); return err }},
		{"actor by ID", api.CodeActorNotFound, func() error { _, err := a.StateGetActor(a.ctx, nobodyID, head); return err }},
		{"state", api.CodeActorNotFound, func() error { _, err := a.StateReadState(a.ctx, nobodyID, head); return err }},
		{"ID", api.CodeActorNotFound, func() error { _, err := a.StateLookupID(a.ctx, nobody, head); return err }},
		{"key", api.CodeActorNotFound, func() error { _, err := a.StateAccountKey(a.ctx, nobodyID, head); return err }},
		{"miner", api.CodeActorNotFound, func() error { _, err := a.StateMinerInfo(a.ctx, nobodyID, head); return err }},
		{"power", api.CodeActorNotFound, func() error { _, err := a.StateMinerPower(a.ctx, nobodyID, head); return err }},
		{"market balance", api.CodeActorNotFound, func() error { _, err := a.StateMarketBalance(a.ctx, nobody, head); return err }},
		{"gas of nobody", api.CodeActorNotFound, func() error {
			_, err := a.GasEstimateMessageGas(a.ctx, &types.Message{From: nobody, To: def}, nil, head)
			return err
		}},
		{"push of nobody", api.CodeActorNotFound, func() error {
			_, err := a.MpoolPushMessage(a.ctx, &types.Message{From: nobody, To: def}, nil)
			return err
		}},
		{"an account is no miner", api.CodeError, func() error { _, err := a.StateMinerInfo(a.ctx, def, head); return err }},
		{"deal", api.CodeError, func() error { _, err := a.StateMarketStorageDeal(a.ctx, 12345, head); return err }},
		{"deadline", api.CodeParams, func() error {
			_, err := a.StateMinerPartitions(a.ctx, a.net.Birth.Members[0].Miner, 48, head)
			return err
		}},
		{"no address", api.CodeParams, func() error { _, err := a.StateGetActor(a.ctx, address.Undef, head); return err }},
		{"no message", api.CodeParams, func() error { _, err := a.StateCall(a.ctx, nil, head); return err }},
		{"nonce given", api.CodeParams, func() error {
			_, err := a.MpoolPushMessage(a.ctx, &types.Message{From: def, To: def, Nonce: 7}, nil)
			return err
		}},
		{"text", api.CodeParams, func() error { _, err := a.WalletValidateAddress(a.ctx, "t1x"); return err }},
	} {
		if err := c.ask(); lost(err) != c.want {
			t.Errorf("%s: got code %d (%v), want %d", c.name, lost(err), err, c.want)
		}
	}
	if l, err := a.StateSearchMsg(a.ctx, head, nothing, -1, true); l != nil || err != nil {
		t.Errorf("search: got %+v, %v", l, err)
	}
	if n := must[uint64](t)(a.MpoolGetNonce(a.ctx, nobody)); n != 0 {
		t.Errorf("nonce of nobody: got %d", n)
	}
	if must[bool](t)(a.ChainHasObj(a.ctx, nothing)) {
		t.Error("nothing is stored")
	}
}

func testPeers(t *testing.T, a *apiTest) {
	self := must[peer.AddrInfo](t)(a.NetAddrsListen(a.ctx))
	if id := must[peer.ID](t)(a.ID(a.ctx)); self.ID != id || len(self.Addrs) == 0 {
		t.Errorf("listens: got %+v, want %s", self, id)
	}
	other := must[peer.AddrInfo](t)(a.miner.NetAddrsListen(a.ctx))
	peers := must[[]peer.AddrInfo](t)(a.NetPeers(a.ctx))
	if len(peers) != 1 || peers[0].ID != other.ID || len(peers[0].Addrs) == 0 {
		t.Errorf("peers: got %+v, want %s", peers, other.ID)
	}
	if agent := must[string](t)(a.NetAgentVersion(a.ctx, other.ID)); agent != must[api.Version](t)(a.miner.Version(a.ctx)).Agent {
		t.Errorf("agent: got %s", agent)
	}
	if err := a.NetConnect(a.ctx, other); err != nil {
		t.Errorf("connect again: %v", err)
	}
	if err := a.NetDisconnect(a.ctx, other.ID); err != nil {
		t.Errorf("disconnect: %v", err)
	}
	stranger := must[peer.ID](t)(peer.IDFromPrivateKey(must[p2pcrypto.PrivKey](t)(host.NewKey(rand.Reader))))
	if err := a.NetDisconnect(a.ctx, stranger); err == nil {
		t.Error("disconnected a peer that never was")
	}
	if err := a.NetConnect(a.ctx, peer.AddrInfo{ID: stranger, Addrs: other.Addrs}); err == nil {
		t.Error("connected to a peer that is another one")
	}
}

func testShutdown(t *testing.T, a *apiTest) {
	asked := a.net.Nodes[1].ShutdownAsked()
	select {
	case <-asked:
		t.Error("asked before anyone did")
	default:
	}
	for range 2 {
		if err := a.Shutdown(a.ctx); err != nil {
			t.Error(err)
		}
	}
	<-asked
}
