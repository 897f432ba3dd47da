package state

import (
	"context"
	"crypto/sha256"
	"errors"

	hamt2 "github.com/filecoin-project/go-hamt-ipld/v2"
	hamt3 "github.com/filecoin-project/go-hamt-ipld/v3"
	"github.com/ipfs/go-cid"
	cbornode "github.com/ipfs/go-ipld-cbor"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/chain/types"
)

// bitWidth is the width of the nodes of the state tree and of the init actor's map.
const bitWidth = 5

// hamt is a map of CBOR values in one of the two node formats (spec b.6).
type hamt interface {
	find(ctx context.Context, key string, out cbg.CBORUnmarshaler) (bool, error)
	set(ctx context.Context, key string, v cbg.CBORMarshaler) error
	// remove does nothing when the key is absent.
	remove(ctx context.Context, key string) error
	forEach(ctx context.Context, fn func(key string, raw []byte) error) error
	// root writes the changed nodes.
	root(ctx context.Context) (cid.Cid, error)
}

func sha(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

// oldFormat tells whether trees of a version have the node format of actors v2.
func oldFormat(v types.StateTreeVersion) bool { return v <= types.StateTreeVersion1 }

func newHAMT(v types.StateTreeVersion, s cbornode.IpldStore) (hamt, error) {
	if oldFormat(v) {
		return oldHAMT{hamt2.NewNode(s, hamt2.UseTreeBitWidth(bitWidth), hamt2.UseHashFunction(sha)), s}, nil
	}
	n, err := hamt3.NewNode(s, hamt3.UseTreeBitWidth(bitWidth), hamt3.UseHashFunction(sha))
	return newerHAMT{n}, err
}

func loadHAMT(ctx context.Context, v types.StateTreeVersion, s cbornode.IpldStore, root cid.Cid) (hamt, error) {
	if oldFormat(v) {
		n, err := hamt2.LoadNode(ctx, s, root, hamt2.UseTreeBitWidth(bitWidth), hamt2.UseHashFunction(sha))
		return oldHAMT{n, s}, err
	}
	n, err := hamt3.LoadNode(ctx, s, root, hamt3.UseTreeBitWidth(bitWidth), hamt3.UseHashFunction(sha))
	return newerHAMT{n}, err
}

// newerHAMT has the node format of actors v3 and later.
type newerHAMT struct{ n *hamt3.Node }

func (h newerHAMT) find(ctx context.Context, key string, out cbg.CBORUnmarshaler) (bool, error) {
	return h.n.Find(ctx, key, out)
}

func (h newerHAMT) set(ctx context.Context, key string, v cbg.CBORMarshaler) error {
	return h.n.Set(ctx, key, v)
}

func (h newerHAMT) remove(ctx context.Context, key string) error {
	_, err := h.n.Delete(ctx, key)
	return err
}

func (h newerHAMT) forEach(ctx context.Context, fn func(key string, raw []byte) error) error {
	return h.n.ForEach(ctx, func(k string, v *cbg.Deferred) error { return fn(k, v.Raw) })
}

func (h newerHAMT) root(ctx context.Context) (cid.Cid, error) { return h.n.Write(ctx) }

// oldHAMT has the node format of actors v0 and v2.
type oldHAMT struct {
	n *hamt2.Node
	s cbornode.IpldStore
}

func (h oldHAMT) find(ctx context.Context, key string, out cbg.CBORUnmarshaler) (bool, error) {
	err := h.n.Find(ctx, key, out)
	if errors.Is(err, hamt2.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (h oldHAMT) set(ctx context.Context, key string, v cbg.CBORMarshaler) error {
	return h.n.Set(ctx, key, v)
}

func (h oldHAMT) remove(ctx context.Context, key string) error {
	if err := h.n.Delete(ctx, key); !errors.Is(err, hamt2.ErrNotFound) {
		return err
	}
	return nil
}

func (h oldHAMT) forEach(ctx context.Context, fn func(key string, raw []byte) error) error {
	return h.n.ForEach(ctx, func(k string, v any) error {
		d, ok := v.(*cbg.Deferred)
		if !ok {
			return hamt2.ErrMalformedHamt
		}
		return fn(k, d.Raw)
	})
}

func (h oldHAMT) root(ctx context.Context) (cid.Cid, error) {
	if err := h.n.Flush(ctx); err != nil {
		return cid.Undef, err
	}
	return h.s.Put(ctx, h.n)
}
