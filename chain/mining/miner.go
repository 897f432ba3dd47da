package mining

import (
	"context"
	"database/sql"
	"log/slog"
	"sync/atomic"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/consensus"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
)

// Chain is the chain as the store holds it.
type Chain interface {
	types.Blocks
	Head() *types.TipSet
}

// Rules are the consensus rules that a block must meet (chain/consensus).
type Rules interface {
	MiningBase(ctx context.Context, base *types.TipSet, round abi.ChainEpoch, miner address.Address) (*consensus.MiningBase, error)
	State(ctx context.Context, ts *types.TipSet) (state, receipts cid.Cid, err error)
	Weight(ctx context.Context, ts *types.TipSet) (big.Int, error)
	BaseFee(ctx context.Context, ts *types.TipSet) (abi.TokenAmount, error)
	// ValidateBlock is what other nodes will ask; consensus.ErrTemporal means only early.
	ValidateBlock(ctx context.Context, b *types.FullBlock) error
}

// Selector picks the messages of a block on ts; quality is that of the ticket, 0 to 1.
type Selector interface {
	Select(ctx context.Context, ts *types.TipSet, quality float64) ([]*types.SignedMessage, error)
}

// Prover proves the sectors that an election challenges.
type Prover interface {
	WinningPoSt(ctx context.Context, miner address.Address, sectors []proof.SectorInfo, randomness abi.PoStRandomness) ([]proof.PoStProof, error)
}

// Signer signs with the worker's key.
type Signer interface {
	Sign(ctx context.Context, a address.Address, msg []byte) (*crypto.Signature, error)
}

// Publisher takes a block into our own chain and hands it to the network. A block that the
// chain has already is no error.
type Publisher interface {
	Publish(ctx context.Context, b *types.FullBlock) error
}

// Deps are what a miner works with; all but Foresight are needed.
type Deps struct {
	Miner     address.Address // ID address
	Network   types.Network
	DB        *sql.DB
	Chain     Chain
	Rules     Rules
	Messages  Selector
	Prover    Prover
	Signer    Signer
	Publisher Publisher
	Clock     clock.Clock
	Log       *slog.Logger
	// Foresight lets winning PoSts be made before their rounds; nil: in their rounds alone.
	Foresight Foresight
}

// Stats counts what became of rounds since the miner was made.
type Stats struct {
	Rounds    uint64 // tried
	Won       uint64 // with at least one win
	Nulls     uint64 // not won, or the miner was not eligible
	Published uint64
	Late      uint64 // published after their time
	Failed    uint64 // lost to an error
	Skipped   uint64 // gone by while an earlier round was still worked on
	Emptied   uint64 // published without messages, because those selected were not valid
	Ahead     uint64 // winning PoSts that were made or under way when their rounds asked for them
	Unaware   uint64 // winning PoSts that were made in their rounds, though there is foresight
}

// Miner makes the blocks of one miner actor.
type Miner struct {
	d      Deps
	epochs clock.Epochs
	stats  struct {
		rounds, won, nulls, published, late, failed, skipped, emptied, ahead, unaware atomic.Uint64
	}
	ahead ahead
}

// New makes a miner.
func New(d Deps) *Miner {
	return &Miner{
		d: d, epochs: clock.Epochs{Genesis: d.Network.GenesisTime, Seconds: d.Network.EpochSeconds},
		ahead: ahead{wake: make(chan struct{}, 1)},
	}
}

// Stats reads the counters. Safe from any goroutine.
func (m *Miner) Stats() Stats {
	s := &m.stats
	return Stats{
		Rounds: s.rounds.Load(), Won: s.won.Load(), Nulls: s.nulls.Load(), Published: s.published.Load(),
		Late: s.late.Load(), Failed: s.failed.Load(), Skipped: s.skipped.Load(), Emptied: s.emptied.Load(),
		Ahead: s.ahead.Load(), Unaware: s.unaware.Load(),
	}
}

// Run mines round after round until ctx ends. What goes wrong in a round is logged and
// counted; the next round is tried all the same.
func (m *Miner) Run(ctx context.Context) error {
	filter, err := OpenSlashFilter(ctx, m.d.DB)
	if err != nil {
		return err
	}
	// We may have been killed between signing a block and publishing it.
	if err := m.republish(ctx, filter); err != nil {
		return err
	}
	defer m.lookAhead(ctx)()
	var last abi.ChainEpoch
	for {
		round := max(m.epochs.At(m.d.Clock.Now())+1, last+1)
		if last > 0 {
			m.stats.skipped.Add(uint64(round - last - 1))
		}
		last = round
		m.ahead.begin(round)
		// The blocks of the round before have had time to arrive.
		if err := m.d.Clock.Until(ctx, m.epochs.Start(round-1).Add(m.d.Network.Propagation())); err != nil {
			return nil
		}
		m.stats.rounds.Add(1)
		err := m.round(ctx, filter, round)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			m.stats.failed.Add(1)
			m.d.Log.Warn("round lost", "miner", m.d.Miner, "epoch", round, "err", err)
		}
	}
}

// republish hands the last block that was signed here on once more. It is in the chain
// already, unless publishing failed or was cut short: then nothing else can be signed on its
// parents, so a network's only miner would be stuck.
func (m *Miner) republish(ctx context.Context, filter *SlashFilter) error {
	b, err := filter.Last(ctx, m.d.Miner)
	if err != nil || b == nil {
		return err
	}
	if err := m.d.Publisher.Publish(ctx, b); err != nil && ctx.Err() == nil {
		m.d.Log.Warn("cannot publish a block that was signed before", "miner", m.d.Miner, "block", b.Cid(), "err", err)
	}
	return nil
}
