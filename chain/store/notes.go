package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/types"
)

// StateOf is the state after executing a tipset and the root of its receipts; false when it
// was not computed yet.
func (s *Store) StateOf(ctx context.Context, key types.TipSetKey) (state, receipts cid.Cid, ok bool, err error) {
	if err := s.enter(ctx); err != nil {
		return cid.Undef, cid.Undef, false, err
	}
	defer s.leave()
	raw, err := get(s.db, stateKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return cid.Undef, cid.Undef, false, nil
	}
	if err != nil {
		return cid.Undef, cid.Undef, false, fmt.Errorf("state of %s: %w", key, err)
	}
	n, state, err := cid.CidFromBytes(raw)
	if err == nil {
		_, receipts, err = cid.CidFromBytes(raw[n:])
	}
	if err != nil {
		return cid.Undef, cid.Undef, false, fmt.Errorf("state of %s: %w", key, err)
	}
	return state, receipts, true, nil
}

// SetStateOf notes the state after executing a tipset, whose blocks must have been put
// before: then the note is never on disk without them.
func (s *Store) SetStateOf(ctx context.Context, key types.TipSetKey, state, receipts cid.Cid) error {
	return s.write(ctx, pebble.NoSync, func(w *pebble.Batch) error {
		return w.Set(stateKey(key), append(state.Bytes(), receipts.Bytes()...), nil)
	})
}

func stateKey(key types.TipSetKey) []byte { return append([]byte{keyState}, key.Bytes()...) }

// BadBlock is why a block is refused, and since when.
type BadBlock struct {
	Cid    cid.Cid   `json:"-"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// MarkBad remembers that a block is provably invalid. The time is the caller's clock's.
func (s *Store) MarkBad(ctx context.Context, c cid.Cid, reason string, now time.Time) error {
	v, err := json.Marshal(BadBlock{Reason: reason, Since: now.UTC()})
	if err != nil {
		return err
	}
	return s.write(ctx, pebble.NoSync, func(w *pebble.Batch) error { return w.Set(badKey(c), v, nil) })
}

// UnmarkBad forgets that a block is bad.
func (s *Store) UnmarkBad(ctx context.Context, c cid.Cid) error {
	return s.write(ctx, pebble.NoSync, func(w *pebble.Batch) error { return w.Delete(badKey(c), nil) })
}

// Bad tells whether a block was marked, and why.
func (s *Store) Bad(ctx context.Context, c cid.Cid) (BadBlock, bool, error) {
	if err := s.enter(ctx); err != nil {
		return BadBlock{}, false, err
	}
	defer s.leave()
	raw, err := get(s.db, badKey(c))
	if errors.Is(err, pebble.ErrNotFound) {
		return BadBlock{}, false, nil
	}
	b := BadBlock{Cid: c}
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	if err != nil {
		return BadBlock{}, false, fmt.Errorf("bad mark of %s: %w", c, err)
	}
	return b, true, nil
}

// BadBlocks lists the marked blocks, at most limit.
func (s *Store) BadBlocks(ctx context.Context, limit int) (out []BadBlock, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyBad}, UpperBound: []byte{keyBad + 1}})
	if err != nil {
		return nil, fmt.Errorf("list bad blocks: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok && len(out) < limit; ok = it.Next() {
		var b BadBlock
		if b.Cid, err = cid.Cast(append([]byte(nil), it.Key()[1:]...)); err != nil {
			return nil, fmt.Errorf("list bad blocks: %w", err)
		}
		if err := json.Unmarshal(it.Value(), &b); err != nil {
			return nil, fmt.Errorf("list bad blocks: %s: %w", b.Cid, err)
		}
		out = append(out, b)
	}
	return out, it.Error()
}

func badKey(c cid.Cid) []byte { return append([]byte{keyBad}, c.Bytes()...) }
