package pieces_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/lodenet/lode/market/car"
	"github.com/lodenet/lode/market/pieces"
	"github.com/lodenet/lode/repo"
	"github.com/multiformats/go-multihash"
)

// sectors is unsealed data by sector; it takes only the reads that sealing takes.
type sectors map[abi.SectorNumber][]byte

func (s sectors) ReadPiece(_ context.Context, n abi.SectorNumber, offset, size abi.PaddedPieceSize) (io.ReadCloser, error) {
	if size == 0 || size%128 != 0 || offset%128 != 0 {
		return nil, fmt.Errorf("bad read of %d at %d", size, offset)
	}
	data, ok := s[n]
	if !ok {
		return nil, errors.New("no unsealed copy")
	}
	from, to := uint64(offset)/128*127, uint64(offset+size)/128*127
	return io.NopCloser(bytes.NewReader(data[from:to])), nil
}

func open(t testing.TB) *pieces.Index {
	t.Helper()
	db := sql.OpenDB(repo.Connector(filepath.Join(t.TempDir(), "lode.db")))
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	x, err := pieces.Open(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func raw(b []byte) cid.Cid {
	c, _ := cid.V1Builder{Codec: cid.Raw, MhType: multihash.SHA2_256}.Sum(b)
	return c
}

// place puts blocks as a CAR in the second half of sector 7 and returns the sector's bytes.
func place(t *testing.T, x *pieces.Index, blocks [][]byte) (sectors, pieces.Location) {
	t.Helper()
	ctx := context.Background()
	var b bytes.Buffer
	b.Write(car.Header(raw(blocks[0])))
	for _, d := range blocks {
		b.Write(car.SectionHead(raw(d), uint64(len(d))))
		b.Write(d)
	}
	const size = 64 << 10
	data := make([]byte, 2*size/128*127)
	copy(data[size/128*127:], b.Bytes())
	l := pieces.Location{CID: raw([]byte("piece")), Size: size, Sector: 7, Offset: size, Deal: 3}
	for range 2 { // both can be repeated
		if err := x.Add(ctx, l); err != nil {
			t.Fatal(err)
		}
		if n, err := x.AddBlocks(ctx, l.Deal, bytes.NewReader(b.Bytes())); err != nil || n != len(blocks) {
			t.Fatalf("indexed %d blocks (%v), want %d", n, err, len(blocks))
		}
	}
	return sectors{7: data}, l
}

func someBlocks() [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	var out [][]byte
	for i := range 600 { // more than one batch of rows
		b := make([]byte, r.IntN(100))
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		out = append(out, append(b, byte(i), byte(i>>8)))
	}
	return append(out, []byte{}, bytes.Repeat([]byte("y"), 9000))
}

func TestBlocksComeFromPieces(t *testing.T) {
	ctx := context.Background()
	x := open(t)
	all := someBlocks()
	disk, l := place(t, x, all)
	bs := pieces.NewBlocks(x, disk, nil)
	for _, want := range all {
		b, err := bs.Get(ctx, raw(want))
		if err != nil || !bytes.Equal(b.RawData(), want) {
			t.Fatalf("got %x (%v), want %x", b, err, want)
		}
		if n, err := bs.GetSize(ctx, raw(want)); err != nil || n != len(want) {
			t.Fatalf("size %d (%v), want %d", n, err, len(want))
		}
	}
	if _, err := bs.Get(ctx, raw([]byte("other"))); !ipld.IsNotFound(err) {
		t.Errorf("absent block: %v", err)
	}
	disk[7][bytes.Index(disk[7], []byte("yyyyyyyy"))+100] ^= 1
	bad := 0
	for _, want := range all {
		if _, err := bs.Get(ctx, raw(want)); errors.Is(err, car.ErrHash) {
			bad++
		}
	}
	if bad != 1 {
		t.Errorf("one changed byte damages %d blocks", bad)
	}
	delete(disk, 7)
	if _, err := bs.Get(ctx, raw(all[0])); err == nil || ipld.IsNotFound(err) {
		t.Errorf("a block whose sector cannot be read: %v", err)
	}
	other := l
	other.Sector, other.Deal = 8, 4
	if err := x.Add(ctx, other); err != nil {
		t.Fatal(err)
	}
	if err := x.Forget(ctx, l.Sector); err != nil {
		t.Fatal(err)
	}
	if of, err := x.Sectors(ctx); err != nil || !slices.Equal(of, []abi.SectorNumber{8}) {
		t.Errorf("sectors %v (%v)", of, err)
	}
	if ok, err := bs.Has(ctx, raw(all[0])); ok || err != nil {
		t.Errorf("after removal: %v %v", ok, err)
	}
}

func TestStream(t *testing.T) {
	x := open(t)
	disk, l := place(t, x, someBlocks())
	s := pieces.OpenPiece(context.Background(), disk, l)
	want := disk[7][len(disk[7])/2:]
	for _, at := range []int64{0, 1, 126, 127, 128, 5000, s.Size() - 1, s.Size()} {
		if _, err := s.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, want[at:]) {
			t.Fatalf("from %d: %d bytes (%v), want %d", at, len(got), err, len(want[at:]))
		}
	}
}

func TestNotACAR(t *testing.T) {
	x := open(t)
	if err := x.Add(context.Background(), pieces.Location{CID: raw(nil), Size: 128, Deal: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.AddBlocks(context.Background(), 1, bytes.NewReader([]byte("plain text"))); !errors.Is(err, car.ErrFormat) {
		t.Errorf("plain text: %v", err)
	}
	got, err := x.Piece(context.Background(), raw(nil))
	if err != nil || len(got) != 1 {
		t.Errorf("the piece is gone: %v %v", got, err)
	}
}
