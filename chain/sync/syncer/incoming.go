package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/network/dispatch"
)

// Bounds of the gossip path.
const (
	incomingQueue       = 1024
	incomingBytes       = 16 << 20
	incomingWorkers     = 8
	defaultFetchTimeout = 30 * time.Second
	exchangeRetry       = 500 * time.Millisecond
	usefulBlock         = 1 // points of a peer's score for a block first seen from it
)

// byPeer keeps one peer from filling the queue.
func byPeer(e dispatch.Envelope[*types.BlockMsg]) uint64 { return dispatch.PeerKey(e.From) }

// incomingLoop completes gossip blocks, one at a time; several of it run.
func (s *Syncer) incomingLoop(ctx context.Context, in <-chan dispatch.Envelope[*types.BlockMsg]) {
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-in:
			if !ok {
				return
			}
			s.incoming(ctx, e.Msg, peer.ID(e.From))
		}
	}
}

// incoming takes one gossip block to its end: a place in the store, a target, or the floor.
func (s *Syncer) incoming(ctx context.Context, m *types.BlockMsg, from peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, s.opt.FetchTimeout)
	defer cancel()
	c := m.Cid()
	err := s.complete(ctx, m, from)
	switch {
	case err == nil:
		s.session.Useful(from, usefulBlock)
	case errors.Is(err, errLighter):
	case errors.Is(err, ErrNoParent), errors.Is(err, ErrInvalid):
		// A target by now, or marked and logged. Honest peers pass on blocks after the cheap
		// checks alone, so an invalid one is not held against them.
		s.log.Debug("block not taken", "block", c, "height", m.Header.Height, "err", err)
	default:
		s.log.Debug("block put off", "block", c, "height", m.Header.Height, "err", err)
	}
}

func (s *Syncer) complete(ctx context.Context, m *types.BlockMsg, from peer.ID) error {
	known, err := s.known(ctx, m.Header)
	if err != nil || known {
		return err
	}
	if m.Header.ParentWeight.LessThan(s.chain.Head().ParentWeight()) {
		return errLighter
	}
	if err := s.parentsReady(ctx, m.Header); err != nil {
		if errors.Is(err, ErrNoParent) {
			s.later(m.Header, from)
		}
		return err
	}
	b, err := s.messages(ctx, m)
	if err != nil {
		s.later(m.Header, from)
		return fmt.Errorf("messages of block %s: %w", m.Cid(), err)
	}
	return s.InBlock(ctx, b, from)
}

// messages completes a block from what is here, and asks for the rest.
func (s *Syncer) messages(ctx context.Context, m *types.BlockMsg) (*types.FullBlock, error) {
	have := make(map[cid.Cid]types.ChainMsg, len(m.BlsMessages)+len(m.SecpkMessages))
	var missing []cid.Cid
	for _, list := range [][]cid.Cid{m.BlsMessages, m.SecpkMessages} {
		for _, c := range list {
			if _, ok := have[c]; ok {
				continue
			}
			msg, err := s.local(ctx, c)
			if err != nil {
				return nil, err
			}
			have[c] = msg // nil when it is missing
			if msg == nil {
				missing = append(missing, c)
			}
		}
	}
	if len(missing) > 0 {
		full, err := s.fetchMessages(ctx, m, missing, have)
		if err != nil || full != nil {
			return full, err
		}
	}
	return assemble(m, have)
}

// local finds a message in the store or in the pool; nil when it is in neither.
func (s *Syncer) local(ctx context.Context, c cid.Cid) (types.ChainMsg, error) {
	if s.opt.Pool != nil {
		if msg, ok := s.opt.Pool(c); ok {
			return msg, nil
		}
	}
	msg, err := s.chain.Message(ctx, c)
	if err != nil && !ipld.IsNotFound(err) {
		return nil, fmt.Errorf("message %s: %w", c, err)
	}
	if err != nil {
		return nil, nil
	}
	return msg, nil
}

// assemble puts a block together.
func assemble(m *types.BlockMsg, have map[cid.Cid]types.ChainMsg) (*types.FullBlock, error) {
	b := &types.FullBlock{Header: m.Header}
	for _, c := range m.BlsMessages {
		switch msg := have[c].(type) {
		case *types.Message:
			b.BlsMessages = append(b.BlsMessages, msg)
		case *types.SignedMessage: // from the pool
			b.BlsMessages = append(b.BlsMessages, &msg.Message)
		}
	}
	for _, c := range m.SecpkMessages {
		if msg, ok := have[c].(*types.SignedMessage); ok {
			b.SecpkMessages = append(b.SecpkMessages, msg)
		}
	}
	if len(b.BlsMessages) != len(m.BlsMessages) || len(b.SecpkMessages) != len(m.SecpkMessages) {
		return nil, fmt.Errorf("%w: a message is of the wrong kind for its list", ErrInvalid)
	}
	return b, nil
}

// fetchMessages asks by bitswap and by chain exchange at the same time, and takes what
// comes first: the exchange gives the whole block, bitswap fills have.
func (s *Syncer) fetchMessages(ctx context.Context, m *types.BlockMsg, missing []cid.Cid,
	have map[cid.Cid]types.ChainMsg,
) (*types.FullBlock, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		full *types.FullBlock
		msgs []types.ChainMsg
		err  error
	}
	results := make(chan result, 2)
	ways := 1
	go func() {
		full, err := s.byExchange(ctx, m)
		results <- result{full: full, err: err}
	}()
	if s.opt.Swap != nil {
		ways++
		go func() {
			msgs, err := s.bySwap(ctx, missing)
			results <- result{msgs: msgs, err: err}
		}()
	}
	var out result
	var errs []error
	for range ways { // both are waited for; the loser ends with the context
		r := <-results
		switch {
		case r.err != nil:
			errs = append(errs, r.err)
		case out.full == nil && out.msgs == nil:
			out = r
			cancel()
		}
	}
	if out.full == nil && out.msgs == nil {
		return nil, errors.Join(errs...)
	}
	for _, msg := range out.msgs {
		have[msg.Cid()] = msg
	}
	return out.full, nil
}

// byExchange asks for the messages of the block as a tipset of its own, again and again:
// the peers that passed it on may only be about to have them.
func (s *Syncer) byExchange(ctx context.Context, m *types.BlockMsg) (*types.FullBlock, error) {
	ts, err := types.NewTipSet([]*types.BlockHeader{m.Header})
	if err != nil {
		return nil, err
	}
	for {
		got, err := s.fetch.Messages(ctx, []*types.TipSet{ts})
		if err == nil {
			return got[0].Blocks[0], nil
		}
		if clock.Sleep(ctx, s.clk, exchangeRetry) != nil {
			return nil, err
		}
	}
}

// bySwap asks all peers for the messages.
func (s *Syncer) bySwap(ctx context.Context, missing []cid.Cid) ([]types.ChainMsg, error) {
	in, err := s.opt.Swap.GetBlocks(ctx, missing)
	if err != nil {
		return nil, err
	}
	out := make([]types.ChainMsg, 0, len(missing))
	for b := range in {
		msg, err := decodeMessage(b.RawData())
		if err != nil {
			return nil, fmt.Errorf("message %s: %w", b.Cid(), err)
		}
		out = append(out, msg)
	}
	if len(out) < len(missing) {
		return nil, fmt.Errorf("%d of %d messages came by bitswap: %w", len(out), len(missing), context.Cause(ctx))
	}
	return out, nil
}

// decodeMessage tells the two kinds of messages apart by their number of fields.
func decodeMessage(raw []byte) (types.ChainMsg, error) {
	const cborPair = 0x82
	if len(raw) > 0 && raw[0] == cborPair {
		return types.DecodeSignedMessage(raw)
	}
	return types.DecodeMessage(raw)
}
