package commp

import (
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"slices"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/merkle"
)

type piece struct {
	Payload int64               `json:"payload_size"`
	Padded  abi.PaddedPieceSize `json:"padded_size"`
	CID     string              `json:"piece_cid"`
	Comm    vectors.Node        `json:"comm_hex"`
}

type commpFile struct {
	Zero struct {
		Entries []struct {
			Padded   abi.PaddedPieceSize   `json:"padded_size"`
			Unpadded abi.UnpaddedPieceSize `json:"unpadded_size"`
			CID      string                `json:"cid"`
			Comm     vectors.Node          `json:"comm_hex"`
		} `json:"entries"`
	} `json:"zero_piece_commitments"`
	CommD struct {
		Sector abi.SectorSize `json:"sector_bytes"`
		Pieces []struct {
			CID    string              `json:"piece_cid"`
			Padded abi.PaddedPieceSize `json:"padded_size"`
		} `json:"pieces"`
		CID string `json:"comm_d_cid"`
	} `json:"commd_from_pieces"`
	Text struct {
		Payload string `json:"payload_utf8"`
		CID     string `json:"piece_cid"`
	} `json:"small_text"`
	Zeros   struct{ Entries []piece } `json:"repeated_byte_00"`
	CC      struct{ Entries []piece } `json:"repeated_byte_cc"`
	Random  struct{ Entries []piece } `json:"go_random_1337"`
	Curio   struct{ Entries []piece } `json:"curio_subset"`
	Random5 []piece                   `json:"go_random_7e5"`
	Align   struct {
		Entries [][4]abi.UnpaddedPieceSize `json:"entries"`
	} `json:"piece_alignment"`
	Start struct {
		Sizes  []abi.UnpaddedPieceSize `json:"piece_sizes"`
		Starts []abi.UnpaddedPieceSize `json:"start_bytes"`
	} `json:"piece_start"`
}

// How much of a stream is hashed always, and how much at most without LODE_LONG.
const (
	quick = 70 << 20
	long  = 1 << 30
)

// sealProofs has one of each sector size.
var sealProofs = []abi.RegisteredSealProof{
	abi.RegisteredSealProof_StackedDrg2KiBV1_1, abi.RegisteredSealProof_StackedDrg8MiBV1_1, abi.RegisteredSealProof_StackedDrg512MiBV1_1,
	abi.RegisteredSealProof_StackedDrg32GiBV1_1, abi.RegisteredSealProof_StackedDrg64GiBV1_1,
}

func TestVectorsCommP(t *testing.T) {
	var f commpFile
	set := vectors.Load(t, "commp.json", &f)

	for _, v := range f.Zero.Entries {
		set.Run(t, fmt.Sprintf("zero/%d", v.Padded), func(t *testing.T) {
			if got := ZeroPiece(v.Padded); got.String() != v.CID || v.Padded.Unpadded() != v.Unpadded {
				t.Errorf("got %v, want %s", got, v.CID)
			}
			if n, err := commitment.Unsealed(parse(t, v.CID)); err != nil || n != merkle.Node(v.Comm) {
				t.Errorf("digest: got %x, %v, want %x", n, err, v.Comm)
			}
		})
	}

	set.Run(t, "commd", func(t *testing.T) {
		seal := slices.IndexFunc(sealProofs, func(p abi.RegisteredSealProof) bool {
			size, err := p.SectorSize()
			return err == nil && size == f.CommD.Sector
		})
		if seal < 0 {
			t.Fatalf("a sector of %d bytes", f.CommD.Sector)
		}
		var pieces []abi.PieceInfo
		for _, p := range f.CommD.Pieces {
			pieces = append(pieces, abi.PieceInfo{PieceCID: parse(t, p.CID), Size: p.Padded})
		}
		got, err := CommD(sealProofs[seal], pieces)
		if err != nil || got.String() != f.CommD.CID {
			t.Errorf("got %v, %v, want %s", got, err, f.CommD.CID)
		}
	})

	set.Run(t, "text", func(t *testing.T) {
		w := New()
		_, _ = io.WriteString(w, f.Text.Payload)
		if got, _, err := w.Sum(); err != nil || got.String() != f.Text.CID {
			t.Errorf("got %v, %v, want %s", got, err, f.Text.CID)
		}
	})

	stream(t, set, "bytes00", f.Zeros.Entries, repeat(0))
	stream(t, set, "bytesCC", f.CC.Entries, repeat(0xcc))
	stream(t, set, "random1337", f.Random.Entries, rand1337(1337))
	stream(t, set, "curio", f.Curio.Entries, rand1337(1337))
	// A read that asks for more than is needed would not change these: Read is a stream.
	stream(t, set, "random7e5", f.Random5, rand.New(rand.NewSource(0x7e5)))

	for _, v := range f.Align.Entries {
		set.Run(t, fmt.Sprintf("align/%d-%d", v[0], v[1]), func(t *testing.T) {
			if before, behind := Alignment(v[0], v[1]); before != v[2] || behind != v[3] {
				t.Errorf("got %d and %d, want %d and %d", before, behind, v[2], v[3])
			}
		})
	}
	set.Run(t, "start", func(t *testing.T) {
		var written abi.UnpaddedPieceSize
		for i, size := range f.Start.Sizes {
			before, behind := Alignment(written, size)
			if written+before != f.Start.Starts[i] {
				t.Errorf("piece %d starts at %d, want %d", i, written+before, f.Start.Starts[i])
			}
			written += before + size + behind
		}
	})
}

// stream hashes one stream and checks its beginnings, which are the pieces.
func stream(t *testing.T, set *vectors.Set, name string, pieces []piece, r io.Reader) {
	pieces = slices.Clone(pieces)
	slices.SortStableFunc(pieces, func(a, b piece) int { return int(a.Payload - b.Payload) })
	w, done := New(), int64(0)
	for _, v := range pieces {
		set.Run(t, fmt.Sprintf("%s/%d-%d", name, v.Payload, v.Padded), func(t *testing.T) {
			if v.Payload > quick {
				vectors.Long(t, "a long stream")
			}
			if v.Payload > long {
				vectors.Huge(t, "a very long stream")
			}
			if _, err := io.CopyBuffer(w, io.LimitReader(r, v.Payload-done), make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			done = v.Payload
			got, size, err := w.Sum()
			if err != nil {
				t.Fatal(err)
			}
			if got, err = Extend(got, size, v.Padded); err != nil || got.String() != v.CID {
				t.Errorf("got %v, %v, want %s", got, err, v.CID)
			}
			if n, err := commitment.Unsealed(got); err != nil || n != merkle.Node(v.Comm) {
				t.Errorf("digest: got %x, want %x", n, v.Comm)
			}
		})
	}
}

type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	copy(p, bytes.Repeat([]byte{byte(r)}, len(p)))
	return len(p), nil
}

// words are 32-bit numbers of a source, least significant byte first.
type words struct {
	rng  *rand.Rand
	word uint32
	left int
}

func rand1337(seed int64) *words { return &words{rng: rand.New(rand.NewSource(seed))} }

func (w *words) Read(p []byte) (int, error) {
	for i := range p {
		if w.left == 0 {
			w.word, w.left = w.rng.Uint32(), 4
		}
		p[i] = byte(w.word)
		w.word >>= 8
		w.left--
	}
	return len(p), nil
}

func parse(t *testing.T, s string) cid.Cid {
	t.Helper()
	c, err := cid.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
