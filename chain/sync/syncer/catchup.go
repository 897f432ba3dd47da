package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	ipld "github.com/ipfs/go-ipld-format"
	"github.com/lodenet/lode/chain/sync/exchange"
	"github.com/lodenet/lode/chain/types"
	"golang.org/x/sync/errgroup"
)

// windowsAhead is how many batches of messages may wait for validation.
const windowsAhead = 2

// sync brings one target into the chain. A nil error means that all its blocks are
// validated; the head may still be elsewhere, on something heavier.
func (s *Syncer) sync(ctx context.Context, t target) error {
	now := s.clk.Now()
	s.update(func(st *Status) {
		*st = Status{Stage: StageHeaders, Target: t.key, TargetHeight: t.height, Started: now}
	})
	path, err := s.walk(ctx, t)
	if errors.Is(err, errLighter) {
		return nil
	}
	if err != nil || len(path) == 0 {
		return err
	}
	s.update(func(st *Status) { st.Stage, st.Headers = StageMessages, len(path) })
	g, ctx := errgroup.WithContext(ctx)
	windows := make(chan []*types.FullTipSet, windowsAhead)
	g.Go(func() error {
		defer close(windows)
		for chunk := range slices.Chunk(path, exchange.MessageBatch) {
			w, err := s.window(ctx, t, chunk)
			if err != nil {
				return err
			}
			select {
			case windows <- w:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		done := 0
		for w := range windows {
			for _, full := range w {
				if err := s.acceptTipSet(ctx, full, path[done:]); err != nil {
					return err
				}
				done++
			}
		}
		return nil
	})
	return g.Wait()
}

// window completes tipsets with their messages, oldest first, from the store and from
// peers.
func (s *Syncer) window(ctx context.Context, t target, keys []types.TipSetKey) ([]*types.FullTipSet, error) {
	out := make([]*types.FullTipSet, len(keys))
	var missing []*types.TipSet // newest first, without gaps
	first := 0                  // index in out of the newest missing
	for i := len(keys) - 1; i >= 0; i-- {
		ts, err := s.chain.TipSet(ctx, keys[i])
		if err != nil {
			return nil, fmt.Errorf("load tipset %s: %w", keys[i], err)
		}
		if len(missing) == 0 {
			full, err := s.stored(ctx, ts)
			if err == nil {
				out[i] = full
				continue
			}
			if !ipld.IsNotFound(err) {
				return nil, err
			}
			first = i
		}
		missing = append(missing, ts)
	}
	for len(missing) > 0 {
		got, err := s.fetch.Messages(ctx, missing, t.claimed...)
		if err != nil {
			return nil, err
		}
		if len(got) == 0 || len(got) > len(missing) {
			return nil, fmt.Errorf("%d tipsets came for %d", len(got), len(missing))
		}
		for _, full := range got {
			out[first] = full
			first--
		}
		missing = missing[len(got):]
	}
	return out, nil
}

// stored reads a tipset with its messages from the store.
func (s *Syncer) stored(ctx context.Context, ts *types.TipSet) (*types.FullTipSet, error) {
	full := &types.FullTipSet{}
	for _, h := range ts.Blocks() {
		bls, secp, err := s.chain.BlockMessages(ctx, h)
		if err != nil {
			return nil, err
		}
		full.Blocks = append(full.Blocks, &types.FullBlock{Header: h, BlsMessages: bls, SecpkMessages: secp})
	}
	return full, nil
}

// acceptTipSet validates the blocks of a tipset side by side and offers it. rest are the
// keys from this tipset on, which are bad if it is.
func (s *Syncer) acceptTipSet(ctx context.Context, full *types.FullTipSet, rest []types.TipSetKey) error {
	ts, err := full.TipSet()
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, b := range full.Blocks {
		g.Go(func() error { return s.validate(gctx, b) })
	}
	if err := g.Wait(); err != nil {
		if s.classify(err) == Invalid {
			return s.invalid(ctx, rest[1:], err.Error())
		}
		return fmt.Errorf("validate tipset %s: %w", ts, err)
	}
	if err := s.place(ctx, ts); err != nil {
		return err
	}
	s.update(func(st *Status) {
		st.Validated++
		st.Height = ts.Height()
	})
	return nil
}
