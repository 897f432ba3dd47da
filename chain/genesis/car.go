package genesis

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/chain/types"
)

// WriteCAR writes the genesis block and all that it links to as a CARv1 whose root is the
// block (spec chain.md h.3). Each object comes once, in a depth-first order.
func WriteCAR(ctx context.Context, bs types.Blocks, header cid.Cid, w io.Writer) error {
	if err := writeSection(w, carHeader(header)); err != nil {
		return err
	}
	seen := cid.NewSet()
	todo := []cid.Cid{header}
	for len(todo) > 0 {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !carried(c) || !seen.Visit(c) {
			continue
		}
		b, err := bs.Get(ctx, c)
		if err != nil {
			return fmt.Errorf("genesis CAR: %w", err)
		}
		if err := writeSection(w, c.Bytes(), b.RawData()); err != nil {
			return err
		}
		if c.Prefix().Codec != cid.DagCBOR {
			continue
		}
		if err := cbg.ScanForLinks(bytes.NewReader(b.RawData()), func(l cid.Cid) { todo = append(todo, l) }); err != nil {
			return fmt.Errorf("genesis CAR: links of %s: %w", c, err)
		}
	}
	return nil
}

// carried tells whether a link is followed: not the code of actors, which is inline in its
// CID, nor commitments, which no store holds (spec chain.md a.2).
func carried(c cid.Cid) bool {
	p := c.Prefix()
	return p.MhType != multihash.IDENTITY && p.Codec != cid.FilCommitmentSealed && p.Codec != cid.FilCommitmentUnsealed
}

// carHeader is the dag-cbor map {"roots": [root], "version": 1}.
func carHeader(root cid.Cid) []byte {
	var b bytes.Buffer
	b.WriteString("\xa2\x65roots\x81\xd8\x2a\x58")
	b.WriteByte(byte(root.ByteLen() + 1))
	b.WriteByte(0)
	b.Write(root.Bytes())
	b.WriteString("\x67version\x01")
	return b.Bytes()
}

func writeSection(w io.Writer, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if _, err := w.Write(binary.AppendUvarint(nil, uint64(n))); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}
