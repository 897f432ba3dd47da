package exchange

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/state/amt"
	"github.com/lodenet/lode/chain/types"
)

// ErrMalformed: an answer does not fit the question, or breaks the rules of the protocol.
var ErrMalformed = errors.New("malformed answer")

// ErrForged: messages do not match the root in their block's header.
var ErrForged = errors.New("messages do not match their block")

// ErrRefused: the peer had no answer; the text has its status.
var ErrRefused = errors.New("peer refused")

// ErrUnknown: the peer does not have the tipset.
var ErrUnknown = fmt.Errorf("%w: tipset unknown to the peer", ErrRefused)

// check judges the form of an answer: status and length.
func (r *Response) check(req *Request) error {
	switch r.Status {
	case OK, Partial:
	case NotFound, InternalError:
		// Existing nodes say "internal error" for a tipset that they do not have.
		return fmt.Errorf("%w (%s: %.100q)", ErrUnknown, r.Status, r.ErrorMessage)
	case GoAway, BadRequest:
		return fmt.Errorf("%w: %s: %.100q", ErrRefused, r.Status, r.ErrorMessage)
	default:
		return fmt.Errorf("%w: %s", ErrMalformed, r.Status)
	}
	switch n := uint64(len(r.Chain)); {
	case n == 0:
		return fmt.Errorf("%w: no tipset", ErrMalformed)
	case n > req.Length:
		return fmt.Errorf("%w: %d tipsets, asked for %d", ErrMalformed, n, req.Length)
	case n < req.Length && r.Status != Partial:
		return fmt.Errorf("%w: %d tipsets of %d, but not called partial", ErrMalformed, n, req.Length)
	}
	for i, t := range r.Chain {
		if t == nil {
			return fmt.Errorf("%w: tipset %d is null", ErrMalformed, i)
		}
		if req.Options&Messages != 0 && t.Messages == nil {
			return fmt.Errorf("%w: tipset %d has no messages", ErrMalformed, i)
		}
	}
	return nil
}

// headers turns an answer into tipsets, newest first: the first is the one asked for, each
// next the parent of the one before.
func (r *Response) headers(req *Request) ([]*types.TipSet, error) {
	out := make([]*types.TipSet, len(r.Chain))
	for i, t := range r.Chain {
		for _, b := range t.Blocks {
			if b == nil {
				return nil, fmt.Errorf("%w: tipset %d has a null block", ErrMalformed, i)
			}
		}
		ts, err := types.NewTipSet(t.Blocks)
		if err != nil {
			return nil, fmt.Errorf("%w: tipset %d: %w", ErrMalformed, i, err)
		}
		if i == 0 && ts.Key() != types.NewTipSetKey(req.Head...) {
			return nil, fmt.Errorf("%w: tipset %s was not asked for", ErrMalformed, ts)
		}
		if i > 0 && !out[i-1].IsChildOf(ts) {
			return nil, fmt.Errorf("%w: tipset %s is not the parent of %s", ErrMalformed, ts, out[i-1])
		}
		out[i] = ts
	}
	return out, nil
}

// fill gives a tipset the messages of an answer and checks them against its headers.
func fill(ctx context.Context, ts *types.TipSet, m *CompactedMessages) (*types.FullTipSet, error) {
	n := len(ts.Blocks())
	if len(m.BlsIncludes) != n || len(m.SecpkIncludes) != n {
		return nil, fmt.Errorf("%w: messages for %d and %d blocks, the tipset has %d",
			ErrMalformed, len(m.BlsIncludes), len(m.SecpkIncludes), n)
	}
	// Each message is hashed once, however many blocks have it.
	blsCids, secpCids := cids(m.Bls.List), cids(m.Secpk.List)
	full := &types.FullTipSet{Blocks: make([]*types.FullBlock, n)}
	for i, h := range ts.Blocks() {
		bls, bc, err := pick(m.Bls.List, blsCids, m.BlsIncludes[i].List)
		if err != nil {
			return nil, err
		}
		secp, sc, err := pick(m.Secpk.List, secpCids, m.SecpkIncludes[i].List)
		if err != nil {
			return nil, err
		}
		root, err := MessageRoot(ctx, bc, sc)
		if err != nil {
			return nil, err
		}
		if root != h.Messages {
			return nil, fmt.Errorf("%w: block %s has root %s, got %s", ErrForged, h.Cid(), h.Messages, root)
		}
		full.Blocks[i] = &types.FullBlock{Header: h, BlsMessages: bls, SecpkMessages: secp}
	}
	return full, nil
}

func cids[M interface{ Cid() cid.Cid }](list []M) []cid.Cid {
	out := make([]cid.Cid, len(list))
	for i, m := range list {
		out[i] = m.Cid()
	}
	return out
}

// pick selects one block's messages and their CIDs.
func pick[M any](list []M, cids []cid.Cid, which []uint64) ([]M, []cid.Cid, error) {
	out, oc := make([]M, len(which)), make([]cid.Cid, len(which))
	for i, w := range which {
		if w >= uint64(len(list)) {
			return nil, nil, fmt.Errorf("%w: message index %d of %d", ErrMalformed, w, len(list))
		}
		out[i], oc[i] = list[w], cids[w]
	}
	return out, oc, nil
}

// MessageRoot is what a header's Messages field must be for these messages, in block order
// (spec chain.md b.3).
func MessageRoot(ctx context.Context, bls, secp []cid.Cid) (cid.Cid, error) {
	var scratch types.MemBlocks
	b, err := amt.BuildCids(ctx, &scratch, bls)
	if err != nil {
		return cid.Undef, fmt.Errorf("message root: %w", err)
	}
	s, err := amt.BuildCids(ctx, &scratch, secp)
	if err != nil {
		return cid.Undef, fmt.Errorf("message root: %w", err)
	}
	return (&types.MsgMeta{BlsMessages: b, SecpkMessages: s}).Cid(), nil
}
