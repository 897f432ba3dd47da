package porep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/sdr"
)

// Unseal writes length bytes of the sector's padded data, from offset on, to w; both are
// multiples of 128. It needs the file Sealed; labels that are no longer there are made
// again, in two files that it creates, which takes as long as Label. When the whole sector is asked for, and it turns out
// that it is not commD's data, the error is ErrMismatch, after the writing; for a part, only
// what cannot be padded data is found out.
func Unseal(ctx context.Context, t Task, commD cid.Cid, f Files, w io.Writer, offset, length int64) error {
	s, err := newSector(t, commD)
	if err != nil {
		return err
	}
	return s.unseal(ctx, f, w, offset, length)
}

func (s *sector) unseal(ctx context.Context, f Files, w io.Writer, offset, length int64) error {
	size := int64(s.SectorSize)
	if offset < 0 || length < 0 || offset > size || length > size-offset || offset%fr32.Padded != 0 || length%fr32.Padded != 0 {
		return fmt.Errorf("bytes from %d, %d of them, are no part of a sector of %d", offset, length, size)
	}
	if length == 0 {
		return nil
	}
	return open(f, Sealed, size, func(replica File) error {
		return s.withLabels(ctx, f, offset+length, func(labels io.ReaderAt) error {
			return s.decode(ctx, replica, labels, w, offset, length)
		})
	})
}

// withLabels gives the labels of the last layer up to a place.
func (s *sector) withLabels(ctx context.Context, f Files, end int64, use func(io.ReaderAt) error) error {
	file, err := openSized(f, LayerFile(s.Layers), int64(s.SectorSize))
	if err == nil {
		defer file.Close() // is only read
		return use(file)
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrSize) {
		return err
	}
	for layer := 1; layer <= s.Layers; layer++ {
		nodes := s.Nodes()
		if layer == s.Layers {
			nodes = uint64(end) / fr32.NodeBytes
		}
		if _, err := s.layer(ctx, f, layer, nodes, scratchFile, nil); err != nil {
			return err
		}
	}
	return open(f, scratchFile(s.Layers), end, func(file File) error { return use(file) })
}

func (s *sector) decode(ctx context.Context, replica, labels io.ReaderAt, w io.Writer, offset, length int64) error {
	whole := length == int64(s.SectorSize)
	root := commp.New()
	check := fr32.NewUnpadWriter(io.Discard)
	if whole {
		check = fr32.NewUnpadWriter(root)
	}
	for end := offset + length; offset < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := min(end-offset, encodeBytes)
		err := combine(replica, labels, offset, chunk, sdr.Decode, func(b []byte) error {
			if _, err := check.Write(b); err != nil {
				return fmt.Errorf("decoded with this ticket and CommD it is no data (%w): %w", err, ErrMismatch)
			}
			_, err := w.Write(b)
			return err
		})
		if err != nil {
			return err
		}
		offset += chunk
	}
	if !whole {
		return nil
	}
	if got, _, err := root.Sum(); err != nil || got != commitment.UnsealedCID(s.commD) {
		return fmt.Errorf("decoded data has CommD %v, not %v: %w", got, commitment.UnsealedCID(s.commD), ErrMismatch)
	}
	return nil
}
