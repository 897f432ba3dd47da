package state

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	init_ "github.com/filecoin-project/specs-actors/v8/actors/builtin/init"
	"github.com/ipfs/go-cid"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// errNoInit: a state without an init actor resolves nothing and creates nothing.
var errNoInit = errors.New("state has no init actor")

// initCache keeps the init actor's map while its head stays the same.
type initCache struct {
	head  cid.Cid
	state init_.State // the same encoding in all actors versions
	ids   hamt
}

// LookupID gives the ID address of an address of any kind; false when the init actor does
// not know it. An ID address is returned as it is, whether it exists or not.
func (t *Tree) LookupID(ctx context.Context, a address.Address) (address.Address, bool, error) {
	if a.Protocol() == address.ID {
		return a, true, nil
	}
	if id, ok := t.ids[a]; ok {
		return id, true, nil
	}
	if a == address.Undef {
		return address.Undef, false, nil
	}
	if err := t.loadInit(ctx); err != nil {
		return address.Undef, false, fmt.Errorf("resolve %s: %w", a, err)
	}
	var n cbg.CborInt
	found, err := t.init.ids.find(ctx, string(a.Bytes()), &n)
	if err != nil || !found {
		if err != nil {
			err = fmt.Errorf("resolve %s: %w", a, err)
		}
		return address.Undef, false, err
	}
	id, err := address.NewIDAddress(uint64(n))
	if err != nil {
		return address.Undef, false, fmt.Errorf("resolve %s: %w", a, err)
	}
	t.remember(a, id)
	return id, true, nil
}

func (t *Tree) remember(a, id address.Address) {
	if len(t.marks) > 0 {
		t.journal = append(t.journal, undo{addr: a, isID: true})
	}
	t.ids[a] = id
}

// RegisterAddress gives an address the next free ID and returns that.
func (t *Tree) RegisterAddress(ctx context.Context, a address.Address) (address.Address, error) {
	if err := t.loadInit(ctx); err != nil {
		return address.Undef, fmt.Errorf("register %s: %w", a, err)
	}
	n := cbg.CborInt(t.init.state.NextID)
	id, err := address.NewIDAddress(uint64(n))
	if err != nil {
		return address.Undef, fmt.Errorf("register %s: %w", a, err)
	}
	next := t.init
	t.init = initCache{} // its map is changed in place: drop it unless all goes well
	if err := next.ids.set(ctx, string(a.Bytes()), &n); err != nil {
		return address.Undef, fmt.Errorf("register %s: %w", a, err)
	}
	next.state.NextID++
	if next.state.AddressMap, err = next.ids.root(ctx); err != nil {
		return address.Undef, fmt.Errorf("register %s: %w", a, err)
	}
	if next.head, err = t.store.Put(ctx, &next.state); err != nil {
		return address.Undef, fmt.Errorf("register %s: %w", a, err)
	}
	s, err := t.slot(ctx, builtin.InitActorAddr)
	if err != nil {
		return address.Undef, err
	}
	s.actor.Head = next.head
	if err := t.SetActor(builtin.InitActorAddr, s.actor); err != nil {
		return address.Undef, err
	}
	t.init = next
	t.remember(a, id)
	return id, nil
}

// loadInit opens the init actor's map as it is now.
func (t *Tree) loadInit(ctx context.Context) error {
	s, err := t.slot(ctx, builtin.InitActorAddr)
	if err != nil {
		return err
	}
	if !s.present {
		return errNoInit
	}
	if t.init.ids != nil && t.init.head == s.actor.Head {
		return nil
	}
	next := initCache{head: s.actor.Head}
	if err := t.store.Get(ctx, next.head, &next.state); err != nil {
		return fmt.Errorf("init actor: %w", err)
	}
	if next.ids, err = loadHAMT(ctx, t.version, t.store, next.state.AddressMap); err != nil {
		return fmt.Errorf("init actor: address map: %w", err)
	}
	t.init = next
	return nil
}
