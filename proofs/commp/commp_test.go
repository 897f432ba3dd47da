package commp

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// slow is the definition: fill with zeros, pad, hash all pairs.
func slow(payload []byte) (cid.Cid, abi.PaddedPieceSize) {
	size := 128
	for size/128*127 < len(payload) {
		size *= 2
	}
	padded := make([]byte, size)
	fr32.Pad(padded, append(bytes.Clone(payload), make([]byte, size/128*127-len(payload))...))
	var nodes []merkle.Node
	for ; len(padded) > 0; padded = padded[32:] {
		nodes = append(nodes, merkle.Node(padded[:32]))
	}
	for ; len(nodes) > 1; nodes = nodes[:len(nodes)/2] {
		for i := range len(nodes) / 2 {
			nodes[i] = merkle.Pair(&nodes[2*i], &nodes[2*i+1])
		}
	}
	return commitment.UnsealedCID(nodes[0]), abi.PaddedPieceSize(size)
}

func TestWriter(t *testing.T) {
	data := random(batchBytes + 5*chunkBytes + 1000)
	for _, n := range []int{
		1, 126, 127, 128, 254, 255, 1000, 2032, chunkBytes - 1, chunkBytes, chunkBytes + 1,
		2*chunkBytes - 127, 2 * chunkBytes, 2*chunkBytes + 1, 3 * chunkBytes, 4*chunkBytes - 1, 4 * chunkBytes, 5*chunkBytes + 1000,
		batchBytes - 1, batchBytes, batchBytes + 1, batchBytes + chunkBytes, batchBytes + 5*chunkBytes + 1000,
	} {
		want, size := slow(data[:n])
		for _, step := range []int{n, 1 + n/7, 127, chunkBytes + 5} {
			w := New()
			for b := data[:n]; len(b) > 0; {
				k := min(step, len(b))
				if m, err := w.Write(b[:k]); m != k || err != nil {
					t.Fatal(m, err)
				}
				b = b[k:]
			}
			for range 2 { // the second sum must be the first's
				if got, gotSize, err := w.Sum(); err != nil || got != want || gotSize != size {
					t.Fatalf("%d bytes in steps of %d: got %v of %d, %v, want %v of %d", n, step, got, gotSize, err, want, size)
				}
			}
		}
	}
	if _, _, err := New().Sum(); !errors.Is(err, ErrEmpty) {
		t.Errorf("nothing written: got %v", err)
	}
}

func TestExtend(t *testing.T) {
	payload := random(1016)
	piece, size := slow(payload)
	for to := size; to <= 8192; to *= 2 {
		want, _ := slow(append(bytes.Clone(payload), make([]byte, int(to.Unpadded())-len(payload))...))
		if got, err := Extend(piece, size, to); err != nil || got != want {
			t.Errorf("to %d: got %v, %v, want %v", to, got, err, want)
		}
	}
	for name, f := range map[string]func() (cid.Cid, error){
		"smaller":    func() (cid.Cid, error) { return Extend(piece, 1024, 512) },
		"no power":   func() (cid.Cid, error) { return Extend(piece, 1024, 1025) },
		"too small":  func() (cid.Cid, error) { return Extend(piece, 64, 1024) },
		"no piece":   func() (cid.Cid, error) { return Extend(cid.Undef, 1024, 2048) },
		"sealed CID": func() (cid.Cid, error) { return Extend(commitment.SealedCID(merkle.Node{}), 1024, 2048) },
	} {
		if c, err := f(); err == nil {
			t.Errorf("%s: got %v", name, c)
		}
	}
}

func TestCommD(t *testing.T) {
	const sector = abi.RegisteredSealProof_StackedDrg2KiBV1_1
	sum := func(b []byte) cid.Cid {
		w := New()
		_, _ = w.Write(b)
		c, _, err := w.Sum()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	data := random(2032)
	part := func(from, to int) abi.PieceInfo {
		return abi.PieceInfo{PieceCID: sum(data[from*127 : to*127]), Size: abi.PaddedPieceSize(to-from) * 128}
	}
	zeroed := func(ranges ...[2]int) cid.Cid {
		b := bytes.Clone(data)
		for _, r := range ranges {
			clear(b[r[0]*127 : r[1]*127])
		}
		return sum(b)
	}
	for _, c := range []struct {
		name   string
		pieces []abi.PieceInfo
		want   cid.Cid
	}{
		{"none", nil, ZeroPiece(2048)},
		{"one that fills", []abi.PieceInfo{part(0, 16)}, zeroed()},
		{"one small", []abi.PieceInfo{part(0, 1)}, zeroed([2]int{1, 16})},
		{"halves", []abi.PieceInfo{part(0, 8), part(8, 16)}, zeroed()},
		{"small then large", []abi.PieceInfo{part(0, 1), part(4, 8)}, zeroed([2]int{1, 4}, [2]int{8, 16})},
		{"large then small", []abi.PieceInfo{part(0, 8), part(8, 9), part(10, 12)}, zeroed([2]int{9, 10}, [2]int{12, 16})},
	} {
		if got, err := CommD(sector, c.pieces); err != nil || got != c.want {
			t.Errorf("%s: got %v, %v, want %v", c.name, got, err, c.want)
		}
	}
	for name, pieces := range map[string][]abi.PieceInfo{
		"too many":          {part(0, 16), part(0, 1)},
		"gap overflows":     {part(0, 1), part(0, 16)},
		"larger":            {{PieceCID: ZeroPiece(4096), Size: 4096}},
		"not a power":       {{PieceCID: ZeroPiece(128), Size: 129}},
		"size 0":            {{PieceCID: ZeroPiece(128)}},
		"undefined":         {{Size: 128}},
		"a replica's CommR": {{PieceCID: commitment.SealedCID(merkle.Node{1}), Size: 128}},
	} {
		if c, err := CommD(sector, pieces); err == nil {
			t.Errorf("%s: got %v", name, c)
		}
	}
	if _, err := CommD(99, nil); err == nil {
		t.Error("seal proof 99 was accepted")
	}
	if ZeroPiece(100).Defined() || ZeroPiece(0).Defined() {
		t.Error("a zero piece of a wrong size")
	}
}

func BenchmarkCommP(b *testing.B) {
	data := random(8 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		w := New()
		_, _ = w.Write(data)
		if _, _, err := w.Sum(); err != nil {
			b.Fatal(err)
		}
	}
}
