package livechain

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/beacon"
	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/genesis"
	"github.com/lodenet/lode/chain/mining"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/insecure"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/porep/poreptest"
	"github.com/lodenet/lode/proofs/post"
)

const sealProof = abi.RegisteredSealProof_StackedDrg2KiBV1_1

// Clock stands still until it is set.
type Clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

// Now implements clock.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set moves the clock, also backwards.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Until implements clock.Clock: it never waits, and moves the clock instead.
func (c *Clock) Until(ctx context.Context, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.now) {
		c.now = t
	}
	return ctx.Err()
}

// Key is a private key with its address.
type Key struct {
	Address address.Address
	Type    crypto.SigType
	Private []byte
}

// NewKey derives a key from a seed.
func NewKey(tb testing.TB, typ crypto.SigType, seed string) Key {
	tb.Helper()
	private := sigs.KeyFromSeed([]byte(seed)) // a scalar of either group
	a, err := sigs.Address(typ, private)
	require.NoError(tb, err)
	return Key{a, typ, private}
}

// Sign signs a message as it is to be sent.
func (k Key) Sign(tb testing.TB, m types.Message) *types.SignedMessage {
	tb.Helper()
	sig, err := sigs.Sign(k.Type, k.Private, m.Cid().Bytes())
	require.NoError(tb, err)
	return &types.SignedMessage{Message: m, Signature: *sig}
}

// Miner is a storage miner with its worker's key and sectors.
type Miner struct {
	Address address.Address // ID address
	Worker  Key
	sectors map[abi.SectorNumber]porep.Files
}

// Chain is a store and an engine over it.
type Chain struct {
	Store    *store.Store
	Engine   *consensus.Engine
	Verifier *Verifier
	Network  types.Network
	Clock    *Clock
	Miners   []*Miner
	// Accounts have a million FIL each; the even ones sign with BLS, the odd ones with
	// secp256k1.
	Accounts []Key
	Genesis  *types.BlockHeader
}

// Verifier is the insecure system, counting what it is asked.
type Verifier struct {
	proofs.Verifier
	mu    sync.Mutex
	Wins  int // winning PoSts checked; guarded by mu
	Broke error
}

// VerifyWinningPoSt implements proofs.Verifier.
func (v *Verifier) VerifyWinningPoSt(ctx context.Context, s proof.WinningPoStVerifyInfo) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.Wins++
	if v.Broke != nil {
		return false, v.Broke
	}
	return v.Verifier.VerifyWinningPoSt(ctx, s)
}

// New makes a chain with its genesis. The miners have this many sectors each.
func New(tb testing.TB, sectors ...int) *Chain {
	tb.Helper()
	s, err := store.Open("chain", store.Options{FS: vfs.NewMem()})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return On(tb, s, sectors...)
}

// On is New on a store of the test's.
func On(tb testing.TB, s *store.Store, sectors ...int) *Chain {
	tb.Helper()
	c := &Chain{Store: s, Clock: &Clock{}, Verifier: &Verifier{Verifier: insecure.New()}}
	n := types.Devnet()
	n.Name = "livechain"
	n.Policy.SectorSize, n.Policy.MinPower = 2<<10, 2<<10
	// At this moment testing/synctest starts its clock.
	tpl := genesis.Template{
		Network: n, Time: uint64(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()),
		RootKey:   NewKey(tb, crypto.SigTypeBLS, "root").Address,
		Remainder: NewKey(tb, crypto.SigTypeBLS, "remainder").Address,
	}
	fil := func(n int64) abi.TokenAmount { return big.Mul(big.NewInt(n), types.FilecoinPrecision) }
	for i := range 4 {
		typ := crypto.SigTypeBLS
		if i%2 == 1 {
			typ = crypto.SigTypeSecp256k1
		}
		k := NewKey(tb, typ, fmt.Sprint("account ", i))
		c.Accounts = append(c.Accounts, k)
		tpl.Accounts = append(tpl.Accounts, genesis.Account{Key: k.Address, Balance: fil(1_000_000)})
	}
	for i, count := range sectors {
		m := &Miner{
			Address: genesis.MinerAddress(i),
			Worker:  NewKey(tb, crypto.SigTypeBLS, fmt.Sprint("worker ", i)),
			sectors: map[abi.SectorNumber]porep.Files{},
		}
		c.Miners = append(c.Miners, m)
		tpl.Accounts = append(tpl.Accounts, genesis.Account{Key: m.Worker.Address, Balance: fil(1_000_000)})
		g := genesis.Miner{Owner: m.Worker.Address, Worker: m.Worker.Address, Funds: fil(1000)}
		for nr := range abi.SectorNumber(count) {
			sector := poreptest.Zeros(tb, porep.Task{Proof: sealProof, Miner: m.id(tb), Number: nr, Ticket: make([]byte, 32)})
			m.sectors[nr] = sector.Files
			g.Sectors = append(g.Sectors, genesis.Sector{Number: nr, SealedCID: sector.CommR})
		}
		tpl.Miners = append(tpl.Miners, g)
	}
	var err error
	c.Genesis, c.Network, err = genesis.Make(tb.Context(), s, tpl)
	require.NoError(tb, err)
	require.NoError(tb, s.SetGenesis(tb.Context(), c.Genesis))
	c.Clock.Set(time.Unix(int64(c.Network.GenesisTime), 0))
	c.Engine = c.NewEngine(s)
	return c
}

// NewEngine makes an engine of the same network over another chain.
func (c *Chain) NewEngine(chain consensus.Chain) *consensus.Engine {
	return c.EngineAt(chain, c.Clock)
}

// EngineAt is NewEngine with another clock.
func (c *Chain) EngineAt(chain consensus.Chain, clk clock.Clock) *consensus.Engine {
	return consensus.New(chain, beacon.Local{}, c.Verifier, c.Network, clk, slog.New(slog.DiscardHandler))
}

func (m *Miner) id(tb testing.TB) abi.ActorID {
	id, err := address.IDFromAddress(m.Address)
	require.NoError(tb, err)
	return abi.ActorID(id)
}

// WinningPoSt implements mining.Prover.
func (m *Miner) WinningPoSt(ctx context.Context, _ address.Address, sectors []proof.SectorInfo, rand abi.PoStRandomness) ([]proof.PoStProof, error) {
	raw, err := address.IDFromAddress(m.Address)
	if err != nil {
		return nil, err
	}
	id := abi.ActorID(raw)
	chosen, err := post.WinningSectors(id, rand, uint64(len(sectors)))
	if err != nil {
		return nil, err
	}
	info := proof.WinningPoStVerifyInfo{Randomness: rand, Prover: id}
	var vanilla []proofs.PoStWitness
	for i, at := range chosen {
		si := sectors[at]
		w, err := post.ProveSector(ctx, abi.RegisteredPoStProof_StackedDrgWinning2KiBV1, si, i, rand, m.sectors[si.SectorNumber])
		if err != nil {
			return nil, err
		}
		info.ChallengedSectors, vanilla = append(info.ChallengedSectors, si), append(vanilla, w)
	}
	return insecure.New().ProveWinningPoSt(ctx, info, vanilla)
}

// Sign implements mining.Signer.
func (m *Miner) Sign(_ context.Context, a address.Address, msg []byte) (*crypto.Signature, error) {
	if a != m.Worker.Address {
		return nil, fmt.Errorf("%s is not the worker %s", a, m.Worker.Address)
	}
	return sigs.Sign(m.Worker.Type, m.Worker.Private, msg)
}

// SignBlock puts the worker's signature on a header.
func (m *Miner) SignBlock(tb testing.TB, h *types.BlockHeader) {
	tb.Helper()
	b, err := h.SigningBytes()
	require.NoError(tb, err)
	h.BlockSig, err = m.Sign(tb.Context(), m.Worker.Address, b)
	require.NoError(tb, err)
}

// VRF is the worker's proof for a draw.
func (m *Miner) VRF(tb testing.TB, draw []byte) []byte {
	tb.Helper()
	sig, err := m.Sign(tb.Context(), m.Worker.Address, draw)
	require.NoError(tb, err)
	return sig.Data
}

// Template is what a miner would put into a block for a round, or nil when it does not win.
// It does not ask whether the miner is eligible, so that a test can make what must be refused.
func (c *Chain) Template(tb testing.TB, m *Miner, on *types.TipSet, round abi.ChainEpoch) *mining.Template {
	tb.Helper()
	ctx := tb.Context()
	mb, err := c.Engine.MiningBase(ctx, on, round, m.Address)
	require.NoError(tb, err)
	rbase := mb.LastBeacon()
	draw, err := consensus.ElectionDraw(rbase, m.Address, round)
	require.NoError(tb, err)
	vrf := m.VRF(tb, draw)
	wins := consensus.WinCount(vrf, mb.MinerPower, mb.TotalPower)
	if wins < 1 {
		return nil
	}
	t := &mining.Template{
		Miner: m.Address, Base: on, Height: round, Beacons: mb.Beacons,
		Timestamp: c.Network.GenesisTime + uint64(round)*c.Network.EpochSeconds,
		Election:  &types.ElectionProof{WinCount: wins, VRFProof: vrf},
	}
	draw, err = consensus.TicketDraw(rbase, m.Address, round, on)
	require.NoError(tb, err)
	t.Ticket = &types.Ticket{VRFProof: m.VRF(tb, draw)}
	challenge, err := consensus.WinningDraw(rbase, m.Address, round)
	require.NoError(tb, err)
	t.WinPoSt, err = m.WinningPoSt(ctx, m.Address, mb.Sectors, challenge)
	require.NoError(tb, err)
	t.State, t.Receipts, err = c.Engine.State(ctx, on)
	require.NoError(tb, err)
	t.BaseWeight, err = c.Engine.Weight(ctx, on)
	require.NoError(tb, err)
	t.BaseFee, err = c.Engine.BaseFee(ctx, on)
	require.NoError(tb, err)
	return t
}

// Block makes a signed block on a tipset at the first round from one on that the miner wins.
func (c *Chain) Block(tb testing.TB, m *Miner, on *types.TipSet, from abi.ChainEpoch, msgs ...*types.SignedMessage) *types.FullBlock {
	tb.Helper()
	for round := from; round < from+100; round++ {
		t := c.Template(tb, m, on, round)
		if t == nil {
			continue
		}
		t.Messages = msgs
		b, err := mining.Block(tb.Context(), c.Store, *t)
		require.NoError(tb, err)
		m.SignBlock(tb, b.Header)
		return b
	}
	require.FailNow(tb, "no win in a hundred rounds")
	return nil
}

// Add moves the clock to the block's time, validates it, and offers it to the store.
func (c *Chain) Add(tb testing.TB, b *types.FullBlock) {
	tb.Helper()
	c.Clock.Set(time.Unix(int64(b.Header.Timestamp), 0))
	require.NoError(tb, c.Engine.ValidateBlock(tb.Context(), b))
	require.NoError(tb, c.Store.PutFullBlock(tb.Context(), b))
	ts, err := types.NewTipSet([]*types.BlockHeader{b.Header})
	require.NoError(tb, err)
	_, err = c.Store.Offer(tb.Context(), ts, c.Engine.Weight)
	require.NoError(tb, err)
}

// Mine adds one block of the first miner on the head, and returns the new head.
func (c *Chain) Mine(tb testing.TB, msgs ...*types.SignedMessage) *types.TipSet {
	tb.Helper()
	c.Add(tb, c.Block(tb, c.Miners[0], c.Store.Head(), c.Store.Head().Height()+1, msgs...))
	return c.Store.Head()
}

// Transfer sends 1 FIL from one account to another at a nonce, with fees for any base fee.
func (c *Chain) Transfer(tb testing.TB, from, to int, nonce uint64) *types.SignedMessage {
	tb.Helper()
	return c.Accounts[from].Sign(tb, types.Message{
		From: c.Accounts[from].Address, To: c.Accounts[to].Address, Nonce: nonce, Value: types.FilecoinPrecision,
		GasLimit: 10_000_000, GasFeeCap: big.NewInt(1_000_000_000), GasPremium: big.NewInt(100),
	})
}

// BlockMsg is the announcement of a block.
func BlockMsg(b *types.FullBlock) *types.BlockMsg {
	bls, secp := store.MessageLists(b)
	return &types.BlockMsg{Header: b.Header, BlsMessages: bls, SecpkMessages: secp}
}

// Clone copies a block deeply.
func Clone(tb testing.TB, b *types.FullBlock) *types.FullBlock {
	tb.Helper()
	var buf bytes.Buffer
	require.NoError(tb, b.Header.MarshalCBOR(&buf))
	h, err := types.DecodeBlockHeader(buf.Bytes())
	require.NoError(tb, err)
	out := &types.FullBlock{Header: h}
	for _, m := range b.BlsMessages {
		one := *m
		out.BlsMessages = append(out.BlsMessages, &one)
	}
	for _, m := range b.SecpkMessages {
		one := *m
		out.SecpkMessages = append(out.SecpkMessages, &one)
	}
	return out
}
