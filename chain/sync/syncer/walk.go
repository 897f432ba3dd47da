package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	ipld "github.com/ipfs/go-ipld-format"
	"github.com/lodenet/lode/chain/store"
	"github.com/lodenet/lode/chain/sync/exchange"
	"github.com/lodenet/lode/chain/types"
)

// Bounds of the walk back.
const (
	futureEpochs = 5               // how far ahead of time a head may claim to be
	firstBatch   = 8               // headers that are asked for at first, beyond what separates target and head
	walkTimeout  = 2 * time.Minute // a walk that takes longer makes room for other targets; what it found is kept
)

// walk follows a target back to a validated tipset. It returns the keys of what lies
// between, oldest first. Headers are stored as they come, so that a later walk need not
// fetch them again.
func (s *Syncer) walk(ctx context.Context, t target) ([]types.TipSetKey, error) {
	walkCtx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	head := s.chain.Head()
	w := walker{s: s, ctx: walkCtx, target: t, batch: clamp(int64(t.height-head.Height())+firstBatch, firstBatch, exchange.HeaderBatch)}
	for key := t.key; ; {
		ts, err := w.load(key)
		if err != nil {
			return nil, err
		}
		if len(w.path) == 0 && ts.ParentWeight().LessThan(head.ParentWeight()) && !ts.Equals(head) {
			return nil, errLighter
		}
		known, err := w.check(ts)
		if err != nil {
			return nil, err
		}
		if known {
			base := ts.Height()
			s.update(func(st *Status) { st.Base, st.Height = base, base })
			slices.Reverse(w.path)
			return w.path, nil
		}
		if head.Height()-ts.Height() > store.Finality {
			return nil, fmt.Errorf("%w: %s forks off more than %d epochs back", ErrBeyond, t.key, store.Finality)
		}
		w.path = append(w.path, key)
		s.update(func(st *Status) { st.Height, st.Headers = ts.Height(), len(w.path) })
		key = ts.Parents()
	}
}

// walker holds what one walk has fetched.
type walker struct {
	s      *Syncer
	ctx    context.Context // of this walk alone; a walker lives within one call
	target target
	path   []types.TipSetKey
	ahead  []*types.TipSet // fetched headers, newest first
	batch  int             // how many headers the next request asks for
}

// clamp keeps n between two bounds.
func clamp(n, least, most int64) int { return int(min(max(n, least), most)) }

// load takes a tipset from the last answer, the store or a peer.
func (w *walker) load(key types.TipSetKey) (*types.TipSet, error) {
	if key.IsEmpty() {
		return nil, w.s.invalid(w.ctx, w.path, "a block has no parents")
	}
	if len(w.ahead) > 0 && w.ahead[0].Key() == key {
		ts := w.ahead[0]
		w.ahead = w.ahead[1:]
		return ts, nil
	}
	ts, err := w.s.chain.TipSet(w.ctx, key)
	switch {
	case err == nil:
		return ts, nil
	case errors.Is(err, types.ErrNoTipSet) || errors.Is(err, store.ErrBrokenChain):
		return nil, w.s.invalid(w.ctx, w.path, err.Error())
	case !ipld.IsNotFound(err):
		return nil, fmt.Errorf("load tipset %s: %w", key, err)
	}
	// Most forks are short, so little is asked for at first, which is quick on slow lines
	// too; it doubles with every request.
	got, err := w.s.fetch.Headers(w.ctx, key, w.batch, w.target.claimed...)
	if err != nil {
		return nil, err
	}
	w.batch = min(2*w.batch, exchange.HeaderBatch)
	for _, ts := range got {
		if err := w.s.chain.PutHeaders(w.ctx, ts.Blocks()...); err != nil {
			return nil, fmt.Errorf("store headers of %s: %w", ts, err)
		}
	}
	w.ahead = got[1:]
	return got[0], nil
}

// check looks at the headers of one tipset and tells whether it is validated already.
func (w *walker) check(ts *types.TipSet) (known bool, err error) {
	s := w.s
	if ts.Height() == 0 {
		if ts.Equals(s.chain.Genesis()) {
			return true, nil
		}
		return false, s.invalid(w.ctx, append(w.path, ts.Key()), "another genesis")
	}
	if now := s.opt.Epochs.At(s.clk.Now()); ts.Height() > now+futureEpochs {
		return false, fmt.Errorf("%w: %s is ahead of time, it is epoch %d now", ErrBeyond, ts, now)
	}
	known = true
	for _, b := range ts.Blocks() {
		c := b.Cid()
		if bad, is, err := s.chain.Bad(w.ctx, c); err != nil {
			return false, fmt.Errorf("look for a bad mark of %s: %w", c, err)
		} else if is {
			return false, s.invalid(w.ctx, w.path, fmt.Sprintf("builds on bad block %s: %s", c, bad.Reason))
		}
		if b.Height < 0 || b.Timestamp != s.opt.Epochs.Timestamp(b.Height) {
			return false, s.invalid(w.ctx, append(w.path, ts.Key()), "timestamp does not fit the height")
		}
		valid, err := s.chain.IsValid(w.ctx, b)
		if err != nil {
			return false, fmt.Errorf("look up block %s: %w", c, err)
		}
		known = known && valid
	}
	return known, nil
}

// maxBadMarks bounds how many descendants of a bad block are marked; the others are found
// bad by the walk when they come again.
const maxBadMarks = 1000

// invalid marks the blocks of a path as bad and returns the error that says so.
func (s *Syncer) invalid(ctx context.Context, path []types.TipSetKey, why string) error {
	now := s.clk.Now()
	for _, key := range path[:min(len(path), maxBadMarks)] {
		for _, c := range key.Cids() {
			if err := s.chain.MarkBad(ctx, c, why, now); err != nil {
				return fmt.Errorf("mark block %s as bad: %w", c, err)
			}
		}
	}
	return fmt.Errorf("%w: %s", ErrInvalid, why)
}
