package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	ipld "github.com/ipfs/go-ipld-format"

	"github.com/lodenet/lode/chain/types"
)

// maxChange bounds the tipsets of one Change.
const maxChange = 256

// ErrUnknownCursor: the tipset that a follower stands on is not in this store. It has to
// start over.
var ErrUnknownCursor = errors.New("follower stands on an unknown tipset")

// Change is a step along the chain: first take back Revert, newest first, then do Apply,
// oldest first. It is a connected path, and not empty.
type Change struct {
	Revert []*types.TipSet
	Apply  []*types.TipSet

	end types.TipSetKey // where the follower stands after it
}

// End is the tipset that a follower stands on after the change. A follower that keeps its
// cursor in a database of its own stores it together with what it did.
func (c Change) End() types.TipSetKey { return c.end }

// Follower walks after the head. It holds nothing that must be closed, and a follower that
// stops asking holds nothing up. It is for one goroutine.
type Follower struct {
	s      *Store
	name   string
	cursor types.TipSetKey
}

type followStart struct {
	genesis bool
	at      types.TipSetKey
}

// FollowOption says where a follower without a stored cursor starts.
type FollowOption func(*followStart)

// FromGenesis starts at the genesis, which itself is not applied.
func FromGenesis() FollowOption { return func(f *followStart) { f.genesis = true } }

// From starts after a tipset, on the main chain or not.
func From(key types.TipSetKey) FollowOption { return func(f *followStart) { f.at = key } }

// Follow returns a follower. One with a name has its cursor in the store and goes on where
// its last Done left it; without a stored cursor, and without a name, it starts at the head
// or where the option says. A name is for one follower at a time.
func (s *Store) Follow(ctx context.Context, name string, opts ...FollowOption) (*Follower, error) {
	var start followStart
	for _, o := range opts {
		o(&start)
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	f := &Follower{s: s, name: name}
	if name != "" {
		raw, err := get(s.db, cursorKey(name))
		if err == nil {
			f.cursor, err = types.TipSetKeyFromBytes(raw)
			return f, err
		}
		if !errors.Is(err, pebble.ErrNotFound) {
			return nil, fmt.Errorf("follower %s: %w", name, err)
		}
	}
	head := s.Head()
	switch {
	case head == nil:
		return nil, ErrNoGenesis
	case !start.at.IsEmpty():
		f.cursor = start.at
	case start.genesis:
		f.cursor = s.Genesis().Key()
	default:
		f.cursor = head.Key()
	}
	// A first start is remembered, so that nothing is missed if the process dies before Done.
	return f, f.save(ctx)
}

// Forget drops the cursor of a name: its next Follow starts anew.
func (s *Store) Forget(ctx context.Context, name string) error {
	return s.write(ctx, pebble.Sync, func(w *pebble.Batch) error { return w.Delete(cursorKey(name), nil) })
}

func cursorKey(name string) []byte { return append([]byte{keyCursor}, name...) }

// Cursor is the tipset that the follower stands on.
func (f *Follower) Cursor() types.TipSetKey { return f.cursor }

// Next waits until the head is not the follower's tipset and returns the first steps there,
// at most a few hundred tipsets. Until Done, it starts from the same tipset again.
func (f *Follower) Next(ctx context.Context) (Change, error) {
	for {
		next := f.s.nextChange()
		c, err := f.s.path(ctx, f.cursor)
		if err != nil {
			return Change{}, fmt.Errorf("follower %s: %w", f.name, err)
		}
		if len(c.Revert)+len(c.Apply) > 0 {
			return c, nil
		}
		select {
		case <-next:
		case <-f.s.done:
			return Change{}, ErrClosed
		case <-ctx.Done():
			return Change{}, ctx.Err()
		}
	}
}

// Done moves the follower to the end of a change; with a name, durably. Call it after what
// the change caused is durable, and be ready to see the change again when the process was
// killed in between.
func (f *Follower) Done(ctx context.Context, c Change) error {
	old := f.cursor
	f.cursor = c.end
	if err := f.save(ctx); err != nil {
		f.cursor = old
		return err
	}
	return nil
}

func (f *Follower) save(ctx context.Context) error {
	if f.name == "" {
		return nil
	}
	return f.s.write(ctx, pebble.Sync, func(w *pebble.Batch) error {
		return w.Set(cursorKey(f.name), f.cursor.Bytes(), nil)
	})
}

// path is the way from a tipset to the head as one moment sees them.
func (s *Store) path(ctx context.Context, from types.TipSetKey) (Change, error) {
	if err := s.enter(ctx); err != nil {
		return Change{}, err
	}
	defer s.leave()
	snap := s.db.NewSnapshot()
	defer snap.Close() // nothing was written
	m := mainChain{s, snap}
	cur, err := s.loadTipSet(from)
	if ipld.IsNotFound(err) {
		return Change{}, fmt.Errorf("%w: %s", ErrUnknownCursor, from)
	}
	if err != nil {
		return Change{}, err
	}
	c := Change{end: from}
	for {
		on, err := m.has(cur)
		if err != nil {
			return Change{}, err
		}
		if on {
			break
		}
		if len(c.Revert) == maxChange {
			return c, nil
		}
		c.Revert = append(c.Revert, cur)
		if cur, err = s.parent(cur); err != nil {
			return Change{}, err
		}
		c.end = cur.Key()
	}
	err = m.each(cur.Height()+1, func(ts *types.TipSet) bool {
		if len(c.Revert)+len(c.Apply) == maxChange {
			return false
		}
		c.Apply = append(c.Apply, ts)
		c.end = ts.Key()
		return true
	})
	return c, err
}
