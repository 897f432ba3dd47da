package deal_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/deal/provider"
	"github.com/lodenet/lode/repo"
	"github.com/multiformats/go-multihash"
	"go.uber.org/goleak"
)

// A library of the actors starts a logging goroutine when it is imported.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

var quiet = slog.New(slog.DiscardHandler)

// account is a key with its addresses.
type account struct {
	key     []byte
	address address.Address
	id      address.Address
}

// world is a chain with a market actor, an outbox and a sealing pipeline, all in memory:
// what survives a node's death. It is safe from many goroutines.
type world struct {
	mu       sync.Mutex
	height   abi.ChainEpoch
	least    abi.TokenAmount // collateral bound
	accounts []*account
	balance  map[address.Address]abi.TokenAmount // by ID
	escrow   map[address.Address]abi.TokenAmount
	locked   map[address.Address]abi.TokenAmount
	deals    map[abi.DealID]*market.DealProposal
	states   map[abi.DealID]*market.DealState
	pending  map[cid.Cid]bool
	nextID   abi.DealID
	miner    address.Address
	info     miner.MinerInfo

	sent      map[string]outbox.Intent
	results   map[string]*outbox.Result
	keys      []string // in order; the id is the position
	published int      // deals in publish messages that were executed
	spoil     func(m *outbox.Intent) exitcode.ExitCode
	refuse    func(m *outbox.Intent) error // of a send, which then has no effect

	sectors map[abi.SectorNumber][]byte // unpadded
	placed  map[abi.DealID]provider.Placement
	sealed  bool // pieces become active as soon as asked about
	gone    map[abi.SectorNumber]bool
}

const sectorSize = 32 << 10

func newWorld(t testing.TB) *world {
	w := &world{
		height: 1000, least: big.NewInt(1000),
		balance: map[address.Address]abi.TokenAmount{}, escrow: map[address.Address]abi.TokenAmount{}, locked: map[address.Address]abi.TokenAmount{},
		deals: map[abi.DealID]*market.DealProposal{}, states: map[abi.DealID]*market.DealState{}, pending: map[cid.Cid]bool{},
		sent: map[string]outbox.Intent{}, results: map[string]*outbox.Result{},
		sectors: map[abi.SectorNumber][]byte{}, placed: map[abi.DealID]provider.Placement{}, sealed: true,
	}
	w.miner, _ = address.NewIDAddress(1000)
	worker := w.account(t, 10)
	w.info = miner.MinerInfo{Owner: worker.id, Worker: worker.id, SectorSize: sectorSize}
	return w
}

// account makes a funded account; fil is whole FIL.
func (w *world) account(t testing.TB, fil int64) *account {
	typ := crypto.SigTypeSecp256k1
	key, err := sigs.Generate(typ)
	if err != nil {
		t.Fatal(err)
	}
	a := &account{key: key}
	if a.address, err = sigs.Address(typ, key); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	a.id, _ = address.NewIDAddress(uint64(100 + len(w.accounts)))
	w.accounts = append(w.accounts, a)
	w.balance[a.id] = big.Mul(big.NewInt(fil), types.FilecoinPrecision)
	return a
}

func (w *world) find(a address.Address) *account {
	for _, x := range w.accounts {
		if x.address == a || x.id == a {
			return x
		}
	}
	return nil
}

func (w *world) lookup(a address.Address) (address.Address, error) {
	if a == w.miner {
		return a, nil
	}
	if x := w.find(a); x != nil {
		return x.id, nil
	}
	return address.Undef, fmt.Errorf("%w: %s", view.ErrNotFound, a)
}

func get(m map[address.Address]abi.TokenAmount, a address.Address) abi.TokenAmount {
	if v, ok := m[a]; ok {
		return v
	}
	return big.Zero()
}

// The world as deal.Chain.

func (w *world) Height(context.Context) (abi.ChainEpoch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.height, nil
}

func (w *world) Balance(_ context.Context, a address.Address) (abi.TokenAmount, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, err := w.lookup(a)
	if err != nil {
		return big.Zero(), nil
	}
	return get(w.balance, id), nil
}

func (w *world) MarketBalance(_ context.Context, a address.Address) (abi.TokenAmount, abi.TokenAmount, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, _ := w.lookup(a)
	return get(w.escrow, id), get(w.locked, id), nil
}

func (w *world) LookupID(_ context.Context, a address.Address) (address.Address, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lookup(a)
}

func (w *world) KeyAddress(_ context.Context, a address.Address) (address.Address, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.find(a); x != nil {
		return x.address, nil
	}
	return address.Undef, fmt.Errorf("%w: %s", view.ErrNotFound, a)
}

func (w *world) Deal(_ context.Context, id abi.DealID) (*market.DealProposal, *market.DealState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.deals[id]
	if !ok {
		return nil, nil, fmt.Errorf("%w: deal %d", view.ErrNotFound, id)
	}
	return p, w.states[id], nil
}

func (w *world) MinerInfo(_ context.Context, a address.Address) (*miner.MinerInfo, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a != w.miner {
		return nil, fmt.Errorf("%w: %s", view.ErrNotFound, a)
	}
	info := w.info
	return &info, nil
}

func (w *world) CollateralBounds(context.Context, abi.PaddedPieceSize, bool) (abi.TokenAmount, abi.TokenAmount, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.least, types.TotalFilecoin, nil
}

func (w *world) DataCap(context.Context, address.Address) (abi.StoragePower, error) {
	return big.Zero(), nil
}

func (w *world) ForEachDeal(_ context.Context, f func(abi.DealID, *market.DealProposal, *market.DealState) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, p := range w.deals {
		if err := f(id, p, w.states[id]); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) Call(_ context.Context, m *types.Message) (exitcode.ExitCode, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var p market.PublishStorageDealsParams
	if err := p.UnmarshalCBOR(bytes.NewReader(m.Params)); err != nil {
		return 0, "", err
	}
	for _, d := range p.Deals {
		if why := w.invalid(&d); why != "" {
			return exitcode.ErrIllegalArgument, why, nil
		}
	}
	return 0, "", nil
}

// invalid says why the market actor would drop a deal.
func (w *world) invalid(d *market.ClientDealProposal) string {
	c := w.find(d.Proposal.Client)
	switch {
	case c == nil:
		return "unknown client"
	case deal.VerifyProposal(d, c.address) != nil:
		return "bad signature"
	case d.Proposal.StartEpoch < w.height:
		return "start epoch has passed"
	case big.Sub(get(w.escrow, c.id), get(w.locked, c.id)).LessThan(d.Proposal.ClientBalanceRequirement()):
		return "client balance too low"
	case big.Sub(get(w.escrow, w.miner), get(w.locked, w.miner)).LessThan(d.Proposal.ProviderCollateral):
		return "provider balance too low"
	}
	k, _ := deal.ProposalCID(d.Proposal, c.id, w.miner)
	if w.pending[k] {
		return "deal already published"
	}
	return ""
}

// The world as deal.Outbox: a message is executed when it is first sent.

func (w *world) Send(_ context.Context, in outbox.Intent) (outbox.ID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old, ok := w.sent[in.Key]; ok {
		if !bytes.Equal(old.Params, in.Params) || !old.Value.Equals(in.Value) || old.From != in.From {
			return 0, outbox.ErrKeyReused
		}
		for i, k := range w.keys {
			if k == in.Key {
				return outbox.ID(i), nil
			}
		}
	}
	if w.refuse != nil {
		if err := w.refuse(&in); err != nil {
			return 0, err
		}
	}
	w.sent[in.Key] = in
	w.keys = append(w.keys, in.Key)
	w.results[in.Key] = w.execute(in)
	return outbox.ID(len(w.keys) - 1), nil
}

func (w *world) execute(in outbox.Intent) *outbox.Result {
	mc, _ := cid.V1Builder{Codec: cid.DagCBOR, MhType: multihash.SHA2_256}.Sum([]byte(in.Key))
	res := &outbox.Result{Message: mc, Height: w.height}
	if w.spoil != nil {
		if code := w.spoil(&in); code != 0 {
			res.Receipt.ExitCode = int64(code)
			return res
		}
	}
	from, err := w.lookup(in.From)
	if err != nil {
		res.Receipt.ExitCode = int64(exitcode.SysErrSenderInvalid)
		return res
	}
	switch in.Method {
	case builtin.MethodsMarket.AddBalance:
		var a address.Address
		if err := a.UnmarshalCBOR(bytes.NewReader(in.Params)); err != nil {
			panic(err)
		}
		to, _ := w.lookup(a)
		w.balance[from] = big.Sub(w.balance[from], in.Value)
		w.escrow[to] = big.Add(get(w.escrow, to), in.Value)
	case builtin.MethodsMarket.PublishStorageDeals:
		var p market.PublishStorageDealsParams
		if err := p.UnmarshalCBOR(bytes.NewReader(in.Params)); err != nil {
			panic(err)
		}
		ret := market.PublishStorageDealsReturn{ValidDeals: bitfield.New()}
		for i, d := range p.Deals {
			if w.invalid(&d) != "" {
				continue
			}
			ret.ValidDeals.Set(uint64(i))
			ret.IDs = append(ret.IDs, w.publish(d.Proposal))
		}
		if len(ret.IDs) == 0 {
			res.Receipt.ExitCode = int64(exitcode.ErrIllegalArgument)
			return res
		}
		var b bytes.Buffer
		if err := ret.MarshalCBOR(&b); err != nil {
			panic(err)
		}
		res.Receipt.Return = b.Bytes()
	}
	return res
}

func (w *world) publish(p market.DealProposal) abi.DealID {
	p.Client, _ = w.lookup(p.Client)
	p.Provider = w.miner
	k, _ := p.Cid()
	w.pending[k] = true
	id := w.nextID
	w.nextID++
	w.deals[id] = &p
	w.locked[p.Client] = big.Add(get(w.locked, p.Client), p.ClientBalanceRequirement())
	w.locked[w.miner] = big.Add(get(w.locked, w.miner), p.ProviderCollateral)
	w.published++
	return id
}

func (w *world) Wait(_ context.Context, id outbox.ID, _ abi.ChainEpoch) (*outbox.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.results[w.keys[id]], nil
}

// The world as deal.Signer.

func (w *world) Sign(_ context.Context, a address.Address, msg []byte) (*crypto.Signature, error) {
	w.mu.Lock()
	x := w.find(a)
	w.mu.Unlock()
	if x == nil || x.address != a {
		return nil, errors.New("no such key")
	}
	return sigs.Sign(crypto.SigTypeSecp256k1, x.key, msg)
}

// The world as provider.Sealer and pieces.Reader: one piece a sector, at its start.

func (w *world) AddPiece(_ context.Context, p provider.Piece, r io.Reader) (provider.Placement, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return provider.Placement{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if at, ok := w.placed[p.DealID]; ok {
		return at, nil
	}
	if w.deals[p.DealID] == nil || !w.deals[p.DealID].PieceCID.Equals(p.CID) {
		return provider.Placement{}, fmt.Errorf("deal %d is not on chain with piece %s", p.DealID, p.CID)
	}
	at := provider.Placement{Sector: abi.SectorNumber(len(w.placed)), Size: p.Size}
	w.placed[p.DealID] = at
	w.sectors[at.Sector] = append(data, make([]byte, int(p.Size.Unpadded())-len(data))...)
	return at, nil
}

func (w *world) SectorStatus(_ context.Context, n abi.SectorNumber) (provider.SectorStatus, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone[n] {
		return provider.SectorStatus{State: "Removed", Failed: true, Gone: true}, nil
	}
	if !w.sealed {
		return provider.SectorStatus{State: "PreCommit1"}, nil
	}
	for id, at := range w.placed {
		if at.Sector == n {
			w.states[id] = &market.DealState{SectorStartEpoch: w.height, LastUpdatedEpoch: -1, SlashEpoch: -1}
		}
	}
	return provider.SectorStatus{State: "Proving"}, nil
}

func (w *world) ReadPiece(_ context.Context, n abi.SectorNumber, offset, size abi.PaddedPieceSize) (io.ReadCloser, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if size == 0 || size%128 != 0 || offset%128 != 0 {
		return nil, fmt.Errorf("bad read of %d at %d", size, offset)
	}
	return io.NopCloser(bytes.NewReader(w.sectors[n][offset/128*127 : (offset+size)/128*127])), nil
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func newHost(t testing.TB) host.Host {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func openDB(path string) *sql.DB {
	db := sql.OpenDB(repo.Connector(path + "?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)"))
	db.SetMaxOpenConns(1)
	return db
}

// eventually asks until f is true: what it waits for crosses peers and has no event here. The
// limit only names what never came; a busy machine does not reach it.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(5 * time.Minute)
	for !f() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("after 5 minutes still not: %s", what)
		}
	}
}
