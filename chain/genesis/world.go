package genesis

import (
	"bytes"
	"context"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/specs-actors/v8/actors/states"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
	"github.com/ipfs/go-cid"
	ipldcbor "github.com/ipfs/go-ipld-cbor"
	"github.com/minio/blake2b-simd"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
)

// callGasLimit is ample for any message of the genesis; nobody pays for it.
const callGasLimit = 1_000_000_000_000_000

// world is a state in the making: objects are edited directly, or through messages.
type world struct {
	blocks types.Blocks
	store  adt.Store
	actors cid.Cid // root of the actors' map
	nonce  uint64  // of the next message, so that new actors get distinct addresses
}

func newWorld(ctx context.Context, blocks types.Blocks) (*world, error) {
	w := &world{blocks: blocks, store: adt.WrapBlockStore(ctx, blocks)}
	tree, err := states.NewTree(w.store)
	if err != nil {
		return nil, err
	}
	// Objects with a CID that is a constant must be there for whoever follows it.
	for _, raw := range [][]byte{{0x80}, types.EmptyAMTBytes} {
		if err := putRaw(ctx, blocks, raw); err != nil {
			return nil, err
		}
	}
	w.actors, err = tree.Flush()
	return w, err
}

// root is the state root of the world as it is.
func (w *world) root(ctx context.Context) (cid.Cid, error) {
	return ipldcbor.NewCborStore(w.blocks).Put(ctx, &types.StateRoot{
		Version: types.StateTreeVersion4, Actors: w.actors, Info: types.EmptyArrayCid,
	})
}

// add puts an actor with a state of its own.
func (w *world) add(id address.Address, code cid.Cid, balance abi.TokenAmount, st cbor.Marshaler) error {
	head, err := w.store.Put(w.store.Context(), st)
	if err != nil {
		return fmt.Errorf("state of %s: %w", id, err)
	}
	tree, err := states.LoadTree(w.store, w.actors)
	if err != nil {
		return err
	}
	if err := tree.SetActor(id, &states.Actor{Code: code, Head: head, Balance: balance}); err != nil {
		return err
	}
	w.actors, err = tree.Flush()
	return err
}

// edit reads the state of an actor into st, runs f, and stores st again.
func (w *world) edit(id address.Address, st cbor.Er, f func() error) error {
	tree, err := states.LoadTree(w.store, w.actors)
	if err != nil {
		return err
	}
	act, found, err := tree.GetActor(id)
	if err != nil || !found {
		return fmt.Errorf("actor %s: found %t: %w", id, found, err)
	}
	if err := w.store.Get(w.store.Context(), act.Head, st); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	if act.Head, err = w.store.Put(w.store.Context(), st); err != nil {
		return err
	}
	if err := tree.SetActor(id, act); err != nil {
		return err
	}
	w.actors, err = tree.Flush()
	return err
}

// call runs one message at epoch 0, free of charge, and decodes what it returns into ret
// unless that is nil.
func (w *world) call(ctx context.Context, from, to address.Address, value abi.TokenAmount, method abi.MethodNum, params cbor.Marshaler, ret cbor.Unmarshaler) error {
	var raw bytes.Buffer
	if params != nil {
		if err := params.MarshalCBOR(&raw); err != nil {
			return err
		}
	}
	root, err := w.root(ctx)
	if err != nil {
		return err
	}
	machine, err := vm.New(ctx, vm.Env{
		Blocks: w.blocks, Rand: fixedRandomness{}, NetworkVersion: types.NetworkVersion,
		CirculatingAtGenesis: big.Zero(),
	}, root, 0, big.Zero())
	if err != nil {
		return err
	}
	res, err := machine.ApplyImplicit(ctx, &types.Message{
		From: from, To: to, Value: value, Method: method, Params: raw.Bytes(), Nonce: w.nonce,
		GasLimit: callGasLimit, GasFeeCap: big.Zero(), GasPremium: big.Zero(),
	})
	if err != nil {
		return fmt.Errorf("method %d of %s: %w", method, to, err)
	}
	if res.Receipt.ExitCode != 0 {
		return fmt.Errorf("method %d of %s: exit code %d: %s", method, to, res.Receipt.ExitCode, res.Err)
	}
	w.nonce++
	if root, err = machine.Flush(ctx); err != nil {
		return err
	}
	var sr types.StateRoot
	if err := ipldcbor.NewCborStore(w.blocks).Get(ctx, root, &sr); err != nil {
		return err
	}
	w.actors = sr.Actors
	if ret == nil {
		return nil
	}
	return ret.UnmarshalCBOR(bytes.NewReader(res.Receipt.Return))
}

// fixedRandomness serves draws that must exist and whose value does not matter.
type fixedRandomness struct{}

func (fixedRandomness) FromTickets(_ context.Context, _ crypto.DomainSeparationTag, _ abi.ChainEpoch, entropy []byte) ([]byte, error) {
	d := blake2b.Sum256(entropy)
	return d[:], nil
}

func (r fixedRandomness) FromBeacon(ctx context.Context, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return r.FromTickets(ctx, tag, epoch, entropy)
}

func idAddress(id uint64) address.Address {
	a, err := address.NewIDAddress(id)
	if err != nil {
		panic(err) // ids here are small constants
	}
	return a
}
