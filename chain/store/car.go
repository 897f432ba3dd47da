package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/filecoin-project/go-state-types/abi"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	"github.com/multiformats/go-multihash"
	"github.com/multiformats/go-varint"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/chain/types"
)

const (
	maxCarHeader  = 64 << 10 // a tipset of 128 roots is 6 KiB
	maxCarSection = 4 << 20  // chain objects stay below 2 MiB
	carBatch      = 1 << 20  // bytes written at once
)

// ErrCAR: the stream is no CARv1 of chain data. Ask the one who made it.
var ErrCAR = errors.New("bad CAR")

// ImportCAR reads a CARv1 into the store and returns its roots (spec chain.md i). The hash of
// every block is checked, and the memory used does not depend on the stream. What was read
// before an error stays; it is harmless. All is on disk when it returns without one.
func (s *Store) ImportCAR(ctx context.Context, r io.Reader) ([]cid.Cid, error) {
	br, err := car.NewBlockReader(r, car.MaxAllowedHeaderSize(maxCarHeader), car.MaxAllowedSectionSize(maxCarSection))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCAR, err)
	}
	if br.Version != 1 {
		return nil, fmt.Errorf("%w: version %d, want 1", ErrCAR, br.Version)
	}
	var batch []blocks.Block
	size := 0
	for {
		b, err := br.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCAR, err)
		}
		batch = append(batch, b)
		if size += len(b.RawData()); size >= carBatch {
			if err := s.PutMany(ctx, batch); err != nil {
				return nil, err
			}
			batch, size = batch[:0], 0
		}
	}
	err = s.write(ctx, pebble.Sync, func(w *pebble.Batch) error {
		// Even an empty batch makes what was written before it durable.
		return errors.Join(putBlocks(w, batch), w.LogData([]byte("import"), nil))
	})
	return br.Roots, err
}

// ImportSnapshot reads a snapshot of one or more roots, follows its head down to the genesis,
// which must be this store's (an empty store takes it), and makes its head ours. What the
// snapshot says is trusted, but for the hashes.
func (s *Store) ImportSnapshot(ctx context.Context, r io.Reader) (*types.TipSet, error) {
	roots, err := s.ImportCAR(ctx, r)
	if err != nil {
		return nil, err
	}
	head, err := s.TipSet(ctx, types.NewTipSetKey(roots...))
	if err != nil {
		return nil, fmt.Errorf("%w: head: %w", ErrCAR, err)
	}
	low := head
	for low.Height() > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if low, err = s.parent(low); err != nil {
			return nil, fmt.Errorf("%w: chain below %s: %w", ErrCAR, low, err)
		}
	}
	if err := s.SetGenesis(ctx, low.MinTicketBlock()); err != nil {
		return nil, err
	}
	return head, s.SetHead(ctx, head)
}

// Export writes a snapshot of the chain that ends with a tipset: all headers and messages
// down to the genesis, and the state and receipts of the tipsets less than recent epochs
// below it and of the genesis (spec chain.md i, version 1).
func (s *Store) Export(ctx context.Context, w io.Writer, head *types.TipSet, recent abi.ChainEpoch) error {
	e := exporter{s: s, w: w, seen: map[string]struct{}{}}
	if err := writeCarHeader(w, head.Cids()); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for ts := head; ; {
		full := ts.Height() > head.Height()-recent || ts.Height() == 0
		for _, b := range ts.Blocks() {
			if err := e.header(ctx, b, full); err != nil {
				return fmt.Errorf("export: block %s: %w", b.Cid(), err)
			}
		}
		if ts.Height() == 0 {
			return nil
		}
		var err error
		if ts, err = s.parent(ts); err != nil {
			return fmt.Errorf("export: below %s: %w", head, err)
		}
	}
}

func writeCarHeader(w io.Writer, roots []cid.Cid) error {
	var h bytes.Buffer
	h.WriteByte(0xa2) // a map of two
	h.WriteString("\x65roots")
	if err := cbg.WriteMajorTypeHeader(&h, cbg.MajArray, uint64(len(roots))); err != nil {
		return err
	}
	for _, c := range roots {
		if err := cbg.WriteCid(&h, c); err != nil {
			return err
		}
	}
	h.WriteString("\x67version\x01")
	if _, err := w.Write(varint.ToUvarint(uint64(h.Len()))); err != nil {
		return err
	}
	_, err := w.Write(h.Bytes())
	return err
}

type exporter struct {
	s    *Store
	w    io.Writer
	seen map[string]struct{} // multihashes written
}

func (e *exporter) header(ctx context.Context, b *types.BlockHeader, full bool) error {
	roots := []cid.Cid{b.Messages}
	if full {
		roots = append(roots, b.ParentStateRoot, b.ParentMessageReceipts)
	}
	if b.Height == 0 {
		roots = append(roots, b.Parents...) // the placeholder object
	}
	if _, err := e.one(ctx, b.Cid()); err != nil {
		return err
	}
	for _, r := range roots {
		if err := e.dag(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// dag writes an object and all below it, depth first, without recursion.
func (e *exporter) dag(ctx context.Context, root cid.Cid) error {
	todo := []cid.Cid{root}
	for len(todo) > 0 {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		raw, err := e.one(ctx, c)
		if err != nil {
			return err
		}
		if raw == nil || c.Prefix().Codec != cid.DagCBOR {
			continue
		}
		if err := cbg.ScanForLinks(bytes.NewReader(raw), func(l cid.Cid) { todo = append(todo, l) }); err != nil {
			return fmt.Errorf("links of %s: %w", c, err)
		}
	}
	return nil
}

// one writes a block unless it was written, carries its own data, or is a commitment, which
// names no block (spec chain.md a.2). It returns nil for those.
func (e *exporter) one(ctx context.Context, c cid.Cid) ([]byte, error) {
	p := c.Prefix()
	if p.MhType == multihash.IDENTITY || (p.Codec != cid.DagCBOR && p.Codec != cid.Raw && p.Codec != 0x51) {
		return nil, nil
	}
	if _, ok := e.seen[string(c.Hash())]; ok {
		return nil, nil
	}
	b, err := e.s.Get(ctx, c)
	if err != nil {
		return nil, err
	}
	e.seen[string(c.Hash())] = struct{}{}
	raw := b.RawData()
	for _, part := range [][]byte{varint.ToUvarint(uint64(c.ByteLen() + len(raw))), c.Bytes(), raw} {
		if _, err := e.w.Write(part); err != nil {
			return nil, err
		}
	}
	return raw, nil
}
