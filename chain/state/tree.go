package state

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/filecoin-project/go-address"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	cbornode "github.com/ipfs/go-ipld-cbor"

	"github.com/lodenet/lode/chain/types"
)

// ErrVersion: the state tree has a version that is not known here; the state belongs to
// another network version.
var ErrVersion = errors.New("unknown state tree version")

// Tree is the state of all actors. It is not safe from more than one goroutine.
type Tree struct {
	version types.StateTreeVersion
	info    cid.Cid
	store   cbornode.IpldStore
	actors  hamt // as of the last flush

	// known is what was read or written since loading; it hides the map below.
	known map[address.Address]slot
	// ids is what the init actor's map said.
	ids map[address.Address]address.Address
	// dirty is a superset of the actors that differ from the map below.
	dirty map[address.Address]struct{}
	// journal undoes the writes since the oldest snapshot; marks are the snapshots.
	journal []undo
	marks   []int
	init    initCache
}

// slot is an actor or the knowledge that there is none.
type slot struct {
	actor   types.Actor
	present bool
}

// undo restores one entry of known, or drops one of ids.
type undo struct {
	addr   address.Address
	was    slot
	hadOne bool
	isID   bool
}

// New makes an empty tree of a version in bs.
func New(ctx context.Context, bs types.Blocks, v types.StateTreeVersion) (*Tree, error) {
	if err := checkVersion(v); err != nil {
		return nil, err
	}
	empty, err := blocks.NewBlockWithCid([]byte{0x80}, types.EmptyArrayCid)
	if err != nil {
		return nil, err
	}
	if err := bs.Put(ctx, empty); err != nil {
		return nil, err
	}
	s := cbornode.NewCborStore(bs)
	h, err := newHAMT(v, s)
	if err != nil {
		return nil, err
	}
	return newTree(v, types.EmptyArrayCid, s, h), nil
}

// Load opens the tree at a root (spec b.6): the wrapper of version 1 and later, else the
// bare map of version 0.
func Load(ctx context.Context, bs types.Blocks, root cid.Cid) (*Tree, error) {
	b, err := bs.Get(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("state %s: %w", root, err)
	}
	var r types.StateRoot
	if r.UnmarshalCBOR(bytes.NewReader(b.RawData())) != nil {
		r = types.StateRoot{Version: types.StateTreeVersion0, Actors: root, Info: types.EmptyArrayCid}
	}
	if err := checkVersion(r.Version); err != nil {
		return nil, fmt.Errorf("state %s: %w", root, err)
	}
	s := cbornode.NewCborStore(bs)
	h, err := loadHAMT(ctx, r.Version, s, r.Actors)
	if err != nil {
		return nil, fmt.Errorf("state %s: actors %s: %w", root, r.Actors, err)
	}
	return newTree(r.Version, r.Info, s, h), nil
}

func newTree(v types.StateTreeVersion, info cid.Cid, s cbornode.IpldStore, h hamt) *Tree {
	return &Tree{
		version: v, info: info, store: s, actors: h,
		known: make(map[address.Address]slot),
		ids:   make(map[address.Address]address.Address),
		dirty: make(map[address.Address]struct{}),
	}
}

func checkVersion(v types.StateTreeVersion) error {
	if v > types.StateTreeVersion4 {
		return fmt.Errorf("%w: %d", ErrVersion, v)
	}
	return nil
}

// Version is the format of the tree.
func (t *Tree) Version() types.StateTreeVersion { return t.version }

// Actor reads the actor at an address of any kind; false when there is none.
func (t *Tree) Actor(ctx context.Context, a address.Address) (types.Actor, bool, error) {
	id, ok, err := t.LookupID(ctx, a)
	if err != nil || !ok {
		return types.Actor{}, false, err
	}
	s, err := t.slot(ctx, id)
	return s.actor, s.present, err
}

// slot reads the actor at an ID address.
func (t *Tree) slot(ctx context.Context, id address.Address) (slot, error) {
	if s, ok := t.known[id]; ok {
		return s, nil
	}
	var s slot
	found, err := t.actors.find(ctx, string(id.Bytes()), &s.actor)
	if err != nil {
		return slot{}, fmt.Errorf("actor %s: %w", id, err)
	}
	s.present = found
	t.known[id] = s
	return s, nil
}

// SetActor writes the actor at an ID address.
func (t *Tree) SetActor(id address.Address, a types.Actor) error {
	return t.write(id, slot{a, true})
}

// DeleteActor removes the actor at an ID address. What the init actor knows stays.
func (t *Tree) DeleteActor(id address.Address) error { return t.write(id, slot{}) }

func (t *Tree) write(id address.Address, s slot) error {
	if id.Protocol() != address.ID {
		return fmt.Errorf("state tree keys are ID addresses, not %s", id)
	}
	if len(t.marks) > 0 {
		was, had := t.known[id]
		t.journal = append(t.journal, undo{addr: id, was: was, hadOne: had})
	}
	t.known[id] = s
	t.dirty[id] = struct{}{}
	return nil
}

// Snapshot marks the state, for Revert. Each Snapshot needs a Clear.
func (t *Tree) Snapshot() { t.marks = append(t.marks, len(t.journal)) }

// Revert goes back to the last mark, which stays.
func (t *Tree) Revert() {
	mark := t.marks[len(t.marks)-1]
	for i := len(t.journal) - 1; i >= mark; i-- {
		switch u := t.journal[i]; {
		case u.isID:
			delete(t.ids, u.addr)
		case u.hadOne:
			t.known[u.addr] = u.was
		default:
			delete(t.known, u.addr)
		}
	}
	t.journal = t.journal[:mark]
}

// Clear drops the last mark and keeps what was done since.
func (t *Tree) Clear() {
	t.marks = t.marks[:len(t.marks)-1]
	if len(t.marks) == 0 {
		t.journal = t.journal[:0]
	}
}

// Flush writes the tree and returns its root. No snapshot may be open.
func (t *Tree) Flush(ctx context.Context) (cid.Cid, error) {
	if len(t.marks) > 0 {
		return cid.Undef, errors.New("flush of a state tree inside a snapshot")
	}
	ids := make([]address.Address, 0, len(t.dirty))
	for id := range t.dirty {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b address.Address) int { return cmp.Compare(string(a.Bytes()), string(b.Bytes())) })
	for _, id := range ids {
		s, ok := t.known[id]
		if !ok {
			continue // written and reverted, never read before
		}
		var err error
		if key := string(id.Bytes()); s.present {
			err = t.actors.set(ctx, key, &s.actor)
		} else {
			err = t.actors.remove(ctx, key)
		}
		if err != nil {
			return cid.Undef, fmt.Errorf("write actor %s: %w", id, err)
		}
	}
	clear(t.dirty)
	root, err := t.actors.root(ctx)
	if err != nil {
		return cid.Undef, fmt.Errorf("write state tree: %w", err)
	}
	if t.version == types.StateTreeVersion0 {
		return root, nil
	}
	c, err := t.store.Put(ctx, &types.StateRoot{Version: t.version, Actors: root, Info: t.info})
	if err != nil {
		return cid.Undef, fmt.Errorf("write state root: %w", err)
	}
	return c, nil
}

// ForEach visits all actors as of the last Flush or Load, in the order of the map.
func (t *Tree) ForEach(ctx context.Context, fn func(id address.Address, a types.Actor) error) error {
	return t.actors.forEach(ctx, func(key string, raw []byte) error {
		id, err := address.NewFromBytes([]byte(key))
		if err != nil {
			return fmt.Errorf("state tree key %x: %w", key, err)
		}
		var a types.Actor
		if err := a.UnmarshalCBOR(bytes.NewReader(raw)); err != nil {
			return fmt.Errorf("actor %s: %w", id, err)
		}
		return fn(id, a)
	})
}
