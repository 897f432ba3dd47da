package node

import (
	"bytes"
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	mh "github.com/multiformats/go-multihash"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/api"
)

// maxStat is how many objects are counted in one answer; the walk remembers each.
const maxStat = 1 << 20

func (a chainAPI) ChainReadObj(ctx context.Context, obj cid.Cid) ([]byte, error) {
	if !obj.Defined() {
		return nil, badParam("object: no CID given")
	}
	b, err := a.n.store.Get(ctx, obj)
	if ipld.IsNotFound(err) {
		return nil, fmt.Errorf("object %s is not on this node: %w", obj, err)
	}
	if err != nil {
		return nil, err
	}
	return b.RawData(), nil
}

func (a chainAPI) ChainHasObj(ctx context.Context, obj cid.Cid) (bool, error) {
	if !obj.Defined() {
		return false, badParam("object: no CID given")
	}
	return a.n.store.Has(ctx, obj)
}

func (a chainAPI) ChainStatObj(ctx context.Context, obj, base cid.Cid) (api.ObjStat, error) {
	seen := cid.NewSet()
	if base.Defined() {
		if _, err := a.measure(ctx, base, seen); err != nil {
			return api.ObjStat{}, err
		}
	}
	return a.measure(ctx, obj, seen)
}

// measure counts an object and what lies below it, but not what was seen before. Each object
// counts as a link, the first one too.
func (a chainAPI) measure(ctx context.Context, root cid.Cid, seen *cid.Set) (api.ObjStat, error) {
	var stat api.ObjStat
	todo := []cid.Cid{root}
	for len(todo) > 0 {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen.Visit(c) {
			continue
		}
		if seen.Len() > maxStat {
			return api.ObjStat{}, api.ErrLimit.With("more than %d objects below %s", maxStat, root)
		}
		raw, err := a.ChainReadObj(ctx, c)
		if err != nil {
			return api.ObjStat{}, err
		}
		stat.Size += uint64(len(raw))
		stat.Links++
		if c.Prefix().Codec != cid.DagCBOR {
			continue
		}
		err = cbg.ScanForLinks(bytes.NewReader(raw), func(l cid.Cid) {
			if stored(l) {
				todo = append(todo, l)
			}
		})
		if err != nil {
			return api.ObjStat{}, fmt.Errorf("links of object %s: %w", c, err)
		}
	}
	return stat, nil
}

// stored tells whether a link leads to an object of the chain: commitments name sectors and
// pieces, identities have no object.
func stored(c cid.Cid) bool {
	p := c.Prefix()
	return p.Codec != cid.FilCommitmentSealed && p.Codec != cid.FilCommitmentUnsealed && p.MhType != mh.IDENTITY
}
