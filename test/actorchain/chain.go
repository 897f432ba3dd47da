package actorchain

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/beacon"
	"github.com/lodenet/lode/chain/genesis"
	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/chain/vm"
	"github.com/lodenet/lode/proofs"
)

// Network is a network of 2 KiB sectors with the devnet's other values.
func Network() types.Network {
	n := types.Devnet()
	n.Policy.SectorSize, n.Policy.MinPower = 2<<10, 2<<10
	return n
}

// Chain is a chain with one miner, t01000. All methods are safe from many goroutines.
type Chain struct {
	Net    types.Network
	Miner  address.Address
	Worker address.Address // key address
	Client address.Address // key address of an account that is not the miner's

	t        testing.TB
	blocks   *types.MemBlocks
	verifier proofs.Verifier

	mu      sync.Mutex
	main    []*block      // guarded by mu; by height
	salt    byte          // guarded by mu; counts the reorgs
	changed chan struct{} // guarded by mu; closed when the head changes

	box map[string]*sent // guarded by mu
	ids []*sent          // guarded by mu; by ID
	// hold keeps a message back, spoil makes it fail. Guarded by mu.
	hold, spoil func(outbox.Intent) bool
}

// block is one epoch: a tipset, the state after it and the messages in it.
type block struct {
	ts   *types.TipSet
	root cid.Cid
	sent []*sent
}

// New makes a chain whose miner has the given sectors from the genesis on.
func New(t testing.TB, net types.Network, v proofs.Verifier, sectors ...genesis.Sector) *Chain {
	t.Helper()
	c := &Chain{
		Net: net, Miner: genesis.MinerAddress(0), t: t, verifier: v, blocks: &types.MemBlocks{},
		changed: make(chan struct{}), box: map[string]*sent{},
	}
	key := func(seed string) address.Address {
		a, err := sigs.Address(crypto.SigTypeBLS, sigs.KeyFromSeed([]byte(seed)))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	c.Worker, c.Client = key("worker"), key("client")
	if len(sectors) == 0 {
		sectors = []genesis.Sector{{Number: 0, SealedCID: someReplica(t)}}
	}
	million := big.Mul(big.NewInt(1_000_000), types.FilecoinPrecision)
	header, network, err := genesis.Make(t.Context(), c.blocks, genesis.Template{
		Network: net, Time: uint64(time.Now().Unix()), RootKey: key("root"), Remainder: key("remainder"),
		Accounts: []genesis.Account{{Key: c.Worker, Balance: million}, {Key: c.Client, Balance: million}},
		Miners:   []genesis.Miner{{Owner: c.Worker, Worker: c.Worker, Funds: types.FilecoinPrecision, Sectors: sectors}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Net = network
	ts, err := types.NewTipSet([]*types.BlockHeader{header})
	if err != nil {
		t.Fatal(err)
	}
	c.main = []*block{{ts: ts, root: header.ParentStateRoot}}
	return c
}

func (c *Chain) env(from int) vm.Env {
	atGenesis, err := c.Net.Circulating()
	if err != nil {
		c.t.Fatal(err)
	}
	return vm.Env{
		Blocks: c.blocks, Verifier: c.verifier, NetworkVersion: types.NetworkVersion,
		CirculatingAtGenesis: atGenesis, Rand: randomness{c, from},
	}
}

// Tick adds an epoch with the messages that wait.
func (c *Chain) Tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick()
}

// Run adds an epoch each epoch time until the context ends.
func (c *Chain) Run(ctx context.Context) {
	timer := time.NewTicker(time.Duration(c.Net.EpochSeconds) * time.Second)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			c.Tick()
		case <-ctx.Done():
			return
		}
	}
}

// tick is Tick; mu is held.
func (c *Chain) tick() {
	ctx := context.WithoutCancel(c.t.Context())
	parent := c.main[len(c.main)-1]
	h := abi.ChainEpoch(len(c.main))
	ticket := sha256.Sum256(fmt.Appendf(nil, "ticket %d %d", h, c.salt))
	header := *parent.ts.Blocks()[0]
	header.Height, header.Parents, header.ParentStateRoot = h, parent.ts.Cids(), parent.root
	header.Ticket = &types.Ticket{VRFProof: ticket[:]}
	header.Timestamp += c.Net.EpochSeconds
	ts, err := types.NewTipSet([]*types.BlockHeader{&header})
	if err != nil {
		c.t.Error(err)
		return
	}
	b := &block{ts: ts}
	c.main = append(c.main, b)
	m, err := vm.New(ctx, c.env(len(c.main)-1), parent.root, h, big.Zero())
	if err != nil {
		c.t.Error(err)
		return
	}
	b.sent = c.take(ctx, m, h)
	res, err := m.ApplyImplicit(ctx, &types.Message{
		From: builtin.SystemActorAddr, To: builtin.CronActorAddr, Value: big.Zero(), Method: builtin.MethodsCron.EpochTick,
		GasLimit: 1 << 40, GasFeeCap: big.Zero(), GasPremium: big.Zero(),
	})
	if err != nil || res.Receipt.ExitCode != 0 {
		c.t.Errorf("cron at %d: %v %+v", h, err, res)
		return
	}
	if b.root, err = m.Flush(ctx); err != nil {
		c.t.Error(err)
		return
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// Reorg drops the last depth epochs and makes one more than that anew, with other tickets.
// Their messages come back later.
func (c *Chain) Reorg(depth int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keep := len(c.main) - depth
	for _, b := range c.main[keep:] {
		for _, s := range b.sent {
			s.result = nil
		}
	}
	c.main = c.main[:keep]
	c.salt++
	hold := c.hold
	c.hold = func(outbox.Intent) bool { return true }
	for range depth {
		c.tick()
	}
	c.hold = hold
	c.tick()
}

// Height is the head's.
func (c *Chain) Height() abi.ChainEpoch { return c.Head().Height() }

// Head implements sealing.Chain.
func (c *Chain) Head() *types.TipSet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.main[len(c.main)-1].ts
}

// HeadChanged implements sealing.Chain.
func (c *Chain) HeadChanged(ctx context.Context, than types.TipSetKey) (*types.TipSet, error) {
	for {
		c.mu.Lock()
		head, changed := c.main[len(c.main)-1].ts, c.changed
		c.mu.Unlock()
		if head.Key() != than {
			return head, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

var errGone = errors.New("tipset is not on the chain any more")

func (c *Chain) root(ts *types.TipSet) (cid.Cid, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := int(ts.Height()); h < len(c.main) && c.main[h].ts.Key() == ts.Key() {
		return c.main[h].root, nil
	}
	return cid.Undef, fmt.Errorf("%w: %s", errGone, ts)
}

// View implements sealing.Chain.
func (c *Chain) View(_ context.Context, ts *types.TipSet) (*view.View, error) {
	root, err := c.root(ts)
	if err != nil {
		return nil, err
	}
	return view.At(c.blocks, root), nil
}

// Now reads the state at the head.
func (c *Chain) Now() *view.View {
	v, err := c.View(c.t.Context(), c.Head())
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

// CirculatingSupply implements sealing.Chain.
func (c *Chain) CirculatingSupply(ctx context.Context, ts *types.TipSet) (abi.TokenAmount, error) {
	root, err := c.root(ts)
	if err != nil {
		return big.Zero(), err
	}
	atGenesis, err := c.Net.Circulating()
	if err != nil {
		return big.Zero(), err
	}
	return vm.CirculatingSupply(ctx, c.blocks, root, atGenesis)
}

// TicketRandomness implements sealing.Chain.
func (c *Chain) TicketRandomness(_ context.Context, ts *types.TipSet, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fromTickets(int(ts.Height()), tag, epoch, entropy)
}

// BeaconRandomness implements sealing.Chain.
func (c *Chain) BeaconRandomness(_ context.Context, ts *types.TipSet, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return fromBeacon(int(ts.Height()), tag, epoch, entropy)
}

func (c *Chain) fromTickets(from int, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	at := int(max(0, epoch))
	if at > from || at >= len(c.main) {
		return nil, fmt.Errorf("randomness of epoch %d at %d", epoch, from)
	}
	return beacon.Draw(c.main[at].ts.Blocks()[0].Ticket.VRFProof, tag, epoch, entropy), nil
}

func fromBeacon(from int, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	if int(epoch) > from {
		return nil, fmt.Errorf("randomness of epoch %d at %d", epoch, from)
	}
	return beacon.Draw(fmt.Appendf(nil, "round %d", epoch), tag, epoch, entropy), nil
}

// randomness is what the VM draws; mu is held while it runs.
type randomness struct {
	c    *Chain
	from int
}

// FromTickets implements vm.Randomness.
func (r randomness) FromTickets(_ context.Context, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return r.c.fromTickets(r.from, tag, epoch, entropy)
}

// FromBeacon implements vm.Randomness.
func (r randomness) FromBeacon(_ context.Context, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return fromBeacon(r.from, tag, epoch, entropy)
}

func someReplica(t testing.TB) cid.Cid {
	c, err := cid.Parse("bagboea4b5abcatlxechwbp7kjpjguna6r6q7ejrhe6mdp3lf34pmswn27pkkiekz")
	if err != nil {
		t.Fatal(err)
	}
	return c
}
