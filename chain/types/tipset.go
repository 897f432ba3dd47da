package types

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// cidLength is the number of bytes of every block CID (spec chain.md a.2).
const cidLength = 38

// blockPrefix is the kind of CID that names blocks.
var blockPrefix = EmptyArrayCid.Prefix()

// maxTipSetBlocks bounds the blocks of one tipset. An election gives at most 15 wins and
// five leaders are expected; 128 is far outside what can happen and keeps keys small.
const maxTipSetBlocks = 128

// TipSetKey names a tipset by its blocks in canonical order. It is comparable, so it can be
// a map key. The zero value is the empty key, which names no tipset; in an API it means the
// head.
type TipSetKey struct {
	value string // block CIDs one after the other, spec b.4
}

// NewTipSetKey makes a key of block CIDs, which must be in canonical order.
func NewTipSetKey(cids ...cid.Cid) TipSetKey {
	var sb strings.Builder
	for _, c := range cids {
		sb.Write(c.Bytes())
	}
	return TipSetKey{sb.String()}
}

// TipSetKeyFromBytes reads the binary form.
func TipSetKeyFromBytes(b []byte) (TipSetKey, error) {
	if len(b)%cidLength != 0 || len(b) > cidLength*maxTipSetBlocks {
		return TipSetKey{}, fmt.Errorf("tipset key of %d bytes is not a list of block CIDs", len(b))
	}
	for o := 0; o < len(b); o += cidLength {
		n, c, err := cid.CidFromBytes(b[o : o+cidLength])
		if err != nil {
			return TipSetKey{}, fmt.Errorf("tipset key: %w", err)
		}
		if n != cidLength || c.Prefix() != blockPrefix {
			return TipSetKey{}, fmt.Errorf("tipset key: %s is not a block CID", c)
		}
	}
	return TipSetKey{string(b)}, nil
}

// Cids lists the blocks in canonical order.
func (k TipSetKey) Cids() []cid.Cid {
	out := make([]cid.Cid, 0, len(k.value)/cidLength)
	for o := 0; o+cidLength <= len(k.value); o += cidLength {
		if _, c, err := cid.CidFromBytes([]byte(k.value[o : o+cidLength])); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// Bytes is the binary form.
func (k TipSetKey) Bytes() []byte { return []byte(k.value) }

// IsEmpty tells whether the key names no tipset.
func (k TipSetKey) IsEmpty() bool { return k.value == "" }

// String lists the CIDs between braces.
func (k TipSetKey) String() string {
	parts := make([]string, 0, 4)
	for _, c := range k.Cids() {
		parts = append(parts, c.String())
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// MarshalJSON writes an array of CIDs.
func (k TipSetKey) MarshalJSON() ([]byte, error) { return json.Marshal(k.Cids()) }

// UnmarshalJSON reads an array of CIDs.
func (k *TipSetKey) UnmarshalJSON(b []byte) error {
	var cids []cid.Cid
	if err := json.Unmarshal(b, &cids); err != nil {
		return err
	}
	if len(cids) > maxTipSetBlocks {
		return fmt.Errorf("tipset key of %d blocks", len(cids))
	}
	for _, c := range cids {
		if !c.Defined() || !isBlockCid(c) {
			return fmt.Errorf("tipset key: %s is not a block CID", c)
		}
	}
	*k = NewTipSetKey(cids...)
	return nil
}

// MarshalCBOR writes one byte string.
func (k TipSetKey) MarshalCBOR(w io.Writer) error { return cbg.WriteByteArray(w, k.Bytes()) }

// UnmarshalCBOR reads one byte string.
func (k *TipSetKey) UnmarshalCBOR(r io.Reader) error {
	b, err := cbg.ReadByteArray(cbg.NewCborReader(r), cidLength*maxTipSetBlocks)
	if err != nil {
		return err
	}
	got, err := TipSetKeyFromBytes(b)
	*k = got
	return err
}

// TipSet is a non-empty set of blocks with one height and one parent tipset, in canonical
// order. It is immutable.
type TipSet struct {
	blocks []*BlockHeader
	key    TipSetKey
}

// ErrNoTipSet: the blocks do not form a tipset. The text says why.
var ErrNoTipSet = errors.New("blocks do not form a tipset")

// NewTipSet orders the blocks and checks that they belong together (spec chain.md c.1).
func NewTipSet(blks []*BlockHeader) (*TipSet, error) {
	if len(blks) == 0 || len(blks) > maxTipSetBlocks {
		return nil, fmt.Errorf("%w: %d of them", ErrNoTipSet, len(blks))
	}
	sorted := slices.Clone(blks)
	for i, b := range sorted {
		if b == nil {
			return nil, fmt.Errorf("%w: one is missing", ErrNoTipSet)
		}
		if err := checkParents(b); err != nil {
			return nil, err
		}
		if b.Ticket == nil {
			return nil, fmt.Errorf("%w: block %s has no ticket", ErrNoTipSet, b.Cid())
		}
		if b.Height != sorted[0].Height {
			return nil, fmt.Errorf("%w: heights %d and %d", ErrNoTipSet, sorted[0].Height, b.Height)
		}
		if i > 0 && !slices.Equal(b.Parents, sorted[0].Parents) {
			return nil, fmt.Errorf("%w: different parents at height %d", ErrNoTipSet, b.Height)
		}
	}
	slices.SortFunc(sorted, func(a, b *BlockHeader) int {
		switch {
		case lessBlock(a, b):
			return -1
		case lessBlock(b, a):
			return 1
		}
		return 0
	})
	cids := make([]cid.Cid, len(sorted))
	for i, b := range sorted {
		cids[i] = b.Cid()
		if i > 0 && cids[i] == cids[i-1] {
			return nil, fmt.Errorf("%w: block %s twice", ErrNoTipSet, cids[i])
		}
	}
	return &TipSet{blocks: sorted, key: NewTipSetKey(cids...)}, nil
}

// checkParents makes sure that the parents can be a tipset key. The genesis has a
// placeholder of any kind (spec chain.md h.3).
func checkParents(b *BlockHeader) error {
	if b.Height == 0 {
		return nil
	}
	if len(b.Parents) > maxTipSetBlocks {
		return fmt.Errorf("%w: %d parents at height %d", ErrNoTipSet, len(b.Parents), b.Height)
	}
	for _, c := range b.Parents {
		if !isBlockCid(c) {
			return fmt.Errorf("%w: parent %s at height %d is not a block CID", ErrNoTipSet, c, b.Height)
		}
	}
	return nil
}

func isBlockCid(c cid.Cid) bool { return c.ByteLen() == cidLength && c.Prefix() == blockPrefix }

// Key names the tipset.
func (t *TipSet) Key() TipSetKey { return t.key }

// Cids lists the blocks in canonical order.
func (t *TipSet) Cids() []cid.Cid { return t.key.Cids() }

// Blocks are the headers in canonical order; the caller must not change them.
func (t *TipSet) Blocks() []*BlockHeader { return t.blocks }

// Height is the epoch of the blocks.
func (t *TipSet) Height() abi.ChainEpoch { return t.blocks[0].Height }

// Parents names the parent tipset.
func (t *TipSet) Parents() TipSetKey { return NewTipSetKey(t.blocks[0].Parents...) }

// ParentState is the state after executing the parent tipset.
func (t *TipSet) ParentState() cid.Cid { return t.blocks[0].ParentStateRoot }

// ParentReceipts is the receipts array of the parent tipset.
func (t *TipSet) ParentReceipts() cid.Cid { return t.blocks[0].ParentMessageReceipts }

// ParentWeight is the weight of the chain up to the parent tipset.
func (t *TipSet) ParentWeight() abi.TokenAmount { return t.blocks[0].ParentWeight }

// BaseFee is the fee that this tipset's messages pay, in attoFIL per gas unit.
func (t *TipSet) BaseFee() abi.TokenAmount { return t.blocks[0].ParentBaseFee }

// MinTicketBlock is the first block in canonical order.
func (t *TipSet) MinTicketBlock() *BlockHeader { return t.blocks[0] }

// MinTicket is the ticket of the first block.
func (t *TipSet) MinTicket() *Ticket { return t.blocks[0].Ticket }

// MinTimestamp is the smallest timestamp of the blocks, unix seconds.
func (t *TipSet) MinTimestamp() uint64 {
	m := t.blocks[0].Timestamp
	for _, b := range t.blocks[1:] {
		m = min(m, b.Timestamp)
	}
	return m
}

// WinCount is the sum of the blocks' win counts.
func (t *TipSet) WinCount() int64 {
	var n int64
	for _, b := range t.blocks {
		if b.ElectionProof != nil {
			n += b.ElectionProof.WinCount
		}
	}
	return n
}

// Equals compares by key; two nils are equal.
func (t *TipSet) Equals(o *TipSet) bool {
	if t == nil || o == nil {
		return t == o
	}
	return t.key == o.key
}

// IsChildOf tells whether p is the parent.
func (t *TipSet) IsChildOf(p *TipSet) bool {
	return t.Parents() == p.key && t.Height() > p.Height()
}

// BetterTieBreak tells whether a is preferred to b at equal weight: the first pair of blocks
// with different tickets decides, the smaller ticket hash wins (spec chain.md e.11).
func BetterTieBreak(a, b *TipSet) bool {
	for i := range min(len(a.blocks), len(b.blocks)) {
		x, y := a.blocks[i].Ticket.Hash(), b.blocks[i].Ticket.Hash()
		if c := bytes.Compare(x[:], y[:]); c != 0 {
			return c < 0
		}
	}
	return false
}

// String gives the height and the key.
func (t *TipSet) String() string { return fmt.Sprintf("%d%s", t.Height(), t.key) }

type jsonTipSet struct {
	Cids   []cid.Cid
	Blocks []*BlockHeader
	Height abi.ChainEpoch
}

// MarshalJSON writes Cids, Blocks and Height.
func (t *TipSet) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonTipSet{t.Cids(), t.blocks, t.Height()})
}

// UnmarshalJSON reads the blocks and derives the rest from them.
func (t *TipSet) UnmarshalJSON(b []byte) error {
	var j jsonTipSet
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	for _, h := range j.Blocks {
		if h == nil {
			return fmt.Errorf("%w: an empty block", ErrNoTipSet)
		}
		if _, err := CborCid(h); err != nil { // a field is missing
			return fmt.Errorf("%w: %w", ErrNoTipSet, err)
		}
	}
	ts, err := NewTipSet(j.Blocks)
	if err != nil {
		return err
	}
	*t = *ts
	return nil
}

// FullTipSet is a tipset with its messages, block by block in canonical order.
type FullTipSet struct {
	Blocks []*FullBlock
}

// TipSet drops the messages.
func (f *FullTipSet) TipSet() (*TipSet, error) {
	headers := make([]*BlockHeader, len(f.Blocks))
	for i, b := range f.Blocks {
		headers[i] = b.Header
	}
	return NewTipSet(headers)
}
